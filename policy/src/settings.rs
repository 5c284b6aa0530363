//! What an installation chooses for all its policies.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// When endpoints are closed to what no rule allows: Cilium's `enable-policy`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Enforcement {
    /// In a direction for which a policy selects them.
    #[default]
    Default,
    /// Always, both ways. Nodes are open all the same until a host policy selects them.
    Always,
    /// Never: policies have no effect.
    Never,
}

/// A word that is no enforcement mode.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an enforcement mode: default, always or never")]
pub struct UnknownEnforcement(String);

impl Enforcement {
    /// The mode as it is configured.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Always => "always",
            Self::Never => "never",
        }
    }
}

impl fmt::Display for Enforcement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Enforcement {
    type Err = UnknownEnforcement;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        let all = [Self::Default, Self::Always, Self::Never];
        all.into_iter().find(|mode| mode.as_str() == word).ok_or_else(|| UnknownEnforcement(word.to_owned()))
    }
}

/// What an installation chooses for all its policies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct Settings {
    /// When endpoints are closed.
    pub enforcement: Enforcement,
    /// Whether CIDRs of Cilium's policies match nodes too: `policy-cidr-match-mode=nodes`.
    pub cidrs_match_nodes: bool,
    /// Whether the datapath lets through what it would drop, and reports it: `policy-audit-mode`.
    pub audit: bool,
}
