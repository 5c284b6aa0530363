//! Label selectors as text.

use std::str::FromStr;

use kube::core::{Expression, Selector as Expressions, SelectorExt as _};

use crate::options::Labels;

/// Conditions on labels that must all hold: `key=value`, `key!=value`, `key`, `!key`, apart by commas.
#[derive(Clone, Debug)]
pub struct Selector {
    expressions: Expressions,
    keys: Vec<String>,
}

/// A text that is no selector.
#[derive(Debug, thiserror::Error)]
#[error("{text:?} is not one of `key=value`, `key!=value`, `key`, `!key`")]
pub struct InvalidSelector {
    text: String,
}

impl Selector {
    /// Whether labels fulfil all conditions.
    #[must_use]
    pub fn matches(&self, labels: &Labels) -> bool {
        self.expressions.matches(labels)
    }

    /// Whether a condition is about this key.
    #[must_use]
    pub fn names(&self, key: &str) -> bool {
        self.keys.iter().any(|name| name == key)
    }
}

impl FromStr for Selector {
    type Err = InvalidSelector;

    fn from_str(text: &str) -> Result<Self, InvalidSelector> {
        let mut keys = Vec::new();
        let mut expressions = Vec::new();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (key, expression) = if let Some((key, value)) = part.split_once("!=") {
                (key, Expression::NotEqual(key.trim().to_owned(), value.trim().to_owned()))
            } else if let Some((key, value)) = part.split_once('=') {
                // Two of them mean the same.
                let value = value.strip_prefix('=').unwrap_or(value);
                (key, Expression::Equal(key.trim().to_owned(), value.trim().to_owned()))
            } else if let Some(key) = part.strip_prefix('!') {
                (key, Expression::DoesNotExist(key.trim().to_owned()))
            } else {
                (part, Expression::Exists(part.to_owned()))
            };
            let key = key.trim();
            if key.is_empty() || key.contains(|c: char| c.is_whitespace() || "!=()".contains(c)) {
                return Err(InvalidSelector { text: part.to_owned() });
            }
            keys.push(key.to_owned());
            expressions.push(expression);
        }
        Ok(Self { expressions: expressions.into_iter().collect(), keys })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(selector: &str, labels: &[(&str, &str)]) -> bool {
        let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        selector.parse::<Selector>().unwrap().matches(&labels)
    }

    #[test]
    fn conditions() {
        let dns = [("k8s-app", "kube-dns"), ("tier", "system")];
        assert!(matches("", &dns));
        assert!(matches("k8s-app=kube-dns", &dns));
        assert!(matches("k8s-app==kube-dns, tier", &dns));
        assert!(!matches("k8s-app=kube-dns,tier!=system", &dns));
        assert!(matches("!gone", &dns));
        assert!(!matches("!tier", &dns));
        for wrong in ["=x", "a in (b,c)", "a b"] {
            assert!(wrong.parse::<Selector>().is_err(), "{wrong}");
        }
        assert!("a=b,c".parse::<Selector>().unwrap().names("c"));
    }
}
