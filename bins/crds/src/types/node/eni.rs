use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Tags;
use crate::metadata::is_default;

/// What the operator is to know when it makes ENIs for a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct EniSpec {
    /// As `m5.large`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance_type: Option<String>,
    /// ENIs with a smaller number are left alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_interface_index: Option<u64>,
    /// Security groups of new ENIs, by id: the first choice.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub security_groups: Vec<String>,
    /// Security groups by tags: the second choice.
    #[serde(skip_serializing_if = "Tags::is_empty")]
    pub security_group_tags: Tags,
    /// Subnets by id; they win over tags.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub subnet_ids: Vec<String>,
    /// Subnets that have all these tags.
    #[serde(skip_serializing_if = "Tags::is_empty")]
    pub subnet_tags: Tags,
    /// The subnet of the first ENI.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_subnet_id: Option<String>,
    /// The VPC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vpc_id: Option<String>,
    /// The availability zone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub availability_zone: Option<String>,
    /// ENIs with all these tags are left alone.
    #[serde(skip_serializing_if = "Tags::is_empty")]
    pub exclude_interface_tags: Tags,
    /// Whether ENIs go with the instance; unset means yes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delete_on_termination: Option<bool>,
    /// Whether an ENI's first address is a pod's; unset means no.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub use_primary_address: Option<bool>,
    /// Whether the node gets single addresses only; unset means no.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disable_prefix_delegation: Option<bool>,
}

/// The ENIs of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EniStatus {
    /// By id.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub enis: BTreeMap<String, Eni>,
}

/// An ENI as EC2 has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Eni {
    /// `eni-…`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// Its first address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
    /// Its hardware address.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub mac: String,
    /// The availability zone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub availability_zone: Option<String>,
    /// What its maker said of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Its device index.
    #[serde(skip_serializing_if = "is_default")]
    pub number: i64,
    /// Its subnet.
    #[serde(skip_serializing_if = "is_default")]
    pub subnet: EniSubnet,
    /// Its VPC.
    #[serde(skip_serializing_if = "is_default")]
    pub vpc: EniVpc,
    /// Its other addresses, those of its prefixes among them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<String>,
    /// Its /28 prefixes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub prefixes: Vec<String>,
    /// Its /80 prefixes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ipv6_prefixes: Vec<String>,
    /// Its security groups, by id.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub security_groups: Vec<String>,
    /// Its tags.
    #[serde(skip_serializing_if = "Tags::is_empty")]
    pub tags: Tags,
    /// Its public address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_ip: Option<String>,
}

/// The subnet of an ENI.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EniSubnet {
    /// `subnet-…`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// Its IPv4 CIDR.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cidr: Option<String>,
}

/// The VPC of an ENI.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct EniVpc {
    /// `vpc-…`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// Its first CIDR.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub primary_cidr: Option<String>,
    /// Its other CIDRs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cidrs: Vec<String>,
}
