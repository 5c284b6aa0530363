//! Label selectors, with sources.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use crate::label::{LabelSet, Source};

/// What must be true of a label set. All requirements must hold; without any, every label set matches.
///
/// Requirements are kept sorted, so that equal selectors compare equal however they were written. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Selector(Arc<Vec<Requirement>>);

/// One requirement of a [`Selector`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Requirement {
    /// The key, without the source.
    pub key: String,
    /// The source that the label must have; [`Source::Any`] accepts all.
    pub source: Source,
    /// What must be true of the value.
    pub test: Test,
}

/// What must be true of a label's value, as in Kubernetes' `matchExpressions`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Test {
    /// The label is there, and its value is one of these.
    In(BTreeSet<String>),
    /// The label is missing, or its value is none of these.
    NotIn(BTreeSet<String>),
    /// The label is there.
    Exists,
    /// The label is missing.
    DoesNotExist,
}

impl Requirement {
    /// The label has this value.
    #[must_use]
    pub fn equals(source: Source, key: impl Into<String>, value: impl Into<String>) -> Self {
        Self { key: key.into(), source, test: Test::In([value.into()].into()) }
    }

    /// The label is there.
    #[must_use]
    pub fn exists(source: Source, key: impl Into<String>) -> Self {
        Self { key: key.into(), source, test: Test::Exists }
    }

    /// Whether it holds.
    #[must_use]
    pub fn matches(&self, labels: &LabelSet) -> bool {
        let mut values =
            labels.with_key(&self.key).filter(|label| self.source.accepts(label.source)).map(|l| &l.value);
        match &self.test {
            Test::In(wanted) => values.any(|value| wanted.contains(value)),
            Test::NotIn(unwanted) => !values.any(|value| unwanted.contains(value)),
            Test::Exists => values.next().is_some(),
            Test::DoesNotExist => values.next().is_none(),
        }
    }
}

impl Selector {
    /// The selector that matches every label set.
    #[must_use]
    pub fn everything() -> Self {
        Self::default()
    }

    /// The requirements, sorted.
    #[must_use]
    pub fn requirements(&self) -> &[Requirement] {
        &self.0
    }

    /// Whether all requirements hold.
    #[must_use]
    pub fn matches(&self, labels: &LabelSet) -> bool {
        self.0.iter().all(|requirement| requirement.matches(labels))
    }

    /// With one more requirement.
    #[must_use]
    pub fn and(mut self, requirement: Requirement) -> Self {
        if let Err(at) = self.0.binary_search(&requirement) {
            Arc::make_mut(&mut self.0).insert(at, requirement);
        }
        self
    }
}

impl FromIterator<Requirement> for Selector {
    fn from_iter<I: IntoIterator<Item = Requirement>>(requirements: I) -> Self {
        Self(Arc::new(requirements.into_iter().collect::<BTreeSet<_>>().into_iter().collect()))
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("everything");
        }
        for (i, requirement) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            write!(f, "{requirement}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list =
            |values: &BTreeSet<String>| values.iter().map(String::as_str).collect::<Vec<_>>().join(",");
        let Self { key, source, test } = self;
        match test {
            Test::In(values) if values.len() == 1 => write!(f, "{source}:{key}={}", list(values)),
            Test::In(values) => write!(f, "{source}:{key} in ({})", list(values)),
            Test::NotIn(values) => write!(f, "{source}:{key} notin ({})", list(values)),
            Test::Exists => write!(f, "{source}:{key}"),
            Test::DoesNotExist => write!(f, "!{source}:{key}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::label::Label;

    #[test]
    fn requirements_as_kubernetes_has_them() {
        let labels: LabelSet =
            [Label::k8s("app", "web"), Label::new(Source::Cni, "zone", "a")].into_iter().collect();
        let set = |values: &[&str]| values.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
        let cases = [
            (Source::K8s, "app", Test::In(set(&["web", "db"])), true),
            (Source::K8s, "app", Test::In(set(&["db"])), false),
            (Source::K8s, "app", Test::NotIn(set(&["web"])), false),
            (Source::K8s, "app", Test::NotIn(set(&["db"])), true),
            // A missing key satisfies NotIn.
            (Source::K8s, "tier", Test::NotIn(set(&["db"])), true),
            (Source::K8s, "tier", Test::Exists, false),
            (Source::K8s, "tier", Test::DoesNotExist, true),
            (Source::K8s, "zone", Test::Exists, false),
            (Source::Any, "zone", Test::Exists, true),
            (Source::Cni, "zone", Test::In(set(&["a"])), true),
            (Source::K8s, "zone", Test::DoesNotExist, true),
            (Source::Any, "zone", Test::DoesNotExist, false),
        ];
        for (source, key, test, expected) in cases {
            let requirement = Requirement { key: key.into(), source, test };
            assert_eq!(requirement.matches(&labels), expected, "{requirement}");
        }
        assert!(Selector::everything().matches(&LabelSet::default()));
    }
}
