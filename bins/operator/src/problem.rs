//! What keeps a node's pods from addresses, and the conditions of its Node that say so.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::NodeCondition;

use crate::conditions::Wanted;
use crate::view::NodeView;

/// What a condition is about. As with the kubelet's pressures, `True` is trouble.
#[derive(Clone, Copy, Debug)]
pub(crate) struct About {
    /// The condition's type.
    pub(crate) type_: &'static str,
    /// Its reason when nothing is the matter any more.
    solved: &'static str,
    /// What it says then.
    well: &'static str,
}

/// The CIDRs of a node's pods.
pub(crate) const POD_CIDRS: About = About {
    type_: "netloom.io/PodCIDRUnavailable",
    solved: "PodCIDRAvailable",
    well: "Nothing hinders the pod CIDRs of this node",
};

/// Addresses that a node's pods wait for, where its network interfaces have them.
pub(crate) const POD_ADDRESSES: About = About {
    type_: "netloom.io/PodAddressUnavailable",
    solved: "PodAddressAvailable",
    well: "No pod of this node waits for an address that cannot be had",
};

/// How long a Node may be without pod CIDRs before somebody is told: whoever gives them takes a moment.
pub(crate) const PATIENCE: SignedDuration = SignedDuration::from_secs(30);

/// Why; those that are worse are greater. Texts are the condition's reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reason {
    /// What the node has is no CIDR.
    Invalid,
    /// Another node has the same addresses.
    Conflict,
    /// Who should give them has not.
    Missing,
    /// There is none left.
    Exhausted,
    /// Pods wait for addresses that EC2 or the settings do not give.
    Starved,
}

impl Reason {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Invalid => "PodCIDRInvalid",
            Self::Conflict => "PodCIDRConflict",
            Self::Missing => "NoPodCIDR",
            Self::Exhausted => "PodCIDRExhausted",
            Self::Starved => "NoPodAddress",
        }
    }
}

/// What hinders a node's pod CIDRs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) reason: Reason,
    pub(crate) message: String,
}

impl Problem {
    /// One of all: the worst reason, and all that was said.
    pub(crate) fn of(all: Vec<Self>) -> Option<Self> {
        let reason = all.iter().map(|problem| problem.reason).max()?;
        let messages: Vec<String> = all.into_iter().map(|problem| problem.message).collect();
        Some(Self { reason, message: messages.join("; ") })
    }

    /// What is wrong with a Node whose CIDRs Kubernetes gives; nothing while they may still come.
    pub(crate) fn without_pod_cidrs(node: &NodeView, now: Timestamp) -> Option<Self> {
        let missing = node.pod_cidrs.is_empty() && now.duration_since(node.created) >= PATIENCE;
        let message =
            "the Node has no spec.podCIDRs: does kube-controller-manager run with --allocate-node-cidrs?";
        missing.then(|| Self { reason: Reason::Missing, message: message.to_owned() })
    }
}

/// What a Node's conditions should be; none where they are so. A Node that was never in trouble has no such condition.
pub(crate) fn conditions(
    about: About,
    current: &[NodeCondition],
    problem: Option<&Problem>,
    now: Timestamp,
) -> Option<Vec<NodeCondition>> {
    let wanted = match problem {
        Some(Problem { reason, message }) => {
            Wanted { type_: about.type_, status: true, reason: reason.name(), message }
        }
        None => Wanted { type_: about.type_, status: false, reason: about.solved, message: about.well },
    };
    let said = wanted.current(current);
    let same = said.map_or(problem.is_none(), |said| {
        wanted.is_said_by(said) && said.message.as_deref() == Some(wanted.message)
    });
    (!same).then(|| wanted.among(current, now))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::Version;

    fn problem(reason: Reason, message: &str) -> Problem {
        Problem { reason, message: message.to_owned() }
    }

    fn line(conditions: &[NodeCondition]) -> String {
        let one = conditions.iter().find(|one| one.type_ == POD_CIDRS.type_).unwrap();
        format!("{} {}: {}", one.status, one.reason.as_deref().unwrap(), one.message.as_deref().unwrap())
    }

    #[test]
    fn said_once_and_taken_back() {
        let now = Timestamp::UNIX_EPOCH;
        assert_eq!(conditions(POD_CIDRS, &[], None, now), None, "nothing of what never was");
        let full = problem(Reason::Exhausted, "no IPv4 pod CIDR is free");
        let said = conditions(POD_CIDRS, &[], Some(&full), now).unwrap();
        assert_eq!(line(&said), "True PodCIDRExhausted: no IPv4 pod CIDR is free");
        assert_eq!(conditions(POD_CIDRS, &said, Some(&full), now), None);
        let other = problem(Reason::Conflict, "given twice");
        assert_eq!(
            line(&conditions(POD_CIDRS, &said, Some(&other), now).unwrap()),
            "True PodCIDRConflict: given twice"
        );
        let well = conditions(POD_CIDRS, &said, None, now).unwrap();
        assert_eq!(line(&well), "False PodCIDRAvailable: Nothing hinders the pod CIDRs of this node");
        assert_eq!(conditions(POD_CIDRS, &well, None, now), None);
    }

    #[test]
    fn the_worst_is_the_reason() {
        let both = vec![problem(Reason::Exhausted, "none is free"), problem(Reason::Invalid, "no CIDR")];
        assert_eq!(Problem::of(both), Some(problem(Reason::Exhausted, "none is free; no CIDR")));
        assert_eq!(Problem::of(Vec::new()), None);
    }

    #[test]
    fn who_gives_them_has_some_time() {
        let mut node = NodeView {
            version: Version::default(),
            created: Timestamp::from_second(100).unwrap(),
            taints: Vec::new(),
            conditions: Vec::new(),
            pod_cidrs: Vec::new(),
        };
        let at = |node: &NodeView, second| {
            Problem::without_pod_cidrs(node, Timestamp::from_second(second).unwrap())
        };
        assert_eq!(at(&node, 129), None);
        assert_eq!(at(&node, 130).unwrap().reason, Reason::Missing);
        node.pod_cidrs = vec!["10.0.0.0/24".to_owned()];
        assert_eq!(at(&node, 130), None);
    }
}
