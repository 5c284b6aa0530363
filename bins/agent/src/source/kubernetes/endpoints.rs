//! The cluster's pods, as their nodes published them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use abi::Identity;
use api::PodRef;
use crds::types::EndpointNetworking;
use crds::{CiliumEndpoint, CiliumEndpointSlice};
use kubernetes::watch::Key;

use crate::source::{Change, RemoteEndpoint};

/// What is told of pods, and what was told of those of this node. Of others nothing is kept, except which slice has
/// them.
#[derive(Debug, Default)]
pub(super) struct Endpoints {
    /// This node's addresses.
    own_addresses: BTreeSet<IpAddr>,
    /// What the API has of this node's pods.
    own: BTreeMap<PodRef, RemoteEndpoint>,
    /// Another number after each change of those.
    own_revision: u64,
    /// Those of this node's pods that the list that is being told has.
    listed: BTreeSet<PodRef>,
    /// Who is in which slice.
    slices: HashMap<Key, Vec<Key>>,
    /// Which slice told last of a pod: one may come to another before it leaves the first.
    holders: HashMap<Key, Key>,
}

impl Endpoints {
    /// These are this node's addresses.
    pub(super) fn set_own_addresses(&mut self, addresses: BTreeSet<IpAddr>) {
        self.own_addresses = addresses;
    }

    /// What the API has of this node's pods.
    pub(super) const fn own(&self) -> &BTreeMap<PodRef, RemoteEndpoint> {
        &self.own
    }

    /// Another number after each change of what the API has of this node's pods.
    pub(super) const fn own_revision(&self) -> u64 {
        self.own_revision
    }

    /// All endpoints are told anew from here on.
    pub(super) fn begin_list(&mut self, changes: &mut Vec<Change>) {
        self.listed.clear();
        changes.push(Change::EndpointsBegin);
    }

    /// All endpoints were told: what was told before the list and not since is gone.
    pub(super) fn end_list(&mut self, changes: &mut Vec<Change>) {
        let listed = std::mem::take(&mut self.listed);
        let gone: Vec<PodRef> = self.own.keys().filter(|pod| !listed.contains(*pod)).cloned().collect();
        for pod in gone {
            self.remove_own(&pod);
        }
        changes.push(Change::EndpointsEnd);
    }

    /// An endpoint is there, or is another now.
    pub(super) fn set(&mut self, object: CiliumEndpoint, changes: &mut Vec<Change>) {
        let pod = PodRef {
            namespace: object.metadata.namespace.unwrap_or_default(),
            name: object.metadata.name.unwrap_or_default(),
        };
        let status = object.status.unwrap_or_default();
        let number = status.identity.map_or(0, |identity| identity.id);
        self.tell(endpoint(pod, number, status.networking.as_ref()), changes);
    }

    /// An endpoint is gone.
    pub(super) fn remove(&mut self, key: &Key, changes: &mut Vec<Change>) {
        let pod = PodRef { namespace: key.namespace().to_owned(), name: key.name().to_owned() };
        self.remove_own(&pod);
        changes.push(Change::EndpointGone(pod));
    }

    /// A slice is there, or is another now.
    pub(super) fn set_slice(&mut self, object: CiliumEndpointSlice, changes: &mut Vec<Change>) {
        let slice = Key::of(&object);
        let mut members = Vec::with_capacity(object.endpoints.len());
        for member in object.endpoints {
            let key = Key::new(&object.namespace, &member.name);
            let pod = PodRef { namespace: object.namespace.clone(), name: member.name };
            self.tell(endpoint(pod, member.id, member.networking.as_ref()), changes);
            self.holders.insert(key.clone(), slice.clone());
            members.push(key);
        }
        let before = self.slices.insert(slice.clone(), members).unwrap_or_default();
        let now: BTreeSet<Key> = self.slices.get(&slice).into_iter().flatten().cloned().collect();
        for member in before.iter().filter(|member| !now.contains(*member)) {
            self.leave(&slice, member, changes);
        }
    }

    /// A slice is gone.
    pub(super) fn remove_slice(&mut self, slice: &Key, changes: &mut Vec<Change>) {
        for member in self.slices.remove(slice).unwrap_or_default() {
            self.leave(slice, &member, changes);
        }
    }

    fn leave(&mut self, slice: &Key, member: &Key, changes: &mut Vec<Change>) {
        if self.holders.get(member) == Some(slice) {
            self.holders.remove(member);
            self.remove(member, changes);
        }
    }

    fn tell(&mut self, endpoint: RemoteEndpoint, changes: &mut Vec<Change>) {
        if endpoint.node.is_some_and(|node| self.own_addresses.contains(&node)) {
            self.own.insert(endpoint.pod.clone(), endpoint.clone());
            self.listed.insert(endpoint.pod.clone());
            self.own_revision += 1;
        } else {
            self.remove_own(&endpoint.pod);
        }
        changes.push(Change::Endpoint(endpoint));
    }

    fn remove_own(&mut self, pod: &PodRef) {
        if self.own.remove(pod).is_some() {
            self.own_revision += 1;
        }
    }
}

fn endpoint(pod: PodRef, number: i64, networking: Option<&EndpointNetworking>) -> RemoteEndpoint {
    let pairs = networking.map(|networking| networking.addressing.as_slice()).unwrap_or_default();
    let mut addresses: Vec<IpAddr> = Vec::with_capacity(2);
    for address in pairs.iter().flat_map(|pair| [&pair.ipv4, &pair.ipv6]).flatten() {
        match address.parse::<IpAddr>() {
            Ok(address) if addresses.iter().all(|other| other.is_ipv4() != address.is_ipv4()) => {
                addresses.push(address);
            }
            Ok(_) => {}
            Err(_) => tracing::warn!(%pod, address, "CiliumEndpoint: this is no address"),
        }
    }
    RemoteEndpoint {
        pod,
        node: networking.and_then(|networking| networking.node.as_ref()?.parse().ok()),
        identity: u32::try_from(number).map_or(Identity::UNKNOWN, Identity),
        addresses,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::*;

    fn told(changes: &mut Vec<Change>) -> Vec<String> {
        let tell = |change| match change {
            Change::Endpoint(endpoint) => format!("{} {}", endpoint.pod, endpoint.identity.0),
            Change::EndpointGone(pod) => format!("-{pod}"),
            other => format!("{other:?}"),
        };
        changes.drain(..).map(tell).collect()
    }

    #[test]
    fn an_endpoint_as_agents_write_it() {
        let mut endpoints = Endpoints::default();
        endpoints.set_own_addresses(["192.0.2.1".parse().unwrap()].into());
        let mut changes = Vec::new();
        let object = json!({
            "metadata": {"name": "web", "namespace": "shop"},
            "status": {"id": 7, "identity": {"id": 300, "labels": ["k8s:app=web"]},
                "networking": {"addressing": [{"ipv4": "10.0.0.7", "ipv6": "fd00::7"}], "node": "192.0.2.1"}},
        });
        endpoints.set(from_value(object.clone()).unwrap(), &mut changes);
        let Some(Change::Endpoint(told)) = changes.pop() else { panic!() };
        let expected: Vec<IpAddr> = vec!["10.0.0.7".parse().unwrap(), "fd00::7".parse().unwrap()];
        assert_eq!((told.addresses, told.identity), (expected, Identity(300)));
        assert_eq!(endpoints.own().len(), 1);

        // It moves away; then it has nothing yet.
        let mut elsewhere = object;
        elsewhere["status"]["networking"]["node"] = "192.0.2.2".into();
        endpoints.set(from_value(elsewhere).unwrap(), &mut changes);
        assert!(endpoints.own().is_empty());
        let bare = json!({"metadata": {"name": "web", "namespace": "shop"}});
        endpoints.set(from_value(bare).unwrap(), &mut changes);
        endpoints.remove(&Key::new("shop", "web"), &mut changes);
        assert_eq!(self::told(&mut changes), ["shop/web 300", "shop/web 0", "-shop/web"]);
    }

    #[test]
    fn what_a_list_lacks_is_gone_when_it_ends() {
        let mut endpoints = Endpoints::default();
        endpoints.set_own_addresses(["192.0.2.1".parse().unwrap()].into());
        let mut changes = Vec::new();
        let object = |name: &str| {
            from_value(json!({
                "metadata": {"name": name, "namespace": "shop"},
                "status": {"networking": {"addressing": [], "node": "192.0.2.1"}},
            }))
            .unwrap()
        };
        endpoints.begin_list(&mut changes);
        endpoints.set(object("web"), &mut changes);
        endpoints.set(object("db"), &mut changes);
        endpoints.end_list(&mut changes);
        endpoints.set(object("new"), &mut changes);
        endpoints.begin_list(&mut changes);
        endpoints.set(object("db"), &mut changes);
        let before = endpoints.own_revision();
        assert_eq!(endpoints.own().len(), 3);
        endpoints.end_list(&mut changes);
        assert!(endpoints.own().keys().map(|pod| &*pod.name).eq(["db"]));
        assert_ne!(endpoints.own_revision(), before);
        assert_eq!(
            told(&mut changes),
            [
                "EndpointsBegin",
                "shop/web 0",
                "shop/db 0",
                "EndpointsEnd",
                "shop/new 0",
                "EndpointsBegin",
                "shop/db 0",
                "EndpointsEnd",
            ]
        );
    }

    #[test]
    fn a_pod_that_changes_slices_is_never_gone() {
        let slice = |name: &str, pods: &[(&str, i64)]| {
            let endpoints: Vec<_> = pods.iter().map(|(name, id)| json!({"name": name, "id": id})).collect();
            from_value(json!({"metadata": {"name": name}, "namespace": "shop", "endpoints": endpoints}))
                .unwrap()
        };
        let mut endpoints = Endpoints::default();
        let mut changes = Vec::new();
        endpoints.set_slice(slice("a", &[("web", 300), ("db", 301)]), &mut changes);
        endpoints.set_slice(slice("b", &[("web", 300)]), &mut changes);
        endpoints.set_slice(slice("a", &[("db", 302)]), &mut changes);
        assert_eq!(told(&mut changes), ["shop/web 300", "shop/db 301", "shop/web 300", "shop/db 302"]);
        endpoints.remove_slice(&Key::new("", "b"), &mut changes);
        endpoints.set_slice(slice("a", &[]), &mut changes);
        assert_eq!(told(&mut changes), ["-shop/web", "-shop/db"]);
        assert!(endpoints.holders.is_empty());
    }
}
