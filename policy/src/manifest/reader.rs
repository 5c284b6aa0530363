//! Reads typed values out of a document's tree and notes every mistake with its place.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::tree::{Node, Value};
use crate::diagnostic::Diagnostic;
use crate::policy_key::{PolicyKey, RuleRef};

/// Collects what is wrong with one object.
pub(super) struct Report {
    pub(super) file: Arc<str>,
    /// Added to the lines of nodes.
    pub(super) line_offset: u32,
    diagnostics: RefCell<Vec<Diagnostic>>,
}

impl Report {
    pub(super) const fn new(file: Arc<str>, line_offset: u32) -> Self {
        Self { file, line_offset, diagnostics: RefCell::new(Vec::new()) }
    }

    pub(super) fn add(&self, place: (u32, u32), path: &str, message: String, help: Option<String>) {
        self.diagnostics.borrow_mut().push(Diagnostic {
            file: self.file.to_string(),
            line: self.line_offset + place.0.max(1),
            column: place.1.max(1),
            path: path.to_owned(),
            message,
            help,
        });
    }

    /// How many mistakes there are so far.
    pub(super) fn count(&self) -> usize {
        self.diagnostics.borrow().len()
    }

    pub(super) fn into_diagnostics(self) -> Vec<Diagnostic> {
        self.diagnostics.into_inner()
    }
}

/// A node with its path from the root.
#[derive(Clone)]
pub(super) struct Field<'a> {
    pub(super) report: &'a Report,
    pub(super) node: &'a Node,
    pub(super) path: String,
    /// The line of its key within the document, where it has one.
    key_line: Option<u32>,
}

impl<'a> Field<'a> {
    pub(super) const fn root(report: &'a Report, node: &'a Node) -> Self {
        Self { report, node, path: String::new(), key_line: None }
    }

    /// The line in the user's file where the field begins.
    pub(super) fn line(&self) -> u32 {
        self.report.line_offset + self.key_line.unwrap_or(self.node.line).max(1)
    }

    /// The path from the root, such as `spec.ingress[0]`.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    pub(super) const fn value(&self) -> &'a Value {
        &self.node.value
    }

    /// The place as part of a policy.
    pub(super) fn origin(&self, policy: PolicyKey) -> RuleRef {
        RuleRef { policy, path: self.path.clone(), file: Arc::clone(&self.report.file), line: self.line() }
    }

    /// Notes a mistake here, and what would be right.
    pub(super) fn error(&self, message: impl Into<String>, help: impl Into<String>) {
        let help = Some(help.into()).filter(|help| !help.is_empty());
        self.report.add((self.node.line, self.node.column), &self.path, message.into(), help);
    }

    /// Notes that another type of value is wanted.
    pub(super) fn mismatch<T>(&self, wanted: &str) -> Option<T> {
        let help = match (&self.node.value, wanted) {
            (Value::Integer(n), "a string") => format!("quote it: \"{n}\""),
            (Value::Boolean(b), "a string") => format!("quote it: \"{b}\""),
            _ => String::new(),
        };
        self.error(format!("must be {wanted}, not {}", self.node.value.kind()), help);
        None
    }

    /// The fields of an object.
    pub(super) fn object(&self) -> Option<Fields<'a>> {
        match &self.node.value {
            Value::Map(_) => Some(Fields { field: self.clone(), known: Vec::new(), gone: Vec::new() }),
            _ => self.mismatch("an object"),
        }
    }

    /// The items of a list.
    pub(super) fn list(&self) -> Option<Vec<Self>> {
        match &self.node.value {
            Value::List(items) => Some(
                items
                    .iter()
                    .enumerate()
                    .map(|(i, node)| Self {
                        report: self.report,
                        node,
                        path: format!("{}[{i}]", self.path),
                        key_line: None,
                    })
                    .collect(),
            ),
            _ => self.mismatch("a list"),
        }
    }

    /// Whether this is a list without items.
    pub(super) fn is_empty_list(&self) -> bool {
        matches!(&self.node.value, Value::List(items) if items.is_empty())
    }

    pub(super) fn str(&self) -> Option<&'a str> {
        self.node.as_str().or_else(|| self.mismatch("a string"))
    }

    pub(super) fn string(&self) -> Option<String> {
        self.str().map(ToOwned::to_owned)
    }

    /// A string that is not empty.
    pub(super) fn text(&self) -> Option<String> {
        let text = self.string()?;
        if text.is_empty() {
            self.error("is empty", "");
            return None;
        }
        Some(text)
    }

    /// One of these words, of which `what` is the name.
    pub(super) fn word<T: Copy>(&self, what: &str, words: &[(&str, T)]) -> Option<T> {
        let word = self.str()?;
        let found = words.iter().find(|(known, _)| *known == word);
        if found.is_none() {
            let alike = words.iter().find(|(known, _)| similar(known, word));
            let all = || words.iter().map(|(known, _)| *known).collect::<Vec<_>>().join(", ");
            let help = alike.map_or_else(all, |(known, _)| format!("did you mean {known:?}?"));
            self.error(format!("{word:?} is not {what}"), help);
        }
        found.map(|(_, value)| *value)
    }

    /// Notes a list that is too long.
    pub(super) fn at_most(&self, items: usize, limit: usize) {
        if items > limit {
            self.error(format!("has {items} items"), format!("at most {limit}"));
        }
    }

    pub(super) fn boolean(&self) -> Option<bool> {
        match &self.node.value {
            Value::Boolean(value) => Some(*value),
            // YAML 1.1 has more words for it, and kubectl knows them.
            Value::String(word) => match word.to_ascii_lowercase().as_str() {
                "yes" | "on" | "y" => Some(true),
                "no" | "off" | "n" => Some(false),
                _ => self.mismatch("a boolean"),
            },
            _ => self.mismatch("a boolean"),
        }
    }

    pub(super) fn integer(&self) -> Option<i64> {
        match self.node.value {
            Value::Integer(value) => Some(value),
            _ => self.mismatch("a whole number"),
        }
    }

    /// A port number.
    pub(super) fn port(&self) -> Option<u16> {
        let number = self.integer()?;
        match u16::try_from(number) {
            Ok(port) if port > 0 => Some(port),
            _ => {
                self.error(format!("{number} is not a port"), "ports are 1 to 65535");
                None
            }
        }
    }

    /// The strings of a list.
    pub(super) fn strings(&self) -> Option<Vec<String>> {
        let items = self.list()?;
        let strings: Vec<_> = items.iter().filter_map(Self::string).collect();
        (strings.len() == items.len()).then_some(strings)
    }

    /// An object whose values are strings.
    pub(super) fn string_map(&self) -> Option<BTreeMap<String, String>> {
        let fields = self.object()?;
        Some(fields.iter().filter_map(|(key, field)| Some((key.to_owned(), field.string()?))).collect())
    }
}

/// The fields of an object, of which those asked for are known.
pub(super) struct Fields<'a> {
    pub(super) field: Field<'a>,
    known: Vec<&'static str>,
    /// Known, but no longer part of the API.
    gone: Vec<&'static str>,
}

impl<'a> Fields<'a> {
    fn entries(&self) -> &'a [(String, (u32, u32), Node)] {
        match &self.field.node.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    fn child(&self, (key, place, node): &'a (String, (u32, u32), Node)) -> Field<'a> {
        let parent = &self.field.path;
        let path = if parent.is_empty() { key.to_owned() } else { format!("{parent}.{key}") };
        Field { report: self.field.report, node, path, key_line: Some(place.0) }
    }

    /// All fields, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&'a str, Field<'a>)> {
        self.entries().iter().map(|entry| (entry.0.as_str(), self.child(entry)))
    }

    /// A field, if it is there and not null.
    pub(super) fn get(&mut self, key: &'static str) -> Option<Field<'a>> {
        self.known.push(key);
        let entry = self.entries().iter().find(|(name, ..)| name == key)?;
        (!matches!(entry.2.value, Value::Null)).then(|| self.child(entry))
    }

    /// A field that must be there.
    pub(super) fn require(&mut self, key: &'static str, help: &str) -> Option<Field<'a>> {
        let field = self.get(key);
        if field.is_none() {
            self.field.error(format!("{key:?} is missing"), help);
        }
        field
    }

    /// Fields that are accepted and mean nothing to policy.
    pub(super) fn ignore(&mut self, keys: &[&'static str]) {
        self.known.extend(keys);
    }

    /// Fields that were part of the API once.
    pub(super) fn removed(&mut self, keys: &[&'static str], help: &str) {
        for key in keys {
            if let Some(field) = self.get(key) {
                field.error(format!("{key:?} is no longer part of the API"), help);
            }
            // So that it is no other field's correction.
            self.gone.push(key);
        }
    }

    /// The one field among these that is there, where no other one is.
    pub(super) fn exactly_one(&mut self, keys: &[&'static str]) -> Option<(&'static str, Field<'a>)> {
        let mut found: Vec<_> = keys.iter().filter_map(|key| Some((*key, self.get(key)?))).collect();
        match found.len() {
            0 => self.field.error("names nothing", format!("one of {}", keys.join(", "))),
            1 => return found.pop(),
            _ => {
                let (first, (key, second)) = (found[0].0, &found[1]);
                second.error(format!("{key} stands beside {first}"), format!("one of {}", keys.join(", ")));
            }
        }
        None
    }

    /// Refuses all other fields.
    pub(super) fn finish(self) {
        self.refuse_others();
    }

    /// As [`Fields::finish`], where fields are still asked for.
    pub(super) fn refuse_others(&self) {
        for (key, place, _) in self.entries() {
            if self.known.contains(&key.as_str()) {
                continue;
            }
            let known = || self.known.iter().filter(|known| !self.gone.contains(known));
            let alike = known().find(|known| similar(known, key));
            let help = alike.map_or_else(
                || format!("known fields: {}", known().copied().collect::<Vec<_>>().join(", ")),
                |known| format!("did you mean {known:?}?"),
            );
            self.field.report.add(*place, &self.field.path, format!("unknown field {key:?}"), Some(help));
        }
    }
}

/// Whether two words are the same but for case, a swap, or two letters.
fn similar(a: &str, b: &str) -> bool {
    let (a, b) = (a.to_lowercase(), b.to_lowercase());
    let (mut x, mut y) = (a.chars().collect::<Vec<_>>(), b.chars().collect::<Vec<_>>());
    if x.len().abs_diff(y.len()) > 2 || x.len().min(y.len()) < 3 {
        return a == b;
    }
    // Letters that are left when the common beginning and end are cut off.
    while !x.is_empty() && !y.is_empty() && x[0] == y[0] {
        x.remove(0);
        y.remove(0);
    }
    while !x.is_empty() && !y.is_empty() && x.last() == y.last() {
        x.pop();
        y.pop();
    }
    x.len().max(y.len()) <= 2
}
