//! What things are called.

/// The namespace of both networks' programs.
pub(crate) const NAMESPACE: &str = "kube-system";
/// The DaemonSet of the VPC CNI.
pub(crate) const AWS_NODE: &str = "aws-node";
/// The label of nodes that are still `aws-node`'s.
pub(crate) const LABEL: &str = "io.cilium/aws-node-enabled";
/// On a Node: that it was this migration that cordoned it, so that it may end that too.
pub(crate) const CORDONED: &str = "netloom.io/migration";
/// The label by which agents' pods are known.
pub(crate) const AGENT: (&str, &str) = ("k8s-app", "cilium");
/// On a pod: that it has a network interface of its own, for security groups.
pub(crate) const POD_ENI: &str = "vpc.amazonaws.com/pod-eni";
/// The field manager of EKS's add-ons.
pub(crate) const EKS_MANAGER: &str = "eks";
