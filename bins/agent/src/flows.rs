//! Flows: what the datapath reports, with names and rules, kept for a while and sent to whoever listens.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use abi::Identity;
use api::{FlowRecord, FlowSide};
use tokio::sync::broadcast;

use crate::cluster::{Cluster, Holder};

/// How many flows are kept.
pub const KEPT: usize = 4096;

/// The newest flows, and those who want the next ones.
#[derive(Clone, Debug)]
pub struct FlowLog {
    kept: Arc<Mutex<VecDeque<Arc<FlowRecord>>>>,
    sender: broadcast::Sender<Arc<FlowRecord>>,
}

impl Default for FlowLog {
    fn default() -> Self {
        Self { kept: Arc::default(), sender: broadcast::channel(KEPT).0 }
    }
}

impl FlowLog {
    /// Keeps a flow and sends it on.
    pub fn push(&self, flow: FlowRecord) {
        let flow = Arc::new(flow);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(Arc::clone(&flow));
        // Under the lock, so that whoever subscribes sees each flow once. Nobody listening is no error.
        let _ = self.sender.send(flow);
    }

    /// The newest `last` flows, oldest first, and all that come after them.
    #[must_use]
    pub fn subscribe(&self, last: usize) -> (Vec<Arc<FlowRecord>>, broadcast::Receiver<Arc<FlowRecord>>) {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let skip = kept.len().saturating_sub(last);
        (kept.iter().skip(skip).cloned().collect(), self.sender.subscribe())
    }
}

/// One end of a flow, with what is known of its address.
#[must_use]
pub fn side(cluster: &Cluster, side: &flow::Side) -> FlowSide {
    let (pod, entity) = match cluster.holder(side.address) {
        Some(Holder::Pod(pod)) => (Some(pod.clone()), None),
        Some(Holder::ApiServer) => (None, Some("kube-apiserver".into())),
        _ => (None, Some(entity(side.peer.identity, side.address))),
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
    use super::*;

    #[test]
    fn a_listener_sees_each_flow_once() {
        let log = FlowLog::default();
        let side =
            FlowSide { address: [10, 0, 0, 1].into(), port: 1, identity: 300, pod: None, entity: None };
        let flow = |time_ns| FlowRecord {
            time_ns,
            node: "n".into(),
            verdict: api::Verdict::Forwarded,
            direction: "ingress".into(),
            source: side.clone(),
            destination: side.clone(),
            protocol: "TCP".into(),
            reason: None,
            reason_code: None,
            rules: Vec::new(),
            log: None,
            length: 60,
        };
        (0..KEPT as u64 + 10).for_each(|time| log.push(flow(time)));
        let (kept, mut next) = log.subscribe(3);
        assert_eq!(kept.iter().map(|flow| flow.time_ns).collect::<Vec<_>>(), [4103, 4104, 4105]);
        log.push(flow(9999));
        assert_eq!(next.try_recv().unwrap().time_ns, 9999);
        assert!(next.try_recv().is_err());
    }
}
