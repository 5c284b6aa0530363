//! What people write for the ends of connections.

use std::net::IpAddr;

use abi::Identity;
use ipnetwork::IpNetwork;

use super::probe::{Wanted, WantedPort};
use super::trouble::Trouble;
use crate::cluster::{Cluster, End, Party, ServicePortWanted, free_address};
use crate::manifest::{Entity, Service};
use crate::port::Protocol;

/// An end of a connection, as it was asked for.
#[derive(Clone, Debug)]
pub struct Place {
    text: String,
    parties: Vec<Party>,
    /// The service whose address it is.
    service: Option<(Service, IpAddr)>,
}

impl Place {
    /// Reads `NAMESPACE/POD`, an address or a DNS name that is known.
    ///
    /// # Errors
    /// When there is no such pod, or it is none of these.
    pub fn parse(text: &str, cluster: &Cluster) -> Result<Self, Trouble> {
        let place = |parties| Self { text: text.to_owned(), parties, service: None };
        if let Ok(addr) = text.parse::<IpAddr>() {
            let service = cluster.service_at(addr).map(|service| (service.clone(), addr));
            return Ok(Self { service, ..place(vec![cluster.party_at(addr)]) });
        }
        if let Some((namespace, name)) = text.split_once('/') {
            let pod = cluster
                .pod(namespace, name)
                .ok_or_else(|| Trouble::NoPod { namespace: namespace.to_owned(), name: name.to_owned() })?;
            return Ok(place(vec![cluster.party_of_pod(pod)]));
        }
        match cluster.names().addresses(text) {
            Some(addresses) => Ok(place(addresses.iter().map(|addr| cluster.party_at(*addr)).collect())),
            None => Err(Trouble::Unknown { text: text.to_owned() }),
        }
    }

    /// Reads what [`Place::parse`] reads, or an entity: `host` is the node of the other end, `remote-node` any other
    /// node, `world` an address that no pod, node or rule names. `cidrs` are those that rules name.
    ///
    /// # Errors
    /// When it is none of these, or an entity that stands for many.
    pub fn parse_with_entities(
        text: &str,
        cluster: &Cluster,
        other: Option<&Self>,
        cidrs: &[IpNetwork],
    ) -> Result<Self, Trouble> {
        let Some(entity) = Entity::from_name(text) else { return Self::parse(text, cluster) };
        let place = |party| Self { text: text.to_owned(), parties: vec![party], service: None };
        let fixed = |identity| Party { end: End::Fixed(identity), addresses: Vec::new() };
        let other = other.and_then(|other| other.parties.first());
        Ok(place(match entity {
            Entity::World => {
                let only_ipv6 = other.is_some_and(|other| other.has_family(false) && !other.has_family(true));
                world(!only_ipv6, cluster, cidrs)
            }
            Entity::WorldIpv4 => world(true, cluster, cidrs),
            Entity::WorldIpv6 => world(false, cluster, cidrs),
            Entity::Host => match other.and_then(|other| cluster.node_of(other.end)) {
                Some(node) => cluster.party_of_node(node),
                None => fixed(Identity::HOST),
            },
            Entity::RemoteNode => fixed(Identity::REMOTE_NODE),
            Entity::KubeApiserver => match cluster.apiservers().first() {
                Some(addr) => cluster.party_at(*addr),
                None => fixed(Identity::KUBE_APISERVER),
            },
            Entity::Init => fixed(Identity::INIT),
            Entity::Ingress => fixed(Identity::INGRESS),
            Entity::Unmanaged => fixed(Identity::UNMANAGED),
            Entity::Health => fixed(Identity::HEALTH),
            Entity::All | Entity::Cluster | Entity::ClusterMesh | Entity::None => {
                return Err(Trouble::Many { text: text.to_owned() });
            }
        }))
    }

    /// Somebody, by what he is called.
    #[must_use]
    pub fn of(text: String, party: Party) -> Self {
        Self { text, parties: vec![party], service: None }
    }

    /// As it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Who it may be.
    #[must_use]
    pub fn parties(&self) -> &[Party] {
        &self.parties
    }

    /// Whether connections to it end up with somebody else, or with one of several.
    #[must_use]
    pub fn has_backends(&self) -> bool {
        self.service.is_some() || self.parties.len() > 1
    }

    /// Who connections to a port of it end up with, and at which port.
    pub(super) fn targets(&self, cluster: &Cluster, wanted: &Wanted) -> Result<Vec<(Party, u16)>, Trouble> {
        let protocol = wanted.protocol().filter(|protocol| protocol.has_ports());
        if let (Some((service, vip)), Some(protocol)) = (&self.service, protocol) {
            return backends(cluster, service, *vip, wanted, protocol);
        }
        let mut found = Vec::new();
        for party in &self.parties {
            let port = match &wanted.port {
                WantedPort::None => 0,
                WantedPort::Number(port) => *port,
                WantedPort::Name(name) => {
                    named_port(cluster, party, name, protocol).ok_or_else(|| Trouble::NoSuchPort {
                        target: self.text.clone(),
                        protocol: protocol.unwrap_or(Protocol::Tcp),
                        name: name.clone(),
                    })?
                }
            };
            found.push((party.clone(), port));
        }
        Ok(found)
    }
}

/// The number of a pod's port.
fn named_port(cluster: &Cluster, party: &Party, name: &str, protocol: Option<Protocol>) -> Option<u16> {
    let End::Pod(pod) = party.end else { return None };
    let pod = cluster.pod_object(pod)?;
    let fits = |port: &&crate::manifest::ContainerPort| {
        port.name.as_deref() == Some(name) && Some(port.protocol) == protocol
    };
    pod.ports.iter().find(fits).map(|port| port.port)
}

fn backends(
    cluster: &Cluster,
    service: &Service,
    vip: IpAddr,
    wanted: &Wanted,
    protocol: Protocol,
) -> Result<Vec<(Party, u16)>, Trouble> {
    let name = || format!("{}/{}", service.meta.namespace(), service.meta.name);
    let port = match &wanted.port {
        WantedPort::None => None,
        WantedPort::Number(number) => Some(ServicePortWanted::Number(*number)),
        WantedPort::Name(name) => Some(ServicePortWanted::Name(name)),
    };
    let port = port
        .and_then(|port| Cluster::service_port(service, port, protocol))
        .ok_or_else(|| Trouble::NoServicePort { service: name(), port: wanted.to_string() })?;
    let found = cluster.backends(service, port, vip);
    if found.is_empty() {
        return Err(Trouble::NoBackend { service: name(), port: wanted.to_string() });
    }
    Ok(found.into_iter().map(|backend| (backend.party, backend.port)).collect())
}

/// Somebody outside whom no rule names by his address, unless it names everybody.
fn world(ipv4: bool, cluster: &Cluster, cidrs: &[IpNetwork]) -> Party {
    let identity = if ipv4 { Identity::WORLD_IPV4 } else { Identity::WORLD_IPV6 };
    match outsider(ipv4, cluster, cidrs) {
        Some(addr) => Party { end: End::Outside, addresses: vec![addr] },
        None => Party { end: End::Fixed(identity), addresses: Vec::new() },
    }
}

/// An address outside the cluster that lies in none of these CIDRs, save those that hold every address.
pub(crate) fn outsider(ipv4: bool, cluster: &Cluster, cidrs: &[IpNetwork]) -> Option<IpAddr> {
    let everything = match ipv4 {
        true => IpNetwork::new(IpAddr::from([0u8; 4]), 0),
        false => IpNetwork::new(IpAddr::from([0u8; 16]), 0),
    };
    let everything = everything.ok()?;
    let mut taken = reserved(ipv4);
    taken.extend(cidrs.iter().copied().filter(|cidr| cidr.prefix() > 0));
    taken.extend(cluster.owned().map(|(addr, _)| IpNetwork::from(addr)));
    taken.extend(
        cluster.services().flat_map(|service| &service.cluster_ips).map(|addr| IpNetwork::from(*addr)),
    );
    taken.extend(cluster.names().iter().map(|(addr, _)| IpNetwork::from(addr)));
    free_address(everything, &taken)
}

/// Addresses that nobody outside has: "this network" of IPv4, and all but 2000::/3 of IPv6.
fn reserved(ipv4: bool) -> Vec<IpNetwork> {
    let texts: &[&str] = if ipv4 { &["0.0.0.0/8"] } else { &["::/3"] };
    texts.iter().filter_map(|text| text.parse().ok()).collect()
}
