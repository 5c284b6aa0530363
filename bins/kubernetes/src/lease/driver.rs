//! Runs an elector on a Lease of the API server.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{Api, ObjectMeta, PostParams};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use super::elector::{Answer, Elector, Record, Request, Step, Timing};
use super::term::{Leadership, since_boot};
use crate::refusal::{is_conflict, is_missing};

/// Which lease, and who wants it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The lease's namespace.
    pub namespace: String,
    /// The lease's name.
    pub name: String,
    /// Who wants it; another for each process, also on one machine.
    pub identity: String,
    /// How long things take.
    pub timing: Timing,
}

/// A candidate that goes on until it is released or dropped.
#[derive(Debug)]
pub struct Election {
    terms: watch::Receiver<Option<Leadership>>,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Election {
    /// Begins. The client should be one of [`Connector::prompt`](crate::client::Connector::prompt): an answer that
    /// comes after the renew deadline is of no use.
    pub fn start(client: kube::Client, settings: Settings) -> Self {
        let (sender, terms) = watch::channel(None);
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(run(Candidate::new(client, settings), sender, stopped));
        Self { terms, stop: Some(stop), task }
    }

    /// The term that is on, if this process leads. It changes with each term.
    pub fn terms(&self) -> watch::Receiver<Option<Leadership>> {
        self.terms.clone()
    }

    /// Ends the candidacy; a lease that is held is given back, so that another takes over at once. To be called when
    /// nothing is written any more.
    pub async fn release(mut self) {
        drop(self.stop.take());
        if let Err(error) = (&mut self.task).await {
            tracing::error!(%error, "lease: giving it back");
        }
    }
}

impl Drop for Election {
    fn drop(&mut self) {
        self.task.abort();
        // What is under way must not go on with a term that nobody renews.
        if let Some(leadership) = &*self.terms.borrow() {
            leadership.set(Duration::ZERO);
        }
    }
}

struct Candidate {
    api: Api<Lease>,
    settings: Settings,
    elector: Elector<String>,
    acquired: Option<Timestamp>,
}

async fn run(
    mut candidate: Candidate,
    terms: watch::Sender<Option<Leadership>>,
    mut stopped: oneshot::Receiver<()>,
) {
    loop {
        let now = since_boot();
        let step = candidate.elector.step(now);
        candidate.publish(&terms);
        let wait = match step {
            Step::Send(request) => {
                tokio::select! {
                    () = candidate.pursue(request) => {}
                    _ = &mut stopped => break,
                }
                candidate.publish(&terms);
                continue;
            }
            Step::Wait(until) => candidate.elector.until().map_or(until, |end| end.min(until)),
        };
        tokio::select! {
            () = tokio::time::sleep(wait.saturating_sub(now).max(Duration::from_millis(1))) => {}
            _ = &mut stopped => break,
        }
    }
    let request = candidate.elector.release(since_boot());
    candidate.publish(&terms);
    if let Some(request) = request {
        match candidate.send(&request).await {
            Answer::Written(_) => tracing::info!(lease = candidate.settings.name, "lease given back"),
            _ => tracing::warn!(lease = candidate.settings.name, "lease not given back: it will expire"),
        }
    }
}

impl Candidate {
    fn new(client: kube::Client, settings: Settings) -> Self {
        let api = Api::namespaced(client, &settings.namespace);
        let elector = Elector::new(settings.identity.clone(), settings.timing);
        Self { api, settings, elector, acquired: None }
    }

    /// Sends a request, and what follows from its answer at once.
    async fn pursue(&mut self, mut request: Request<String>) {
        loop {
            // Longer than this, and a second try would not fit before the deadline.
            let limit = self.settings.timing.renew_deadline / 2;
            let answer = tokio::time::timeout(limit, self.send(&request)).await.unwrap_or(Answer::Unknown);
            match self.elector.answer(answer, since_boot()) {
                Step::Send(next) => request = next,
                Step::Wait(_) => return,
            }
        }
    }

    async fn send(&mut self, request: &Request<String>) -> Answer<String> {
        let (api, name) = (self.api.clone(), self.settings.name.clone());
        let params = PostParams::default();
        let (written, result) = match request {
            Request::Read => (false, api.get(&name).await),
            Request::Create(record) => {
                let lease = self.lease(record, None);
                (true, api.create(&params, &lease).await)
            }
            Request::Replace(record, version) => {
                let lease = self.lease(record, Some(version.clone()));
                (true, api.replace(&name, &params, &lease).await)
            }
        };
        match result {
            Ok(lease) => {
                let version = lease.metadata.resource_version.clone().unwrap_or_default();
                if written { Answer::Written(version) } else { Answer::Found(record_of(&lease), version) }
            }
            Err(error) if is_missing(&error) && !written => Answer::Absent,
            Err(error) if is_missing(&error) || is_conflict(&error) => Answer::Conflict,
            Err(error) => {
                tracing::warn!(lease = name, %error, "lease");
                Answer::Unknown
            }
        }
    }

    fn lease(&mut self, record: &Record, version: Option<String>) -> Lease {
        let now = Timestamp::now();
        let acquired = if self.elector.leads(since_boot()) { self.acquired.unwrap_or(now) } else { now };
        self.acquired = Some(acquired);
        Lease {
            metadata: ObjectMeta {
                name: Some(self.settings.name.clone()),
                namespace: Some(self.settings.namespace.clone()),
                resource_version: version,
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec {
                holder_identity: Some(record.holder.clone()),
                lease_duration_seconds: Some(
                    i32::try_from(record.duration.as_secs()).unwrap_or(i32::MAX).max(1),
                ),
                lease_transitions: Some(record.transitions),
                acquire_time: Some(MicroTime(acquired)),
                renew_time: Some(MicroTime(now)),
                ..LeaseSpec::default()
            }),
        }
    }

    /// Tells what the elector says. A term that ended does not come back.
    fn publish(&self, terms: &watch::Sender<Option<Leadership>>) {
        let until = self.elector.until().filter(|_| self.elector.leads(since_boot()));
        let name = &self.settings.name;
        terms.send_if_modified(|term| match (&*term, until) {
            (None, None) => false,
            (Some(leadership), Some(until)) if leadership.check().is_ok() => {
                leadership.set(until);
                false
            }
            (_, Some(until)) => {
                tracing::info!(lease = name, identity = self.settings.identity, "leading");
                let leadership = Leadership::default();
                leadership.set(until);
                *term = Some(leadership);
                true
            }
            (Some(leadership), None) => {
                tracing::warn!(lease = name, identity = self.settings.identity, "not leading any more");
                leadership.set(Duration::ZERO);
                *term = None;
                true
            }
        });
    }
}

fn record_of(lease: &Lease) -> Record {
    let spec = lease.spec.clone().unwrap_or_default();
    let seconds = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or(0);
    Record {
        holder: spec.holder_identity.unwrap_or_default(),
        duration: Duration::from_secs(seconds),
        transitions: spec.lease_transitions.unwrap_or(0),
    }
}
