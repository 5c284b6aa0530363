//! Reads typed values out of a document's tree and notes every mistake with its place.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use super::tree::{NodeId, Tree, Value};
use crate::diagnostic::Diagnostic;
use crate::policy_key::{PolicyKey, RuleRef};

/// Where a document begins in the user's file.
#[derive(Clone)]
pub(super) struct Source {
    pub(super) file: Arc<str>,
    /// Added to the lines of the document.
    pub(super) lines: u32,
    /// Added to the columns of its first line.
    pub(super) columns: u32,
}

impl Source {
    /// A place in the document as one in the file.
    fn place(&self, (line, column): (u32, u32)) -> (u32, u32) {
        (self.lines + line, if line == 1 { self.columns + column } else { column })
    }
}

/// Collects what is wrong with one object.
pub(super) struct Report {
    pub(super) source: Source,
    diagnostics: RefCell<Vec<Diagnostic>>,
}

impl Report {
    pub(super) const fn new(source: Source) -> Self {
        Self { source, diagnostics: RefCell::new(Vec::new()) }
    }

    /// Notes a mistake from one place of the document to another.
    pub(super) fn add(
        &self,
        (start, end): ((u32, u32), (u32, u32)),
        path: String,
        message: String,
        help: Option<String>,
    ) {
        let ((line, column), (end_line, end_column)) = (self.source.place(start), self.source.place(end));
        self.diagnostics.borrow_mut().push(Diagnostic {
            file: self.source.file.to_string(),
            line,
            column,
            end_line,
            end_column,
            path,
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

/// A node, as part of an object.
#[derive(Clone, Copy)]
pub(super) struct Field<'a> {
    pub(super) report: &'a Report,
    tree: &'a Tree<'a>,
    id: NodeId,
    /// Where its path begins.
    root: NodeId,
}

impl<'a> Field<'a> {
    pub(super) const fn root(report: &'a Report, tree: &'a Tree<'a>, id: NodeId) -> Self {
        Self { report, tree, id, root: id }
    }

    pub(super) fn value(&self) -> &'a Value<'a> {
        self.tree.value(self.id)
    }

    /// The path from the root, such as `spec.ingress[0]`.
    pub(super) fn path(&self) -> String {
        let mut steps = Vec::new();
        let mut id = self.id;
        while id != self.root {
            let (parent, index) = self.tree.parent(id);
            steps.push((id, index));
            id = parent;
        }
        let mut path = String::new();
        for (id, index) in steps.into_iter().rev() {
            if !self.tree.has_key(id) {
                // Writing to a string does not fail.
                let _ = write!(path, "[{index}]");
                continue;
            }
            if !path.is_empty() {
                path.push('.');
            }
            path.push_str(self.tree.key(id));
        }
        path
    }

    /// The line in the user's file where the field begins.
    pub(super) fn line(&self) -> u32 {
        let start = match self.tree.has_key(self.id) {
            true => self.tree.key_span(self.id).0,
            false => self.tree.span(self.id).0,
        };
        self.report.source.lines + self.tree.line(start)
    }

    /// The place as part of a policy.
    pub(super) fn origin(&self, policy: PolicyKey) -> RuleRef {
        let file = Arc::clone(&self.report.source.file);
        RuleRef { policy, path: self.path(), file, line: self.line() }
    }

    /// Notes a mistake here, and what would be right.
    pub(super) fn error(&self, message: impl Into<String>, help: impl Into<String>) {
        self.note(self.tree.span(self.id), message.into(), help.into());
    }

    /// Notes a mistake in the field's key.
    pub(super) fn key_error(&self, message: impl Into<String>, help: impl Into<String>) {
        self.note(self.tree.key_span(self.id), message.into(), help.into());
    }

    fn note(&self, (start, end): (u32, u32), message: String, help: String) {
        let span = (self.tree.place(start), self.tree.place(end));
        self.report.add(span, self.path(), message, Some(help).filter(|help| !help.is_empty()));
    }

    fn at(&self, id: NodeId) -> Self {
        Self { id, ..*self }
    }

    /// The field of an object, if it is there; nothing is noted where this is no object.
    pub(super) fn peek(&self, key: &str) -> Option<Self> {
        self.tree.get(self.id, key).map(|id| self.at(id))
    }

    /// Notes that another type of value is wanted.
    pub(super) fn mismatch<T>(&self, wanted: &str) -> Option<T> {
        let help = match (self.value(), wanted) {
            (Value::Integer(n), "a string") => format!("quote it: \"{n}\""),
            (Value::Boolean(b), "a string") => format!("quote it: \"{b}\""),
            _ => String::new(),
        };
        self.error(format!("must be {wanted}, not {}", self.value().kind()), help);
        None
    }

    /// The fields of an object.
    pub(super) fn object(&self) -> Option<Fields<'a>> {
        match self.value() {
            Value::Map(_) => Some(Fields { field: *self, known: Vec::new(), gone: &[] }),
            _ => self.mismatch("an object"),
        }
    }

    /// The items of a list.
    pub(super) fn list(&self) -> Option<Vec<Self>> {
        match self.value() {
            Value::List(_) => Some(self.tree.children(self.id).map(|id| self.at(id)).collect()),
            _ => self.mismatch("a list"),
        }
    }

    /// Whether this is a list without items.
    pub(super) fn is_empty_list(&self) -> bool {
        matches!(self.value(), Value::List(items) if items.count == 0)
    }

    pub(super) fn str(&self) -> Option<&'a str> {
        self.value().as_str().or_else(|| self.mismatch("a string"))
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
            let known: Vec<_> = words.iter().map(|(known, _)| *known).collect();
            let help = did_you_mean(&known, word).unwrap_or_else(|| known.join(", "));
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
        match self.value() {
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
        match self.value() {
            Value::Integer(value) => Some(*value),
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
    gone: &'static [&'static str],
}

impl<'a> Fields<'a> {
    /// All fields, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&'a str, Field<'a>)> {
        let Field { tree, id, .. } = self.field;
        let field = self.field;
        tree.children(id).map(move |id| (tree.key(id), field.at(id)))
    }

    /// A field, if it is there and not null.
    pub(super) fn get(&mut self, key: &'static str) -> Option<Field<'a>> {
        self.known.push(key);
        self.field.peek(key).filter(|field| *field.value() != Value::Null)
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
    pub(super) fn removed(&mut self, keys: &'static [&'static str], help: &str) {
        for key in keys {
            if let Some(field) = self.get(key) {
                field.key_error(format!("{key:?} is no longer part of the API"), help);
            }
        }
        // They are no other field's correction.
        self.gone = keys;
    }

    /// The one field among these that is there, where no other one is.
    pub(super) fn exactly_one(&mut self, keys: &[&'static str]) -> Option<(&'static str, Field<'a>)> {
        let mut found: Vec<_> = keys.iter().filter_map(|key| Some((*key, self.get(key)?))).collect();
        match found.len() {
            // A field that is misspelt is one mistake, not two.
            0 if self.iter().any(|(key, _)| !self.known.contains(&key)) => {}
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
        for (key, field) in self.iter() {
            if self.known.contains(&key) {
                continue;
            }
            let known: Vec<_> =
                self.known.iter().filter(|known| !self.gone.contains(known)).copied().collect();
            let help =
                did_you_mean(&known, key).unwrap_or_else(|| format!("known fields: {}", known.join(", ")));
            // The path is that of the object: the field is none of its own.
            let place = |offset| field.tree.place(offset);
            let (start, end) = field.tree.key_span(field.id);
            let message = format!("unknown field {key:?}");
            self.field.report.add((place(start), place(end)), self.field.path(), message, Some(help));
        }
    }
}

/// Help for a word that is almost a known one.
fn did_you_mean(known: &[&str], word: &str) -> Option<String> {
    let same = known.iter().find(|known| known.eq_ignore_ascii_case(word));
    let found = same.or_else(|| known.iter().find(|known| similar(known, word)));
    found.map(|known| format!("did you mean {known:?}?"))
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
