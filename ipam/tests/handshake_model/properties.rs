//! The properties of a step and of the node after it. Two more are looked at where they can be broken: P3 where a prefix
//! is taken, P10 where an address is given.

use crate::{
    library::{Broken, Library, meet},
    world::{ADDRESSES, Node, PREFIXES, Scope},
};

/// The property that is broken.
pub fn check(before: &Node, node: &Node, library: &mut Library, scope: Scope) -> Option<Broken> {
    // P2: a pod's address is assigned to its node.
    if (0..PREFIXES).any(|index| node.ec2 & 1 << index == 0 && meet(scope, node.pods, index)) {
        return Some("P2: an address of a pod is not assigned to its node");
    }
    let (journal, earlier) = (&node.agent.journal, &before.agent.journal);
    // P6: what the journal knows only goes by a pod's end or the end of its epoch.
    let lost = |index: &usize| {
        journal.drains[*index] == 0 && earlier.drains[*index] != 0 && earlier.drains[*index] >= journal.epoch
    };
    if (0..PREFIXES).any(|index| lost(&index)) {
        return Some("P6: a promise is lost");
    }
    if journal.epoch < earlier.epoch {
        return Some("P6: the journal's epoch went back");
    }
    if journal.held != node.pods {
        return Some("P6: the journal does not know the node's pods");
    }
    let rests = |age: crate::world::Age| (age.0 < scope.grain).then_some(age);
    let unknown = |index: &usize| rests(journal.vacant[*index]) != rests(node.freed[*index]);
    if (0..ADDRESSES).any(|index| unknown(&index)) {
        return Some("P6: the journal does not know what rests");
    }
    // P4: used, free, cooling and draining addresses are all of a prefix.
    (!library.adds_up(*journal, node.agent.uses)).then_some("P4: a prefix's addresses do not add up")
}
