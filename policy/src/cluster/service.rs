//! What is behind a service's address.

use std::net::IpAddr;

use super::{Cluster, End, Party};
use crate::manifest::{Pod, Service, ServicePort};
use crate::port::Protocol;

/// The port of a service that somebody connects to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServicePortWanted<'a> {
    /// By its number.
    Number(u16),
    /// By its name.
    Name(&'a str),
}

/// One place where connections to a service end up.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Backend {
    /// Who it is.
    pub party: Party,
    /// Its port.
    pub port: u16,
}

impl Cluster {
    /// The port of a service.
    #[must_use]
    pub fn service_port<'a>(
        service: &'a Service,
        wanted: ServicePortWanted<'_>,
        protocol: Protocol,
    ) -> Option<&'a ServicePort> {
        let fits = |port: &&ServicePort| match wanted {
            ServicePortWanted::Number(number) => port.port == number,
            ServicePortWanted::Name(name) => port.name.as_deref() == Some(name),
        };
        service.ports.iter().filter(|port| port.protocol == protocol).find(fits)
    }

    /// The backends of a service's port, for connections to an address of the family of `vip`: those of its
    /// EndpointSlices, or, where it has none, the pods that its selector selects.
    #[must_use]
    pub fn backends(&self, service: &Service, port: &ServicePort, vip: IpAddr) -> Vec<Backend> {
        let mut found: Vec<Backend> = Vec::new();
        let mut add = |backend: Backend| {
            if !found.contains(&backend) {
                found.push(backend);
            }
        };
        let mut has_slices = false;
        for slice in self.slices(service.meta.namespace(), &service.meta.name) {
            has_slices = true;
            let same = |of_slice: &&ServicePort| {
                of_slice.protocol == port.protocol
                    && of_slice.name.as_deref().unwrap_or_default()
                        == port.name.as_deref().unwrap_or_default()
            };
            for of_slice in slice.ports.iter().filter(same) {
                for addr in slice.addresses.iter().filter(|addr| addr.is_ipv4() == vip.is_ipv4()) {
                    add(Backend { party: self.party_at(*addr), port: of_slice.port });
                }
            }
        }
        if has_slices {
            return found;
        }
        for (pod, port) in self.selected_pods(service, port) {
            let mut party = self.party_of_pod(pod);
            party.addresses.retain(|addr| addr.is_ipv4() == vip.is_ipv4());
            // One that has only addresses of the other family is no backend; one without any may be.
            let unknown = matches!(party.end, End::Pod(pod) if self.pods()[pod].addresses.is_empty());
            if unknown || !party.addresses.is_empty() {
                add(Backend { party, port });
            }
        }
        found
    }

    /// The pods that a service's selector selects, each with the port that connections to `port` go to.
    fn selected_pods(&self, service: &Service, port: &ServicePort) -> Vec<(usize, u16)> {
        if service.selector.is_empty() {
            return Vec::new();
        }
        let of_namespace = self.pods_by_name.get(service.meta.namespace());
        let mut indexes: Vec<usize> = of_namespace.into_iter().flatten().map(|(_, index)| *index).collect();
        indexes.sort_unstable();
        let selected = |pod: &Pod| {
            !pod.is_finished()
                && service.selector.iter().all(|(key, value)| pod.meta.labels.get(key) == Some(value))
        };
        let with_port = |index: usize| {
            let pod = self.pod_object(index).filter(|pod| selected(pod))?;
            Some((index, target_port(pod, port)?))
        };
        indexes.into_iter().filter_map(with_port).collect()
    }
}

/// The pod's port that a service's port leads to; none where the pod has no port of that name.
fn target_port(pod: &Pod, port: &ServicePort) -> Option<u16> {
    let Some(target) = port.target_port.as_deref() else { return Some(port.port) };
    if let Ok(number) = target.parse() {
        // Zero is how manifests say that it is the same.
        return Some(if number == 0 { port.port } else { number });
    }
    let named = |container: &&crate::manifest::ContainerPort| {
        container.name.as_deref() == Some(target) && container.protocol == port.protocol
    };
    pod.ports.iter().find(named).map(|container| container.port)
}
