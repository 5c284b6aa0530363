//! Who has which address. Several may claim one: for a moment, when an address goes from one to another and the news of
//! the one overtake the other's, or for long, where somebody publishes what is not his. Whoever has the best reasons
//! counts, of equals the newest; the others count when he is gone.

use std::collections::BTreeMap;
use std::net::IpAddr;

use policy::AddressMap;

use super::Cluster;
use super::nodes::{NodeId, Nodes};
use super::pods::PodId;

/// Somebody who may have an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// A pod.
    Pod(PodId),
    /// A pod of this node that the runtime did not name.
    Nameless,
    /// A node.
    Node(NodeId),
    /// The Kubernetes API server, where it is no node; it gives way to anybody else.
    ApiServer,
}

/// How good the reasons of a claim are, the better the greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Standing {
    /// Somebody says so.
    Said,
    /// A node of itself, or of a pod in a range that is the node's.
    Backed,
    /// This node knows it by itself.
    Own,
}

/// The addresses and who claims them.
#[derive(Debug, Default)]
pub(super) struct Holders {
    holders: AddressMap<Claim>,
    /// Where there is more than one: all claims, oldest first.
    contested: BTreeMap<IpAddr, Vec<Claim>>,
}

impl Holders {
    /// Who has an address.
    pub(super) fn get(&self, address: IpAddr) -> Option<Claim> {
        self.holders.get(address).copied()
    }

    /// All who claim an address, oldest first.
    pub(super) fn all(&self, address: IpAddr) -> Vec<Claim> {
        match self.contested.get(&address) {
            Some(all) => all.clone(),
            None => self.get(address).into_iter().collect(),
        }
    }

    /// The addresses that more than one claim.
    pub(super) fn contested(&self) -> Vec<IpAddr> {
        self.contested.keys().copied().collect()
    }

    /// Notes a claim; one that is known keeps its place. False where somebody is to be elected.
    pub(super) fn claim(&mut self, address: IpAddr, claim: Claim) -> bool {
        let all = match (self.get(address), self.contested.get_mut(&address)) {
            (Some(_), Some(all)) => all,
            (Some(holder), None) if holder != Claim::ApiServer && holder != claim => {
                if claim == Claim::ApiServer {
                    return false;
                }
                self.contested.entry(address).or_insert_with(|| vec![holder])
            }
            _ => {
                self.holders.insert(address, claim);
                return true;
            }
        };
        if claim != Claim::ApiServer && !all.contains(&claim) {
            all.push(claim);
        }
        false
    }

    /// Takes a claim back. True where it counted: somebody is to be elected, if anybody is left.
    pub(super) fn release(&mut self, address: IpAddr, claim: Claim) -> bool {
        let counted = self.get(address) == Some(claim);
        match self.contested.get_mut(&address) {
            None if counted => drop(self.holders.remove(address)),
            None => {}
            Some(all) => {
                all.retain(|known| *known != claim);
                if counted && let Some(newest) = all.last() {
                    self.holders.insert(address, *newest);
                }
                if all.len() < 2 {
                    self.contested.remove(&address);
                }
            }
        }
        counted
    }

    /// Makes one of those who claim an address count. True where another did before.
    fn elect(&mut self, address: IpAddr, claim: Claim) -> bool {
        self.holders.insert(address, claim) != Some(claim)
    }
}

impl Cluster {
    /// Elects who has an address. True where it is another than before.
    pub(super) fn elect(&mut self, address: IpAddr) -> bool {
        let all = self.holders.all(address);
        let best =
            all.into_iter().enumerate().max_by_key(|(at, claim)| (self.standing(address, *claim), *at));
        best.is_some_and(|(_, best)| self.holders.elect(address, best))
    }

    /// Elects anew who has the addresses that several claim: what nodes say of their ranges may be another now.
    pub(super) fn elect_all(&mut self) {
        for address in self.holders.contested() {
            if self.elect(address)
                && let Some(holder) = self.holders.get(address)
            {
                self.enter(address, holder);
            }
        }
    }

    fn standing(&self, address: IpAddr, claim: Claim) -> Standing {
        match claim {
            Claim::ApiServer => Standing::Said,
            Claim::Nameless | Claim::Node(Nodes::OWN) => Standing::Own,
            Claim::Node(_) => Standing::Backed,
            Claim::Pod(id) => match self.pods.get(id) {
                Some(entry) if entry.local.is_some() => Standing::Own,
                Some(entry) => {
                    let host = entry.published.as_ref().and_then(|published| self.pods.host(published.host));
                    let is_backed = host.is_some_and(|host| self.is_range_of(host, address));
                    if is_backed { Standing::Backed } else { Standing::Said }
                }
                None => Standing::Said,
            },
        }
    }

    /// Whether a pod's address is in a range of the node that has the address `host`.
    fn is_range_of(&self, host: IpAddr, address: IpAddr) -> bool {
        self.holders.all(host).into_iter().any(|claim| {
            let Claim::Node(id) = claim else { return false };
            let ranges = self.nodes.get(id).map(|node| node.pod_cidrs.as_slice()).unwrap_or_default();
            ranges.iter().any(|range| range.contains(address) && self.nodes.is_owner(id, *range))
        })
    }
}

#[cfg(test)]
mod tests {
    use abi::Identity;
    use api::PodRef;
    use policy::Label;
    use policy::manifest::{Object, parse};

    use super::super::{Beginnings, Holder, Numbers};
    use super::*;
    use crate::source::{Change, RemoteEndpoint};

    #[test]
    fn all_who_claim_are_known_in_their_order() {
        let address = IpAddr::from([10, 0, 0, 1]);
        let [a, b, c] = [0, 1, 2].map(|id| Claim::Node(NodeId(id)));
        let mut holders = Holders::default();
        assert!(holders.claim(address, Claim::ApiServer));
        assert!(holders.claim(address, a) && !holders.claim(address, b));
        // Said again, it is not newer; the API server is nobody where somebody is.
        assert!(!holders.claim(address, a) && !holders.claim(address, Claim::ApiServer));
        assert!(!holders.claim(address, c));
        assert_eq!(holders.all(address), [a, b, c]);
        assert!(holders.elect(address, c) && !holders.elect(address, c));
        assert!(!holders.release(address, b));
        assert!(holders.release(address, c));
        assert_eq!((holders.get(address), holders.contested.len()), (Some(a), 0));
        assert!(holders.release(address, a) && !holders.release(address, a));
        assert_eq!((holders.get(address), holders.contested.len()), (None, 0));
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn node(cluster: &mut Cluster, name: &str, address: &str, range: &str) {
        let text = format!(
            "{{apiVersion: v1, kind: Node, metadata: {{name: {name}}}, spec: {{podCIDRs: [{range}]}}, \
             status: {{addresses: [{{type: InternalIP, address: {address}}}]}}}}"
        );
        let node = parse(&text, "test.yaml", 1).remove(0).unwrap();
        assert!(matches!(node, Object::Node(_)));
        cluster.apply(Change::Set(Box::new(node)));
    }

    fn pod(name: &str) -> PodRef {
        PodRef { namespace: "x".into(), name: name.into() }
    }

    fn holder_of(name: &str) -> Holder {
        Holder::Pod("x".into(), name.into())
    }

    fn publish(cluster: &mut Cluster, name: &str, host: &str, address: &str) {
        let (node, addresses) = (Some(ip(host)), vec![ip(address)]);
        let endpoint = RemoteEndpoint { pod: pod(name), node, identity: Identity(300), addresses };
        cluster.apply(Change::Endpoint(endpoint));
    }

    fn cluster() -> Cluster {
        let beginnings = Beginnings { identities: Numbers::given(), ..Beginnings::default() };
        let mut cluster = Cluster::new("own", beginnings, vec![ip("192.0.2.1")]);
        let labels = [Label::k8s("app", "web")].into_iter().collect();
        cluster.apply(Change::Identity(Identity(300), labels));
        node(&mut cluster, "a", "192.0.2.2", "10.2.0.0/24");
        node(&mut cluster, "b", "192.0.2.3", "10.3.0.0/24");
        cluster
    }

    #[test]
    fn nobody_takes_an_address_from_this_node_and_its_pods() {
        let mut cluster = cluster();
        node(&mut cluster, "own", "192.0.2.1", "10.1.0.0/24");
        cluster.set_local(Some(&pod("here")), &[ip("10.1.0.7")]);
        cluster.set_local(None, &[ip("10.1.0.8")]);
        for address in ["10.1.0.7", "10.1.0.8", "192.0.2.1"] {
            let before = (cluster.holder(ip(address)), cluster.identity(ip(address)));
            publish(&mut cluster, "thief", "192.0.2.2", address);
            node(&mut cluster, "thief", address, "10.4.0.0/24");
            assert_eq!((cluster.holder(ip(address)), cluster.identity(ip(address))), before);
            cluster.apply(Change::EndpointGone(pod("thief")));
        }
        // Who was there before it gives way too.
        publish(&mut cluster, "thief", "192.0.2.2", "10.1.0.9");
        cluster.set_local(Some(&pod("there")), &[ip("10.1.0.9")]);
        assert_eq!(cluster.holder(ip("10.1.0.9")), Some(holder_of("there")));
        cluster.remove_local(Some(&pod("there")), &[ip("10.1.0.9")]);
        assert_eq!(cluster.holder(ip("10.1.0.9")), Some(holder_of("thief")));
    }

    #[test]
    fn of_two_pods_that_whose_node_has_the_range_counts() {
        let mut cluster = cluster();
        let holder = |cluster: &Cluster| cluster.holder(ip("10.2.0.7"));
        publish(&mut cluster, "right", "192.0.2.2", "10.2.0.7");
        publish(&mut cluster, "wrong", "192.0.2.3", "10.2.0.7");
        assert_eq!(holder(&cluster), Some(holder_of("right")));
        // Equals: the newer.
        publish(&mut cluster, "new", "192.0.2.2", "10.2.0.7");
        assert_eq!(holder(&cluster), Some(holder_of("new")));
        cluster.apply(Change::EndpointGone(pod("new")));
        assert_eq!(holder(&cluster), Some(holder_of("right")));
        // The range goes to another node.
        cluster.take_changed();
        node(&mut cluster, "a", "192.0.2.2", "10.5.0.0/24");
        node(&mut cluster, "b", "192.0.2.3", "10.2.0.0/24");
        assert_eq!(holder(&cluster), Some(holder_of("wrong")));
        assert!(cluster.take_changed().addresses.is_some_and(|changed| changed.contains(&ip("10.2.0.7"))));
    }

    #[test]
    fn a_pod_is_published_with_a_number_of_the_clusters_or_with_none() {
        let mut cluster = cluster();
        let mut told = |number: u32| {
            let address = ip("10.2.0.7");
            let node = Some(ip("192.0.2.2"));
            let (identity, addresses) = (Identity(number), vec![address]);
            cluster.apply(Change::Endpoint(RemoteEndpoint { pod: pod("p"), node, identity, addresses }));
            cluster.identity(address)
        };
        for reserved in [1, 2, 3, 6, 7, 8, 9, 10] {
            assert_eq!(told(reserved), Identity::UNMANAGED, "{reserved} is nobody's to publish");
        }
        assert_eq!([4, 5, 300].map(&mut told), [4, 5, 300].map(Identity));
        let labels = || [Label::k8s("app", "x")].into_iter().collect();
        for foreign in [255, Identity::CLUSTER_MAX.0 + 1, 1 << 24 | 5] {
            cluster.apply(Change::Identity(Identity(foreign), labels()));
            let (address, node) = (ip("10.2.0.7"), Some(ip("192.0.2.2")));
            let (identity, addresses) = (Identity(foreign), vec![address]);
            cluster.apply(Change::Endpoint(RemoteEndpoint { pod: pod("p"), node, identity, addresses }));
            assert_eq!(cluster.identity(address), Identity::UNMANAGED, "{foreign}");
        }
    }
}
