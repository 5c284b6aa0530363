//! When a node may be given pods.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{NodeCondition, Taint};

use crate::conditions::Wanted;
use crate::view::NodeView;

/// The taint that keeps pods away until the network is there; whoever makes nodes sets it.
pub(crate) const TAINT: &str = "node.cilium.io/agent-not-ready";

/// Kubernetes' own condition; some clouds set it when they make a node.
const UP: Wanted<'static> = Wanted {
    type_: "NetworkUnavailable",
    status: false,
    reason: "CiliumIsUp",
    message: "The pod network of this node is up",
};

/// What the operator may do to Nodes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowed {
    pub(crate) remove_taint: bool,
    pub(crate) set_taint: bool,
    pub(crate) set_condition: bool,
}

/// What a Node should be; none where it is so.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Changes {
    pub(crate) taints: Option<Vec<Taint>>,
    pub(crate) conditions: Option<Vec<NodeCondition>>,
}

/// What is known of a node's network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Network {
    /// Its agent says that it is there, and is ready where it runs as a pod.
    Up,
    /// An agent's pod is on the node, and none is ready.
    AgentNotReady,
    /// Its agent has not said that it is there.
    Unknown,
}

/// A node whose network is there loses its taint, and its condition says so. One whose agent is being replaced keeps its
/// pods; where that is wanted it gets no new ones.
pub(crate) fn decide(node: &NodeView, network: Network, allowed: Allowed, now: Timestamp) -> Changes {
    let tainted = node.taints.iter().any(|taint| taint.key == TAINT);
    if network != Network::Up {
        let taint = || Taint { key: TAINT.to_owned(), effect: "NoSchedule".to_owned(), ..Taint::default() };
        let wanted = network == Network::AgentNotReady && allowed.set_taint && !tainted;
        let taints = wanted.then(|| node.taints.iter().cloned().chain([taint()]).collect());
        return Changes { taints, conditions: None };
    }
    let tainted = allowed.remove_taint && tainted;
    let up = UP.current(&node.conditions).is_some_and(|condition| UP.is_said_by(condition));
    Changes {
        taints: tainted.then(|| node.taints.iter().filter(|taint| taint.key != TAINT).cloned().collect()),
        conditions: (allowed.set_condition && !up).then(|| UP.among(&node.conditions, now)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::Version;

    fn node(taints: &[&str], condition: Option<(&str, &str)>) -> NodeView {
        let condition = condition.map(|(status, reason)| NodeCondition {
            type_: "NetworkUnavailable".to_owned(),
            status: status.to_owned(),
            reason: Some(reason.to_owned()),
            ..NodeCondition::default()
        });
        let kubelet = NodeCondition {
            type_: "Ready".to_owned(),
            status: "True".to_owned(),
            ..NodeCondition::default()
        };
        NodeView {
            version: Version::default(),
            created: Timestamp::UNIX_EPOCH,
            taints: taints.iter().map(|key| Taint { key: (*key).to_owned(), ..Taint::default() }).collect(),
            conditions: [kubelet].into_iter().chain(condition).collect(),
            pod_cidrs: Vec::new(),
        }
    }

    const ALL: Allowed = Allowed { remove_taint: true, set_taint: true, set_condition: true };

    #[test]
    fn only_what_is_ready() {
        let tainted = node(&["other", TAINT], Some(("True", "NoRouteCreated")));
        assert_eq!(decide(&tainted, Network::Unknown, ALL, Timestamp::UNIX_EPOCH), Changes::default());
        let changes = decide(&tainted, Network::Up, ALL, Timestamp::UNIX_EPOCH);
        let taints = changes.taints.unwrap();
        assert_eq!(taints.iter().map(|taint| taint.key.as_str()).collect::<Vec<_>>(), ["other"]);
        let conditions = changes.conditions.unwrap();
        let told: Vec<_> = conditions.iter().map(|one| (one.type_.as_str(), one.status.as_str())).collect();
        assert_eq!(told, [("Ready", "True"), ("NetworkUnavailable", "False")]);
    }

    #[test]
    fn an_agent_that_is_not_ready_keeps_new_pods_away() {
        let open = node(&["other"], Some(("False", "CiliumIsUp")));
        let changes = decide(&open, Network::AgentNotReady, ALL, Timestamp::UNIX_EPOCH);
        let taints: Vec<_> =
            changes.taints.unwrap().into_iter().map(|taint| (taint.key, taint.effect)).collect();
        assert_eq!(taints[1], (TAINT.to_owned(), "NoSchedule".to_owned()));
        assert_eq!((taints.len(), changes.conditions), (2, None));
        let unwanted = Allowed { set_taint: false, ..ALL };
        let tainted = node(&[TAINT], None);
        for (node, network, allowed) in [
            (&open, Network::AgentNotReady, unwanted),
            (&open, Network::Unknown, ALL),
            (&tainted, Network::AgentNotReady, ALL),
        ] {
            assert_eq!(decide(node, network, allowed, Timestamp::UNIX_EPOCH), Changes::default());
        }
    }

    #[test]
    fn nothing_twice_and_nothing_forbidden() {
        let well = node(&["other"], Some(("False", "CiliumIsUp")));
        assert_eq!(decide(&well, Network::Up, ALL, Timestamp::UNIX_EPOCH), Changes::default());
        let tainted = node(&[TAINT], None);
        let nothing = Allowed { remove_taint: false, set_taint: false, set_condition: false };
        assert_eq!(decide(&tainted, Network::Up, nothing, Timestamp::UNIX_EPOCH), Changes::default());
    }
}
