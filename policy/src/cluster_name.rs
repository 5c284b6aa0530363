//! A cluster's name.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The longest name, in bytes.
const LONGEST: usize = 32;

/// A cluster's name, as pods carry it in a label: up to 32 lower-case letters, digits and dashes, with no dash at an
/// end. A cluster that nobody named is `default`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterName(Arc<str>);

/// A text that is no cluster's name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no name of a cluster: up to {LONGEST} lower-case letters, digits and dashes, with no dash at an end"
)]
pub struct InvalidClusterName(String);

impl ClusterName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for ClusterName {
    fn default() -> Self {
        Self(Arc::from("default"))
    }
}

impl fmt::Display for ClusterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ClusterName {
    type Err = InvalidClusterName;

    fn from_str(text: &str) -> Result<Self, InvalidClusterName> {
        let of_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let dashed = text.starts_with('-') || text.ends_with('-');
        if text.is_empty() || text.len() > LONGEST || dashed || !text.chars().all(of_name) {
            return Err(InvalidClusterName(text.to_owned()));
        }
        Ok(Self(text.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        for name in ["a", "default", "eu-1", "7", &"a".repeat(32)] {
            assert_eq!(name.parse::<ClusterName>().unwrap().as_str(), name);
        }
        for wrong in ["", "-a", "a-", "A", "a_b", "a.b", &"a".repeat(33)] {
            assert!(wrong.parse::<ClusterName>().is_err(), "{wrong}");
        }
    }
}
