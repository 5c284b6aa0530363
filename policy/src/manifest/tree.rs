//! A YAML (or JSON) document as a tree whose nodes know where they stand.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Spanned};

/// A value and its place.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) value: Value,
    /// From 1; zero where unknown.
    pub(super) line: u32,
    /// From 1; zero where unknown.
    pub(super) column: u32,
}

#[derive(Clone, Debug)]
pub(super) enum Value {
    Null,
    Boolean(bool),
    Integer(i64),
    /// A number that is no whole one, or beyond 64 bits.
    Number,
    String(String),
    List(Vec<Node>),
    /// In the order of the document: key, the key's place, value.
    Map(Vec<(String, (u32, u32), Node)>),
}

impl Value {
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

impl Node {
    /// The value of a key, if this is an object that has it.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|(k, ..)| k == key).map(|(.., node)| node),
            _ => None,
        }
    }

    /// The text, if this is a string.
    pub(super) fn as_str(&self) -> Option<&str> {
        self.value.as_str()
    }
}

/// Why a text is no document: line and column from 1 within it (zero where unknown), and the parser's words.
#[derive(Debug)]
pub(super) struct SyntaxError {
    pub(super) line: u32,
    pub(super) column: u32,
    pub(super) message: String,
}

/// Parses one document.
pub(super) fn parse(text: &str) -> Result<Node, SyntaxError> {
    // Only true and false are booleans: people call namespaces y.
    let options = serde_saphyr::options! {
        strict_booleans: true,
        budget: serde_saphyr::budget! {
            max_events: 40_000_000,
            max_nodes: 10_000_000,
            max_total_scalar_bytes: 1 << 30,
        },
    };
    serde_saphyr::from_str_with_options::<Spanned<Value>>(text, options).map(Node::from).map_err(|error| {
        let (line, column) = error.location().map_or((0, 0), place);
        let rendered = error.without_snippet().to_string();
        // The parser repeats the place in its message; ours has it already.
        let message = rendered.split(" at line ").next().unwrap_or(&rendered);
        let message =
            message.strip_prefix("error: ").unwrap_or(message).trim_end_matches(['.', ':']).to_owned();
        SyntaxError { line, column, message }
    })
}

fn place(location: Location) -> (u32, u32) {
    let narrow = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
    (narrow(location.line()), narrow(location.column()))
}

impl From<Spanned<Value>> for Node {
    fn from(spanned: Spanned<Value>) -> Self {
        let (line, column) = place(spanned.referenced);
        Self { value: spanned.value, line, column }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Boolean(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Integer(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(i64::try_from(value).map_or(Value::Number, Value::Integer))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Value, E> {
        Ok(i64::try_from(value).map_or(Value::Number, Value::Integer))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Value, E> {
        Ok(i64::try_from(value).map_or(Value::Number, Value::Integer))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Value, E> {
        Ok(Value::Number)
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element::<Spanned<Value>>()? {
            list.push(item.into());
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Vec::new();
        while let Some((key, value)) = entries.next_entry::<Spanned<String>, Spanned<Value>>()? {
            map.push((key.value, place(key.referenced), value.into()));
        }
        Ok(Value::Map(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_know_their_places() {
        let root = parse("a:\n  - b: 1\n    c: \"2\"\n  - {d: yes, e: null, f: ~}\n").unwrap();
        let list = root.get("a").unwrap();
        let Value::List(items) = &list.value else { panic!("{list:?}") };
        assert_eq!((items[0].line, items[0].column), (2, 5));
        let c = items[0].get("c").unwrap();
        assert_eq!((c.as_str(), c.line, c.column), (Some("2"), 3, 8));
        assert!(matches!(items[0].get("b").unwrap().value, Value::Integer(1)));
        assert!(matches!(items[1].get("e").unwrap().value, Value::Null));
        assert!(matches!(items[1].get("f").unwrap().value, Value::Null));
        let Value::Map(entries) = &items[0].value else { panic!() };
        assert_eq!(entries[1].1, (3, 5));
    }

    #[test]
    fn booleans_are_true_and_false() {
        let root = parse("[y, no, On, true, 1.10, \"1\", 0x10, 1_0]").unwrap();
        let Value::List(items) = &root.value else { panic!() };
        let kinds: Vec<_> = items.iter().map(|item| item.value.kind()).collect();
        assert_eq!(kinds[..6], ["a string", "a string", "a string", "a boolean", "a number", "a string"]);
    }

    #[test]
    fn json_is_yaml() {
        let root = parse("{\n\t\"a\": [1, {\"b\": \"x\\u0041\"}],\n\t\"c\": true}").unwrap();
        assert!(matches!(root.get("c").unwrap().value, Value::Boolean(true)));
        let Value::List(items) = &root.get("a").unwrap().value else { panic!() };
        assert_eq!(items[1].get("b").unwrap().as_str(), Some("xA"));
    }

    #[test]
    fn mistakes_have_a_place() {
        let error = parse("a: 1\nb: [\nc: 2\n").unwrap_err();
        assert!(error.line >= 2, "{error:?}");
        let error = parse("a: 1\nb: 2\na: 3\n").unwrap_err();
        assert_eq!(error.line, 3, "{error:?}");
        assert!(error.message.contains('a'), "{error:?}");
    }
}
