//! Breadth first, so that what is found is short.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

use crate::{
    library::{Broken, Library},
    normal::{normal, wider},
    packed::{Packed, unpack},
    properties::check,
    steps::{Event, Next, steps},
    world::{Node, Scope},
};

/// The nodes that can be reached, each as its normal form, in the order in which they were found.
pub struct Reached {
    scope: Scope,
    nodes: Vec<Packed>,
    /// From which each was reached first.
    from: Vec<u32>,
    places: HashTable<u32>,
    hasher: DefaultHashBuilder,
    pub steps: u64,
}

/// A property that is broken, and the steps that lead there.
#[derive(Debug)]
pub struct Counterexample {
    pub property: Broken,
    pub path: Vec<Event>,
}

/// Looks at every node that can be reached: one node, and an EC2 that may at any moment assign it any prefix that it
/// does not have.
pub fn search(scope: Scope, library: &mut Library) -> Result<Reached, Counterexample> {
    let mut reached = Reached {
        scope,
        nodes: Vec::new(),
        from: Vec::new(),
        places: HashTable::new(),
        hasher: DefaultHashBuilder::default(),
        steps: 0,
    };
    reached.add(normal(&Node::new(), scope), 0);
    let mut next = Vec::new();
    let mut at = 0;
    while at < reached.nodes.len() {
        let node = unpack(reached.nodes[at]);
        alone(&node, library, scope, &mut next);
        for Next { event, node: to } in &next {
            let broken = to.and_then(|to| check(&node, &to, library, scope).map_or(Ok(to), Err));
            let to = match broken {
                Ok(to) => to,
                Err(property) => {
                    let path = reached.path(at, *event, library);
                    return Err(Counterexample { property, path });
                }
            };
            reached.steps += 1;
            reached.add(normal(&to, scope), at as u32);
            if let Some(wider) = wider(&node, &to, scope) {
                reached.add(normal(&wider, scope), at as u32);
            }
        }
        at += 1;
    }
    Ok(reached)
}

/// All that can happen to a node whose surroundings may do anything.
pub fn alone(node: &Node, library: &mut Library, scope: Scope, next: &mut Vec<Next>) {
    steps(node, scope.everything() & !node.ec2, library, scope, next);
    let mut later = *node;
    later.tick(scope);
    next.push(Next { event: Event::TimePasses, node: Ok(later) });
}

impl Reached {
    fn add(&mut self, node: Packed, from: u32) {
        let Self { nodes, hasher, places, .. } = self;
        let hash = |place: &u32| hasher.hash_one(nodes[*place as usize]);
        let same = |place: &u32| nodes[*place as usize] == node;
        if let hashbrown::hash_table::Entry::Vacant(entry) = places.entry(hasher.hash_one(node), same, hash) {
            entry.insert(nodes.len() as u32);
            nodes.push(node);
            self.from.push(from);
        }
    }

    /// Where a node stands among them.
    pub fn place(&self, node: Packed) -> Option<usize> {
        let same = |place: &u32| self.nodes[*place as usize] == node;
        Some(*self.places.find(self.hasher.hash_one(node), same)? as usize)
    }

    /// The node at a place.
    pub fn node(&self, place: usize) -> Node {
        unpack(self.nodes[place])
    }

    pub fn nodes(&self) -> impl ExactSizeIterator<Item = Node> + '_ {
        self.nodes.iter().map(|node| unpack(*node))
    }

    /// The steps that lead to a node, and one more.
    fn path(&self, to: usize, last: Event, library: &mut Library) -> Vec<Event> {
        let mut path = vec![last];
        let (mut at, mut next) = (to, Vec::new());
        while at != 0 {
            let before = self.from[at] as usize;
            let node = unpack(self.nodes[before]);
            alone(&node, library, self.scope, &mut next);
            let leads = |to: &Node| {
                let wider = wider(&node, to, self.scope);
                [Some(*to), wider].into_iter().flatten().any(|to| normal(&to, self.scope) == self.nodes[at])
            };
            let step = next.iter().find(|next| next.node.is_ok_and(|to| leads(&to)));
            path.push(step.expect("it was reached by a step").event);
            at = before;
        }
        path.reverse();
        path
    }
}
