//! Breadth first, so that what is found is short.

use std::{
    collections::{HashSet, VecDeque},
    hash::{DefaultHasher, Hash, Hasher},
    net::IpAddr,
};

use ipnetwork::IpNetwork;

use crate::{
    mutation::Mutation,
    steps::{Bounds, Steps},
    world::{NODES, World, set},
};

/// What a search found.
pub struct Found {
    pub states: usize,
    pub steps: usize,
    /// The property that is broken, and the steps that lead there.
    pub broken: Option<(String, Vec<String>)>,
}

/// Looks at every world that can be reached, at most `limit` of them.
pub fn search(bounds: Bounds, mutation: Mutation, limit: usize) -> Found {
    let mut known = HashSet::from([fingerprint(&World::new())]);
    // How each was reached: from which, by which of its steps.
    let mut paths: Vec<(u32, u32)> = vec![(0, 0)];
    let mut queue = VecDeque::from([(World::new(), 0)]);
    let mut steps = 0;
    while let Some((world, from)) = queue.pop_front() {
        for (ordinal, next) in (0u32..).zip(Steps::of(&world, bounds, mutation, false).next) {
            steps += 1;
            let broken = next.as_ref().err().cloned().or_else(|| check(&world, next.as_ref().ok()?));
            if let Some(broken) = broken {
                let path = retrace(&paths, from, ordinal, bounds, mutation);
                return Found { states: known.len(), steps, broken: Some((broken, path)) };
            }
            let Ok(next) = next else { continue };
            if known.insert(fingerprint(&next)) {
                queue.push_back((next, paths.len() as u32));
                paths.push((from, ordinal));
            }
        }
        if known.len() >= limit {
            break;
        }
    }
    Found { states: known.len(), steps, broken: None }
}

/// Two worlds with the same one are taken for the same: among a million that happens once in 30 million searches.
fn fingerprint(world: &World) -> u64 {
    let mut hasher = DefaultHasher::new();
    world.hash(&mut hasher);
    hasher.finish()
}

/// The names of the steps that lead to a world, and of one more.
fn retrace(paths: &[(u32, u32)], from: u32, last: u32, bounds: Bounds, mutation: Mutation) -> Vec<String> {
    let mut ordinals = vec![last];
    let mut at = from;
    while at != 0 {
        let (before, ordinal) = paths[at as usize];
        ordinals.push(ordinal);
        at = before;
    }
    let mut world = World::new();
    let mut names = Vec::new();
    for ordinal in ordinals.into_iter().rev() {
        let mut steps = Steps::of(&world, bounds, mutation, true);
        names.push(steps.names.take().unwrap().swap_remove(ordinal as usize));
        let Ok(next) = steps.next.swap_remove(ordinal as usize) else { break };
        world = next;
    }
    names
}

/// The properties, of a step and of the world after it.
fn check(before: &World, world: &World) -> Option<String> {
    for (pod, has) in world.pods.iter().enumerate() {
        let Some((node, address)) = *has else { continue };
        // P1: no two pods have the same address.
        if world.pods[..pod].iter().flatten().any(|(_, other)| *other == address) {
            return Some(format!("P1: two pods have {address}"));
        }
        // P2: a pod's address is assigned to its node.
        if !covered(world.ec2[node], address) {
            return Some(format!("P2: {address} of pod {pod} is not assigned to node {node}"));
        }
        // P10: nobody had it a short time ago.
        let given = before.pods[pod].is_none();
        if given && world.freed.get(&address).is_some_and(|freed| *freed == world.now) {
            return Some(format!("P10: {address} is given again too early"));
        }
    }
    for node in (0..NODES).filter(|node| before.agents[*node] != world.agents[*node]) {
        // P4: used, free, cooling and draining addresses are all of a prefix.
        for part in world.pool(node).report(World::time(world.now)) {
            if part.used + part.cooling + part.free + part.draining != 1 {
                return Some(format!("P4: {part:?}"));
            }
        }
        // P6: what the journal knows only goes by a pod's end or the end of its epoch.
        let journal = &world.agents[node].journal;
        let lost = before.agents[node]
            .journal
            .drains()
            .any(|(drained, epoch)| journal.drain_of(drained).is_none() && epoch >= journal.epoch());
        if lost {
            return Some(format!("P6: node {node} lost a promise"));
        }
        let of_pods = world.pods.iter().flatten().filter(|(on, _)| *on == node).count();
        if journal.held().count() != of_pods {
            return Some(format!("P6: node {node}'s journal does not know its pods"));
        }
    }
    // EC2 assigns a prefix once.
    (world.ec2[0] & world.ec2[1] != 0).then(|| "EC2 assigned a prefix twice".to_owned())
}

fn covered(assigned: u8, address: IpAddr) -> bool {
    set(assigned).iter().any(|prefix| IpNetwork::from(*prefix).contains(address))
}

/// Takes `length` steps chosen by lot; what is broken, if anything is.
pub fn walk(bounds: Bounds, mutation: Mutation, seed: u64, length: usize) -> Option<String> {
    let mut lots = fastrand::Rng::with_seed(seed);
    let mut world = World::new();
    for turn in 0..length {
        let mut next = Steps::of(&world, bounds, mutation, false).next;
        let chosen = next.swap_remove(lots.usize(..next.len()));
        let broken = chosen.as_ref().err().cloned().or_else(|| check(&world, chosen.as_ref().ok()?));
        if let Some(broken) = broken {
            return Some(format!("{broken} after {turn} steps in {world:?}"));
        }
        world = chosen.ok()?;
    }
    None
}
