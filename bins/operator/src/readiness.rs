//! When a node may be given pods.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{NodeCondition, Taint};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::view::NodeView;

/// The taint that keeps pods away until the network is there; whoever makes nodes sets it.
pub(crate) const TAINT: &str = "node.cilium.io/agent-not-ready";

/// What the operator may do to Nodes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowed {
    pub(crate) remove_taint: bool,
    pub(crate) set_condition: bool,
}

/// What a Node should be; none where it is so.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Changes {
    pub(crate) taints: Option<Vec<Taint>>,
    pub(crate) conditions: Option<Vec<NodeCondition>>,
}

/// A node whose network is there loses its taint, and its condition says so. One whose agent is being replaced keeps
/// what it has: its pods go on.
pub(crate) fn decide(node: &NodeView, ready: bool, allowed: Allowed, now: Timestamp) -> Changes {
    if !ready {
        return Changes::default();
    }
    let tainted = allowed.remove_taint && node.taints.iter().any(|taint| taint.key == TAINT);
    let current = node.conditions.iter().find(|condition| condition.type_ == "NetworkUnavailable");
    let up = current.is_some_and(|condition| {
        condition.status == "False" && condition.reason.as_deref() == Some("CiliumIsUp")
    });
    Changes {
        taints: tainted.then(|| node.taints.iter().filter(|taint| taint.key != TAINT).cloned().collect()),
        conditions: (allowed.set_condition && !up).then(|| {
            let others = node.conditions.iter().filter(|condition| condition.type_ != "NetworkUnavailable");
            let since = current.filter(|condition| condition.status == "False");
            let since = since.and_then(|condition| condition.last_transition_time.clone());
            let condition = NodeCondition {
                type_: "NetworkUnavailable".to_owned(),
                status: "False".to_owned(),
                reason: Some("CiliumIsUp".to_owned()),
                message: Some("The pod network of this node is up".to_owned()),
                last_heartbeat_time: Some(Time(now)),
                last_transition_time: Some(since.unwrap_or(Time(now))),
            };
            others.cloned().chain([condition]).collect()
        }),
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

    const ALL: Allowed = Allowed { remove_taint: true, set_condition: true };

    #[test]
    fn only_what_is_ready() {
        let tainted = node(&["other", TAINT], Some(("True", "NoRouteCreated")));
        assert_eq!(decide(&tainted, false, ALL, Timestamp::UNIX_EPOCH), Changes::default());
        let changes = decide(&tainted, true, ALL, Timestamp::UNIX_EPOCH);
        let taints = changes.taints.unwrap();
        assert_eq!(taints.iter().map(|taint| taint.key.as_str()).collect::<Vec<_>>(), ["other"]);
        let conditions = changes.conditions.unwrap();
        let told: Vec<_> = conditions.iter().map(|one| (one.type_.as_str(), one.status.as_str())).collect();
        assert_eq!(told, [("Ready", "True"), ("NetworkUnavailable", "False")]);
    }

    #[test]
    fn nothing_twice_and_nothing_forbidden() {
        let well = node(&["other"], Some(("False", "CiliumIsUp")));
        assert_eq!(decide(&well, true, ALL, Timestamp::UNIX_EPOCH), Changes::default());
        let tainted = node(&[TAINT], None);
        let nothing = Allowed { remove_taint: false, set_condition: false };
        assert_eq!(decide(&tainted, true, nothing, Timestamp::UNIX_EPOCH), Changes::default());
    }
}
