//! Breadth first, so that what is found is short.

use std::{
    collections::{HashMap, VecDeque},
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
    /// Worlds that no way leads out of to one where nothing is asked or promised, though the bounds have room for it.
    /// It means something where all was searched.
    pub stuck: usize,
    /// The property that is broken, and the steps that lead there.
    pub broken: Option<(String, Vec<String>)>,
}

/// Looks at every world that can be reached, at most `limit` of them.
pub fn search(bounds: Bounds, mutation: Mutation, limit: usize) -> Found {
    let mut known = HashMap::from([(fingerprint(&World::new()), 0)]);
    let mut edges: Vec<(u32, u32)> = Vec::new();
    let mut rests = Vec::new();
    let mut roomy = Vec::new();
    // How each was reached: from which, by which of its steps.
    let mut paths: Vec<(u32, u32)> = vec![(0, 0)];
    let mut queue = VecDeque::from([(World::new(), 0)]);
    let mut steps = 0;
    while let Some((world, from)) = queue.pop_front() {
        if rest(&world) {
            rests.push(from);
        }
        if has_room(&world, bounds) {
            roomy.push(from);
        }
        for (ordinal, next) in (0u32..).zip(Steps::of(&world, bounds, mutation, false).next) {
            steps += 1;
            let broken = next.as_ref().err().cloned().or_else(|| check(&world, next.as_ref().ok()?));
            if let Some(broken) = broken {
                let path = retrace(&paths, from, ordinal, bounds, mutation);
                return Found { states: known.len(), steps, stuck: 0, broken: Some((broken, path)) };
            }
            let Ok(next) = next else { continue };
            let new = paths.len() as u32;
            let to = *known.entry(fingerprint(&next)).or_insert(new);
            edges.push((to, from));
            if to == new {
                queue.push_back((next, new));
                paths.push((from, ordinal));
            }
        }
        if known.len() >= limit {
            break;
        }
    }
    let leads_to_rest = backwards(edges, rests, paths.len());
    let stuck = roomy.into_iter().filter(|world| !leads_to_rest[*world as usize]).count();
    Found { states: known.len(), steps, stuck, broken: None }
}

/// P7: nothing is asked back, promised or under way.
fn rest(world: &World) -> bool {
    let asks = world.objects.iter().any(|object| !object.drain.prefixes.is_empty());
    let promised = world.agents.iter().any(|agent| agent.journal.drains().count() > 0);
    !asks && !promised && world.underway == [0; NODES]
}

/// Whether there may be one more epoch, and one more step of time.
fn has_room(world: &World, bounds: Bounds) -> bool {
    let epochs = world.agents.iter().map(|agent| agent.journal.epoch());
    let epochs = epochs.chain(world.objects.iter().map(|object| object.drain.epoch));
    epochs.max().is_some_and(|epoch| epoch.0 < bounds.epochs) && world.now < bounds.ticks
}

/// The worlds from which some way leads to one of `to`; edges are backwards.
fn backwards(mut edges: Vec<(u32, u32)>, to: Vec<u32>, worlds: usize) -> Vec<bool> {
    edges.sort_unstable();
    let mut leads = vec![false; worlds];
    let mut queue = to;
    while let Some(world) = queue.pop() {
        if !std::mem::replace(&mut leads[world as usize], true) {
            let first = edges.partition_point(|(to, _)| *to < world);
            queue.extend(edges[first..].iter().take_while(|(to, _)| *to == world).map(|(_, from)| from));
        }
    }
    leads
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
