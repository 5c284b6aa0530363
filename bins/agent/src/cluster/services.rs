//! Services and their backends, as far as policies name them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use policy::manifest::{EndpointSlice, ObjectKey, Service};
use policy::{ServiceFacts, ServiceKey};

use super::Cluster;

/// The services and slices that are known.
#[derive(Clone, Debug, Default)]
pub(super) struct Services {
    services: BTreeMap<ServiceKey, Service>,
    slices: BTreeMap<ObjectKey, EndpointSlice>,
    /// The slices of each service.
    of_service: HashMap<ServiceKey, BTreeSet<ObjectKey>>,
}

impl Services {
    /// Services that have virtual addresses.
    pub(super) fn with_cluster_ips(&self) -> impl Iterator<Item = &ServiceKey> {
        self.services.iter().filter(|(_, service)| !service.cluster_ips.is_empty()).map(|(key, _)| key)
    }

    /// The addresses in a service's slices.
    fn backends(&self, key: &ServiceKey) -> BTreeSet<IpAddr> {
        let slices = self.of_service.get(key).into_iter().flatten().filter_map(|key| self.slices.get(key));
        slices.flat_map(|slice| slice.addresses.iter().copied()).collect()
    }

    /// Adds or replaces a slice, or removes it. The services that it was and is of.
    fn put(&mut self, key: ObjectKey, slice: Option<EndpointSlice>) -> BTreeSet<ServiceKey> {
        let after = slice.as_ref().and_then(service_of);
        let gone = match slice {
            Some(slice) => self.slices.insert(key.clone(), slice),
            None => self.slices.remove(&key),
        };
        let before = gone.as_ref().and_then(service_of);
        if let Some(before) = &before
            && let Some(slices) = self.of_service.get_mut(before)
        {
            slices.remove(&key);
            if slices.is_empty() {
                self.of_service.remove(before);
            }
        }
        if let Some(after) = &after {
            self.of_service.entry(after.clone()).or_default().insert(key);
        }
        [before, after].into_iter().flatten().collect()
    }

    /// What policies need to know of a service.
    fn facts(&self, key: &ServiceKey) -> Option<ServiceFacts> {
        let service = self.services.get(key)?;
        // Of a service with a selector the pods are found by their labels.
        let addresses = if service.selector.is_empty() { self.backends(key) } else { BTreeSet::new() };
        Some(ServiceFacts {
            labels: service.meta.labels.clone(),
            selector: service.selector.clone(),
            addresses,
        })
    }
}

fn service_of(slice: &EndpointSlice) -> Option<ServiceKey> {
    Some(ServiceKey { namespace: slice.meta.namespace().to_owned(), name: slice.service.clone()? })
}

impl Cluster {
    pub(super) fn set_service(&mut self, service: Service) {
        let key =
            ServiceKey { namespace: service.meta.namespace().to_owned(), name: service.meta.name.clone() };
        self.services.services.insert(key.clone(), service);
        self.tell_service(key);
    }

    pub(super) fn remove_service(&mut self, key: &ObjectKey) {
        let key = ServiceKey { namespace: key.namespace.clone().unwrap_or_default(), name: key.name.clone() };
        self.services.services.remove(&key);
        self.tell_service(key);
    }

    pub(super) fn set_slice(&mut self, slice: EndpointSlice) {
        let key = ObjectKey {
            kind: "EndpointSlice".into(),
            namespace: slice.meta.namespace.clone(),
            name: slice.meta.name.clone(),
        };
        let services = self.services.put(key, Some(slice));
        self.tell_backends(services);
    }

    pub(super) fn remove_slice(&mut self, key: &ObjectKey) {
        let services = self.services.put(key.clone(), None);
        self.tell_backends(services);
    }

    /// Tells policies of the services whose backends may have changed, and of the API server.
    fn tell_backends(&mut self, services: BTreeSet<ServiceKey>) {
        for key in services {
            // The Kubernetes API server's addresses are the backends of its service.
            if key.namespace == "default" && key.name == "kubernetes" {
                let addresses = self.services.backends(&key);
                self.set_api_server(addresses);
            }
            self.tell_service(key);
        }
    }

    fn tell_service(&mut self, key: ServiceKey) {
        let changed = match self.services.facts(&key) {
            Some(facts) => self.repository.set_service(key, facts),
            None => self.repository.remove_service(&key),
        };
        self.note_cidrs(changed);
    }
}
