//! Services and their backends, as far as policies name them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use policy::manifest::{EndpointSlice, ObjectKey, Service};
use policy::{ServiceFacts, ServiceKey};

use super::{Cluster, Holder};

/// The services and slices that are known.
#[derive(Clone, Debug, Default)]
pub(super) struct Services {
    services: BTreeMap<ServiceKey, Service>,
    slices: BTreeMap<ObjectKey, EndpointSlice>,
}

impl Services {
    /// Services that have virtual addresses.
    pub(super) fn with_cluster_ips(&self) -> impl Iterator<Item = &ServiceKey> {
        self.services.iter().filter(|(_, service)| !service.cluster_ips.is_empty()).map(|(key, _)| key)
    }

    /// The addresses of the Kubernetes API server: the backends of its service.
    pub(super) fn api_server(&self) -> BTreeSet<IpAddr> {
        self.backends(&ServiceKey { namespace: "default".into(), name: "kubernetes".into() })
    }

    /// The addresses in a service's slices.
    fn backends(&self, key: &ServiceKey) -> BTreeSet<IpAddr> {
        let of_service = |slice: &&EndpointSlice| service_of(slice).as_ref() == Some(key);
        self.slices.values().filter(of_service).flat_map(|slice| slice.addresses.iter().copied()).collect()
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
        let after = service_of(&slice);
        let before = self.services.slices.insert(key, slice).as_ref().and_then(service_of);
        self.tell_backends(before, after);
    }

    pub(super) fn remove_slice(&mut self, key: &ObjectKey) {
        let before = self.services.slices.remove(key).as_ref().and_then(service_of);
        self.tell_backends(before, None);
    }

    /// Tells policies of the services whose backends changed, and of the API server.
    fn tell_backends(&mut self, before: Option<ServiceKey>, after: Option<ServiceKey>) {
        for key in BTreeSet::from([before, after]).into_iter().flatten() {
            self.tell_service(key);
        }
        let api_server = self.services.api_server();
        let gone: Vec<IpAddr> = self
            .holders
            .iter()
            .filter(|(address, holder)| **holder == Holder::ApiServer && !api_server.contains(address))
            .map(|(address, _)| *address)
            .collect();
        for address in gone {
            self.release(address, &Holder::ApiServer);
        }
        self.place_nodes();
    }

    fn tell_service(&mut self, key: ServiceKey) {
        self.new_cidrs |= match self.services.facts(&key) {
            Some(facts) => self.repository.set_service(key, facts),
            None => self.repository.remove_service(&key),
        };
    }
}
