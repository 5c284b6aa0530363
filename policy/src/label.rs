//! Labels: a key and a value, and who says so.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Where a label comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// Not said.
    Unspec,
    /// In a selector: every source. No label has it.
    Any,
    /// Kubernetes objects.
    K8s,
    /// Made by the agent.
    Generated,
    /// The CNI request.
    Cni,
    /// Fixed identities.
    Reserved,
    /// A CIDR.
    Cidr,
    /// A CiliumCIDRGroup.
    CidrGroup,
    /// A node's labels.
    Node,
    /// A DNS name.
    Fqdn,
    /// A policy on disk.
    Directory,
}

impl Source {
    const ALL: [Self; 11] = [
        Self::Unspec,
        Self::Any,
        Self::K8s,
        Self::Generated,
        Self::Cni,
        Self::Reserved,
        Self::Cidr,
        Self::CidrGroup,
        Self::Node,
        Self::Fqdn,
        Self::Directory,
    ];

    /// The source as it stands before the colon of a label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unspec => "unspec",
            Self::Any => "any",
            Self::K8s => "k8s",
            Self::Generated => "gen",
            Self::Cni => "cni",
            Self::Reserved => "reserved",
            Self::Cidr => "cidr",
            Self::CidrGroup => "cidrgroup",
            Self::Node => "node",
            Self::Fqdn => "fqdn",
            Self::Directory => "directory",
        }
    }

    /// The source of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|source| source.as_str() == name)
    }

    /// Whether a selector that asks for this source accepts a label of that one.
    #[must_use]
    pub fn accepts(self, label: Self) -> bool {
        self == Self::Any || self == label
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A label, written `source:key=value`, or `source:key` where the value is empty.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label {
    /// The key, without the source.
    pub key: String,
    /// Who says so.
    pub source: Source,
    /// The value, often empty for reserved labels.
    pub value: String,
}

impl Label {
    /// A label of any source.
    #[must_use]
    pub fn new(source: Source, key: impl Into<String>, value: impl Into<String>) -> Self {
        Self { key: key.into(), source, value: value.into() }
    }

    /// A label of a Kubernetes object.
    #[must_use]
    pub fn k8s(key: impl Into<String>, value: impl Into<String>) -> Self {
        Self::new(Source::K8s, key, value)
    }

    /// A label of a fixed identity, such as `reserved:host`.
    #[must_use]
    pub fn reserved(name: &str) -> Self {
        Self::new(Source::Reserved, name, "")
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.source, self.key)?;
        if self.value.is_empty() { Ok(()) } else { write!(f, "={}", self.value) }
    }
}

/// A text that is not a label.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseLabelError {
    /// What stands before the colon is no source.
    #[error("label {text:?}: {source_name:?} is not a label source")]
    UnknownSource {
        /// The whole text.
        text: String,
        /// What stands for the source.
        source_name: String,
    },
    /// There is no key.
    #[error("label {text:?} has no key")]
    NoKey {
        /// The whole text.
        text: String,
    },
}

impl FromStr for Label {
    type Err = ParseLabelError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        let (source, key) = match name.split_once(':') {
            None => (Source::Unspec, name),
            Some((source_name, key)) => match Source::from_name(source_name) {
                Some(source) => (source, key),
                None => {
                    return Err(ParseLabelError::UnknownSource {
                        text: text.into(),
                        source_name: source_name.into(),
                    });
                }
            },
        };
        if key.is_empty() {
            return Err(ParseLabelError::NoKey { text: text.into() });
        }
        Ok(Self::new(source, key, value))
    }
}

impl Serialize for Label {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Label {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A set of labels, sorted by key, with one value for each source and key. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LabelSet(pub(crate) Arc<[Arc<Label>]>);

/// The labels of a set in order.
pub type Labels<'a> = std::iter::Map<std::slice::Iter<'a, Arc<Label>>, fn(&'a Arc<Label>) -> &'a Label>;

impl LabelSet {
    /// The labels in order.
    pub fn iter(&self) -> Labels<'_> {
        self.0.iter().map(AsRef::as_ref)
    }

    /// The labels in order, for whoever keeps some of them.
    pub(crate) fn shared(&self) -> &[Arc<Label>] {
        &self.0
    }

    /// The number of labels.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no labels.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The labels with this key, of whatever source.
    pub fn with_key<'a>(&'a self, key: &str) -> impl Iterator<Item = &'a Label> {
        let start = self.0.partition_point(|label| label.key.as_str() < key);
        let len = self.0[start..].partition_point(|label| label.key == key);
        self.0[start..start + len].iter().map(AsRef::as_ref)
    }

    /// The value of a label.
    #[must_use]
    pub fn get(&self, source: Source, key: &str) -> Option<&str> {
        self.with_key(key).find(|label| label.source == source).map(|label| label.value.as_str())
    }

    /// The namespace of the pod that carries these labels.
    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        self.get(Source::K8s, crate::pod::NAMESPACE)
    }
}

impl FromIterator<Label> for LabelSet {
    /// Of several labels with the same source and key, the last one stays.
    fn from_iter<I: IntoIterator<Item = Label>>(labels: I) -> Self {
        let mut map = std::collections::BTreeMap::new();
        for label in labels {
            map.insert((label.key, label.source), label.value);
        }
        let label = |((key, source), value)| Arc::new(Label { key, source, value });
        Self(map.into_iter().map(label).collect())
    }
}

impl<'a> IntoIterator for &'a LabelSet {
    type Item = &'a Label;
    type IntoIter = Labels<'a>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for LabelSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, label) in self.iter().enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            write!(f, "{label}")?;
        }
        Ok(())
    }
}

impl Serialize for LabelSet {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for LabelSet {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Vec::<Label>::deserialize(deserializer)?.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_round_trips() {
        for text in ["k8s:app=web", "reserved:host", "k8s:io.kubernetes.pod.namespace=default", "any:a=b=c"] {
            assert_eq!(text.parse::<Label>().unwrap().to_string(), text);
        }
        assert_eq!("app=web".parse::<Label>().unwrap().to_string(), "unspec:app=web");
        assert!(matches!("dog:app".parse::<Label>(), Err(ParseLabelError::UnknownSource { .. })));
        assert!(matches!("k8s:=web".parse::<Label>(), Err(ParseLabelError::NoKey { .. })));
    }

    #[test]
    fn set_is_sorted_and_the_last_value_wins() {
        let set: LabelSet =
            [Label::k8s("b", "1"), Label::k8s("a", "1"), Label::k8s("b", "2")].into_iter().collect();
        assert_eq!(set.to_string(), "k8s:a=1,k8s:b=2");
        assert_eq!(set.get(Source::K8s, "b"), Some("2"));
        assert_eq!(set.get(Source::Cni, "b"), None);
        assert_eq!(serde_json::to_string(&set).unwrap(), r#"["k8s:a=1","k8s:b=2"]"#);
        assert_eq!(serde_json::from_str::<LabelSet>(r#"["k8s:b=2","k8s:a=1"]"#).unwrap(), set);
    }
}
