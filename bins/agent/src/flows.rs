//! Flows: what the datapath reports, with names and rules, kept for a while and sent to whoever listens.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use abi::{Direction, Identity};
use api::{FlowRecord, FlowSide, PodRef, RuleRef, Verdict};
use flow::Flow;
use tokio::sync::broadcast;

use crate::cluster::Holder;

/// How many flows are kept.
pub const KEPT: usize = 4096;

/// A flow, with what was known when it was reported. A node may have tens of thousands in a second, and nearly all go
/// unread: so it is as little as will do, and is put in words when somebody asks.
#[derive(Clone, Debug)]
pub struct Seen {
    /// What the datapath reported.
    pub flow: Flow,
    /// When: nanoseconds since 1970.
    pub time_ns: u64,
    /// Who had the address it came from.
    pub source: Option<Holder>,
    /// Who had the address it went to.
    pub destination: Option<Holder>,
    /// Why it was judged as it was, as long as the policy that was asked is there.
    pub judgement: Option<Arc<Judgement>>,
}

/// The rules behind a verdict.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judgement {
    /// Those that decided, or the policies that closed the direction.
    pub rules: Vec<RuleRef>,
    /// What they want reported.
    pub log: Option<String>,
}

impl Seen {
    /// In words, as seen on a node.
    #[must_use]
    pub fn record(&self, node: &str) -> FlowRecord {
        let flow = &self.flow;
        let (verdict, reason) = match flow.verdict {
            flow::Verdict::Forwarded => (Verdict::Forwarded, None),
            flow::Verdict::Audited => (Verdict::Audit, None),
            flow::Verdict::Dropped(reason) => (Verdict::Dropped, Some(reason)),
        };
        let Judgement { rules, log } = self.judgement.as_deref().cloned().unwrap_or_default();
        FlowRecord {
            time_ns: self.time_ns,
            node: node.to_owned(),
            verdict,
            direction: match flow.direction {
                Direction::Ingress => "ingress".into(),
                Direction::Egress => "egress".into(),
            },
            source: side(self.source.as_ref(), &flow.source),
            destination: side(self.destination.as_ref(), &flow.destination),
            protocol: flow.protocol.to_string(),
            reason: reason.map(|reason| reason.sentence().to_owned()),
            reason_code: reason.map(|reason| reason as u8),
            rules,
            log,
            length: flow.length,
        }
    }
}

/// The newest flows of a node, and those who want the next ones.
#[derive(Clone, Debug)]
pub struct FlowLog {
    node: Arc<str>,
    kept: Arc<Mutex<VecDeque<Seen>>>,
    sender: broadcast::Sender<Arc<FlowRecord>>,
}

impl FlowLog {
    /// An empty one.
    #[must_use]
    pub fn new(node: &str) -> Self {
        Self { node: node.into(), kept: Arc::default(), sender: broadcast::channel(KEPT).0 }
    }

    /// Keeps a flow and sends it on.
    pub fn push(&self, seen: Seen) {
        let mut kept = self.kept();
        // Under the lock, so that whoever subscribes sees each flow once.
        if self.sender.receiver_count() > 0 {
            // Nobody listening any more is no error.
            let _ = self.sender.send(Arc::new(seen.record(&self.node)));
        }
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(seen);
    }

    /// The newest `last` flows, oldest first, and all that come after them.
    #[must_use]
    pub fn subscribe(&self, last: usize) -> (Vec<FlowRecord>, broadcast::Receiver<Arc<FlowRecord>>) {
        let (seen, next): (Vec<Seen>, _) = {
            let kept = self.kept();
            let skip = kept.len().saturating_sub(last);
            (kept.iter().skip(skip).cloned().collect(), self.sender.subscribe())
        };
        (seen.iter().map(|seen| seen.record(&self.node)).collect(), next)
    }

    fn kept(&self) -> MutexGuard<'_, VecDeque<Seen>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One end of a flow, with what was known of its address.
fn side(holder: Option<&Holder>, side: &flow::Side) -> FlowSide {
    let (pod, entity) = match holder {
        Some(Holder::Pod(namespace, name)) => {
            (Some(PodRef { namespace: namespace.as_ref().into(), name: name.as_ref().into() }), None)
        }
        Some(Holder::ApiServer) => (None, Some("kube-apiserver".into())),
        // What a node is to the packet, its identity says.
        Some(Holder::Node(_)) | None => (None, Some(entity(side.peer.identity, side.address))),
    };
    FlowSide { address: side.address, port: side.port, identity: side.peer.identity.0, pod, entity }
}

/// What an address is that is no pod's.
fn entity(identity: Identity, address: IpAddr) -> String {
    match identity {
        Identity::HOST => "host".into(),
        Identity::REMOTE_NODE => "remote-node".into(),
        Identity::KUBE_APISERVER => "kube-apiserver".into(),
        Identity::WORLD | Identity::WORLD_IPV4 | Identity::WORLD_IPV6 => "world".into(),
        Identity::UNKNOWN => "unknown".into(),
        Identity(number) if number & Identity::REMOTE_NODE_SCOPE != 0 => "remote-node".into(),
        // It was a pod's when the packet passed.
        other => format!("identity {} at {address}", other.0),
    }
}

#[cfg(test)]
mod tests {
    use abi::{Addr, DropReason, Event, EventKind};

    use super::*;

    fn seen(time_ns: u64) -> Seen {
        let event = Event {
            src: Addr::v4([10, 0, 0, 1]),
            dst: Addr::v4([10, 0, 0, 2]),
            proto: 6,
            kind: EventKind::Dropped as u8,
            reason: DropReason::PolicyDenied as u8,
            ..Event::default()
        };
        let judgement = Judgement { log: Some("no".into()), ..Judgement::default() };
        Seen {
            flow: Flow::decode(&event).unwrap(),
            time_ns,
            source: Some(Holder::Pod("shop".into(), "web".into())),
            destination: None,
            judgement: Some(Arc::new(judgement)),
        }
    }

    #[test]
    fn a_listener_sees_each_flow_once() {
        let log = FlowLog::new("n");
        (0..KEPT as u64 + 10).for_each(|time| log.push(seen(time)));
        let (kept, mut next) = log.subscribe(3);
        assert_eq!(kept.iter().map(|flow| flow.time_ns).collect::<Vec<_>>(), [4103, 4104, 4105]);
        log.push(seen(9999));
        assert_eq!(next.try_recv().unwrap().time_ns, 9999);
        assert!(next.try_recv().is_err());
    }

    #[test]
    fn what_was_known_is_told() {
        let record = seen(1).record("n");
        assert_eq!((record.node.as_str(), record.log.as_deref()), ("n", Some("no")));
        assert_eq!(record.source.pod.map(|pod| pod.to_string()).as_deref(), Some("shop/web"));
        assert_eq!(record.destination.entity.as_deref(), Some("unknown"));
        assert_eq!(record.reason_code, Some(DropReason::PolicyDenied as u8));
    }
}
