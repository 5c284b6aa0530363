//! Chains of iptables with a set of peers for each policy.
//!
//! ```text
//! create peers-server hash:ip family inet hashsize 1024 maxelem 65536
//! -A POD-server -p tcp -m tcp --dport 5201:5205 -m set --match-set peers-server src -j ACCEPT
//! -A POD-server -p udp -m udp --dport 5201:5205 -m set --match-set peers-server src -j ACCEPT
//! -A POD-server -j DROP
//! ```
//!
//! What leads there is as in `iptables`. kube-router and Calico's iptables mode write so; Calico's sets are of networks,
//! `hash:net`, which are slower to look into than these of addresses. The tables are those of `iptables-nft`: what both
//! find to be the system's own on Debian and its like.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::iptables::{self, Chains, Variant, addition, open_ports, pod_chain, table};
use super::netfilter::{Dialect, Judged};
use super::tool::Tool;
use super::wiring::Kind;
use super::{Cost, Memory, SetupName};
use crate::network::Error;
use crate::network::rules::{Policy, Rules};

/// The program.
pub(super) const PROGRAM: &str = "ipset";
/// The tables that the rules are in.
pub(super) const TABLES: Variant = Variant::Nft;

/// How it is known what the kernel keeps.
const SOURCE: &str = "what ipset says of its sets, and kernel memory charged to the cgroup of the program that loaded the rules";

/// Chains and sets.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ipset;

fn set_name(policy: &Policy) -> String {
    format!("peers-{}", policy.name)
}

/// The commands that make a policy's set. It has room for its peers from the beginning.
fn set(policy: &Policy) -> String {
    let name = set_name(policy);
    let size = policy.peers.len().next_power_of_two().max(64);
    let mut text = format!("create {name} hash:ip family inet hashsize {size} maxelem 65536\n");
    for peer in &policy.peers {
        text.push_str(&format!("add {name} {peer}\n"));
    }
    text
}

/// The sum of the sizes of all sets, in bytes, as `ipset list -t` tells them.
fn sizes(listed: &str) -> u64 {
    listed.lines().filter_map(|line| line.strip_prefix("Size in memory: ")?.trim().parse::<u64>().ok()).sum()
}

/// How many elements there are in what `ipset save` printed.
fn elements_in(saved: &str) -> usize {
    saved.lines().filter(|line| line.starts_with("add ")).count()
}

/// The chain of a pod, with the peers of `like`.
fn chains(policy: &Policy, like: &Policy) -> Chains {
    let (pod, set) = (pod_chain(policy), set_name(like));
    let accept = |open: String| format!("{pod} {open} -m set --match-set {set} src -j ACCEPT");
    let mut rules: Vec<String> = open_ports().map(accept).to_vec();
    rules.push(format!("{pod} -j DROP"));
    Chains { names: vec![pod], rules }
}

impl Dialect for Ipset {
    fn name(&self) -> SetupName {
        SetupName::Ipset
    }

    fn kind(&self) -> Kind {
        Kind::Routed
    }

    fn clear(&self, tool: &Tool) -> Result<(), Error> {
        TABLES.clear(tool)?;
        tool.run(PROGRAM, &["destroy"], "").map(drop)
    }

    fn load(&self, tool: &Tool, rules: &Rules) -> Result<(Duration, Option<Memory>), Error> {
        let sets: String = rules.policies.iter().map(set).collect();
        let of_sets = tool.run(PROGRAM, &["restore"], &sets)?.cost.took;
        let chains = table(&rules.policies, |policy| chains(policy, policy));
        let (of_chains, bytes) = TABLES.load(tool, &chains)?;
        let sets = sizes(&tool.run(PROGRAM, &["list", "-t"], "")?.output);
        let memory = bytes.map(|bytes| Memory { bytes: bytes + sets, source: SOURCE });
        Ok((of_sets + of_chains, memory))
    }

    fn add_peer(&self, tool: &Tool, policy: &Policy, peer: Ipv4Addr) -> Result<Cost, Error> {
        Ok(tool.run(PROGRAM, &["add", &set_name(policy), &peer.to_string()], "")?.cost)
    }

    fn remove_peer(&self, tool: &Tool, policy: &Policy, peer: Ipv4Addr) -> Result<Cost, Error> {
        Ok(tool.run(PROGRAM, &["del", &set_name(policy), &peer.to_string()], "")?.cost)
    }

    /// The same selector is the same set, as engines have it: what is added is a chain.
    fn add_policy(&self, tool: &Tool, policy: &Policy, like: &Policy) -> Result<Cost, Error> {
        TABLES.restore(tool, &["--noflush"], &addition(policy, &chains(policy, like)))
    }

    fn remove_policy(&self, tool: &Tool, policy: &Policy) -> Result<Cost, Error> {
        TABLES.remove(tool, policy, &[pod_chain(policy)])
    }

    fn print(&self, tool: &Tool) -> Result<String, Error> {
        let sets = tool.run(PROGRAM, &["save"], "")?.output;
        Ok(format!("{sets}\n{}", TABLES.save(tool)?))
    }

    fn entries(&self, printed: &str) -> usize {
        iptables::rules_in(printed) + elements_in(printed)
    }

    fn judged(&self, tool: &Tool, policy: &Policy) -> Result<Judged, Error> {
        Ok(iptables::judged(&TABLES.save(tool)?, policy))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_and_chains_are_what_the_page_says() {
        let peers = vec!["10.244.1.11".parse().unwrap()];
        let policy = Policy { name: "server".into(), subject: "10.244.2.11".parse().unwrap(), peers };
        let expected = "create peers-server hash:ip family inet hashsize 64 maxelem 65536\nadd peers-server 10.244.1.11\n";
        assert_eq!(set(&policy), expected);
        assert_eq!(elements_in(expected), 1);
        assert_eq!(Ipset.entries(&format!("{expected}\n*filter\n[0:0] -A POD-server -j DROP\nCOMMIT\n")), 2);
        let expected = [
            "POD-server -p tcp -m tcp --dport 5201:5205 -m set --match-set peers-server src -j ACCEPT",
            "POD-server -p udp -m udp --dport 5201:5205 -m set --match-set peers-server src -j ACCEPT",
            "POD-server -j DROP",
        ];
        assert_eq!(chains(&policy, &policy).rules, expected);
        assert_eq!(sizes("Name: a\nSize in memory: 976\nName: b\nSize in memory: 24\n"), 1000);
    }
}
