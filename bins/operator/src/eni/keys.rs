//! What can be configured about ENIs. Keys are the reference's, but for those with a note.

use anyhow::{Result, bail};
use clap::{ArgAction, Args};
use daemon::config::{List, Tags};
use ipam::eni::Config;
use policy::ClusterName;

/// Whether requests are signed, as Amazon's own endpoints want it.
const SIGNS: bool = cfg!(feature = "aws");

/// How many interfaces a page of EC2's may have.
const PAGES: std::ops::RangeInclusive<u32> = 5..=1000;

/// Keys of `ipam: eni`, and their defaults.
#[derive(Args, Clone, Debug)]
pub struct EniKeys {
    /// With ipam eni: URL of the EC2 API, instead of Amazon's own for the region. A build without the feature aws needs
    /// it, and signs no requests: an emulator's, or that of a proxy that signs
    #[arg(long, value_name = "URL")]
    pub ec2_api_endpoint: Option<String>,
    /// With ipam eni: the VPC; where none is named, that of the nodes
    #[arg(long, value_name = "ID")]
    pub eni_vpc_id: Option<String>,
    /// With ipam eni: whether nodes get prefixes of 16 addresses, where their type takes them
    #[arg(long, default_value_t = false, num_args = 0..=1, default_missing_value = "true", action = ArgAction::Set, value_name = "BOOL")]
    pub aws_enable_prefix_delegation: bool,
    /// With ipam eni: whether addresses that a node does not need are taken back
    #[arg(long, default_value_t = false, num_args = 0..=1, default_missing_value = "true", action = ArgAction::Set, value_name = "BOOL")]
    pub aws_release_excess_ips: bool,
    /// With ipam eni: how long an address is not needed before it is taken back
    #[arg(long, default_value_t = 180, value_name = "SECONDS")]
    pub excess_ip_release_delay: u32,
    /// With ipam eni: interfaces in one answer of EC2, 5 to 1000; 0 for as many as there can be
    #[arg(long, default_value_t = 0, value_name = "NUMBER")]
    pub aws_max_results_per_call: u32,
    /// With ipam eni: tags of new ENIs: KEY=VALUE, apart by commas
    #[arg(long, default_value = "", hide_default_value = true, value_name = "TAGS")]
    pub eni_tags: Tags,
    /// With ipam eni: only these subnets are used, if there are any
    #[arg(long, default_value = "", hide_default_value = true, value_name = "IDS")]
    pub subnet_ids_filter: List,
    /// With ipam eni: only subnets with all of these tags are used
    #[arg(long, default_value = "", hide_default_value = true, value_name = "TAGS")]
    pub subnet_tags_filter: Tags,
}

/// What was configured about ENIs, checked.
#[derive(Clone, Debug)]
pub(crate) struct EniOptions {
    /// All of the fleet's settings; the VPC may still be unknown, and empty.
    pub(super) config: Config,
    /// Where EC2 is, if not where Amazon says.
    pub(super) endpoint: Option<String>,
}

impl EniKeys {
    pub(crate) fn options(&self, cluster: &ClusterName) -> Result<EniOptions> {
        if self.ec2_api_endpoint.is_none() && !SIGNS {
            bail!(
                "ipam eni without ec2-api-endpoint needs a build with the feature aws: this one signs no requests, so that \
                 Amazon's own endpoints refuse it"
            );
        }
        let page = match self.aws_max_results_per_call {
            0 => *PAGES.end(),
            page if PAGES.contains(&page) => page,
            page => bail!("aws-max-results-per-call: {page} is not within 5 to 1000"),
        };
        Ok(EniOptions {
            config: Config {
                vpc_id: self.eni_vpc_id.clone().unwrap_or_default(),
                cluster_name: cluster.to_string(),
                prefix_delegation: self.aws_enable_prefix_delegation,
                release_excess: self.aws_release_excess_ips,
                excess_release_delay: self.excess_ip_release_delay,
                interface_tags: self.eni_tags.0.clone(),
                subnet_ids: self.subnet_ids_filter.0.clone(),
                subnet_tags: self.subnet_tags_filter.0.clone(),
                page,
            },
            endpoint: self.ec2_api_endpoint.clone(),
        })
    }
}
