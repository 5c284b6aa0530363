//! What a node, and the operator for all nodes, are set to.

use std::collections::BTreeMap;

use super::Watermarks;

/// A node's settings: `spec.eni` and the numbers of `spec.ipam` of its CiliumNode, by the names that they have there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeSettings {
    /// `m5.large`.
    pub instance_type: String,
    /// Interfaces with a lower number are left alone.
    pub first_interface_index: u32,
    /// Ids of the security groups of new interfaces; go before the tags.
    pub security_groups: Vec<String>,
    /// Tags of the security groups of new interfaces; where neither is set they have the primary interface's.
    pub security_group_tags: BTreeMap<String, String>,
    /// Ids of the subnets for new interfaces; go before the tags.
    pub subnet_ids: Vec<String>,
    /// Tags of the subnets for new interfaces; where neither is set it is the node's own, then others of the zone.
    pub subnet_tags: BTreeMap<String, String>,
    /// The subnet of the primary interface.
    pub node_subnet_id: Option<String>,
    /// The zone.
    pub availability_zone: String,
    /// Interfaces with all of these tags are left alone, if there are any.
    pub exclude_interface_tags: BTreeMap<String, String>,
    /// New interfaces are deleted with the instance.
    pub delete_on_termination: bool,
    /// Pods may have the primary addresses of interfaces.
    pub use_primary_address: bool,
    /// Single addresses only, whatever the operator is set to.
    pub disable_prefix_delegation: bool,
    /// How many addresses to have.
    pub watermarks: Watermarks,
}

impl Default for NodeSettings {
    fn default() -> Self {
        Self {
            instance_type: String::new(),
            first_interface_index: 0,
            security_groups: Vec::new(),
            security_group_tags: BTreeMap::new(),
            subnet_ids: Vec::new(),
            subnet_tags: BTreeMap::new(),
            node_subnet_id: None,
            availability_zone: String::new(),
            exclude_interface_tags: BTreeMap::new(),
            delete_on_termination: true,
            use_primary_address: false,
            disable_prefix_delegation: false,
            watermarks: Watermarks::default(),
        }
    }
}

/// The operator's settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The VPC of all nodes.
    pub vpc_id: String,
    /// The cluster: interfaces are known by it as ours. Two clusters in a VPC must not have the same.
    pub cluster_name: String,
    /// `aws-enable-prefix-delegation`.
    pub prefix_delegation: bool,
    /// `aws-release-excess-ips`.
    pub release_excess: bool,
    /// `excess-ip-release-delay`, in seconds.
    pub excess_release_delay: u32,
    /// `eni-tags`: tags of new interfaces beside those that we know them by.
    pub interface_tags: BTreeMap<String, String>,
    /// `subnet-ids-filter`: only these subnets are looked at, if there are any.
    pub subnet_ids: Vec<String>,
    /// `subnet-tags-filter`: only subnets with all of these tags are looked at.
    pub subnet_tags: BTreeMap<String, String>,
    /// `aws-max-results-per-call`: length of a page, 5 to 1,000.
    pub page: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            vpc_id: String::new(),
            cluster_name: String::new(),
            prefix_delegation: true,
            release_excess: false,
            excess_release_delay: 180,
            interface_tags: BTreeMap::new(),
            subnet_ids: Vec::new(),
            subnet_tags: BTreeMap::new(),
            page: 1000,
        }
    }
}

/// Whether `tags` has all of `wanted`.
pub(crate) fn has_tags(tags: &BTreeMap<String, String>, wanted: &BTreeMap<String, String>) -> bool {
    wanted.iter().all(|(key, value)| tags.get(key) == Some(value))
}
