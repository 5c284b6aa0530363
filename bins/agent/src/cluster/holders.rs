//! Who has which address. Two may claim one for a moment, when an address goes from one to another and the news of the
//! one overtake the other's: the newest claim counts, and the other when that one ends.

use std::collections::BTreeMap;
use std::net::IpAddr;

use policy::AddressMap;

use super::nodes::NodeId;
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

/// The addresses and who claims them.
#[derive(Debug, Default)]
pub(super) struct Holders {
    holders: AddressMap<Claim>,
    /// Claims that others came over, oldest first.
    covered: BTreeMap<IpAddr, Vec<Claim>>,
}

impl Holders {
    /// Who has an address.
    pub(super) fn get(&self, address: IpAddr) -> Option<Claim> {
        self.holders.get(address).copied()
    }

    /// All who claim an address.
    pub(super) fn all(&self, address: IpAddr) -> impl Iterator<Item = Claim> + '_ {
        self.get(address).into_iter().chain(self.covered.get(&address).into_iter().flatten().copied())
    }

    /// Notes a claim; one that is known keeps its place. True where it counts now.
    pub(super) fn claim(&mut self, address: IpAddr, claim: Claim) -> bool {
        match self.get(address) {
            Some(holder) if holder == claim => return true,
            Some(_) if self.covered.get(&address).is_some_and(|covered| covered.contains(&claim)) => {
                return false;
            }
            Some(Claim::ApiServer) | None => {}
            Some(_) if claim == Claim::ApiServer => return false,
            Some(holder) => self.covered.entry(address).or_default().push(holder),
        }
        self.holders.insert(address, claim);
        true
    }

    /// Takes a claim back. True where it counted.
    pub(super) fn release(&mut self, address: IpAddr, claim: Claim) -> bool {
        let mut covered = self.covered.remove(&address).unwrap_or_default();
        let counted = self.get(address) == Some(claim);
        if counted {
            match covered.pop() {
                Some(next) => self.holders.insert(address, next),
                None => self.holders.remove(address),
            };
        } else {
            covered.retain(|known| *known != claim);
        }
        if !covered.is_empty() {
            self.covered.insert(address, covered);
        }
        counted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_claim_counts_and_older_ones_come_back() {
        let address = IpAddr::from([10, 0, 0, 1]);
        let [a, b, c] = [0, 1, 2].map(|id| Claim::Node(NodeId(id)));
        let mut holders = Holders::default();
        assert!(holders.claim(address, Claim::ApiServer));
        assert!(holders.claim(address, a) && holders.claim(address, b));
        // Said again, it is not newer; the API server is nobody where somebody is.
        assert!(!holders.claim(address, a) && !holders.claim(address, Claim::ApiServer));
        assert!(holders.claim(address, c));
        assert_eq!(holders.all(address).count(), 3);
        assert!(!holders.release(address, b));
        assert!(holders.release(address, c));
        assert_eq!(holders.get(address), Some(a));
        assert!(holders.release(address, a) && !holders.release(address, a));
        assert_eq!((holders.get(address), holders.covered.len()), (None, 0));
    }
}
