//! Where a probe starts and ends.

use std::convert::Infallible;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use anyhow::{Context, Result, ensure};
use api::PodRef;
use ipnetwork::IpNetwork;
use netcore::Netns;

use crate::paths::Paths;
use crate::plan;
use crate::state::{Sandbox, State};

/// A pod, a node, the world or an address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// `[NAMESPACE/]NAME`.
    Pod(PodRef),
    /// `node/NAME`.
    Node(String),
    /// `world`.
    World,
    /// An address.
    Address(IpAddr),
}

impl FromStr for Place {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        if text == "world" {
            return Ok(Self::World);
        }
        if let Ok(address) = text.parse() {
            return Ok(Self::Address(address));
        }
        Ok(match text.split_once('/') {
            Some(("node", name)) => Self::Node(name.into()),
            Some((namespace, name)) => Self::Pod(PodRef { namespace: namespace.into(), name: name.into() }),
            None => Self::Pod(PodRef { namespace: "default".into(), name: text.into() }),
        })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pod(pod) => pod.fmt(f),
            Self::Node(node) => write!(f, "node/{node}"),
            Self::World => f.write_str("world"),
            Self::Address(address) => address.fmt(f),
        }
    }
}

impl Place {
    /// The network namespace to start from.
    ///
    /// # Errors
    /// When there is no such place in the lab, or it is an address.
    pub fn netns(&self, state: &State) -> Result<Netns> {
        let name = match self {
            Self::Pod(pod) => {
                let sandbox = Sandbox::load(&Paths::new(&state.name), pod)?;
                sandbox.with_context(|| format!("lab {} has no pod {pod} that runs", state.name))?.netns
            }
            Self::Node(node) => state.node(node)?.netns.clone(),
            Self::World => state.fabric.clone(),
            Self::Address(address) => anyhow::bail!("{address} is no place to start from: name a pod"),
        };
        Ok(Netns::open(&name)?)
    }

    /// Its addresses, in the order in which it has them.
    ///
    /// # Errors
    /// When there is no such place in the lab.
    pub fn addresses(&self, state: &State) -> Result<Vec<IpAddr>> {
        match self {
            Self::Pod(name) => {
                let sandbox = Sandbox::load(&Paths::new(&state.name), name)?;
                let sandbox =
                    sandbox.with_context(|| format!("lab {} has no pod {name} that runs", state.name))?;
                ensure!(!sandbox.addresses.is_empty(), "pod {name} does not run");
                Ok(sandbox.addresses)
            }
            Self::Node(node) => Ok(state.node(node)?.addresses.iter().map(IpNetwork::ip).collect()),
            Self::World => {
                let of_lab = |address: &IpAddr| address.is_ipv4() || !state.ipv4_only;
                Ok(plan::world().into_iter().filter(of_lab).collect())
            }
            Self::Address(address) => Ok(vec![*address]),
        }
    }

    /// Its address of a family, or its first.
    ///
    /// # Errors
    /// When it has none.
    pub fn address(&self, state: &State, family: Option<Family>) -> Result<IpAddr> {
        let addresses = self.addresses(state)?;
        let fits = |address: &&IpAddr| family.is_none_or(|family| family.has(**address));
        addresses.iter().find(fits).copied().with_context(|| match family {
            Some(family) => format!("{self} has no {family} address"),
            None => format!("{self} has no address"),
        })
    }
}

/// A family of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Whether the address is of this family.
    #[must_use]
    pub fn has(self, address: IpAddr) -> bool {
        address.is_ipv4() == (self == Self::V4)
    }
}

impl FromStr for Family {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "4" => Ok(Self::V4),
            "6" => Ok(Self::V6),
            other => Err(format!("{other:?} is neither 4 nor 6")),
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        for (text, shown) in [
            ("web", "default/web"),
            ("shop/web", "shop/web"),
            ("node/node1", "node/node1"),
            ("world", "world"),
            ("fd00::1", "fd00::1"),
        ] {
            let Ok(place) = text.parse::<Place>();
            assert_eq!(place.to_string(), shown);
        }
    }
}
