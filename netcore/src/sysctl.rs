//! Kernel parameters under `/proc/sys/net`, which each network namespace has for itself.

use std::{fmt, fs, io};

use serde::{Deserialize, Serialize};

use crate::{
    error::{Error, Result},
    netns::Netns,
    rule::Family,
};

/// A parameter, by its path under `/proc/sys` with `/` between the parts: `net/ipv4/ip_forward`. (Names of
/// interfaces may contain dots.)
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sysctl(String);

impl fmt::Display for Sysctl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Sysctl {
    /// The parameter at `path`, which begins with `net/`.
    ///
    /// # Errors
    /// [`Error::InvalidName`] for paths that lead elsewhere.
    pub fn new(path: impl Into<String>) -> Result<Self> {
        let path = path.into();
        let inside = path.starts_with("net/")
            && path.split('/').all(|part| !part.is_empty() && part != "." && part != "..")
            && !path.contains('\0');
        if inside { Ok(Self(path)) } else { Err(Error::InvalidName { what: "a sysctl of net/", name: path }) }
    }

    /// Whether packets are forwarded between interfaces: of the whole namespace.
    #[must_use]
    pub fn forwarding(family: Family) -> Self {
        Self(match family {
            Family::V4 => "net/ipv4/ip_forward".to_owned(),
            Family::V6 => "net/ipv6/conf/all/forwarding".to_owned(),
        })
    }

    /// IPv4 source validation: 0 none, 1 strict, 2 loose. The greater of `all` and the interface's counts.
    #[must_use]
    pub fn rp_filter(interface: &str) -> Self {
        Self(format!("net/ipv4/conf/{interface}/rp_filter"))
    }

    /// Whether IPv6 duplicate address detection takes place.
    #[must_use]
    pub fn accept_dad(interface: &str) -> Self {
        Self(format!("net/ipv6/conf/{interface}/accept_dad"))
    }

    /// Whether IPv6 router advertisements are believed.
    #[must_use]
    pub fn accept_ra(interface: &str) -> Self {
        Self(format!("net/ipv6/conf/{interface}/accept_ra"))
    }

    /// Whether the interface has no IPv6.
    #[must_use]
    pub fn disable_ipv6(interface: &str) -> Self {
        Self(format!("net/ipv6/conf/{interface}/disable_ipv6"))
    }

    fn file(&self) -> String {
        format!("/proc/sys/{}", self.0)
    }

    /// Its value in the namespace of the **calling thread**, without the line's end.
    ///
    /// # Errors
    /// [`Error::Sysctl`]; [`Error::is_not_found`] holds if the kernel or the namespace has no such
    /// parameter.
    pub fn read_here(&self) -> Result<String> {
        let value = fs::read_to_string(self.file()).map_err(|source| self.failed("read", source))?;
        Ok(value.trim_end().to_owned())
    }

    /// Sets its value in the namespace of the **calling thread**.
    ///
    /// # Errors
    /// As [`Sysctl::read_here`].
    pub fn write_here(&self, value: &str) -> Result<()> {
        fs::write(self.file(), value).map_err(|source| self.failed("write", source))
    }

    fn failed(&self, operation: &'static str, source: io::Error) -> Error {
        Error::Sysctl { operation, key: self.0.clone(), source }
    }
}

impl Netns {
    /// The value of a parameter in this namespace.
    ///
    /// # Errors
    /// As [`Sysctl::read_here`]; [`Error::Netns`].
    pub fn sysctl(&self, key: &Sysctl) -> Result<String> {
        self.run_in(|| key.read_here())?
    }

    /// Sets a parameter in this namespace.
    ///
    /// # Errors
    /// As [`Sysctl::read_here`]; [`Error::Netns`].
    pub fn set_sysctl(&self, key: &Sysctl, value: &str) -> Result<()> {
        self.run_in(|| key.write_here(value))?
    }

    /// Lets the namespace forward packets of a family. A kernel without IPv6 has nothing to forward, which
    /// is no error.
    ///
    /// # Errors
    /// As [`Sysctl::read_here`]; [`Error::Netns`].
    pub fn enable_forwarding(&self, family: Family) -> Result<()> {
        tolerate_absent_ipv6(family, self.set_sysctl(&Sysctl::forwarding(family), "1"))
    }
}

/// Success where the parameter is absent because there is no IPv6 in the kernel.
pub(crate) fn tolerate_absent_ipv6(family: Family, result: Result<()>) -> Result<()> {
    match result {
        Err(error) if family == Family::V6 && error.is_not_found() && !has_ipv6() => Ok(()),
        result => result,
    }
}

/// Whether the kernel has IPv6 at all.
#[must_use]
pub fn has_ipv6() -> bool {
    fs::exists("/proc/sys/net/ipv6").unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_network_parameters() {
        assert!(Sysctl::new("net/ipv4/conf/eth0.100/rp_filter").is_ok());
        for wrong in ["kernel/core_pattern", "net/../kernel/core_pattern", "net//ipv4", "net/", "/net/ipv4"] {
            assert!(Sysctl::new(wrong).is_err(), "{wrong}");
        }
    }
}
