//! Interfaces of ours that are attached to nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{Config, settings::has_tags};
use crate::{
    Timestamp,
    ec2::{Interface, InterfaceStatus, Tags},
};

/// The tag of interfaces that an operator made.
pub const MANAGED: &str = "io.cilium/cilium-managed";
/// The tag with the name of the cluster that an interface was made for.
pub const CLUSTER: &str = "io.cilium/cluster-name";
/// The tag with the id of the instance that an interface was made for.
pub const INSTANCE: &str = "netloom.io/instance";

/// How long an interface has to have been attached to nothing: nobody needs as long to attach what it made.
const AGE: Duration = Duration::from_secs(120);

/// The tags of an interface that is made for an instance. They say no time, since a request that is repeated has to be
/// the same.
#[must_use]
pub fn tags(config: &Config, instance_id: &str) -> Tags {
    let mut tags = config.interface_tags.clone();
    tags.insert(MANAGED.to_owned(), "true".to_owned());
    tags.insert(CLUSTER.to_owned(), config.cluster_name.clone());
    tags.insert(INSTANCE.to_owned(), instance_id.to_owned());
    tags
}

/// Whether this cluster's operator made the interface.
#[must_use]
pub fn is_ours(interface: &Interface, config: &Config) -> bool {
    let ours = [(MANAGED, "true"), (CLUSTER, &config.cluster_name)];
    let ours = ours.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    !config.cluster_name.is_empty() && has_tags(&interface.tags, &ours) && !interface.requester_managed
}

/// The instance that an interface of ours was made for, if it is attached to nothing.
#[must_use]
pub fn made_for<'a>(interface: &'a Interface, config: &Config) -> Option<&'a str> {
    let unattached = interface.status == InterfaceStatus::Available && interface.attachment.is_none();
    (unattached && is_ours(interface, config)).then(|| interface.tags.get(INSTANCE).map(String::as_str))?
}

/// Remembers what was seen attached to nothing. EC2 does not tell how old an interface is: what two looks at the whole
/// VPC saw, at least two minutes apart, is garbage.
#[derive(Clone, Debug, Default)]
pub struct Garbage {
    seen: BTreeMap<String, Timestamp>,
    condemned: BTreeSet<String>,
}

impl Garbage {
    /// A look at all interfaces of the VPC.
    pub fn look(&mut self, interfaces: &[Interface], config: &Config, now: Timestamp) {
        let mut seen = BTreeMap::new();
        for interface in interfaces.iter().filter(|interface| made_for(interface, config).is_some()) {
            let first = self.seen.get(&interface.id).copied().unwrap_or(now);
            if now.since(first) >= AGE {
                self.condemned.insert(interface.id.clone());
            }
            seen.insert(interface.id.clone(), first);
        }
        self.seen = seen;
    }

    /// An interface that was made and cannot be attached.
    pub fn condemn(&mut self, interface_id: String) {
        self.condemned.insert(interface_id);
    }

    /// It is wanted after all, or gone.
    pub fn forget(&mut self, interface_id: &str) {
        self.seen.remove(interface_id);
        self.condemned.remove(interface_id);
    }

    /// What is to be deleted.
    pub fn condemned(&self) -> impl Iterator<Item = &str> {
        self.condemned.iter().map(String::as_str)
    }
}
