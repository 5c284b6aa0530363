//! `metav1.LabelSelector`: matchLabels and matchExpressions.

use std::collections::{BTreeMap, BTreeSet};

use super::meta::is_dns_subdomain;
use super::reader::Field;
use crate::label::Source;
use crate::selector::{Requirement, Selector, Test};

/// A label selector as Kubernetes defines it. In Cilium's policies, keys may begin with a source and a colon.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelSelector {
    /// Labels that must have these values.
    pub match_labels: BTreeMap<String, String>,
    /// Further requirements.
    pub match_expressions: Vec<Expression>,
}

/// A requirement of a [`LabelSelector`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expression {
    /// The label's key.
    pub key: String,
    /// What must be true of its value.
    pub operator: Operator,
    /// The values for [`Operator::In`] and [`Operator::NotIn`].
    pub values: BTreeSet<String>,
}

/// The operator of an [`Expression`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// The value is one of the values.
    In,
    /// The value is none of the values, or there is no such label.
    NotIn,
    /// There is such a label.
    Exists,
    /// There is no such label.
    DoesNotExist,
}

impl LabelSelector {
    /// Whether it matches the labels of a Kubernetes object.
    #[must_use]
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.match_labels.iter().all(|(key, value)| labels.get(key) == Some(value))
            && self.match_expressions.iter().all(|expression| {
                let value = labels.get(&expression.key);
                match expression.operator {
                    Operator::In => value.is_some_and(|value| expression.values.contains(value)),
                    Operator::NotIn => value.is_none_or(|value| !expression.values.contains(value)),
                    Operator::Exists => value.is_some(),
                    Operator::DoesNotExist => value.is_none(),
                }
            })
    }

    /// The keys of all requirements.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        let of_expressions = self.match_expressions.iter().map(|expression| expression.key.as_str());
        self.match_labels.keys().map(String::as_str).chain(of_expressions)
    }

    /// As a [`Selector`]; `key` turns each key into a source and a key.
    pub(crate) fn selector(&self, key: impl Fn(&str) -> (Source, String)) -> Selector {
        let of_labels = self.match_labels.iter().map(|(k, value)| {
            let (source, key) = key(k);
            Requirement::equals(source, key, value)
        });
        let of_expressions = self.match_expressions.iter().map(|expression| {
            let (source, key) = key(&expression.key);
            let values = expression.values.clone();
            let test = match expression.operator {
                Operator::In => Test::In(values),
                Operator::NotIn => Test::NotIn(values),
                Operator::Exists => Test::Exists,
                Operator::DoesNotExist => Test::DoesNotExist,
            };
            Requirement { key, source, test }
        });
        of_labels.chain(of_expressions).collect()
    }
}

/// Whose keys a selector has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Keys {
    /// Kubernetes' own.
    Plain,
    /// With an optional source.
    WithSource,
    /// Unchecked, as where the API server does not look at them.
    Any,
}

/// Reads a selector; none where anything in it is wrong.
pub(super) fn read(field: &Field<'_>, keys: Keys) -> Option<LabelSelector> {
    let before = field.report.count();
    let mut fields = field.object()?;
    let mut selector = LabelSelector::default();
    if let Some(labels) = fields.get("matchLabels").and_then(|field| field.object()) {
        for (key, field) in labels.iter() {
            check_key(&field, key, keys);
            if let Some(value) = field.string() {
                check_value(&field, &value);
                selector.match_labels.insert(key.to_owned(), value);
            }
        }
    }
    for item in fields.get("matchExpressions").and_then(|field| field.list()).unwrap_or_default() {
        selector.match_expressions.extend(expression(&item, keys));
    }
    fields.finish();
    (field.report.count() == before).then_some(selector)
}

fn expression(field: &Field<'_>, keys: Keys) -> Option<Expression> {
    let mut fields = field.object()?;
    let key = fields.require("key", "the label's key").and_then(|field| {
        let key = field.string()?;
        check_key(&field, &key, keys);
        Some(key)
    });
    let operator = fields.require("operator", "In, NotIn, Exists or DoesNotExist").and_then(|field| {
        let name = field.string()?;
        let operator = match name.as_str() {
            "In" => Some(Operator::In),
            "NotIn" => Some(Operator::NotIn),
            "Exists" => Some(Operator::Exists),
            "DoesNotExist" => Some(Operator::DoesNotExist),
            _ => None,
        };
        if operator.is_none() {
            field.error(format!("{name:?} is not an operator"), "In, NotIn, Exists or DoesNotExist");
        }
        operator
    });
    let values_field = fields.get("values");
    let values: BTreeSet<_> =
        values_field.as_ref().and_then(Field::strings).unwrap_or_default().into_iter().collect();
    for value in &values {
        check_value(values_field.as_ref().unwrap_or(field), value);
    }
    match operator {
        Some(Operator::In | Operator::NotIn) if values.is_empty() => {
            field.error("values are missing", "In and NotIn compare with at least one value");
        }
        Some(Operator::Exists | Operator::DoesNotExist) if !values.is_empty() => {
            field.error("values are not allowed", "Exists and DoesNotExist compare with none");
        }
        _ => {}
    }
    fields.finish();
    Some(Expression { key: key?, operator: operator?, values })
}

/// Splits `source:key`; without a source, `default`.
pub(crate) fn split_source(key: &str, default: Source) -> Option<(Source, &str)> {
    match key.split_once(':') {
        None => Some((default, key)),
        Some((source, key)) => Source::from_name(source).map(|source| (source, key)),
    }
}

fn check_key(field: &Field<'_>, key: &str, keys: Keys) {
    match keys {
        Keys::Any => {}
        Keys::Plain => check_label(field, key, None),
        Keys::WithSource => match split_source(key, Source::Any) {
            Some((_, key)) => check_label(field, key, None),
            None => field.error(
                format!("{key:?} does not begin with a label source"),
                "k8s:, any: or reserved:, or no source",
            ),
        },
    }
}

fn check_value(field: &Field<'_>, value: &str) {
    if !is_value(value) {
        field.error(
            format!("{value:?} is not a label value"),
            "at most 63 letters, digits, '-', '_' and '.', the first and last a letter or digit",
        );
    }
}

fn is_value(value: &str) -> bool {
    value.is_empty() || is_name(value)
}

fn is_name(name: &str) -> bool {
    let alphanumeric = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = name.as_bytes();
    bytes.len() <= 63
        && alphanumeric(bytes.first())
        && alphanumeric(bytes.last())
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(b))
}

/// Notes what is wrong with a label: `[prefix/]name`, and a value.
pub(super) fn check_label(field: &Field<'_>, key: &str, value: Option<&str>) {
    let (prefix, name) = key.rsplit_once('/').map_or((None, key), |(prefix, name)| (Some(prefix), name));
    let prefix_fits = prefix.is_none_or(is_dns_subdomain);
    if !(prefix_fits && is_name(name)) {
        field.error(format!("{key:?} is not a label key"), "[prefix/]name, as in app.kubernetes.io/name");
    }
    if let Some(value) = value {
        check_value(field, value);
    }
}
