//! Chains of iptables, a rule a peer, under either of its programs.
//!
//! ```text
//! -A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
//! -A FORWARD -d 10.244.2.11/32 -g POD-server                          one for each pod that a policy selects
//! -A POD-server -p tcp -m tcp --dport 5201:5205 -g PEERS-server
//! -A POD-server -p udp -m udp --dport 5201:5205 -g PEERS-server
//! -A POD-server -j DROP
//! -A PEERS-server -s 10.244.1.11/32 -j ACCEPT                         one for each peer
//! -A PEERS-server -j DROP
//! ```
//!
//! A chain for each pod, told by its address in FORWARD, is how kube-router does it; a rule for each peer is what Calico
//! writes of the blocks of `ipBlock` (its pods by label are sets: that is the setup `ipset`). Both would write more than
//! this: Calico and kube-router mark packets and look at the mark afterwards, and judge both directions. A connection's
//! packets but its first pass one rule. Peers are looked through once for both protocols, and only for ports that are
//! open.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::netfilter::{Dialect, Judged, charged};
use super::tool::Tool;
use super::wiring::Kind;
use super::{Cost, Memory, SetupName};
use crate::network::Error;
use crate::network::rules::{PORTS, Policy, Rules};

/// The table, as a program of iptables knows it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Variant {
    /// `ip_tables`: a table is one array, replaced as a whole.
    Legacy,
    /// `nf_tables`: rules are objects.
    Nft,
}

impl Variant {
    const fn program(self) -> &'static str {
        match self {
            Self::Legacy => "iptables-legacy",
            Self::Nft => "iptables-nft",
        }
    }

    /// All that it needs.
    pub(super) const fn programs(self) -> [&'static str; 3] {
        match self {
            Self::Legacy => ["iptables-legacy", "iptables-legacy-restore", "iptables-legacy-save"],
            Self::Nft => ["iptables-nft", "iptables-nft-restore", "iptables-nft-save"],
        }
    }

    /// Replaces the table, or with `--noflush` changes it.
    pub(super) fn restore(self, tool: &Tool, arguments: &[&str], text: &str) -> Result<Cost, Error> {
        let [_, restore, _] = self.programs();
        // `-w`: the old tables have one lock for all namespaces of the machine.
        let arguments: Vec<&str> = ["-w"].iter().chain(arguments).copied().collect();
        Ok(tool.run(restore, &arguments, text)?.cost)
    }

    /// Replaces the table, and says how long that took and what the kernel keeps for it.
    pub(super) fn load(self, tool: &Tool, text: &str) -> Result<(Duration, Option<u64>), Error> {
        let [_, restore, _] = self.programs();
        let (ran, bytes) = tool.load(restore, &["-w"], text)?;
        Ok((ran.cost.took, bytes))
    }

    fn change(self, tool: &Tool, arguments: &[&str]) -> Result<Cost, Error> {
        let arguments: Vec<&str> = ["-w"].iter().chain(arguments).copied().collect();
        Ok(tool.run(self.program(), &arguments, "")?.cost)
    }

    /// The table, with its counters.
    pub(super) fn save(self, tool: &Tool) -> Result<String, Error> {
        let [.., save] = self.programs();
        Ok(tool.run(save, &["-c", "-t", "filter"], "")?.output)
    }

    /// The table without any policy.
    pub(super) fn clear(self, tool: &Tool) -> Result<(), Error> {
        self.restore(tool, &[], &table(&[], |_| Chains::default())).map(drop)
    }

    /// Removes a pod's chains and what leads to them.
    pub(super) fn remove(self, tool: &Tool, policy: &Policy, chains: &[String]) -> Result<Cost, Error> {
        let mut text = format!("*filter\n-D FORWARD {}\n", dispatch(policy));
        for chain in chains {
            text.push_str(&format!("-F {chain}\n"));
        }
        for chain in chains {
            text.push_str(&format!("-X {chain}\n"));
        }
        self.restore(tool, &["--noflush"], &(text + "COMMIT\n"))
    }
}

/// The chains of a policy, and their rules.
#[derive(Default)]
pub(super) struct Chains {
    pub(super) names: Vec<String>,
    pub(super) rules: Vec<String>,
}

/// The whole table.
pub(super) fn table(policies: &[Policy], chains: impl Fn(&Policy) -> Chains) -> String {
    let of_policies: Vec<Chains> = policies.iter().map(chains).collect();
    let mut text = "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n".to_owned();
    for name in of_policies.iter().flat_map(|chains| &chains.names) {
        text.push_str(&format!(":{name} - [0:0]\n"));
    }
    text.push_str("-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n");
    for policy in policies {
        text.push_str(&format!("-A FORWARD {}\n", dispatch(policy)));
    }
    for rule in of_policies.iter().flat_map(|chains| &chains.rules) {
        text.push_str(&format!("-A {rule}\n"));
    }
    text + "COMMIT\n"
}

/// The chains of one more policy, for `--noflush`.
pub(super) fn addition(policy: &Policy, chains: &Chains) -> String {
    let mut text = "*filter\n".to_owned();
    for name in &chains.names {
        text.push_str(&format!(":{name} - [0:0]\n"));
    }
    for rule in &chains.rules {
        text.push_str(&format!("-A {rule}\n"));
    }
    text + &format!("-A FORWARD {}\nCOMMIT\n", dispatch(policy))
}

fn dispatch(policy: &Policy) -> String {
    format!("-d {}/32 -g {}", policy.subject, pod_chain(policy))
}

/// The chain of a pod.
pub(super) fn pod_chain(policy: &Policy) -> String {
    format!("POD-{}", policy.name)
}

fn peers_chain(policy: &Policy) -> String {
    format!("PEERS-{}", policy.name)
}

/// The condition that ports are open, of both protocols.
pub(super) fn open_ports() -> [String; 2] {
    ["tcp", "udp"].map(|name| format!("-p {name} -m {name} --dport {}:{}", PORTS.start(), PORTS.end()))
}

/// How many rules there are in what `iptables-save -c` printed.
pub(super) fn rules_in(saved: &str) -> usize {
    saved.lines().filter(|line| line.split_whitespace().nth(1) == Some("-A")).count()
}

/// What the rules of a policy's chains counted.
pub(super) fn judged(saved: &str, policy: &Policy) -> Judged {
    let mut judged = Judged::default();
    let chains = [pod_chain(policy), peers_chain(policy)];
    for line in saved.lines() {
        let mut words = line.split_whitespace();
        let packets = words
            .next()
            .and_then(|counter| counter.strip_prefix('[')?.split(':').next()?.parse::<u64>().ok());
        let Some(packets) = packets else { continue };
        if words.next() != Some("-A")
            || !words.next().is_some_and(|chain| chains.iter().any(|own| own == chain))
        {
            continue;
        }
        match words.last() {
            Some("ACCEPT") => judged.accepted += packets,
            Some("DROP") => judged.dropped += packets,
            _ => {}
        }
    }
    judged
}

/// A rule a peer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Iptables(pub(super) Variant);

fn chains(policy: &Policy) -> Chains {
    let (pod, peers) = (pod_chain(policy), peers_chain(policy));
    let mut rules: Vec<String> = open_ports().iter().map(|open| format!("{pod} {open} -g {peers}")).collect();
    rules.push(format!("{pod} -j DROP"));
    rules.extend(policy.peers.iter().map(|peer| format!("{peers} -s {peer}/32 -j ACCEPT")));
    rules.push(format!("{peers} -j DROP"));
    Chains { names: vec![pod, peers], rules }
}

impl Dialect for Iptables {
    fn name(&self) -> SetupName {
        match self.0 {
            Variant::Legacy => SetupName::IptablesLegacy,
            Variant::Nft => SetupName::IptablesNft,
        }
    }

    fn kind(&self) -> Kind {
        Kind::Bridged
    }

    fn clear(&self, tool: &Tool) -> Result<(), Error> {
        self.0.clear(tool)
    }

    fn load(&self, tool: &Tool, rules: &Rules) -> Result<(Duration, Option<Memory>), Error> {
        let (took, bytes) = self.0.load(tool, &table(&rules.policies, chains))?;
        Ok((took, bytes.map(charged)))
    }

    /// One rule, before all others: there is no quicker way.
    fn add_peer(&self, tool: &Tool, policy: &Policy, peer: Ipv4Addr) -> Result<Cost, Error> {
        self.0.change(tool, &["-I", &peers_chain(policy), "1", "-s", &format!("{peer}/32"), "-j", "ACCEPT"])
    }

    fn remove_peer(&self, tool: &Tool, policy: &Policy, _: Ipv4Addr) -> Result<Cost, Error> {
        self.0.change(tool, &["-D", &peers_chain(policy), "1"])
    }

    fn add_policy(&self, tool: &Tool, policy: &Policy, _: &Policy) -> Result<Cost, Error> {
        self.0.restore(tool, &["--noflush"], &addition(policy, &chains(policy)))
    }

    fn remove_policy(&self, tool: &Tool, policy: &Policy) -> Result<Cost, Error> {
        self.0.remove(tool, policy, &[pod_chain(policy), peers_chain(policy)])
    }

    fn print(&self, tool: &Tool) -> Result<String, Error> {
        self.0.save(tool)
    }

    fn entries(&self, printed: &str) -> usize {
        rules_in(printed)
    }

    fn judged(&self, tool: &Tool, policy: &Policy) -> Result<Judged, Error> {
        Ok(judged(&self.0.save(tool)?, policy))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> Policy {
        let peers = ["10.244.1.11", "10.244.3.2"].map(|peer| peer.parse().unwrap()).to_vec();
        Policy { name: "server".into(), subject: "10.244.2.11".parse().unwrap(), peers }
    }

    #[test]
    fn a_table_is_what_the_page_says() {
        let expected = "*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POD-server - [0:0]
:PEERS-server - [0:0]
-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -d 10.244.2.11/32 -g POD-server
-A POD-server -p tcp -m tcp --dport 5201:5205 -g PEERS-server
-A POD-server -p udp -m udp --dport 5201:5205 -g PEERS-server
-A POD-server -j DROP
-A PEERS-server -s 10.244.1.11/32 -j ACCEPT
-A PEERS-server -s 10.244.3.2/32 -j ACCEPT
-A PEERS-server -j DROP
COMMIT
";
        assert_eq!(table(&[policy()], chains), expected);
    }

    #[test]
    fn counters_of_the_policy_alone_are_summed() {
        let saved = "[9:1] -A FORWARD -j ACCEPT\n[5:1] -A POD-server -j DROP\n[1:60] -A PEERS-server -s 10.0.0.1/32 -j ACCEPT\n[2:60] -A PEERS-server -s 10.0.0.2/32 -j ACCEPT\n[4:1] -A PEERS-server -j DROP\n[7:1] -A POD-server-2 -j DROP\n";
        assert_eq!(judged(saved, &policy()), Judged { accepted: 3, dropped: 9 });
        assert_eq!(rules_in(&format!("# a comment\n*filter\n:FORWARD ACCEPT [0:0]\n{saved}COMMIT\n")), 6);
    }
}
