//! The planner of network interfaces.

use std::collections::{BTreeMap, BTreeSet};

use ipam::Timestamp;
use ipam::ec2::{Attachment, AttachmentStatus, Interface, InterfaceStatus, Subnet};
use ipam::eni::{Config, History, Limits, NodeSettings, Situation, plan};

/// A new node in a VPC of some subnets, with its primary interface, and the pods that wait for it.
#[derive(Clone, Debug)]
pub struct Interfaces {
    settings: NodeSettings,
    primary: Interface,
    config: Config,
    subnets: BTreeMap<String, Subnet>,
    history: History,
    wanted: u32,
}

/// What an m5.large allows: three interfaces of ten addresses each, of which one is the interface's own.
const LIMITS: Limits = Limits { interfaces: 3, slots: 9, prefixes: true };

impl Interfaces {
    /// A VPC with so many subnets in the node's zone, and a node that wants so many addresses.
    ///
    /// # Errors
    /// Where the subnets do not fit into 10.0.0.0/8.
    pub fn new(subnets: u8, wanted: u32) -> Result<Self, ipnetwork::IpNetworkError> {
        let subnet = |number: u8| {
            let id = format!("subnet-{number}");
            let subnet = Subnet {
                id: id.clone(),
                vpc_id: "vpc".to_owned(),
                availability_zone: "zone".to_owned(),
                cidr: format!("10.{number}.0.0/16").parse()?,
                available_addresses: 60_000 - u32::from(number),
                tags: BTreeMap::new(),
            };
            Ok::<_, ipnetwork::IpNetworkError>((id, subnet))
        };
        Ok(Self {
            settings: NodeSettings {
                first_interface_index: 1,
                availability_zone: "zone".to_owned(),
                ..NodeSettings::default()
            },
            primary: primary(),
            config: Config { vpc_id: "vpc".to_owned(), ..Config::default() },
            subnets: (0..subnets).map(subnet).collect::<Result<_, _>>()?,
            history: History::default(),
            wanted,
        })
    }

    /// Plans; says how many steps it takes.
    #[must_use]
    pub fn plan(&self) -> usize {
        let situation = Situation {
            limits: LIMITS,
            settings: &self.settings,
            config: &self.config,
            attached: std::slice::from_ref(&self.primary),
            unattached: &[],
            avoided: &BTreeSet::new(),
            subnets: &self.subnets,
            history: &self.history,
            wanted: self.wanted,
            now: Timestamp(0),
        };
        plan(&situation).steps.len()
    }
}

/// The interface that the instance began with, which serves no pods.
fn primary() -> Interface {
    Interface {
        id: "eni-primary".to_owned(),
        description: String::new(),
        subnet_id: "subnet-0".to_owned(),
        vpc_id: "vpc".to_owned(),
        availability_zone: "zone".to_owned(),
        mac: String::new(),
        primary_address: [10, 0, 0, 10].into(),
        secondary_addresses: Vec::new(),
        prefixes: Vec::new(),
        security_groups: Vec::new(),
        tags: BTreeMap::new(),
        status: InterfaceStatus::InUse,
        attachment: Some(Attachment {
            id: "attachment".to_owned(),
            instance_id: "i".to_owned(),
            device_index: 0,
            network_card: 0,
            delete_on_termination: true,
            status: AttachmentStatus::Attached,
            attached_at: None,
        }),
        requester_managed: false,
        kind: "interface".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_node_gets_a_plan() {
        assert!(Interfaces::new(3, 30).unwrap().plan() > 0);
    }
}
