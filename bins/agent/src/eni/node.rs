//! The node's ENIs as the agent knows them: what the operator lists, what was listed before and is still in use, and
//! which link each is.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use crds::types::node::EniSpec;
use ipnetwork::Ipv4Network;
use netcore::eni::{Interface, Number, Plumbing, Reach};
use netcore::masquerade::Mark;
use netcore::{IfIndex, Link, MacAddr};
use serde::{Deserialize, Serialize};

use super::Listed;
use crate::source::OwnInterfaces;

/// How long a link may take to appear before that is worth a word. (AWS: attaching takes up to 10 s or so.)
const PATIENCE: Duration = Duration::from_secs(30);

/// What outlives a restart of the agent, since it outlives what the operator says: pods that have addresses of an
/// interface keep it, listed or not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// The ENIs that are listed, or used.
    pub interfaces: BTreeMap<Number, Interface>,
    /// The VPC's CIDRs.
    pub vpc: BTreeSet<Ipv4Network>,
}

/// What the agent knows of the node's ENIs.
#[derive(Debug)]
pub struct NodeEnis {
    spec: EniSpec,
    known: Known,
    listed: Listed,
    links: BTreeMap<Number, Link>,
    /// ENIs without a link, and since when.
    missing: BTreeMap<MacAddr, Instant>,
}

impl NodeEnis {
    /// With what an earlier agent knew; `spec` says which ENIs are left alone.
    #[must_use]
    pub fn new(spec: EniSpec, known: Known) -> Self {
        Self { spec, known, listed: Listed::default(), links: BTreeMap::new(), missing: BTreeMap::new() }
    }

    /// Takes over what the node's object says. ENIs that `used` names stay known although they are not listed.
    pub fn list(&mut self, told: &OwnInterfaces, used: &BTreeSet<Number>) {
        self.listed = Listed::new(&told.status, &self.spec);
        let listed = &self.listed.interfaces;
        self.known.interfaces.retain(|number, _| used.contains(number) || listed.contains_key(number));
        self.known.interfaces.extend(listed.iter().map(|(number, eni)| (*number, eni.clone())));
        // A VPC has one at least: none means that nobody said.
        if !self.listed.vpc.is_empty() {
            self.known.vpc.clone_from(&self.listed.vpc);
        }
    }

    /// What is to be remembered.
    #[must_use]
    pub const fn known(&self) -> &Known {
        &self.known
    }

    /// Finds the ENIs' links among all that there are; tells whether others were found than before.
    pub fn find(&mut self, links: &[Link], now: Instant) -> bool {
        let macs = self.known.interfaces.values().map(|eni| eni.mac);
        let found = netcore::eni::find(links, macs);
        let enis = self.known.interfaces.iter();
        let links: BTreeMap<Number, Link> =
            enis.filter_map(|(number, eni)| Some((*number, (*found.get(&eni.mac)?).clone()))).collect();
        let lacking = self.known.interfaces.values().filter(|eni| !found.contains_key(&eni.mac));
        let missing = &self.missing;
        self.missing = lacking.map(|eni| (eni.mac, missing.get(&eni.mac).copied().unwrap_or(now))).collect();
        let place = |links: &BTreeMap<Number, Link>| -> Vec<(Number, IfIndex, String)> {
            links.iter().map(|(number, link)| (*number, link.index, link.name.clone())).collect()
        };
        let changed = place(&links) != place(&self.links);
        self.links = links;
        changed
    }

    /// The names of the links that are wholly ours.
    #[must_use]
    pub fn link_names(&self) -> Vec<String> {
        let own = self.links.iter().filter(|(number, _)| **number != Number::PRIMARY);
        own.map(|(_, link)| link.name.clone()).collect()
    }

    /// The links by number.
    #[must_use]
    pub fn link_indexes(&self) -> BTreeMap<Number, IfIndex> {
        self.links.iter().map(|(number, link)| (*number, link.index)).collect()
    }

    /// The addresses that the node itself has on the ENIs whose links are wholly ours.
    pub fn own_addresses(&self) -> impl Iterator<Item = Ipv4Addr> + '_ {
        let there = self.links.keys().filter(|number| **number != Number::PRIMARY);
        there.filter_map(|number| self.known.interfaces.get(number)?.address)
    }

    /// The MAC addresses that have no link yet.
    #[must_use]
    pub fn awaited(&self) -> BTreeSet<MacAddr> {
        self.missing.keys().copied().collect()
    }

    /// The prefixes that pods may get addresses of: the listed ones whose ENI is there. An address that leads
    /// nowhere yet is given to nobody.
    #[must_use]
    pub fn usable(&self) -> BTreeSet<Ipv4Network> {
        let there = self.listed.prefixes.iter().filter(|(_, number)| self.links.contains_key(number));
        there.map(|(prefix, _)| *prefix).collect()
    }

    /// Which ENI has an address, as it is listed.
    #[must_use]
    pub fn owner(&self, address: Ipv4Addr) -> Option<Number> {
        self.listed.owner(address)
    }

    /// How all is to be plumbed. `native` are destinations beside the VPC's that are not masqueraded; none where
    /// nothing is.
    #[must_use]
    pub fn plumbing(
        &self,
        pods: BTreeMap<Ipv4Addr, Number>,
        native: Option<BTreeSet<Ipv4Network>>,
        answer: Mark,
    ) -> Plumbing {
        let reach = match native {
            Some(native) => Reach::Within(self.native(native)),
            None => Reach::Everywhere,
        };
        Plumbing { interfaces: self.known.interfaces.clone(), pods, reach, answer: Some(answer) }
    }

    /// Destinations that pods are not masqueraded to: the VPC's and these.
    #[must_use]
    pub fn native(&self, mut beside: BTreeSet<Ipv4Network>) -> BTreeSet<Ipv4Network> {
        beside.extend(&self.known.vpc);
        let all = beside.clone();
        // What another covers would be a rule more for each pod, and the kernel goes through them one by one.
        beside.retain(|one| !all.iter().any(|other| other != one && one.is_subnet_of(*other)));
        beside
    }

    /// What a person should know.
    #[must_use]
    pub fn complaints(&self, now: Instant) -> Vec<String> {
        let late = self.missing.iter().filter(|(_, since)| now >= **since + PATIENCE);
        let late = late.map(|(mac, since)| {
            let seconds = now.duration_since(*since).as_secs();
            format!("no link has the MAC address {mac} of an ENI, for {seconds} s: its addresses are not given to pods")
        });
        self.listed.complaints.iter().cloned().chain(late).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(enis: &[u32]) -> OwnInterfaces {
        let eni = |number: &u32| {
            let eni = json!({
                "number": number, "mac": format!("02:00:00:00:00:0{number}"), "ip": format!("100.64.{number}.4"),
                "subnet": {"cidr": format!("100.64.{number}.0/24")}, "vpc": {"primary-cidr": "10.0.0.0/16"},
                "prefixes": [format!("100.64.{number}.16/28")],
            });
            (format!("eni-{number}"), eni)
        };
        let enis: serde_json::Map<_, _> = enis.iter().map(eni).collect();
        OwnInterfaces { status: serde_json::from_value(json!({"enis": enis})).unwrap(), ..Default::default() }
    }

    fn link(number: u8, index: u32) -> Link {
        Link {
            name: format!("ens{index}"),
            index: IfIndex(index),
            mac: Some(MacAddr([2, 0, 0, 0, 0, number])),
            mtu: 1500,
            up: false,
            operational: false,
            kind: String::new(),
            peer: None,
            peer_netnsid: None,
            controller: None,
        }
    }

    fn texts<T: ToString>(all: impl IntoIterator<Item = T>) -> Vec<String> {
        all.into_iter().map(|one| one.to_string()).collect()
    }

    /// vpc-cni #3876, #1967: an incomplete list after a restart or a reboot must take nothing from pods.
    #[test]
    fn an_interface_that_is_listed_no_more_stays_while_a_pod_uses_it() {
        let now = Instant::now();
        let mut enis = NodeEnis::new(EniSpec::default(), Known::default());
        enis.list(&told(&[1, 2]), &BTreeSet::new());
        assert!(enis.find(&[link(1, 7), link(2, 8)], now));
        assert_eq!(texts(enis.usable()), ["100.64.1.16/28", "100.64.2.16/28"]);
        assert_eq!(texts(enis.own_addresses()), ["100.64.1.4", "100.64.2.4"]);
        let stored = serde_json::to_string(enis.known()).unwrap();

        // Another agent, which is told less: no new pod gets an address there, and who has one keeps its way.
        let mut enis = NodeEnis::new(EniSpec::default(), serde_json::from_str(&stored).unwrap());
        enis.list(&told(&[1]), &[Number(2)].into());
        enis.find(&[link(1, 7), link(2, 8)], now);
        assert_eq!(texts(enis.usable()), ["100.64.1.16/28"]);
        let pods = [("100.64.2.17".parse().unwrap(), Number(2))].into();
        let answer = Mark { value: 0x300, mask: 0xf00 };
        let (_, state) = enis.plumbing(pods, None, answer).state(&enis.link_indexes());
        assert!(
            texts(&state.routes).contains(&"0.0.0.0/0 via 100.64.2.1 dev #8 table 12 proto 110".to_owned())
        );
        // Nothing at all is told: the VPC is known all the same.
        enis.list(&OwnInterfaces::default(), &[Number(2)].into());
        assert_eq!(texts(enis.native(BTreeSet::new())), ["10.0.0.0/16"]);
        let beside = ["10.0.7.0/24", "192.168.0.0/16"].map(|cidr| cidr.parse().unwrap());
        assert_eq!(texts(enis.native(beside.into())), ["10.0.0.0/16", "192.168.0.0/16"]);
        // Without pods there it is forgotten.
        enis.list(&told(&[1]), &BTreeSet::new());
        assert_eq!(enis.known().interfaces.len(), 1);
    }

    /// cilium #16494: an interface whose link comes late is waited for, and nobody gets an address of it before.
    #[test]
    fn a_link_that_comes_late_is_waited_for() {
        let now = Instant::now();
        let mut enis = NodeEnis::new(EniSpec::default(), Known::default());
        enis.list(&told(&[0, 1]), &BTreeSet::new());
        enis.find(&[link(0, 2)], now);
        assert_eq!(texts(enis.usable()), ["100.64.0.16/28"]);
        assert_eq!(enis.awaited(), [MacAddr([2, 0, 0, 0, 0, 1])].into());
        assert_eq!(enis.complaints(now), [""; 0]);
        let later = now + PATIENCE;
        assert!(!enis.find(&[link(0, 2)], later));
        assert!(enis.complaints(later)[0].contains("02:00:00:00:00:01"), "{:?}", enis.complaints(later));
        assert!(enis.find(&[link(0, 2), link(1, 9)], later));
        assert_eq!(enis.complaints(later), [""; 0]);
        // The first link is the operating system's.
        assert_eq!(enis.link_names(), ["ens9"]);
        // A rename is news, for what is set by name.
        assert!(enis.find(&[link(0, 2), Link { name: "eth1".into(), ..link(1, 9) }], later));
    }
}
