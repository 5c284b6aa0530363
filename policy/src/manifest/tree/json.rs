//! Reads JSON (RFC 8259) with the place of every value.
//!
//! What is wrong or unusual is left to the reader of YAML, of which JSON is a part: this one only says that it is
//! not plain JSON.

use std::borrow::Cow;

use super::builder::{Builder, Key};
use super::{Tree, Value};

/// Deeper documents are no manifests.
const MAX_DEPTH: usize = 128;

/// Parses a text that is plain JSON.
pub(super) fn parse(text: &str) -> Option<Tree<'_>> {
    let mut reader = Reader { text, at: 0, builder: Builder::new(text) };
    reader.space();
    reader.value(None)?;
    reader.space();
    (reader.at == text.len()).then(|| reader.builder.finish())
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    builder: Builder<'t>,
}

impl<'t> Reader<'t> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        let found = self.peek()? == byte;
        self.at += 1;
        found.then_some(())
    }

    fn value(&mut self, key: Option<Key<'t>>) -> Option<()> {
        let start = self.at as u32;
        let value = match self.peek()? {
            b'{' => return self.container(key, b'}'),
            b'[' => return self.container(key, b']'),
            b'"' => Value::String(self.string()?),
            b't' => self.word("true", Value::Boolean(true))?,
            b'f' => self.word("false", Value::Boolean(false))?,
            b'n' => self.word("null", Value::Null)?,
            _ => self.number()?,
        };
        self.builder.add(key, value, start, self.at as u32);
        Some(())
    }

    fn word(&mut self, word: &str, value: Value<'t>) -> Option<Value<'t>> {
        let found = self.text[self.at..].starts_with(word);
        self.at += word.len();
        found.then_some(value)
    }

    fn container(&mut self, key: Option<Key<'t>>, end: u8) -> Option<()> {
        let start = self.at as u32;
        let is_map = end == b'}';
        let id = match is_map {
            true => self.builder.open_map(key, start),
            false => self.builder.open_list(key, start),
        };
        if self.builder.depth() > MAX_DEPTH {
            return None;
        }
        self.at += 1;
        self.space();
        if self.peek()? == end {
            self.at += 1;
        } else {
            loop {
                let key = match is_map {
                    true => {
                        let start = self.at as u32;
                        let key = self.string()?;
                        self.space();
                        self.expect(b':')?;
                        self.space();
                        Some((key, start))
                    }
                    false => None,
                };
                self.value(key)?;
                self.space();
                let next = self.peek()?;
                self.at += 1;
                match next {
                    b',' => self.space(),
                    next if next == end => break,
                    _ => return None,
                }
            }
        }
        self.builder.close(Some(self.at as u32));
        self.builder.duplicate(id).is_none().then_some(())
    }

    fn string(&mut self) -> Option<Cow<'t, str>> {
        self.expect(b'"')?;
        let start = self.at;
        let bytes = self.text.as_bytes();
        let rest = bytes.get(self.at..)?;
        self.at += rest.iter().position(|byte| *byte < 0x20 || matches!(byte, b'"' | b'\\'))?;
        match bytes[self.at] {
            b'"' => {}
            b'\\' => return self.escaped(start).map(Cow::Owned),
            _ => return None,
        }
        let text = &self.text[start..self.at];
        self.at += 1;
        Some(Cow::Borrowed(text))
    }

    /// The rest of a string that has a backslash here.
    fn escaped(&mut self, start: usize) -> Option<String> {
        let bytes = self.text.as_bytes();
        let mut end = self.at;
        loop {
            match bytes.get(end)? {
                b'"' => break,
                b'\\' => end += 2,
                _ => end += 1,
            }
        }
        self.at = end + 1;
        // The quotes are characters of one byte.
        serde_json::from_str(&self.text[start - 1..=end]).ok()
    }

    fn number(&mut self) -> Option<Value<'t>> {
        let rest = &self.text.as_bytes()[self.at..];
        let length = rest
            .iter()
            .position(|byte| !matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E'))
            .unwrap_or(rest.len());
        let text = &self.text[self.at..self.at + length];
        self.at += length;
        let digits = text.strip_prefix('-').unwrap_or(text);
        let leading_zero = digits.len() > 1 && digits.starts_with('0');
        if !digits.is_empty() && !leading_zero && digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Some(text.parse().map_or(Value::Number, Value::Integer));
        }
        serde_json::from_str::<serde_json::Number>(text).ok().map(|_| Value::Number)
    }
}
