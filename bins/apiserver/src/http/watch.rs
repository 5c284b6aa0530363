//! `watch`: changes as they happen, a line of JSON each.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::{BufMut, Bytes, BytesMut};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::accept::Shape;
use super::{Call, read, reply, show};
use crate::error::ApiError;
use crate::meta;
use crate::selector::Selection;
use crate::store::{Event, Happened, PastError, Stored};

/// How often a watch looks whether a bookmark is due.
const TICK: Duration = Duration::from_secs(1);
/// After so many ticks without anything, a bookmark says that all is well.
const QUIET_TICKS: u32 = 30;
/// Events that are read at once.
const BATCH: usize = 512;
/// A watch that names no time ends after this.
const LONGEST: u64 = 1800;

/// Where a watch begins.
enum Start {
    /// With all objects that there are, as additions.
    Objects {
        /// A bookmark tells where they end.
        mark: bool,
    },
    /// With what happened after a version.
    After(u64),
}

/// Starts a watch.
pub(super) fn watch(call: &Call) -> Result<Response, ApiError> {
    let selection = call.selection()?;
    let bookmarks = call.query.flag("allowWatchBookmarks");
    let start = start(call, bookmarks)?;
    let seconds = call.query.number("timeoutSeconds")?.filter(|seconds| *seconds > 0);
    let until = Instant::now() + Duration::from_secs(seconds.unwrap_or(LONGEST).min(24 * 3600));
    let (sender, mut receiver) = mpsc::channel::<Bytes>(16);
    let watcher = Watcher {
        call: Call {
            api: call.api.clone(),
            resource: call.resource.clone(),
            place: call.place.clone(),
            query: call.query.clone(),
            accept: call.accept.clone(),
            agent: String::new(),
            content_type: String::new(),
            body: Bytes::new(),
        },
        selection,
        bookmarks,
        sender,
        columns_sent: false,
    };
    tokio::spawn(watcher.run(start, until));
    let chunks = futures_util::stream::poll_fn(move |context| {
        receiver.poll_recv(context).map(|chunk| chunk.map(Ok::<Bytes, std::convert::Infallible>))
    });
    Ok(reply::raw(200, "application/json", Body::from_stream(chunks)))
}

fn start(call: &Call, bookmarks: bool) -> Result<Start, ApiError> {
    let version = call.query.get("resourceVersion").unwrap_or_default();
    let matching = call.query.get("resourceVersionMatch");
    let forbidden =
        |why: &str| ApiError::new(422, "Invalid", format!("ListOptions.meta.k8s.io \"\" is invalid: {why}"));
    if call.query.get("sendInitialEvents").is_some() {
        if matching != Some("NotOlderThan") {
            return Err(forbidden(
                "resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
            ));
        }
        if call.query.flag("sendInitialEvents") {
            if let Ok(version) = version.parse::<u64>()
                && version > call.api.store.version()
            {
                return Ok(Start::After(version));
            }
            return Ok(Start::Objects { mark: bookmarks });
        }
    } else if matching.is_some() {
        return Err(forbidden(
            "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
        ));
    }
    match version {
        "" | "0" => Ok(Start::Objects { mark: false }),
        version => Ok(Start::After(read::parse(version)?)),
    }
}

struct Watcher {
    call: Call,
    selection: Selection,
    bookmarks: bool,
    sender: mpsc::Sender<Bytes>,
    columns_sent: bool,
}

impl Watcher {
    async fn run(mut self, start: Start, until: Instant) {
        let api = self.call.api.clone();
        let table = self.call.resource.table.clone();
        let Some(mut changed) = api.store.subscribe(&table) else { return };
        let mut upto = match start {
            Start::After(version) => version,
            Start::Objects { mark } => {
                let Some(version) = self.send_objects(mark).await else { return };
                version
            }
        };
        let (mut told, mut quiet) = (upto, 0);
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            changed.borrow_and_update();
            let changes = match api.store.changes(&table, upto, BATCH) {
                Ok(changes) => changes,
                Err(error) => return self.end(upto, error).await,
            };
            upto = changes.upto;
            let mut chunk = BytesMut::new();
            for event in &changes.events {
                self.event(event, &mut chunk);
            }
            if !chunk.is_empty() {
                told = changes.events.last().map_or(told, |event| event.version());
                quiet = 0;
                if self.sender.send(chunk.freeze()).await.is_err() {
                    return;
                }
            }
            if changes.events.len() == BATCH {
                continue;
            }
            tokio::select! {
                result = changed.changed() => if result.is_err() { return },
                _ = tick.tick() => {
                    quiet += 1;
                    // What is said here is true: everything up to this version has been sent.
                    if self.bookmarks && (upto > told || quiet >= QUIET_TICKS) {
                        (told, quiet) = (upto, 0);
                        if self.sender.send(self.bookmark(upto, false)).await.is_err() {
                            return;
                        }
                    }
                }
                () = tokio::time::sleep_until(until) => return,
                () = api.stop.cancelled() => return,
                () = self.sender.closed() => return,
            }
        }
    }

    /// All objects as additions. Returns the version that they are of.
    async fn send_objects(&mut self, mark: bool) -> Option<u64> {
        let snapshot =
            self.call.api.store.list(&self.call.resource.table, self.call.place.namespace.as_deref());
        let mut chunk = BytesMut::new();
        for object in &snapshot.objects {
            if self.selection.matches(object) {
                self.line("ADDED", object, &mut chunk);
            }
            if chunk.len() > 64 * 1024 {
                self.sender.send(chunk.split().freeze()).await.ok()?;
            }
        }
        if mark {
            chunk.put(self.bookmark(snapshot.version, true));
        }
        if !chunk.is_empty() {
            self.sender.send(chunk.freeze()).await.ok()?;
        }
        Some(snapshot.version)
    }

    /// An event, as it looks to somebody who sees only the selection.
    fn event(&mut self, event: &Arc<Event>, chunk: &mut BytesMut) {
        let was = event.before.as_deref().is_some_and(|before| self.selection.matches(before));
        let is = event.happened != Happened::Deleted && self.selection.matches(&event.object);
        match (was, is) {
            (false, false) => {}
            (false, true) => self.line("ADDED", &event.object, chunk),
            (true, true) => self.line("MODIFIED", &event.object, chunk),
            (true, false) if event.happened == Happened::Deleted => {
                self.line("DELETED", &event.object, chunk);
            }
            (true, false) => {
                // It left the selection: its last state in it, at the version at which it left.
                if let Some(before) = &event.before {
                    let (key, version) = (before.key.clone(), event.version());
                    self.line("DELETED", &Stored::new(key, version, before.value(), &[]), chunk);
                }
            }
        }
    }

    fn line(&mut self, kind: &str, object: &Stored, chunk: &mut BytesMut) {
        let json = show::one(&self.call, object, !self.columns_sent);
        self.columns_sent = true;
        chunk.put_slice(b"{\"type\":\"");
        chunk.put_slice(kind.as_bytes());
        chunk.put_slice(b"\",\"object\":");
        chunk.put_slice(&json);
        chunk.put_slice(b"}\n");
    }

    fn bookmark(&self, version: u64, end_of_initial: bool) -> Bytes {
        let resource = &self.call.resource;
        let (kind, api_version) = match self.call.accept.shape {
            Shape::Whole => (resource.kind.clone(), resource.api_version()),
            Shape::Partial => ("PartialObjectMetadata".to_owned(), "meta.k8s.io/v1".to_owned()),
            Shape::Table => ("Table".to_owned(), "meta.k8s.io/v1".to_owned()),
        };
        let mut object = json!({
            "kind": kind,
            "apiVersion": api_version,
            "metadata": {"resourceVersion": version.to_string()},
        });
        if self.call.accept.shape == Shape::Table {
            object["columnDefinitions"] = Value::Null;
            object["rows"] = json!([]);
        } else {
            meta::metadata_mut(&mut object).insert("creationTimestamp".into(), Value::Null);
        }
        if end_of_initial {
            meta::metadata_mut(&mut object)
                .insert("annotations".into(), json!({"k8s.io/initial-events-end": "true"}));
        }
        format!("{}\n", json!({"type": "BOOKMARK", "object": object})).into()
    }

    /// Tells why the watch can't go on.
    async fn end(self, upto: u64, error: PastError) {
        let error = match error {
            PastError::NoTable => return,
            PastError::TooOld(since) => {
                ApiError::expired(format!("too old resource version: {upto} ({since})"))
            }
            // From before a restart that lost everything.
            PastError::TooNew(now) => ApiError::expired(format!("unknown resource version: {upto} ({now})")),
        };
        let line = format!("{}\n", json!({"type": "ERROR", "object": error.status()}));
        // A client that is gone does not ask why.
        let _ = self.sender.send(line.into()).await;
    }
}
