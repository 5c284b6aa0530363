//! Pods that use addresses: told by who tests a network, so that the region can say when it took an address
//! from under one.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
};

use crate::Region;

/// A pod.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Pod {
    pub(crate) address: Ipv4Addr,
    pub(crate) name: String,
}

/// Pods by instance.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pods(BTreeMap<String, BTreeSet<Pod>>);

impl Pods {
    /// Pods of an instance.
    pub(crate) fn of(&self, instance_id: &str) -> impl Iterator<Item = &Pod> {
        self.0.get(instance_id).into_iter().flatten()
    }

    /// All pods and their instances.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&String, &Pod)> {
        self.0.iter().flat_map(|(instance, pods)| pods.iter().map(move |pod| (instance, pod)))
    }

    pub(crate) fn forget_instance(&mut self, instance_id: &str) {
        self.0.remove(instance_id);
    }
}

impl Region {
    /// A pod on an instance uses an address from now on. Taking the address from the instance is a
    /// [`Violation`](crate::Violation) until [`Region::unregister_pod`], or until the instance terminates.
    pub fn register_pod(&mut self, instance_id: &str, name: &str, address: Ipv4Addr) {
        let pods = self.pods.0.entry(instance_id.to_owned()).or_default();
        pods.insert(Pod { address, name: name.to_owned() });
    }

    /// The pod uses the address no more.
    pub fn unregister_pod(&mut self, instance_id: &str, name: &str, address: Ipv4Addr) {
        if let Some(pods) = self.pods.0.get_mut(instance_id) {
            pods.remove(&Pod { address, name: name.to_owned() });
        }
    }
}
