use std::fmt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::Error;

/// A version of Kubernetes, as far as it matters here: 1.33 of `v1.33.2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// The 1.
    pub major: u32,
    /// The 33.
    pub minor: u32,
}

impl Version {
    /// A version of Kubernetes 1.
    #[must_use]
    pub const fn of_minor(minor: u32) -> Self {
        Self { major: 1, minor }
    }

    /// Asks a program what it is.
    ///
    /// # Errors
    ///
    /// When it cannot be started, or says something else.
    pub fn of_program(program: &Path) -> Result<Self, Error> {
        let output = Command::new(program).arg("--version").stdin(Stdio::null()).output();
        let output = output.map_err(|source| Error::Start { program: program.to_owned(), source })?;
        let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        Self::read(&said).ok_or_else(|| Error::Version { program: program.to_owned(), said })
    }

    /// The version in `Kubernetes v1.33.2`, or in a server's `v1.33.2+build`.
    #[must_use]
    pub fn read(said: &str) -> Option<Self> {
        let (_, numbers) = said.split_once('v')?;
        let mut numbers = numbers.split(['.', '-', '+']).map(str::parse);
        Some(Self { major: numbers.next()?.ok()?, minor: numbers.next()?.ok()? })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        assert_eq!(Version::read("Kubernetes v1.20.2"), Some(Version::of_minor(20)));
        assert_eq!(Version::read("Kubernetes v1.36.0-alpha.1+x"), Some(Version::of_minor(36)));
        assert_eq!(Version::read("v1.33.0+dev"), Some(Version::of_minor(33)));
        assert_eq!(Version::read("Kubernetes v1"), None);
        assert_eq!(Version::read("no idea"), None);
        assert!(Version::of_minor(9) < Version::of_minor(10));
    }
}
