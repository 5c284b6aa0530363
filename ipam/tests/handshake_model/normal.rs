//! Nodes that will do the same have one normal form. So there are finitely many, though time and epochs have no end.
//!
//! What makes it right, and what is tried with numbers and on ways chosen by lot ([`crate::worlds`]):
//! - The code asks of instants only whether they are a quarantine ago, or two: what is longer ago than anything asks
//!   for is [never](Age::NEVER). An address that rested is as one that nobody had.
//! - It compares epochs, and takes the one after the object's. Where that is the latest, their order is all that
//!   matters. Only an object that was made anew has later ones above it; then it matters, too, whether they follow each
//!   other. A gap that is wider than that stands for all that are, and may or may not be so still when the object's epoch
//!   grows.
//! - What nobody can read any more is forgotten: versions that the agent is beyond, answers to earlier epochs.
//! - Prefixes are alike, and so are the addresses of a prefix, and pods. Pods' names and what was refused decide nothing.

use crate::{
    packed::{Packed, pack},
    world::{ADDRESSES, Age, Answer, GRAIN, Mask, Node, Object, PREFIXES, Scope},
};

/// Epochs this far apart or farther are all the same.
const GAP: u8 = 2;

/// The normal form.
pub fn normal(node: &Node, scope: Scope) -> Packed {
    let mut node = *node;
    forget_times(&mut node, scope);
    forget_answers(&mut node, scope);
    forget_versions(&mut node, scope);
    renumber_incarnations(&mut node);
    renumber_epochs(&mut node, scope);
    sort_addresses(&mut node);
    let packed = pack(&node);
    if scope.prefixes == 1 { packed } else { packed.min(pack(&swapped(&node))) }
}

fn forget_times(node: &mut Node, scope: Scope) {
    // Looks are younger than a quarantine, and must be a quarantine younger than what was released.
    let matters = 2 * scope.grain - 1;
    let ask = &mut node.object.ask;
    for at in ask.released.iter_mut().chain([&mut ask.adopted]).filter(|at| at.0 >= matters) {
        *at = Age::NEVER;
    }
    for at in node.freed.iter_mut().filter(|at| at.0 >= scope.grain) {
        *at = Age::NEVER;
    }
    let old = usize::from(scope.grain)..GRAIN;
    node.looks[old.clone()].fill(0);
    node.underway[old].fill(0);
}

/// Answers to earlier epochs are only that.
fn forget_answers(node: &mut Node, scope: Scope) {
    if scope.mutation.reads_old_answers() {
        return;
    }
    let ask = node.object.ask;
    for answer in node.object.answer.iter_mut().chain(&mut node.agent.answer) {
        *answer = answer.to(ask);
    }
}

/// Versions that the agent cannot read, and what it does not read in others.
fn forget_versions(node: &mut Node, scope: Scope) {
    let Node { agent, incarnation, .. } = node;
    let known = agent.journal.epoch;
    // The first that it reads after a start is the current one.
    let reads_from = if agent.seen == 0 { *incarnation } else { agent.seen };
    node.older = node.older.filter(|(_, incarnation)| *incarnation >= reads_from);
    if let Some((older, _)) = &mut node.older {
        *older = older.as_read();
        if older.ask.epoch < known {
            let answer = older.answer.filter(|answer| answer.epoch >= known);
            *older =
                Object { answer: answer.map(|answer| Answer { prefixes: 0, ..answer }), ..Object::default() };
        }
    }
    if !scope.remade {
        agent.said = None;
        // Nobody compares the journal's epoch but with what the agent reads.
        let older = node.older.is_some_and(|(older, _)| older.ask.epoch < known);
        if known < node.object.ask.epoch && !older {
            agent.journal.epoch = agent.journal.drains.into_iter().max().unwrap_or_default();
        }
    }
}

fn renumber_incarnations(node: &mut Node) {
    let older = node.older.map_or(0, |(_, incarnation)| incarnation);
    let all = [node.agent.seen, older, node.incarnation];
    // Nothing is later than the current one.
    let rank = |incarnation: u8| {
        let earlier = |position: &usize| {
            all[*position] != 0 && all[*position] < incarnation && !all[..*position].contains(&all[*position])
        };
        if incarnation == 0 { 0 } else { 1 + (0..all.len()).filter(earlier).count() as u8 }
    };
    (node.agent.seen, node.incarnation) = (rank(node.agent.seen), rank(node.incarnation));
    if let Some((_, incarnation)) = &mut node.older {
        *incarnation = rank(*incarnation);
    }
}

fn renumber_epochs(node: &mut Node, scope: Scope) {
    let mut present = [0u64; 4];
    node.epochs(|epoch| present[usize::from(*epoch >> 6)] |= 1 << (*epoch & 63));
    let mut numbers = [0; 256];
    let (mut last, mut number) = (0, 0);
    for (word, mut bits) in present.into_iter().enumerate() {
        while bits != 0 {
            let epoch = (word as u8) << 6 | bits.trailing_zeros() as u8;
            bits &= bits - 1;
            let gap = epoch - last;
            number += if scope.remade { gap.min(GAP) } else { gap.min(1) };
            numbers[usize::from(epoch)] = number;
            last = epoch;
        }
    }
    node.epochs(|epoch| *epoch = numbers[usize::from(*epoch)]);
}

/// The world in which the object's epoch grew and the next one above it is as far away as before: the gap was one
/// that stands for wider ones.
pub fn wider(before: &Node, after: &Node, scope: Scope) -> Option<Node> {
    let epoch = before.object.ask.epoch;
    if !scope.remade || after.object.ask.epoch != epoch + 1 {
        return None;
    }
    let (mut next, mut wider) = (u8::MAX, *after);
    wider.epochs(|other| next = if *other > epoch + 1 { next.min(*other) } else { next });
    let mut adjacent = false;
    before.clone().epochs(|other| adjacent |= *other == epoch + 1);
    if adjacent || next != epoch + GAP {
        return None;
    }
    wider.epochs(|other| *other += u8::from(*other >= next));
    Some(wider)
}

fn sort_addresses(node: &mut Node) {
    for first in (0..ADDRESSES).step_by(2) {
        let second = first + 1;
        let state = |address: usize| (node.pods & 1 << address == 0, node.freed[address]);
        if state(first) > state(second) {
            node.freed.swap(first, second);
            let pods = node.pods >> first & 3;
            node.pods = node.pods & !(3 << first) | (pods & 1) << second | (pods >> 1) << first;
        }
    }
    node.agent.journal.held = node.pods;
    node.agent.journal.vacant = node.freed;
}

/// The same world with the prefixes' names changed.
fn swapped(node: &Node) -> Node {
    let swap = |mask: Mask| (mask & 1) << 1 | mask >> 1;
    let mut node = *node;
    node.ec2 = swap(node.ec2);
    // Masks 1 and 2 of four.
    node.looks = node.looks.map(|looks| looks & 0b1001 | (looks & 0b10) << 1 | (looks & 0b100) >> 1);
    node.underway = node.underway.map(swap);
    let objects = [&mut node.object].into_iter().chain(node.older.as_mut().map(|(object, _)| object));
    for object in objects {
        object.ask.prefixes = swap(object.ask.prefixes);
        object.ask.released.reverse();
        object.answer.iter_mut().for_each(|answer| answer.prefixes = swap(answer.prefixes));
        object.listed = swap(object.listed);
    }
    let agent = &mut node.agent;
    agent.journal.drains.reverse();
    agent.uses = swap(agent.uses);
    let said = agent.answer.iter_mut().chain(&mut agent.said);
    said.for_each(|answer| answer.prefixes = swap(answer.prefixes));
    let high = ADDRESSES / PREFIXES;
    node.pods = (node.pods & 3) << high | node.pods >> high;
    node.freed.rotate_left(high);
    agent.journal.held = node.pods;
    agent.journal.vacant = node.freed;
    node
}
