//! Nodes together: what EC2 assigned to one it assigns to no other, and time passes for all. That is all that nodes
//! share, so what one of them does in a world of several it does alone, too.

use std::collections::HashSet;

use crate::{
    library::{Broken, Library},
    normal::{normal, wider},
    packed::{Packed, shaken, unpack},
    properties::check,
    search::{Reached, alone},
    steps::{Event, Next, steps},
    world::{ADDRESSES, NODES, Node, Scope},
};

pub type World = [Node; NODES];

/// The properties of several nodes.
fn check_world(before: &World, world: &World, scope: Scope) -> Option<Broken> {
    let [one, two] = world;
    if one.ec2 & two.ec2 != 0 {
        return Some("EC2 assigned a prefix twice");
    }
    if one.pods & two.pods != 0 {
        return Some("P1: two pods have an address");
    }
    for (node, other) in [(0, 1), (1, 0)] {
        let given = world[node].pods & !before[node].pods;
        let rests = |address: &usize| world[other].freed[*address].0 < scope.grain;
        if (0..ADDRESSES).filter(|address| given & 1 << address != 0).any(|address| rests(&address)) {
            return Some("P10: an address of another node is given too early");
        }
    }
    None
}

/// Takes steps chosen by lot in a world that is not brought into any normal form. Looks at the properties, at whether
/// each node alone is one that the search reached, and at whether it and its normal form lead to the same.
pub fn walk(scope: Scope, reached: Option<&Reached>, library: &mut Library, seed: u64, length: usize) {
    let mut lots = fastrand::Rng::with_seed(seed);
    let mut world = [Node::new(); NODES];
    let mut next = Vec::new();
    for turn in 0..length {
        let assigned = world.iter().fold(0, |all, node| all | node.ec2);
        let pods: u32 = world.iter().map(|node| node.pods.count_ones()).sum();
        let mut worlds = Vec::new();
        for node in 0..NODES {
            steps(&world[node], scope.everything() & !assigned, library, scope, &mut next);
            next.retain(|next| pods < scope.pods || !matches!(next.event, Event::Gives(_)));
            for Next { event, node: to } in &next {
                let mut world = world;
                let to = to.unwrap_or_else(|broken| panic!("seed {seed}, turn {turn}: {broken}: {event:?}"));
                world[node] = to;
                worlds.push(world);
            }
        }
        let mut later = world;
        later.iter_mut().for_each(|node| node.tick(scope));
        worlds.push(later);
        let chosen = worlds.swap_remove(lots.usize(..worlds.len()));
        let told = |broken| format!("seed {seed}, turn {turn}: {broken} in {chosen:?}");
        for (before, node) in world.iter().zip(&chosen).filter(|(before, node)| before != node) {
            assert_eq!(check(before, node, library, scope).map(told), None);
            same_successors(node, library, scope);
            if let Some(reached) = reached {
                assert!(reached.place(normal(node, scope)).is_some(), "seed {seed}, turn {turn}: {node:?}");
            }
        }
        assert_eq!(check_world(&world, &chosen, scope).map(told), None);
        world = chosen;
    }
}

/// A node and its normal form lead to the same nodes, but that a form that stands for more may lead to more.
fn same_successors(node: &Node, library: &mut Library, scope: Scope) {
    let form = unpack(normal(node, scope));
    let exact = successors(node, false, library, scope);
    let of_form = successors(&form, true, library, scope);
    let lacks = exact.difference(&of_form).count();
    assert_eq!(lacks, 0, "the form leads to less: {node:?}");
    assert!(scope.remade || of_form.len() == exact.len(), "the form leads to more: {node:?}");
}

fn successors(
    node: &Node,
    more: bool,
    library: &mut Library,
    scope: Scope,
) -> HashSet<Result<Packed, Broken>> {
    let mut next = Vec::new();
    alone(node, library, scope, &mut next);
    let wider = |to: &Node| wider(node, to, scope).filter(|_| more).map(|to| Ok(normal(&to, scope)));
    let forms = next.iter().flat_map(|next| match &next.node {
        Ok(to) => [Some(Ok(normal(to, scope))), wider(to)],
        Err(broken) => [Some(Err(*broken)), None],
    });
    forms.flatten().collect()
}

/// How many worlds two nodes with one prefix of one address can be in. Each is a pair of nodes that the search reached, as
/// normal forms know nothing of other nodes.
pub fn pairs(reached: &Reached, library: &mut Library, scope: Scope) -> Result<u64, Broken> {
    assert!(scope.prefixes == 1 && scope.size == 1, "forms would be of different names");
    let nodes: Vec<Node> = reached.nodes().collect();
    let place = |node: &Node| reached.place(normal(node, scope)).expect("all steps were searched");
    let mut next = Vec::new();
    let mut later = Vec::new();
    // Where EC2 may assign the prefix, and where it is another node's.
    let mut leads: [Vec<Vec<usize>>; 2] = Default::default();
    for node in &nodes {
        for (unassigned, leads) in [scope.everything() & !node.ec2, 0].into_iter().zip(&mut leads) {
            steps(node, unassigned, library, scope, &mut next);
            let mut to: Vec<_> =
                next.iter().map(|next| next.node.map(|to| place(&to))).collect::<Result<_, _>>()?;
            to.sort_unstable();
            to.dedup();
            leads.push(to);
        }
        let mut to = *node;
        to.tick(scope);
        later.push(place(&to));
    }
    let count = nodes.len();
    let mut known = vec![0u64; (count * count).div_ceil(64)];
    let start = place(&Node::new());
    let mut queue = vec![(start, start)];
    known[(start * count + start) / 64] |= 1 << ((start * count + start) % 64);
    let mut found = 0;
    while let Some((one, two)) = queue.pop() {
        found += 1;
        let before = [nodes[one], nodes[two]];
        let mut add = |one: usize, two: usize| {
            let world = one * count + two;
            if known[world / 64] & 1 << (world % 64) == 0 {
                known[world / 64] |= 1 << (world % 64);
                queue.push((one, two));
            }
            check_world(&before, &[nodes[one], nodes[two]], scope).map_or(Ok(()), Err)
        };
        for to in &leads[usize::from(nodes[two].ec2)][one] {
            add(*to, two)?;
        }
        for to in &leads[usize::from(nodes[one].ec2)][two] {
            add(one, *to)?;
        }
        add(later[one], later[two])?;
    }
    Ok(found)
}

/// Nodes that were reached, with numbers that their forms do not show, lead to what their forms lead to; how many such
/// were found.
pub fn shake(reached: &Reached, library: &mut Library, scope: Scope, tries: usize) -> usize {
    let mut lots = fastrand::Rng::with_seed(1);
    let count = reached.nodes().len();
    let mut found = 0;
    for _ in 0..tries {
        let form = reached.node(lots.usize(..count));
        let node = shaken(&form, &mut lots, scope);
        if node != form && reached.place(normal(&node, scope)).is_some() {
            same_successors(&node, library, scope);
            found += 1;
        }
    }
    found
}
