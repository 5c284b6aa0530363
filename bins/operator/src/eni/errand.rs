//! What the fleet wants done, carried out.

use std::sync::Arc;
use std::time::Duration;

use crds::CiliumNode;
use daemon::clock::Clock;
use ipam::Timestamp;
use ipam::ec2::{Ec2, Error, Reply, Request};
use ipam::eni::handshake::DRAIN;
use ipam::eni::{Fleet, NodeRecord, NodeStatus, Outgoing, RequestId, WriteError};
use kube::api::{Api, Patch};
use kubernetes::lease::Leadership;
use kubernetes::refusal::{is_conflict, is_missing};
use kubernetes::watch::Key;
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::metrics::{Asked, EniMetrics};
use super::record::{EniView, status_patch};
use crate::controllers::trouble;
use crate::store::Store;
use crate::view::{CiliumNodeView, NodeView, Version};
use crate::writer::{Writer, annotation, as_of, params};

/// Requests to EC2 at once: more than its token buckets let through in the time of an answer.
const AT_ONCE: usize = 32;
/// What a request to EC2 may take. The handshake's quarantine counts on less than a minute.
const PATIENCE: Duration = Duration::from_secs(30);
/// The event of a node that cannot get addresses.
const EVENT: &str = "AddressAllocationFailed";

/// What carrying out needs; cloning shares it.
#[derive(Clone)]
pub(super) struct Errands<E> {
    pub(super) ec2: E,
    pub(super) leadership: Leadership,
    pub(super) writer: Writer,
    pub(super) nodes: Arc<Store<NodeView>>,
    pub(super) cilium_nodes: Arc<Store<CiliumNodeView>>,
    pub(super) metrics: EniMetrics,
    clock: Clock,
    turns: Arc<Semaphore>,
}

/// What came of it.
pub(super) enum Answer {
    Completed(RequestId, Result<Reply, Error>),
    Written(RequestId, Result<String, WriteError>),
    Read(RequestId, Result<Option<Box<NodeRecord>>, WriteError>),
}

impl Answer {
    /// Tells the fleet.
    pub(super) fn tell(self, fleet: &mut Fleet, clock: Clock, pending: impl Fn(&str) -> u32) {
        let now = clock.now().into();
        match self {
            Self::Completed(id, result) => fleet.complete(id, result, now),
            Self::Written(id, written) => fleet.written(id, written, now),
            Self::Read(id, read) => {
                let read = read.map(|found| {
                    found.map(|record| NodeRecord { pending_pods: pending(&record.name), ..*record })
                });
                fleet.read(id, read, now);
            }
        }
    }
}

impl<E: Ec2> Errands<E> {
    pub(super) fn new(
        ec2: E,
        leadership: Leadership,
        writer: Writer,
        nodes: Arc<Store<NodeView>>,
        cilium_nodes: Arc<Store<CiliumNodeView>>,
        metrics: EniMetrics,
        clock: Clock,
    ) -> Self {
        Self {
            ec2,
            leadership,
            writer,
            nodes,
            cilium_nodes,
            metrics,
            clock,
            turns: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    pub(super) async fn run(self, outgoing: Outgoing) -> Answer {
        match outgoing {
            Outgoing::Request { id, request, not_after } => {
                Answer::Completed(id, self.request(request, not_after).await)
            }
            Outgoing::WriteStatus { id, node, uid, resource_version, status } => {
                let version = Version { uid, resource: resource_version };
                let written = self.write_status(&node, &version, &status).await;
                Answer::Written(id, written)
            }
            Outgoing::WriteDrain { id, node, uid, resource_version, value } => {
                let patch =
                    exactly(&Version { uid, resource: resource_version }, annotation(DRAIN, Some(&value)));
                let result = self.api().patch(&node, &params(), &Patch::Merge(patch)).await;
                let written = self.written(&node, result);
                Answer::Written(id, written)
            }
            Outgoing::Read { id, node } => {
                let read = match self.api().get_opt(&node).await {
                    Ok(found) => Ok(found.map(|object| Box::new(EniView::from(&object).record))),
                    Err(error) => {
                        tracing::warn!(node, %error, "CiliumNode not read");
                        Err(WriteError::Failed)
                    }
                };
                Answer::Read(id, read)
            }
        }
    }

    /// Asks EC2, if this process still leads when its turn comes, and it is not too late for what was looked at before;
    /// whoever loses the lease meanwhile gives it up.
    async fn request(&self, request: Request, not_after: Option<Timestamp>) -> Result<Reply, Error> {
        let action = request.action();
        let _turn =
            self.turns.acquire().await.map_err(|error| Error::unanswered(action, error.to_string()))?;
        self.leadership.check().map_err(|error| Error::unanswered(action, error.to_string()))?;
        // Credentials and a connection come before the request itself is sent: who waits for those is too late, too.
        let left = not_after.map_or(PATIENCE, |at| at.since(self.clock.now().into()).min(PATIENCE));
        if left.is_zero() {
            let error = Error::unsent(action, "what was looked at before is too old by now");
            tracing::info!(%error, "EC2");
            return Err(error);
        }
        let (begun, asked) = (Instant::now(), Asked::of(&request));
        let result = tokio::select! {
            over = self.leadership.over() => Err(Error::unanswered(action, over.to_string())),
            answered = tokio::time::timeout(left, self.ec2.call(request)) => answered.unwrap_or_else(|_| {
                Err(Error::unanswered(action, format!("no answer within {:.1} s", left.as_secs_f64())))
            }),
        };
        self.metrics.answered(&asked, &result, begun.elapsed());
        match &result {
            Ok(_) if action.reads() => tracing::debug!(%action, "EC2"),
            Ok(_) => tracing::info!(%action, "EC2"),
            Err(error) => tracing::warn!(%error, "EC2"),
        }
        result
    }

    fn api(&self) -> Api<CiliumNode> {
        self.writer.all()
    }

    async fn write_status(
        &self,
        node: &str,
        version: &Version,
        status: &NodeStatus,
    ) -> Result<String, WriteError> {
        // A merge has to name what is to be removed, so that what others wrote beside it stays.
        let before = match self.said(node, version) {
            Some(said) => said,
            // The watch has not told of this version yet: it is this process's own.
            None => match self.api().get_opt(node).await {
                Ok(Some(object)) if Version::of(&object.metadata) == *version => {
                    EniView::from(&object).record.status
                }
                Ok(_) => return Err(WriteError::Conflict),
                Err(error) => {
                    tracing::warn!(node, %error, "CiliumNode not read");
                    return Err(WriteError::Failed);
                }
            },
        };
        let patch = exactly(version, status_patch(&before, status));
        let result = self.api().patch_status(node, &params(), &Patch::Merge(patch)).await;
        let written = self.written(node, result)?;
        if let Some(error) = status.error.as_ref().filter(|error| before.error.as_ref() != Some(*error)) {
            tracing::warn!(node, error, "addresses");
            trouble::warn(&self.writer, &self.nodes, node, version, EVENT, error).await;
        }
        Ok(written)
    }

    /// What the status said in that version, where the watch has told of it.
    fn said(&self, node: &str, version: &Version) -> Option<NodeStatus> {
        let known = self.cilium_nodes.get(&Key::new("", node))?;
        let eni = known.eni.as_ref().filter(|_| known.version == *version)?;
        Some(eni.record.status.clone())
    }

    fn written(&self, node: &str, result: kube::Result<CiliumNode>) -> Result<String, WriteError> {
        match result {
            Ok(object) => Ok(object.metadata.resource_version.unwrap_or_default()),
            Err(error) if is_conflict(&error) || is_missing(&error) => {
                tracing::debug!(node, %error, "not written: it is another by now");
                self.metrics.conflicts.inc();
                Err(WriteError::Conflict)
            }
            Err(error) => {
                tracing::warn!(node, %error, "not written");
                Err(WriteError::Failed)
            }
        }
    }
}

/// The object, as that version of it and no other of its name.
fn exactly(version: &Version, patch: Value) -> Value {
    let mut patch = as_of(version, patch);
    patch["metadata"]["uid"] = Value::from(version.uid.as_str());
    patch
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicU32, Ordering};

    use ipam::ec2::ErrorKind;
    use tokio::task::JoinSet;

    use super::*;

    /// Never answers, and counts who asks.
    #[derive(Clone, Default)]
    struct Deaf(Arc<AtomicU32>);

    impl Ec2 for Deaf {
        async fn call(&self, _: Request) -> Result<Reply, Error> {
            self.0.fetch_add(1, Ordering::SeqCst);
            std::future::pending().await
        }
    }

    fn errands(term: Duration) -> (Errands<Deaf>, Arc<AtomicU32>) {
        // Nobody listens there, and nobody is asked.
        let config = kube::Config::new(http::Uri::from_static("http://127.0.0.1:9"));
        of(kube::Client::try_from(config).unwrap(), term)
    }

    fn of(client: kube::Client, term: Duration) -> (Errands<Deaf>, Arc<AtomicU32>) {
        let ec2 = Deaf::default();
        let asked = Arc::clone(&ec2.0);
        let (nodes, cilium_nodes, leads) = (Store::new(), Store::new(), Leadership::lasting(term));
        let (metrics, clock) = (EniMetrics::new(), Clock::start());
        (Errands::new(ec2, leads, Writer::new(client), nodes, cilium_nodes, metrics, clock), asked)
    }

    const REQUEST: fn() -> Request = || Request::DescribeVpcs { ids: Vec::new() };

    #[tokio::test]
    async fn nothing_is_asked_when_the_term_is_over() {
        let (errands, asked) = errands(Duration::ZERO);
        let error = errands.request(REQUEST(), None).await.unwrap_err();
        assert!(error.kind.is_ambiguous(), "{error}");
        assert_eq!(asked.load(Ordering::SeqCst), 0);
    }

    #[tokio::test]
    async fn who_waits_for_a_turn_looks_at_the_deadline_again_and_who_waits_for_an_answer_gives_up() {
        let (errands, asked) = errands(Duration::from_millis(300));
        let mut tasks = JoinSet::new();
        for _ in 0..AT_ONCE + 3 {
            let errands = errands.clone();
            tasks.spawn(async move { errands.request(REQUEST(), None).await });
        }
        while let Some(result) = tasks.join_next().await {
            assert!(result.unwrap().unwrap_err().kind.is_ambiguous());
        }
        assert_eq!(asked.load(Ordering::SeqCst) as usize, AT_ONCE, "the others had no turn in this term");
    }

    #[tokio::test]
    async fn what_was_looked_at_too_long_ago_takes_nothing() {
        let (errands, asked) = errands(Duration::from_millis(200));
        let now = Timestamp::from(errands.clock.now());
        let error = errands.request(REQUEST(), Some(Timestamp(now.0 - 1))).await.unwrap_err();
        assert_eq!((error.kind, asked.load(Ordering::SeqCst)), (ErrorKind::Unsent, 0));
        let error = errands.request(REQUEST(), Some(now.after(PATIENCE))).await.unwrap_err();
        assert_eq!((error.kind, asked.load(Ordering::SeqCst)), (ErrorKind::Unanswered, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_without_an_answer_ends() {
        let (errands, asked) = errands(Duration::from_secs(3600));
        let begun = Instant::now();
        let error = errands.request(REQUEST(), None).await.unwrap_err();
        assert!(error.kind.is_ambiguous(), "{error}");
        assert_eq!((begun.elapsed(), asked.load(Ordering::SeqCst)), (PATIENCE, 1));
    }

    /// What is taken is not waited for longer than it may be sent: credentials may have been what took so long.
    #[tokio::test(start_paused = true)]
    async fn what_may_be_sent_for_a_while_ends_with_it() {
        let (errands, asked) = errands(Duration::from_secs(3600));
        let (begun, left) = (Instant::now(), Duration::from_secs(10));
        let not_after = Timestamp::from(errands.clock.now()).after(left);
        let error = errands.request(REQUEST(), Some(not_after)).await.unwrap_err();
        assert!(error.kind.is_ambiguous(), "{error}");
        assert!(begun.elapsed() <= left, "{:?}", begun.elapsed());
        assert_eq!(asked.load(Ordering::SeqCst), 1);
    }

    /// A version that the watch has told of is not asked for again.
    #[tokio::test]
    async fn a_status_is_written_with_one_request_where_its_version_is_known() {
        let server = apiserver::Server::builder().start().await.unwrap();
        let mut settings = kubernetes::client::Settings::new("test");
        settings.server = Some(server.url());
        let counted = Arc::new(Mutex::new(Vec::new()));
        settings.observer = Some(Arc::new(Methods(Arc::clone(&counted))));
        let client = kubernetes::client::Connector::new(settings).await.unwrap().client().unwrap();
        kubernetes::install::install(&client, &crds::definitions()).await.unwrap();
        let object = serde_json::json!({
            "apiVersion": "cilium.io/v2", "kind": "CiliumNode", "metadata": {"name": "n"}, "spec": {},
        });
        let api: Api<CiliumNode> = Api::all(client.clone());
        let made = serde_json::from_value(object).unwrap();
        let made: CiliumNode = api.create(&kube::api::PostParams::default(), &made).await.unwrap();
        let (errands, _) = of(client, Duration::from_secs(3600));
        let key = Key::new("", "n");
        let first = Version::of(&made.metadata);
        errands.cilium_nodes.set(&key, CiliumNodeView::of(made, true));
        counted.lock().unwrap().clear();

        let says = |error: &str| NodeStatus { error: Some(error.to_owned()), ..NodeStatus::default() };
        let resource = errands.write_status("n", &first, &says("one")).await.unwrap();
        assert_eq!(*counted.lock().unwrap(), ["PATCH", "POST"], "the status, and an event");
        counted.lock().unwrap().clear();
        // Its own write has not come back yet.
        let second = Version { resource, ..first.clone() };
        errands.write_status("n", &second, &NodeStatus::default()).await.unwrap();
        assert_eq!(*counted.lock().unwrap(), ["GET", "PATCH"]);
        // What is known is another by now: nothing is written.
        let late = errands.write_status("n", &first, &says("late")).await;
        assert!(matches!(late, Err(WriteError::Conflict)), "{late:?}");
        assert_eq!(api.get("n").await.unwrap().status.unwrap_or_default().ipam.operator_status.error, None);
        server.stop().await;
    }

    struct Methods(Arc<Mutex<Vec<String>>>);

    impl kubernetes::client::Observer for Methods {
        fn called(&self, call: &kubernetes::client::Call<'_>) {
            self.0.lock().unwrap().push(call.method.to_string());
        }
    }
}
