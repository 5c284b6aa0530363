//! What EC2's network drops, and counts for the lab's user: nftables in the fabric's namespace.

use std::net::Ipv4Addr;

use anyhow::{Context, Result};
use ipnetwork::Ipv4Network;
use netcore::Netns;
use netcore::nft::nft;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::plan;

/// The table, with what never changes.
///
/// The source check is a strict check of the return path: the fabric has a route by an interface to what EC2 assigned
/// to this interface, and to nothing else. What has left for the world may be answered, and so may what came from
/// there: a load balancer that keeps its clients' addresses looks like the world to pods.
const TABLE: &str = "
add table ip vpc
delete table ip vpc
table ip vpc {
    counter foreign_source {}
    counter no_public_address {}
    counter not_assigned {}
    set cidrs { type ipv4_addr; flags interval; }
    set first { type ipv4_addr; }
    set unchecked { type ifname; }
    chain arriving {
        type filter hook prerouting priority filter; policy accept;
        iifname \"lo\" accept
        iifname != @unchecked fib saddr . iif oif missing counter name foreign_source drop
        ct direction reply accept
        ip daddr != @cidrs ip saddr != @first counter name no_public_address drop
        fib daddr type unicast fib daddr oif missing counter name not_assigned drop
    }
}
";

/// Packets that the VPC dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Dropped {
    /// They came from an interface that does not have their source address (the source check).
    pub foreign_source: u64,
    /// They were for the world, and their source has no public address there: only an instance's first address has.
    pub no_public_address: u64,
    /// They were for an address of the VPC that no attached interface has.
    pub not_assigned: u64,
}

/// The rules of a fabric's namespace.
#[derive(Clone, Debug)]
pub struct Rules {
    netns: Netns,
}

impl Rules {
    /// Makes them.
    ///
    /// # Errors
    /// When `nft` is missing, or the kernel refuses.
    pub fn make(netns: &Netns) -> Result<Self> {
        nft(netns, "load", &["-f", "-"], TABLE)?;
        let rules = Self::of(netns);
        for cidr in [plan::primary(), plan::secondary()] {
            rules.inside(cidr)?;
        }
        Ok(rules)
    }

    /// Those that were made.
    #[must_use]
    pub fn of(netns: &Netns) -> Self {
        Self { netns: netns.clone() }
    }

    /// A CIDR is the VPC's from now on.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn inside(&self, cidr: Ipv4Network) -> Result<()> {
        self.change(&format!("add element ip vpc cidrs {{ {cidr} }}"))
    }

    /// An address has a public one, as an internet gateway keeps them.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn public(&self, address: Ipv4Addr) -> Result<()> {
        self.change(&format!("add element ip vpc first {{ {address} }}"))
    }

    /// Whether the sources of an interface's packets are checked.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn check_source(&self, port: &str, on: bool) -> Result<()> {
        // Adding what is there is no error; so it is there to be deleted.
        let delete = format!("delete element ip vpc unchecked {{ \"{port}\" }}\n");
        let delete = if on { delete.as_str() } else { "" };
        self.change(&format!("add element ip vpc unchecked {{ \"{port}\" }}\n{delete}"))
    }

    /// What was dropped so far.
    ///
    /// # Errors
    /// When `nft` does not say.
    pub fn dropped(&self) -> Result<Dropped> {
        let said = nft(&self.netns, "list", &["-j", "list", "counters", "table", "ip", "vpc"], "")?;
        let said: Value = serde_json::from_str(&said).context("nft answers something else")?;
        let counters: Vec<&Value> =
            said["nftables"].as_array().into_iter().flatten().map(|one| &one["counter"]).collect();
        let packets = |name: &str| {
            let counter = counters.iter().find(|counter| counter["name"] == name);
            counter.and_then(|counter| counter["packets"].as_u64()).unwrap_or_default()
        };
        Ok(Dropped {
            foreign_source: packets("foreign_source"),
            no_public_address: packets("no_public_address"),
            not_assigned: packets("not_assigned"),
        })
    }

    fn change(&self, text: &str) -> Result<()> {
        nft(&self.netns, "change", &["-f", "-"], text).map(drop).map_err(Into::into)
    }
}
