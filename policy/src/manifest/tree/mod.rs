//! A YAML or JSON document as a tree whose nodes know where they stand.
//!
//! Nodes lie in one list, in the order of the text, and borrow their strings from it: reading a document of
//! thousands of objects allocates next to nothing for each of them.

mod block;
mod builder;
mod json;
mod yaml;

use std::borrow::Cow;
use std::cell::{Cell, OnceCell};

/// The number of a node in its [`Tree`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NodeId(u32);

/// A document.
#[derive(Debug)]
pub(super) struct Tree<'t> {
    text: &'t str,
    nodes: Vec<Node<'t>>,
    /// The bytes that end lines, once they are asked for.
    breaks: OnceCell<Vec<u32>>,
    /// The byte that [`Tree::place`] was last asked for, with its column.
    last: Cell<(usize, u32)>,
}

#[derive(Debug)]
struct Node<'t> {
    value: Value<'t>,
    /// The key in the object that it belongs to; empty for others.
    key: Cow<'t, str>,
    /// The bytes of the text where the key begins.
    key_start: u32,
    /// The bytes of the text that it takes.
    start: u32,
    end: u32,
    /// Its container; the root's is itself.
    parent: NodeId,
    /// What follows it in its container, if anything (no node follows the root).
    next: NodeId,
    /// Its number in its container, from 0.
    index: u32,
}

/// A node's value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value<'t> {
    Null,
    Boolean(bool),
    Integer(i64),
    /// A number that is no whole one, or beyond 64 bits, or written so that it could be either.
    Number,
    String(Cow<'t, str>),
    List(Children),
    Map(Children),
}

/// The nodes in a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Children {
    first: NodeId,
    pub(super) count: u32,
}

/// Up to this length, in bytes, line breaks are counted each time.
const SHORT: usize = 4096;

impl Value<'_> {
    /// What it is, in words.
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Boolean(_) => "a boolean",
            Self::Integer(_) | Self::Number => "a number",
            Self::String(_) => "a string",
            Self::List(_) => "a list",
            Self::Map(_) => "an object",
        }
    }

    /// The text, if this is a string.
    pub(super) fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }
}

/// Why a text is no document: line and column from 1 within it, and what is wrong.
#[derive(Debug)]
pub(super) struct SyntaxError {
    pub(super) line: u32,
    pub(super) column: u32,
    pub(super) message: String,
}

/// Parses one document.
///
/// Most documents are plain JSON or plain YAML in block style, for which there are quick readers; they leave all else
/// and all mistakes to a reader that knows the whole of YAML.
pub(super) fn parse(text: &str) -> Result<Tree<'_>, SyntaxError> {
    if u32::try_from(text.len()).is_err() {
        return Err(SyntaxError { line: 1, column: 1, message: "is longer than 4 GiB".into() });
    }
    let first = text.trim_start().as_bytes().first();
    let quick = if matches!(first, Some(b'{' | b'[')) { json::parse(text) } else { block::parse(text) };
    match quick {
        Some(tree) => Ok(tree),
        None => yaml::parse(text),
    }
}

impl<'t> Tree<'t> {
    fn new(text: &'t str, nodes: Vec<Node<'t>>) -> Self {
        Self { text, nodes, breaks: OnceCell::new(), last: Cell::new((0, 1)) }
    }

    pub(super) const fn root(&self) -> NodeId {
        NodeId(0)
    }

    fn node(&self, id: NodeId) -> &Node<'t> {
        &self.nodes[id.0 as usize]
    }

    pub(super) fn value(&self, id: NodeId) -> &Value<'t> {
        &self.node(id).value
    }

    /// Its key, if it stands in an object.
    pub(super) fn key(&self, id: NodeId) -> &str {
        &self.node(id).key
    }

    /// The container of a node that is not the root, with the node's number in it.
    pub(super) fn parent(&self, id: NodeId) -> (NodeId, u32) {
        let node = self.node(id);
        (node.parent, node.index)
    }

    /// Whether it stands in an object, under a key.
    pub(super) fn has_key(&self, id: NodeId) -> bool {
        id != self.root() && matches!(self.value(self.node(id).parent), Value::Map(_))
    }

    /// What is in a container; nothing in other nodes.
    pub(super) fn children(&self, id: NodeId) -> impl Iterator<Item = NodeId> {
        let children = match self.value(id) {
            Value::List(children) | Value::Map(children) => *children,
            _ => Children { first: id, count: 0 },
        };
        let mut next = children.first;
        (0..children.count).map(move |_| {
            let id = next;
            next = self.node(id).next;
            id
        })
    }

    /// The value of a key, if this is an object that has it.
    pub(super) fn get(&self, id: NodeId, key: &str) -> Option<NodeId> {
        match self.value(id) {
            Value::Map(_) => self.children(id).find(|child| self.key(*child) == key),
            _ => None,
        }
    }

    /// The bytes that a node takes.
    pub(super) fn span(&self, id: NodeId) -> (u32, u32) {
        let node = self.node(id);
        (node.start, node.end)
    }

    /// The bytes that a node's key takes, as near as can be told where it is quoted.
    pub(super) fn key_span(&self, id: NodeId) -> (u32, u32) {
        let node = self.node(id);
        let written = &self.text[node.key_start as usize..];
        let length = match written.as_bytes().first() {
            Some(quote @ (b'"' | b'\'')) => {
                written[1..].find(*quote as char).map_or(written.len(), |length| length + 2)
            }
            _ => node.key.len(),
        };
        (node.key_start, node.key_start.saturating_add(length as u32).min(self.text.len() as u32))
    }

    /// The line, from 1, of a byte of the text.
    pub(super) fn line(&self, offset: u32) -> u32 {
        let breaks = |text: &str| memchr::memchr_iter(b'\n', text.as_bytes()).count() as u32;
        let before = match self.text.len() {
            // Not worth remembering.
            ..=SHORT => breaks(&self.text[..offset as usize]),
            _ => {
                let all = self.breaks.get_or_init(|| {
                    memchr::memchr_iter(b'\n', self.text.as_bytes()).map(|at| at as u32).collect()
                });
                all.partition_point(|at| *at < offset) as u32
            }
        };
        1 + before
    }

    /// Line and column, in characters, of a byte of the text; both from 1.
    pub(super) fn place(&self, offset: u32) -> (u32, u32) {
        let bytes = self.text.as_bytes();
        let offset = (offset as usize).min(bytes.len());
        // Bytes that continue a character are no column of their own.
        let characters =
            |from, to| bytes[from..to].iter().filter(|byte| **byte & 0xc0 != 0x80).count() as u32;
        let (known, column) = self.last.get();
        let (from, to) = (offset.min(known), offset.max(known));
        let column = match memchr::memrchr(b'\n', &bytes[from..to]) {
            // A line may be as long as the text: the way from the last place is often shorter.
            None if known <= offset => column + characters(known, offset),
            None => column - characters(offset, known),
            Some(_) => {
                let start = memchr::memrchr(b'\n', &bytes[..offset]).map_or(0, |at| at + 1);
                1 + characters(start, offset)
            }
        };
        self.last.set((offset, column));
        (self.line(offset as u32), column)
    }
}

#[cfg(test)]
mod tests;
