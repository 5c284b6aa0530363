//! Something for each of many addresses.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnetwork::IpNetwork;

/// A value for each address, in order. The families are kept apart: as a key, an address of IPv4 takes 4 bytes, where one
/// of either family takes 17, and a node of a large cluster knows a hundred thousand of them. A tree grows bit by bit,
/// without the moment in which a hash has its room twice.
///
/// ```
/// use std::net::IpAddr;
///
/// use netloom_policy::AddressMap;
///
/// let mut names = AddressMap::default();
/// let address = IpAddr::from([10, 0, 0, 1]);
/// assert_eq!(names.insert(address, "web"), None);
/// assert_eq!(names.get(address), Some(&"web"));
/// assert!(names.within("10.0.0.0/24".parse()?).eq([(address, &"web")]));
/// # Ok::<(), ipnetwork::IpNetworkError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressMap<V> {
    v4: BTreeMap<Ipv4Addr, V>,
    v6: BTreeMap<Ipv6Addr, V>,
}

impl<V> Default for AddressMap<V> {
    fn default() -> Self {
        Self { v4: BTreeMap::new(), v6: BTreeMap::new() }
    }
}

impl<V> AddressMap<V> {
    /// What an address has.
    #[must_use]
    pub fn get(&self, address: IpAddr) -> Option<&V> {
        match address {
            IpAddr::V4(address) => self.v4.get(&address),
            IpAddr::V6(address) => self.v6.get(&address),
        }
    }

    /// Gives an address a value. Returns what it had.
    pub fn insert(&mut self, address: IpAddr, value: V) -> Option<V> {
        match address {
            IpAddr::V4(address) => self.v4.insert(address, value),
            IpAddr::V6(address) => self.v6.insert(address, value),
        }
    }

    /// Takes the value of an address away.
    pub fn remove(&mut self, address: IpAddr) -> Option<V> {
        match address {
            IpAddr::V4(address) => self.v4.remove(&address),
            IpAddr::V6(address) => self.v6.remove(&address),
        }
    }

    /// All addresses in order, those of IPv4 first.
    pub fn iter(&self) -> impl Iterator<Item = (IpAddr, &V)> {
        let v4 = self.v4.iter().map(|(address, value)| (IpAddr::V4(*address), value));
        v4.chain(self.v6.iter().map(|(address, value)| (IpAddr::V6(*address), value)))
    }

    /// The addresses of a network, in order.
    pub fn within(&self, network: IpNetwork) -> impl Iterator<Item = (IpAddr, &V)> {
        let (v4, v6) = match network {
            IpNetwork::V4(network) => (Some(self.v4.range(network.network()..=network.broadcast())), None),
            IpNetwork::V6(network) => (None, Some(self.v6.range(network.network()..=network.broadcast()))),
        };
        let v4 = v4.into_iter().flatten().map(|(address, value)| (IpAddr::V4(*address), value));
        v4.chain(v6.into_iter().flatten().map(|(address, value)| (IpAddr::V6(*address), value)))
    }

    /// How many addresses have a value.
    #[must_use]
    pub fn len(&self) -> usize {
        self.v4.len() + self.v6.len()
    }

    /// Whether none has.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Few addresses of both families, so that they meet.
    fn address() -> impl Strategy<Value = IpAddr> {
        (any::<bool>(), 0..16u8).prop_map(|(v4, last)| {
            if v4 { IpAddr::from([10, 0, 0, last]) } else { Ipv6Addr::from(u128::from(last)).into() }
        })
    }

    proptest! {
        #[test]
        fn it_is_a_map_of_addresses(
            steps in prop::collection::vec((address(), prop::option::weighted(0.7, any::<u8>())), 0..40),
            network in (address(), 0..=128u8),
        ) {
            let (mut map, mut model) = (AddressMap::default(), BTreeMap::new());
            for (address, value) in steps {
                match value {
                    Some(value) => prop_assert_eq!(map.insert(address, value), model.insert(address, value)),
                    None => prop_assert_eq!(map.remove(address), model.remove(&address)),
                }
                prop_assert_eq!(map.get(address), model.get(&address));
            }
            prop_assert!(map.iter().eq(model.iter().map(|(address, value)| (*address, value))));
            prop_assert_eq!((map.len(), map.is_empty()), (model.len(), model.is_empty()));
            let (address, prefix) = network;
            let prefix = if address.is_ipv4() { prefix.min(32) } else { prefix };
            let network = IpNetwork::new(address, prefix).unwrap();
            let within = model.iter().filter(|(address, _)| network.contains(**address));
            prop_assert!(map.within(network).eq(within.map(|(address, value)| (*address, value))));
        }
    }
}
