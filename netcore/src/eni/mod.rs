//! The elastic network interfaces (ENIs) of a node on AWS, and which of them a pod's packets take.
//!
//! EC2 drops what leaves an ENI with a source address that is not one of this ENI's. So a packet of a pod
//! must leave by the ENI that has the pod's address, unless it is masqueraded with the node's:
//!
//! | what | where | reference |
//! |---|---|---|
//! | `<gateway>/32 dev <eni> scope link`, `default via <gateway> dev <eni>` | table 10 + number | Cilium's `linux_defaults.RouteTableInterfacesOffset` |
//! | `to <pod>/32 lookup main` | rule 20 | `RulePriorityIngress` |
//! | `from <pod>/32 fwmark <answer> lookup 10+n` | rule 110 | ours |
//! | `from <pod>/32 to <cidr> lookup 10+n`, or without `to` | rule 111 | `RulePriorityEgressv2` |
//! | `from <address of the ENI>/32 lookup 10+n` | rule 111 | ours |
//!
//! The interface has its own address as a /32: so the kernel makes no route to the subnet in the main table,
//! by which the node's packets to neighbours would leave with the wrong source.
//!
//! [`Plumbing`] is what is desired, [`Plumbing::state`] says it in routes and rules, and
//! [`plan`](crate::plan()) compares it with what is there. [`concerns`] tells whether a change that a
//! [`Monitor`](crate::Monitor) saw calls for that.
//!
//! ```
//! use std::collections::BTreeMap;
//! use netcore::{IfIndex, eni::{Interface, Number, Plumbing, Reach}};
//!
//! let mut plumbing = Plumbing { reach: Reach::Within(["10.0.0.0/16".parse()?].into()), ..Plumbing::default() };
//! let eni = Interface {
//!     number: Number(1),
//!     mac: "02:00:00:00:00:01".parse()?,
//!     address: Some("100.64.0.4".parse()?),
//!     gateway: "100.64.0.1".parse()?,
//!     mtu: 9001,
//! };
//! plumbing.interfaces.insert(eni.number, eni);
//! plumbing.pods.insert("100.64.0.17".parse()?, Number(1));
//! let (_, state) = plumbing.state(&BTreeMap::from([(Number(1), IfIndex(7))]));
//! let rules: Vec<String> = state.rules.iter().map(ToString::to_string).collect();
//! assert!(rules.contains(&"111: from 100.64.0.17/32 to 10.0.0.0/16 lookup 11 proto 110".to_owned()));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod concern;
mod find;
mod reverse_path;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::Ipv4Addr,
};

use ipnetwork::{IpNetwork, Ipv4Network};
use serde::{Deserialize, Serialize};

pub use concern::concerns;
pub use find::find;

use crate::{
    address::Address,
    link_settings::LinkSettings,
    mac::{IfIndex, MacAddr},
    masquerade::Mark,
    route::{Route, RouteTable},
    rule::{Family, Rule},
    state::{Owned, State},
};

/// The largest packet on an ENI, in bytes: what a VPC carries.
pub const MTU: u32 = 9001;

/// Priority of `to <pod> lookup main`.
pub const TO_POD: u32 = 20;
/// Priority of `from <pod> fwmark <answer> lookup 10+n`.
pub const ANSWER_OF_POD: u32 = 110;
/// Priority of `from <pod> … lookup 10+n`.
pub const FROM_POD: u32 = 111;

/// The place of an ENI in its instance: EC2's device index. The node's first one has 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Number(pub u32);

impl Number {
    /// The interface that the node booted with. It is the operating system's.
    pub const PRIMARY: Self = Self(0);
    /// The table of the ENI with number 0.
    const FIRST_TABLE: u32 = 10;

    /// The table that leads out of this ENI.
    #[must_use]
    pub const fn table(self) -> RouteTable {
        RouteTable(Self::FIRST_TABLE.saturating_add(self.0))
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// An ENI of this node that pods have addresses of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interface {
    /// Its place in the instance.
    pub number: Number,
    /// By which its link is found: names change.
    pub mac: MacAddr,
    /// The address that the node itself has there; none where a pod may get it.
    pub address: Option<Ipv4Addr>,
    /// The first host of its subnet: EC2's router.
    pub gateway: Ipv4Addr,
    /// Largest packet, in bytes.
    pub mtu: u32,
}

/// Where to a pod's packets leave by its own ENI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Anywhere: nothing is masqueraded.
    Everywhere,
    /// To these networks only. All else leaves as the main table has it, masqueraded.
    Within(BTreeSet<Ipv4Network>),
}

impl Default for Reach {
    fn default() -> Self {
        Self::Within(BTreeSet::new())
    }
}

/// How the ENIs of a node and its pods' addresses are to be plumbed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plumbing {
    /// The ENIs.
    pub interfaces: BTreeMap<Number, Interface>,
    /// The pods' addresses, and which ENI has each.
    pub pods: BTreeMap<Ipv4Addr, Number>,
    /// Where to packets leave by the ENI that has their source.
    pub reach: Reach,
    /// The mark of packets that answer what came to a pod under its own address, wherever from.
    pub answer: Option<Mark>,
}

impl Plumbing {
    /// What is to be there, and what of all else is ours to remove. `links` are the ENIs' links as they were
    /// found; of an ENI without one there are the rules only.
    ///
    /// All addresses of the links are ours, and all IPv4 routes that the main table has through them: what
    /// DHCP put there would lead the node's own packets astray. Of the [primary](Number::PRIMARY) link nothing
    /// is, but our table.
    #[must_use]
    pub fn state(&self, links: &BTreeMap<Number, IfIndex>) -> (Owned, State) {
        let (mut owned, mut state) = (Owned::default(), State::default());
        for (number, interface) in &self.interfaces {
            if let Some(&device) = links.get(number) {
                interface.plumb(device, &mut owned, &mut state);
            }
            if *number != Number::PRIMARY
                && let Some(address) = interface.address
            {
                state.rules.insert(from(FROM_POD, *number, address));
            }
        }
        for (&pod, &number) in &self.pods {
            state.rules.insert(Rule::new(Family::V4, TO_POD, RouteTable::MAIN).to(host(pod)));
            let rule = from(FROM_POD, number, pod);
            match &self.reach {
                Reach::Everywhere => _ = state.rules.insert(rule),
                Reach::Within(networks) => {
                    let to = |network: &Ipv4Network| rule.clone().to(IpNetwork::V4(*network));
                    state.rules.extend(networks.iter().map(to));
                    let answer =
                        self.answer.map(|mark| from(ANSWER_OF_POD, number, pod).mark(mark.value, mark.mask));
                    state.rules.extend(answer);
                }
            }
        }
        (owned, state)
    }
}

impl Interface {
    fn plumb(&self, device: IfIndex, owned: &mut Owned, state: &mut State) {
        if self.number != Number::PRIMARY {
            state.links.insert(device, LinkSettings { mtu: self.mtu, up: true });
            owned.addresses_of.insert(device);
            owned.main_routes_of.insert(device);
            state.addresses.extend(self.address.map(|address| Address::new(device, host(address))));
        }
        let table = self.number.table();
        state.routes.insert(Route::to(host(self.gateway)).dev(device).table(table));
        state.routes.insert(Route::to_all(Family::V4).via(self.gateway.into()).dev(device).table(table));
    }
}

fn from(priority: u32, number: Number, address: Ipv4Addr) -> Rule {
    Rule::new(Family::V4, priority, number.table()).from(host(address))
}

/// The network of one address.
fn host(address: Ipv4Addr) -> IpNetwork {
    std::net::IpAddr::V4(address).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plumbing(reach: Reach) -> Plumbing {
        let eni = |number: u32, address: Option<&str>| Interface {
            number: Number(number),
            mac: MacAddr([2, 0, 0, 0, 0, number as u8]),
            address: address.map(|address| address.parse().unwrap()),
            gateway: "100.64.0.1".parse().unwrap(),
            mtu: MTU,
        };
        let interfaces = [eni(0, Some("10.0.0.5")), eni(1, Some("100.64.0.4")), eni(2, None)];
        Plumbing {
            interfaces: interfaces.map(|eni| (eni.number, eni)).into(),
            pods: [("100.64.0.17".parse().unwrap(), Number(1))].into(),
            reach,
            answer: Some(Mark { value: 0x300, mask: 0xf00 }),
        }
    }

    fn lines<T: ToString>(objects: impl IntoIterator<Item = T>) -> Vec<String> {
        objects.into_iter().map(|object| object.to_string()).collect()
    }

    #[test]
    fn tables_rules_and_links() {
        let vpc = ["10.0.0.0/16", "100.64.0.0/16"].map(|cidr| cidr.parse().unwrap());
        let links = [(Number(0), IfIndex(2)), (Number(1), IfIndex(7)), (Number(2), IfIndex(8))].into();
        let (owned, state) = plumbing(Reach::Within(vpc.into())).state(&links);
        assert_eq!(
            lines(&state.rules),
            [
                "20: from all to 100.64.0.17/32 lookup main proto 110",
                "110: from 100.64.0.17/32 fwmark 0x300/0xf00 lookup 11 proto 110",
                "111: from 100.64.0.4/32 lookup 11 proto 110",
                "111: from 100.64.0.17/32 to 10.0.0.0/16 lookup 11 proto 110",
                "111: from 100.64.0.17/32 to 100.64.0.0/16 lookup 11 proto 110",
            ]
        );
        assert_eq!(
            lines(&state.routes),
            [
                "0.0.0.0/0 via 100.64.0.1 dev #2 table 10 proto 110",
                "0.0.0.0/0 via 100.64.0.1 dev #7 table 11 proto 110",
                "0.0.0.0/0 via 100.64.0.1 dev #8 table 12 proto 110",
                "100.64.0.1/32 dev #2 table 10 proto 110",
                "100.64.0.1/32 dev #7 table 11 proto 110",
                "100.64.0.1/32 dev #8 table 12 proto 110",
            ]
        );
        // The second one's own address is a pod's to have; the first link is the operating system's.
        assert_eq!(lines(&state.addresses), ["100.64.0.4/32 dev #7"]);
        assert_eq!(state.links.keys().collect::<Vec<_>>(), [&IfIndex(7), &IfIndex(8)]);
        assert_eq!(owned.addresses_of, [IfIndex(7), IfIndex(8)].into());
        assert_eq!(owned.main_routes_of, owned.addresses_of);
    }

    #[test]
    fn without_masquerade_all_leaves_by_the_owner() {
        let (_, state) = plumbing(Reach::Everywhere).state(&BTreeMap::new());
        assert_eq!(
            lines(&state.rules),
            [
                "20: from all to 100.64.0.17/32 lookup main proto 110",
                "111: from 100.64.0.4/32 lookup 11 proto 110",
                "111: from 100.64.0.17/32 lookup 11 proto 110",
            ]
        );
        assert!(state.routes.is_empty() && state.links.is_empty());
    }
}
