//! Reads plain YAML in block style, as programs write it: a key or an item a line, scalars of one line.
//!
//! All else (flow style save `{}` and `[]`, scalars of many lines, escapes, anchors, tags, directives, tabs, anything
//! but ASCII) and all mistakes are left to the reader that knows the whole of YAML: this one only says that it is not
//! its kind of text. Tests compare the two.

use std::borrow::Cow;

use super::builder::{Builder, Key};
use super::{Tree, Value, yaml};

/// Deeper documents are no manifests.
const MAX_DEPTH: usize = 100;

/// Parses a text in plain block style.
pub(super) fn parse(text: &str) -> Option<Tree<'_>> {
    let mut reader =
        Reader { text, line: 0, next: 0, builder: Builder::new(text), line_now: Line::default() };
    reader.advance()?;
    if reader.line_now.is_end() {
        return None;
    }
    let Line { indent, start, .. } = reader.line_now;
    reader.block(None, indent, start)?;
    reader.line_now.is_end().then(|| reader.builder.finish())
}

/// A line with content, from its first character that is no space.
#[derive(Clone, Copy, Default)]
struct Line {
    /// Characters in front, of which the dashes of items that begin in the same line are some.
    indent: usize,
    start: usize,
    end: usize,
}

impl Line {
    /// Whether there is no further line.
    const fn is_end(&self) -> bool {
        self.start == self.end
    }
}

struct Reader<'t> {
    text: &'t str,
    /// Where the current line begins.
    line: usize,
    /// Where the next line begins.
    next: usize,
    line_now: Line,
    builder: Builder<'t>,
}

impl<'t> Reader<'t> {
    /// Goes to the next line with content, or to the end.
    fn advance(&mut self) -> Option<()> {
        let bytes = self.text.as_bytes();
        while self.next < bytes.len() {
            self.line = self.next;
            let rest = &bytes[self.line..];
            let length = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
            let end = self.line + length;
            self.next = end + 1;
            let line = &rest[..length];
            if !line.iter().all(|byte| (b' '..=b'~').contains(byte)) {
                return None;
            }
            let indent = line.iter().position(|byte| *byte != b' ').unwrap_or(length);
            if indent == length || line[indent] == b'#' {
                continue;
            }
            if line.starts_with(b"---") || line.starts_with(b"...") || line[0] == b'%' {
                return None;
            }
            self.line_now = Line { indent, start: self.line + indent, end };
            return Some(());
        }
        self.line_now = Line::default();
        Some(())
    }

    /// The rest of the current line.
    fn rest(&self) -> &'t str {
        &self.text[self.line_now.start..self.line_now.end]
    }

    fn is_item(&self) -> bool {
        let rest = self.rest();
        rest == "-" || rest.starts_with("- ")
    }

    /// Reads the object or list whose first line is the current one.
    fn block(&mut self, key: Option<Key<'t>>, indent: usize, start: usize) -> Option<()> {
        if self.builder.depth() > MAX_DEPTH {
            return None;
        }
        if self.is_item() {
            self.builder.open_list(key, start as u32);
            while !self.line_now.is_end() && self.line_now.indent == indent && self.is_item() {
                self.item(indent)?;
            }
            self.builder.close(None);
        } else {
            let id = self.builder.open_map(key, start as u32);
            while !self.line_now.is_end() && self.line_now.indent == indent && !self.is_item() {
                self.field(indent)?;
            }
            self.builder.close(None);
            if self.builder.duplicate(id).is_some() {
                return None;
            }
        }
        // Lines in between belong to nothing, or to a scalar of many lines.
        (self.line_now.is_end() || self.line_now.indent <= indent).then_some(())
    }

    fn item(&mut self, indent: usize) -> Option<()> {
        let rest = self.rest();
        let content = rest[1..].trim_start_matches(' ');
        if content.is_empty() || content.starts_with('#') {
            let at = self.line_now.start + 1;
            self.advance()?;
            return self.nested(None, indent, false, at);
        }
        let skipped = rest.len() - content.len();
        self.line_now.start += skipped;
        self.line_now.indent += skipped;
        if self.is_item() || self.key().is_some() {
            let Line { indent, start, .. } = self.line_now;
            return self.block(None, indent, start);
        }
        self.scalar(None, self.line_now.start, indent)
    }

    fn field(&mut self, indent: usize) -> Option<()> {
        let (key, after) = self.key()?;
        let key = (key, self.line_now.start as u32);
        let rest = &self.text[after..self.line_now.end];
        let content = rest.trim_start_matches(' ');
        if content.is_empty() || content.starts_with('#') {
            self.advance()?;
            return self.nested(Some(key), indent, true, after);
        }
        self.scalar(Some(key), after + rest.len() - content.len(), indent)
    }

    /// Reads what stands below a key or a dash: nothing, where the next line is no deeper. Lists may stand as deep as
    /// the key that they belong to.
    fn nested(&mut self, key: Option<Key<'t>>, indent: usize, in_map: bool, at: usize) -> Option<()> {
        let Line { indent: next, start, .. } = self.line_now;
        let deeper = next > indent || (in_map && next == indent && self.is_item());
        if self.line_now.is_end() || !deeper {
            self.builder.add(key, Value::Null, at as u32, at as u32);
            return Some(());
        }
        self.block(key, next, start)
    }

    /// The key that the current line begins with, and where the rest begins.
    fn key(&self) -> Option<(Cow<'t, str>, usize)> {
        let rest = self.rest();
        let (key, length) = match rest.as_bytes().first()? {
            b'"' => {
                let length = rest[1..].find(['"', '\\']).filter(|at| rest.as_bytes()[at + 1] == b'"')?;
                (&rest[1..=length], length + 2)
            }
            first if first.is_ascii_alphanumeric() || matches!(first, b'_' | b'.' | b'/') => {
                let inside = |byte: u8| byte.is_ascii_alphanumeric() || b"_./-".contains(&byte);
                let length = rest.bytes().position(|byte| !inside(byte))?;
                (&rest[..length], length)
            }
            _ => return None,
        };
        let after = rest[length..].strip_prefix(':')?;
        let separate = after.is_empty() || after.starts_with(' ');
        separate.then_some((Cow::Borrowed(key), self.line_now.start + length + 1))
    }

    /// Reads a value that ends with its line.
    fn scalar(&mut self, key: Option<Key<'t>>, start: usize, indent: usize) -> Option<()> {
        let rest = &self.text[start..self.line_now.end];
        let first = *rest.as_bytes().first()?;
        let (value, length) = match first {
            b'"' | b'\'' => {
                let quote = first as char;
                let length = rest[1..].find([quote, '\\'])?;
                let after = &rest[length + 2..];
                let plain = rest.as_bytes()[length + 1] == first;
                let blank = after.trim_start_matches(' ');
                let ends = blank.is_empty() || (blank.starts_with('#') && blank.len() < after.len());
                if !plain || !ends {
                    return None;
                }
                (Value::String(Cow::Borrowed(&rest[1..=length])), length + 2)
            }
            b'{' | b'[' => {
                let empty = rest.trim_end_matches(' ');
                let end = start as u32 + 2;
                match empty {
                    "{}" => self.builder.open_map(key, start as u32),
                    "[]" => self.builder.open_list(key, start as u32),
                    _ => return None,
                };
                self.builder.close(Some(end));
                return self.after_scalar(indent);
            }
            _ => {
                let text = rest.find(" #").map_or(rest, |comment| &rest[..comment]).trim_end_matches(' ');
                if !is_plain(text) {
                    return None;
                }
                (yaml::plain(Cow::Borrowed(text)), text.len())
            }
        };
        self.builder.add(key, value, start as u32, (start + length) as u32);
        self.after_scalar(indent)
    }

    /// Goes on, where the scalar does not.
    fn after_scalar(&mut self, indent: usize) -> Option<()> {
        self.advance()?;
        (self.line_now.is_end() || self.line_now.indent <= indent).then_some(())
    }
}

/// Whether a text is a plain scalar beyond doubt.
fn is_plain(text: &str) -> bool {
    let begins = |byte: &u8| byte.is_ascii_alphanumeric() || b"_./~+".contains(byte);
    let bytes = text.as_bytes();
    // A dash may begin a number or a word, never stand alone.
    let dash = bytes.len() > 1 && bytes[0] == b'-' && bytes[1].is_ascii_alphanumeric();
    (bytes.first().is_some_and(begins) || dash) && !text.contains(": ") && !text.ends_with(':')
}
