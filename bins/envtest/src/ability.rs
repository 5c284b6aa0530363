use std::fmt;

use reference::Version;

/// What some servers do, and others do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ability {
    /// Who has no right is refused, and service accounts get tokens that say who they are.
    Authorization,
    /// Rules in CEL that a definition brings are evaluated.
    Cel,
    /// The server itself refuses fields that no schema knows, where it is asked to.
    StrictFields,
    /// Dependents of what is gone are collected, and what was in a namespace goes with it. With real servers that is
    /// another program's work.
    Collection,
}

/// What serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Embedded,
    Reference,
    /// Somebody else's, of whom only the version is known.
    Named,
}

impl Ability {
    /// The one place that says which server does what.
    pub(crate) fn is_of(self, kind: Kind, version: Version) -> bool {
        let since = |minor| version >= Version::of_minor(minor);
        match (self, kind) {
            (Self::Authorization, Kind::Reference) | (Self::Collection, Kind::Embedded) => true,
            (Self::Authorization, Kind::Embedded | Kind::Named)
            | (Self::Collection, Kind::Reference | Kind::Named)
            | (Self::Cel, Kind::Embedded) => false,
            (Self::Cel, Kind::Reference | Kind::Named) => since(29),
            (Self::StrictFields, _) => since(27),
        }
    }
}

impl fmt::Display for Ability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Authorization => "authorization",
            Self::Cel => "rules in CEL",
            Self::StrictFields => "a strict check of fields",
            Self::Collection => "a garbage collector",
        })
    }
}
