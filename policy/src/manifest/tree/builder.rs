//! Puts a tree together in the order of the text.

use std::borrow::Cow;
use std::collections::HashSet;

use super::{Children, Node, NodeId, Tree, Value};

/// A tree that is being read.
pub(super) struct Builder<'t> {
    text: &'t str,
    nodes: Vec<Node<'t>>,
    /// The containers that are open, outermost first.
    open: Vec<Open>,
}

/// A container that is being read.
struct Open {
    id: NodeId,
    last: Option<NodeId>,
}

/// A key and where it begins.
pub(super) type Key<'t> = (Cow<'t, str>, u32);

impl<'t> Builder<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        // About what Kubernetes' objects have.
        let nodes = Vec::with_capacity(text.len() / 12 + 4);
        Self { text, nodes, open: Vec::new() }
    }

    /// Adds a node to the container that was opened last.
    pub(super) fn add(&mut self, key: Option<Key<'t>>, value: Value<'t>, start: u32, end: u32) -> NodeId {
        let id = NodeId(self.nodes.len() as u32);
        let (mut parent, mut index) = (id, 0);
        if let Some(open) = self.open.last_mut() {
            parent = open.id;
            let count = match &mut self.nodes[parent.0 as usize].value {
                Value::List(children) | Value::Map(children) => {
                    if children.count == 0 {
                        children.first = id;
                    }
                    children.count += 1;
                    children.count
                }
                _ => 1,
            };
            index = count - 1;
            if let Some(last) = open.last.replace(id) {
                self.nodes[last.0 as usize].next = id;
            }
        }
        let (key, key_start) = key.unwrap_or((Cow::Borrowed(""), start));
        self.nodes.push(Node { value, key, key_start, start, end, parent, next: id, index });
        id
    }

    /// Adds an empty list, and opens it.
    pub(super) fn open_list(&mut self, key: Option<Key<'t>>, start: u32) -> NodeId {
        self.open(key, Value::List, start)
    }

    /// Adds an empty object, and opens it.
    pub(super) fn open_map(&mut self, key: Option<Key<'t>>, start: u32) -> NodeId {
        self.open(key, Value::Map, start)
    }

    fn open(&mut self, key: Option<Key<'t>>, value: fn(Children) -> Value<'t>, start: u32) -> NodeId {
        let nothing = Children { first: NodeId(0), count: 0 };
        let id = self.add(key, value(nothing), start, start);
        self.open.push(Open { id, last: None });
        id
    }

    /// Closes the container that was opened last. Without an end, it ends with what is in it.
    pub(super) fn close(&mut self, end: Option<u32>) -> Option<NodeId> {
        let Open { id, last } = self.open.pop()?;
        let of_last = last.map(|last| self.nodes[last.0 as usize].end);
        let node = &mut self.nodes[id.0 as usize];
        node.end = end.or(of_last).unwrap_or(node.start).max(node.start);
        Some(id)
    }

    /// How many containers are open.
    pub(super) const fn depth(&self) -> usize {
        self.open.len()
    }

    /// How many nodes there are.
    pub(super) const fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The container that was opened last, and whether it is an object.
    pub(super) fn container(&self) -> Option<(NodeId, bool)> {
        let id = self.open.last()?.id;
        Some((id, matches!(self.nodes[id.0 as usize].value, Value::Map(_))))
    }

    /// The first key that an object has twice, where it stands the second time.
    pub(super) fn duplicate(&self, map: NodeId) -> Option<(&str, u32)> {
        let node = &self.nodes[map.0 as usize];
        let Value::Map(children) = node.value else { return None };
        let mut next = children.first;
        let keys = (0..children.count).map(|_| {
            let node = &self.nodes[next.0 as usize];
            next = node.next;
            (node.key.as_ref(), node.key_start)
        });
        if children.count <= 16 {
            let mut seen = [""; 16];
            for (count, (key, start)) in keys.enumerate() {
                if seen[..count].contains(&key) {
                    return Some((key, start));
                }
                seen[count] = key;
            }
            return None;
        }
        let mut seen = HashSet::new();
        keys.into_iter().find(|(key, _)| !seen.insert(*key))
    }

    /// Copies a node that is complete, with all that is in it, into the container that was opened last.
    pub(super) fn copy(&mut self, from: NodeId, key: Option<Key<'t>>, (start, end): (u32, u32)) {
        let value = self.nodes[from.0 as usize].value.clone();
        let (Value::List(children) | Value::Map(children)) = value else {
            self.add(key, value, start, end);
            return;
        };
        match value {
            Value::Map(_) => self.open_map(key, start),
            _ => self.open_list(key, start),
        };
        self.copy_children(children, &HashSet::new());
        self.close(Some(end));
    }

    fn copy_children(&mut self, children: Children, except: &HashSet<String>) {
        let mut next = children.first;
        for _ in 0..children.count {
            let node = &self.nodes[next.0 as usize];
            let (id, key) = (next, (node.key.clone(), node.key_start));
            let span = (node.start, node.end);
            next = node.next;
            if !except.contains(key.0.as_ref()) {
                self.copy(id, Some(key), span);
            }
        }
    }

    /// Copies the fields of a complete object into the object that was opened last, save those that it has.
    pub(super) fn merge(&mut self, from: NodeId) {
        let Value::Map(children) = self.nodes[from.0 as usize].value else { return };
        let Some((own, _)) = self.container() else { return };
        let Value::Map(mine) = self.nodes[own.0 as usize].value else { return };
        let mut known = HashSet::new();
        let mut next = mine.first;
        for _ in 0..mine.count {
            let node = &self.nodes[next.0 as usize];
            known.insert(node.key.to_string());
            next = node.next;
        }
        self.copy_children(children, &known);
    }

    /// Line and column of a byte of the text.
    pub(super) fn place(&self, offset: u32) -> (u32, u32) {
        Tree::new(self.text, Vec::new()).place(offset)
    }

    pub(super) fn is_map(&self, id: NodeId) -> bool {
        matches!(self.nodes[id.0 as usize].value, Value::Map(_))
    }

    /// The whole tree; `null` where nothing was added.
    pub(super) fn finish(mut self) -> Tree<'t> {
        if self.nodes.is_empty() {
            self.add(None, Value::Null, 0, 0);
        }
        Tree::new(self.text, self.nodes)
    }
}
