//! What is enforced, as plain data: whom each policy is about, and its peers in their order.

use std::net::Ipv4Addr;
use std::ops::RangeInclusive;

use super::Error;
use super::pods::{Pods, Position};

/// The ports, TCP and UDP, on which a policy's peers may reach its subject.
pub const PORTS: RangeInclusive<u16> = 5201..=5205;
/// A port on which nobody may.
pub const CLOSED: u16 = 5206;
/// The fewest peers of a policy: the three clients.
pub const LEAST: usize = 3;
/// The most: what fits into the addresses of the other nodes.
pub const MOST: usize = 25_000;
/// Peers of a bystander's policy.
pub const BYSTANDERS_PEERS: usize = 10;
/// Peers of a node that does not exist: what a kubelet takes unless told otherwise.
const A_NODE: usize = 110;

/// A policy: who may reach a pod, and on which ports, is said; everything else to it is dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Its name: that of the pod that it is about.
    pub name: String,
    /// The pod that it is about.
    pub subject: Ipv4Addr,
    /// Who may reach it on [`PORTS`], in the order of rules.
    pub peers: Vec<Ipv4Addr>,
}

/// All policies at a size.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// The policies; that of `server` stands in the middle, as a pod's does on the average.
    pub policies: Vec<Policy>,
}

impl Rules {
    /// The policies whose sizes are measured: `server` has this many peers, bystanders ten each. Without peers there
    /// is no policy at all.
    ///
    /// # Errors
    /// [`Error::Peers`].
    pub fn new(peers: usize, pods: &Pods) -> Result<Self, Error> {
        hold_size(peers)?;
        if peers == 0 {
            return Ok(Self::default());
        }
        let policy = |(index, pod): (usize, &super::pods::Pod)| Policy {
            name: pod.name.clone(),
            subject: pod.address,
            peers: (0..BYSTANDERS_PEERS).map(|peer| absent(MOST + index + peer)).collect(),
        };
        let mut policies: Vec<Policy> = pods.bystanders.iter().enumerate().map(policy).collect();
        let of_server = Policy {
            name: pods.server.name.clone(),
            subject: pods.server.address,
            peers: list(peers, |position| pods.client(position).address),
        };
        policies.insert(policies.len() / 2, of_server);
        Ok(Self { policies })
    }

    /// The policy of this name.
    #[must_use]
    pub fn of(&self, name: &str) -> Option<&Policy> {
        self.policies.iter().find(|policy| policy.name == name)
    }
}

/// Holds that there can be policies of this size: none at all, or with room for the clients.
///
/// # Errors
/// [`Error::Peers`].
pub fn hold_size(peers: usize) -> Result<(), Error> {
    if peers == 0 || (LEAST..=MOST).contains(&peers) {
        return Ok(());
    }
    Err(Error::Peers { peers, least: LEAST, most: MOST })
}

/// A list with the clients at their places, and addresses of pods that do not exist everywhere else.
fn list(peers: usize, client: impl Fn(Position) -> Ipv4Addr) -> Vec<Ipv4Addr> {
    let mut absents = (0..).map(absent);
    let at = |index: usize| match index {
        0 => Some(Position::First),
        index if index == peers - 1 => Some(Position::Last),
        index if index == peers / 2 => Some(Position::Middle),
        _ => None,
    };
    (0..peers)
        .filter_map(|index| at(index).map_or_else(|| absents.next(), |place| Some(client(place))))
        .collect()
}

/// The address of a pod of another node, from number 3 on, that does not exist. No two of them are neighbours: a list of
/// them cannot be written as fewer ranges, as that of pods of a cluster in use cannot.
#[must_use]
pub fn absent(index: usize) -> Ipv4Addr {
    let (node, pod) = (index / A_NODE, index % A_NODE);
    // Bounded by `MOST` and the bystanders' peers: the third byte ends at 230.
    Ipv4Addr::new(
        10,
        244,
        u8::try_from(3 + node).unwrap_or(u8::MAX),
        u8::try_from(2 * pod + 2).unwrap_or(u8::MAX),
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_size_has_room_for_the_clients_or_is_none() {
        for peers in [0, LEAST, MOST] {
            hold_size(peers).unwrap();
        }
        for peers in [1, LEAST - 1, MOST + 1] {
            assert!(matches!(hold_size(peers), Err(Error::Peers { .. })), "{peers}");
        }
    }

    #[test]
    fn clients_stand_first_in_the_middle_and_last() {
        let client = |position: Position| Ipv4Addr::new(10, 244, 1, position as u8);
        for peers in [LEAST, 10, 100, 1_000, 10_000, MOST] {
            let list = list(peers, client);
            assert_eq!(list.len(), peers);
            let at = |position| list.iter().position(|peer| *peer == client(position));
            let found = Position::ALL.map(at);
            assert_eq!(found, [Some(0), Some(peers / 2), Some(peers - 1)]);
            assert_eq!(list.iter().collect::<BTreeSet<_>>().len(), peers);
        }
    }

    #[test]
    fn those_who_are_absent_are_no_neighbours_and_on_other_nodes() {
        let numbers: Vec<u32> = (0..MOST + 100).map(|index| absent(index).into()).collect();
        assert!(numbers.windows(2).all(|pair| pair[1] - pair[0] >= 2));
        assert_eq!(absent(0), Ipv4Addr::new(10, 244, 3, 2));
        assert!(absent(MOST + 100).octets()[2] < u8::MAX);
    }
}
