//! What is configured about ENIs.

use std::path::PathBuf;

use clap::ArgAction;
use crds::types::node::EniSpec;
use daemon::config::{List, Tags};
use ipnetwork::Ipv4Network;

/// Interfaces of AWS: keys that Cilium's agent has, too.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "AWS (ipam: eni)")]
pub struct EniArgs {
    /// Device index of the first ENI that pods get addresses of
    #[arg(long, value_name = "N")]
    pub eni_first_interface_index: Option<u64>,
    /// Subnets of new ENIs, by id
    #[arg(long, value_name = "IDS", default_value = "", hide_default_value = true)]
    pub eni_subnet_ids: List,
    /// Subnets of new ENIs, by all of these tags: KEY=VALUE, apart by commas
    #[arg(long, value_name = "TAGS", default_value = "", hide_default_value = true)]
    pub eni_subnet_tags: Tags,
    /// Security groups of new ENIs, by id
    #[arg(long, value_name = "IDS", default_value = "", hide_default_value = true)]
    pub eni_security_groups: List,
    /// Security groups of new ENIs, by all of these tags
    #[arg(long, value_name = "TAGS", default_value = "", hide_default_value = true)]
    pub eni_security_group_tags: Tags,
    /// ENIs with all of these tags are left alone
    #[arg(long, value_name = "TAGS", default_value = "", hide_default_value = true)]
    pub eni_exclude_interface_tags: Tags,
    /// Pods may get an ENI's first address
    #[arg(long, value_name = "BOOL", action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub eni_use_primary_address: Option<bool>,
    /// The node gets single addresses only
    #[arg(long, value_name = "BOOL", action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub eni_disable_prefix_delegation: Option<bool>,
    /// ENIs go with the instance; unset means yes
    #[arg(long, value_name = "BOOL", action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub eni_delete_on_termination: Option<bool>,
    /// Free addresses that the node is to have; 0 is the operator's default
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub ipam_pre_allocate: u64,
    /// Addresses that the node is to have at least
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub ipam_min_allocate: u64,
    /// Addresses that the node is to have at most; 0 is no limit
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub ipam_max_allocate: u64,
    /// URL of the instance metadata service, where it is not the usual one
    #[arg(long, value_name = "URL", env = "AWS_EC2_METADATA_SERVICE_ENDPOINT")]
    pub ec2_metadata_endpoint: Option<String>,
    /// Destinations beside the VPC's that pods are not masqueraded to
    #[arg(long, value_name = "CIDR")]
    pub ipv4_native_routing_cidr: Option<Ipv4Network>,
    /// Read destinations that pods are not masqueraded to from ip-masq-agent's file
    #[arg(long, value_name = "BOOL", action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true")]
    pub enable_ip_masq_agent: bool,
    /// That file
    #[arg(long, value_name = "FILE", default_value = "/etc/config/ip-masq-agent")]
    pub ip_masq_agent_config_path: PathBuf,
}

impl EniArgs {
    /// What of it the node's object says.
    #[must_use]
    pub fn spec(&self) -> EniSpec {
        EniSpec {
            first_interface_index: self.eni_first_interface_index,
            security_groups: self.eni_security_groups.0.clone(),
            security_group_tags: self.eni_security_group_tags.0.clone(),
            subnet_ids: self.eni_subnet_ids.0.clone(),
            subnet_tags: self.eni_subnet_tags.0.clone(),
            exclude_interface_tags: self.eni_exclude_interface_tags.0.clone(),
            delete_on_termination: self.eni_delete_on_termination,
            use_primary_address: self.eni_use_primary_address,
            disable_prefix_delegation: self.eni_disable_prefix_delegation,
            ..EniSpec::default()
        }
    }
}
