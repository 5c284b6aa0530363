//! `cilium.io/v2` CiliumCIDRGroup.

use ipnetwork::IpNetwork;

use super::meta::Meta;

/// A named group of CIDRs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CidrGroup {
    /// Name and labels.
    pub meta: Meta,
    /// `spec.externalCIDRs`.
    pub cidrs: Vec<IpNetwork>,
}
