//! Ports and protocols, as far as rules can tell them apart.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::cluster::Cluster;
use crate::judge::Wanted;
use crate::port::{PortMatch, Ports, Protocol};

/// A protocol that no policy can name.
const UNNAMED: u8 = 253;

/// Ports that no rule tells apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Service {
    /// From the first to the last, both included; of ICMP the types.
    Ports(Protocol, u16, u16),
    /// All other ports of a protocol, of which one is given.
    OtherPorts(Protocol, u16),
    /// A protocol without ports.
    Portless(Protocol),
    /// All other protocols.
    OtherProtocols,
}

impl Service {
    /// One of them, to be asked about.
    #[must_use]
    pub fn wanted(&self) -> Wanted {
        match self {
            Self::Ports(protocol, port, _) | Self::OtherPorts(protocol, port) => {
                Wanted::number(protocol.number(), *port)
            }
            Self::Portless(protocol) => Wanted::number(protocol.number(), 0),
            Self::OtherProtocols => Wanted::number(UNNAMED, 0),
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ports(protocol, first, last) if first == last => write!(f, "{first}/{protocol}"),
            Self::Ports(protocol, first, last) => write!(f, "{first}-{last}/{protocol}"),
            Self::OtherPorts(protocol, _) => write!(f, "other/{protocol}"),
            Self::Portless(protocol) => write!(f, "{protocol}"),
            Self::OtherProtocols => f.write_str("other protocols"),
        }
    }
}

/// The ports and protocols that rules name.
#[derive(Clone, Debug, Default)]
pub struct Services {
    ranges: BTreeSet<(Protocol, u16, u16)>,
    portless: BTreeSet<Protocol>,
}

/// The protocols that have ports, or types.
const WITH_NUMBERS: [Protocol; 5] =
    [Protocol::Tcp, Protocol::Udp, Protocol::Sctp, Protocol::Icmp, Protocol::Icmpv6];

impl Services {
    /// Those that the policies of clusters name.
    #[must_use]
    pub fn new(clusters: &[&Cluster]) -> Self {
        let mut services = Self::default();
        for policy in clusters.iter().flat_map(|cluster| cluster.policies()) {
            for rule in policy.specs.iter().flat_map(|spec| &spec.rules) {
                let Ports::OneOf(selectors) = &rule.ports else { continue };
                for selector in selectors {
                    for protocol in &selector.protocols {
                        services.add(*protocol, &selector.port);
                    }
                }
            }
        }
        services
    }

    fn add(&mut self, protocol: Protocol, port: &PortMatch) {
        if !WITH_NUMBERS.contains(&protocol) {
            self.portless.insert(protocol);
        } else if let PortMatch::Range(first, last) = port {
            self.ranges.insert((protocol, *first, *last));
        }
    }

    /// All that can be told apart by rules, or by somebody who declares ports. It leaves nothing out.
    #[must_use]
    pub fn with(&self, declared: &BTreeSet<Service>) -> Vec<Service> {
        let mut by_protocol: BTreeMap<Protocol, Vec<(u16, u16)>> = BTreeMap::new();
        for (protocol, first, last) in &self.ranges {
            by_protocol.entry(*protocol).or_default().push((*first, *last));
        }
        for service in declared {
            if let Service::Ports(protocol, first, last) = service {
                by_protocol.entry(*protocol).or_default().push((*first, *last));
            }
        }
        let mut found = Vec::new();
        for protocol in WITH_NUMBERS {
            let ranges = by_protocol.remove(&protocol).unwrap_or_default();
            let highest = if protocol.has_ports() { u16::MAX } else { 255 };
            let (pieces, other) = pieces(&ranges, highest);
            found.extend(pieces.into_iter().map(|(first, last)| Service::Ports(protocol, first, last)));
            found.extend(other.map(|port| Service::OtherPorts(protocol, port)));
        }
        found.extend(self.portless.iter().copied().map(Service::Portless));
        found.push(Service::OtherProtocols);
        found
    }
}

/// The pieces that ranges cut each other into, and the lowest number, above zero, that is in none of them.
fn pieces(ranges: &[(u16, u16)], highest: u16) -> (Vec<(u16, u16)>, Option<u16>) {
    let highest = u32::from(highest);
    let starts = ranges.iter().map(|(first, _)| u32::from(*first));
    let ends = ranges.iter().map(|(_, last)| u32::from(*last) + 1);
    let cuts: BTreeSet<u32> = starts.chain(ends).chain([1]).filter(|cut| *cut <= highest).collect();
    let cuts: Vec<u32> = cuts.into_iter().collect();
    let (mut inside, mut outside) = (Vec::new(), None);
    for (index, cut) in cuts.iter().enumerate() {
        let last = cuts.get(index + 1).map_or(highest, |next| next - 1);
        // Cuts and what follows them are at most `highest`, which is one of these numbers.
        let (first, last) = (*cut as u16, last as u16);
        if ranges.iter().any(|(from, to)| (*from..=*to).contains(&first)) {
            inside.push((first, last));
        } else if first > 0 {
            outside = outside.or(Some(first));
        }
    }
    (inside, outside)
}

/// The ports that a pod declares.
pub(super) fn declared(cluster: &Cluster, pod: usize) -> BTreeSet<Service> {
    let ports = cluster.pod_object(pod).map(|pod| pod.ports.as_slice()).unwrap_or_default();
    ports.iter().map(|port| Service::Ports(port.protocol, port.port, port.port)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_cut_where_others_begin_or_end() {
        assert_eq!(pieces(&[], 65535), (vec![], Some(1)));
        assert_eq!(pieces(&[(80, 80), (80, 90)], 65535), (vec![(80, 80), (81, 90)], Some(1)));
        assert_eq!(pieces(&[(1, 10), (5, 20)], 65535), (vec![(1, 4), (5, 10), (11, 20)], Some(21)));
        assert_eq!(
            pieces(&[(1, 65535), (443, 443)], 65535),
            (vec![(1, 442), (443, 443), (444, 65535)], None)
        );
        assert_eq!(pieces(&[(8, 8)], 255), (vec![(8, 8)], Some(1)));
    }
}
