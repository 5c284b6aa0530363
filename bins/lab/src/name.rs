//! Names of labs, and of the network namespaces that they make.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The longest name of a namespace that the lab makes.
const LONGEST: usize = 60;

/// A lab's name: up to 20 lower-case letters, digits and dashes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LabName(String);

impl LabName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name that a namespace of this lab should have. It may be taken: `a` + `b-c` looks like `a-b` +
    /// `c`. Then [`other_namespace`](Self::other_namespace) is for it, and either is written down.
    #[must_use]
    pub fn namespace(&self, of: &str) -> String {
        let name = format!("netloom-{self}-{of}");
        if name.len() <= LONGEST { name } else { self.other_namespace(of) }
    }

    /// A name with a hash of what it is for.
    #[must_use]
    pub fn other_namespace(&self, of: &str) -> String {
        let mut hasher = DefaultHasher::new();
        (&self.0, of).hash(&mut hasher);
        let mut name = format!("netloom-{self}-{of}");
        // Names are ASCII: labs', pods' and Kubernetes' namespaces'.
        name.truncate(LONGEST - 9);
        format!("{name}-{:08x}", hasher.finish() as u32)
    }
}

impl fmt::Display for LabName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for LabName {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let ends = |c: Option<char>| c.is_some_and(|c| c != '-');
        if name.len() <= 20
            && name.chars().all(fits)
            && ends(name.chars().next())
            && ends(name.chars().last())
        {
            Ok(Self(name.into()))
        } else {
            Err(format!("{name:?}: a lab's name is up to 20 lower-case letters, digits and inner dashes"))
        }
    }
}

impl TryFrom<String> for LabName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        name.parse()
    }
}

impl From<LabName> for String {
    fn from(name: LabName) -> Self {
        name.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for bad in ["", "-a", "a-", "A", "a.b", "a/b", "aaaaaaaaaaaaaaaaaaaaa"] {
            assert!(bad.parse::<LabName>().is_err(), "{bad}");
        }
        let name: LabName = "a-1".parse().unwrap();
        assert_eq!(name.namespace("ns-pod"), "netloom-a-1-ns-pod");
    }

    #[test]
    fn long_names_stay_short_and_distinct() {
        let name: LabName = "default".parse().unwrap();
        let (a, b) = (format!("{}-a", "x".repeat(80)), format!("{}-b", "x".repeat(80)));
        assert!(name.namespace(&a).len() <= LONGEST);
        assert_ne!(name.namespace(&a), name.namespace(&b));
    }
}
