//! `fieldSelector`: `metadata.name=a,status.phase!=Running`.

use crate::store::Stored;

/// Requirements that fields have to fulfil, all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct FieldSelector {
    requirements: Vec<Requirement>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Requirement {
    field: Field,
    value: String,
    equal: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Name,
    Namespace,
    /// The table's n-th selectable field.
    Indexed(usize),
}

impl FieldSelector {
    /// Reads a selector. `selectable` are the fields besides name and namespace that the kind can be selected by.
    pub(crate) fn parse(text: &str, selectable: &[String]) -> Result<FieldSelector, String> {
        let mut requirements = Vec::new();
        for part in split(text) {
            if part.trim().is_empty() {
                continue;
            }
            let (name, value, equal) = if let Some((name, value)) = part.split_once("!=") {
                (name, value, false)
            } else if let Some((name, value)) = part.split_once("==") {
                (name, value, true)
            } else if let Some((name, value)) = part.split_once('=') {
                (name, value, true)
            } else {
                return Err(format!("invalid selector: '{text}'; can't understand '{part}'"));
            };
            let field = match name.trim() {
                "metadata.name" => Field::Name,
                "metadata.namespace" => Field::Namespace,
                other => match selectable.iter().position(|path| path == other) {
                    Some(n) => Field::Indexed(n),
                    None => return Err(format!("field label not supported: {other}")),
                },
            };
            requirements.push(Requirement { field, value: unescape(value)?, equal });
        }
        Ok(FieldSelector { requirements })
    }

    /// Selects nothing but this name.
    pub(crate) fn require_name(&mut self, name: &str) {
        self.requirements.push(Requirement { field: Field::Name, value: name.to_owned(), equal: true });
    }

    /// Whether everything is selected.
    pub(crate) fn is_empty(&self) -> bool {
        self.requirements.is_empty()
    }

    /// Whether an object's fields fulfil it.
    pub(crate) fn matches(&self, object: &Stored) -> bool {
        self.requirements.iter().all(|requirement| {
            let value = match requirement.field {
                Field::Name => &object.key.name,
                Field::Namespace => &object.key.namespace,
                Field::Indexed(n) => object.field(n),
            };
            (value == requirement.value) == requirement.equal
        })
    }
}

/// Splits at commas that no backslash escapes.
fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut escaped) = (Vec::new(), 0, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ',' => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

fn unescape(text: &str) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some(c @ ('\\' | ',' | '=')) => out.push(c),
                _ => return Err(format!("invalid field selector: invalid escape sequence in value: {text}")),
            },
            ',' | '=' => {
                return Err(format!("invalid field selector: unescaped character in value: {c:?}"));
            }
            c => out.push(c),
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::store::Key;

    fn matches(selector: &str) -> bool {
        let selectable = ["status.phase".to_owned(), "spec.nodeName".to_owned()];
        let value = json!({"metadata": {}, "status": {"phase": "Running"}, "spec": {}});
        let object = Stored::of(Key::new("ns", "a"), 1, &value, &selectable);
        FieldSelector::parse(selector, &selectable).expect(selector).matches(&object)
    }

    #[test]
    fn equal_and_not() {
        for yes in ["", "metadata.name=a", "metadata.namespace==ns", "status.phase!=Failed", "spec.nodeName="]
        {
            assert!(matches(yes), "{yes}");
        }
        for no in
            ["metadata.name=b", "metadata.name=a,status.phase=Failed", "spec.nodeName=x", "metadata.name=\\,"]
        {
            assert!(!matches(no), "{no}");
        }
    }

    #[test]
    fn what_is_no_selector() {
        for bad in ["spec.x=1", "metadata.name", "metadata.name=a=b", "metadata.name=\\a"] {
            assert!(FieldSelector::parse(bad, &[]).is_err(), "{bad}");
        }
    }
}
