//! Sets and verdict maps of nftables.
//!
//! ```text
//! table ip netpol {
//!     set peers-server { type ipv4_addr; size 16; elements = { 10.244.1.11, … } }
//!     chain pod-server {
//!         meta l4proto { tcp, udp } th dport 5201-5205 ip saddr @peers-server counter accept
//!         counter drop
//!     }
//!     map pods { type ipv4_addr : verdict; elements = { 10.244.2.11 : goto pod-server, … } }
//!     chain forward {
//!         type filter hook forward priority filter; policy accept;
//!         ct state established,related accept
//!         ip daddr vmap @pods
//!     }
//! }
//! ```
//!
//! A verdict map by address is what kube-proxy's mode `nftables` tells services by; sets of peers, a counter with each
//! verdict and the hook are Calico's of nftables. Calico tells pods by the names of their links, in a verdict map too.

use std::fmt::Write;
use std::net::Ipv4Addr;
use std::time::Duration;

use super::netfilter::{Dialect, Judged, charged};
use super::tool::Tool;
use super::wiring::Kind;
use super::{Cost, Memory, SetupName};
use crate::network::Error;
use crate::network::rules::{PORTS, Policy, Rules};

/// The program.
pub(super) const PROGRAM: &str = "nft";
/// The table.
const TABLE: &str = "netpol";

/// Sets and verdict maps.
#[derive(Clone, Copy, Debug)]
pub(super) struct Nftables;

/// The table: policies, and the chain that all packets pass.
fn table(policies: &[Policy]) -> String {
    let mut text = format!("table ip {TABLE} {{\n");
    for policy in policies {
        text.push_str(&set(policy));
        text.push_str(&chain(policy, policy));
    }
    text.push_str("\tmap pods {\n\t\ttype ipv4_addr : verdict\n\t\tsize 256\n");
    let pods: Vec<String> =
        policies.iter().map(|policy| format!("{} : goto pod-{}", policy.subject, policy.name)).collect();
    if !pods.is_empty() {
        let _ = writeln!(text, "\t\telements = {{ {} }}", pods.join(", "));
    }
    text.push_str(
        "\t}\n\tchain forward {\n\t\ttype filter hook forward priority filter; policy accept;\n\t\tct state established,related accept\n\t\tip daddr vmap @pods\n\t}\n}\n",
    );
    text
}

/// The set of a policy's peers. Whose size is said has a hash table of that size from the beginning, which is the
/// quickest kind that there is for addresses; twice as many fit.
fn set(policy: &Policy) -> String {
    let size = (2 * policy.peers.len()).next_power_of_two();
    let peers: Vec<String> = policy.peers.iter().map(Ipv4Addr::to_string).collect();
    let peers = peers.join(", ");
    format!(
        "\tset peers-{} {{\n\t\ttype ipv4_addr\n\t\tsize {size}\n\t\telements = {{ {peers} }}\n\t}}\n",
        policy.name
    )
}

/// The chain of a pod, with the peers of `like`.
fn chain(policy: &Policy, like: &Policy) -> String {
    let (first, last) = (PORTS.start(), PORTS.end());
    format!(
        "\tchain pod-{} {{\n\t\tmeta l4proto {{ tcp, udp }} th dport {first}-{last} ip saddr @peers-{} counter accept\n\t\tcounter drop\n\t}}\n",
        policy.name, like.name
    )
}

fn load(tool: &Tool, text: &str) -> Result<Cost, Error> {
    Ok(tool.run(PROGRAM, &["-f", "-"], text)?.cost)
}

/// What the two rules of a pod's chain counted.
fn judged(printed: &str) -> Judged {
    let counted = |verdict: &str| {
        let line =
            printed.lines().map(str::trim).find(|line| line.ends_with(verdict) && line.contains("packets "));
        line.and_then(|line| line.split("packets ").nth(1)?.split(' ').next()?.parse().ok())
            .unwrap_or_default()
    };
    Judged { accepted: counted(" accept"), dropped: counted(" drop") }
}

/// How many rules there are in a table that `nft` printed: the lines of chains but that which says where one is hooked in.
fn rules_in(printed: &str) -> usize {
    let mut in_chain = false;
    let mut count = 0;
    for line in printed.lines().map(str::trim) {
        if line.starts_with("chain ") {
            in_chain = true;
        } else if line == "}" {
            in_chain = false;
        } else if in_chain && !line.is_empty() && !line.starts_with("type ") {
            count += 1;
        }
    }
    count
}

/// How many elements its sets and maps have.
fn elements_in(printed: &str) -> usize {
    let lists = printed.split("elements = {").skip(1).filter_map(|rest| rest.split('}').next());
    lists.map(|list| list.split(',').filter(|one| !one.trim().is_empty()).count()).sum()
}

impl Dialect for Nftables {
    fn name(&self) -> SetupName {
        SetupName::Nftables
    }

    fn kind(&self) -> Kind {
        Kind::Routed
    }

    fn clear(&self, tool: &Tool) -> Result<(), Error> {
        load(tool, &format!("flush ruleset\n{}", table(&[]))).map(drop)
    }

    fn load(&self, tool: &Tool, rules: &Rules) -> Result<(Duration, Option<Memory>), Error> {
        let text = format!("flush ruleset\n{}", table(&rules.policies));
        let (ran, bytes) = tool.load(PROGRAM, &["-f", "-"], &text)?;
        Ok((ran.cost.took, bytes.map(charged)))
    }

    fn add_peer(&self, tool: &Tool, policy: &Policy, peer: Ipv4Addr) -> Result<Cost, Error> {
        load(tool, &format!("add element ip {TABLE} peers-{} {{ {peer} }}\n", policy.name))
    }

    fn remove_peer(&self, tool: &Tool, policy: &Policy, peer: Ipv4Addr) -> Result<Cost, Error> {
        load(tool, &format!("delete element ip {TABLE} peers-{} {{ {peer} }}\n", policy.name))
    }

    /// The same selector is the same set, as engines have it: what is added is a chain and an element.
    fn add_policy(&self, tool: &Tool, policy: &Policy, like: &Policy) -> Result<Cost, Error> {
        let chain = chain(policy, like);
        let element = format!("{} : goto pod-{}", policy.subject, policy.name);
        load(tool, &format!("table ip {TABLE} {{\n{chain}}}\nadd element ip {TABLE} pods {{ {element} }}\n"))
    }

    fn remove_policy(&self, tool: &Tool, policy: &Policy) -> Result<Cost, Error> {
        let name = &policy.name;
        let element = format!("delete element ip {TABLE} pods {{ {} }}", policy.subject);
        load(
            tool,
            &format!("{element}\nflush chain ip {TABLE} pod-{name}\ndelete chain ip {TABLE} pod-{name}\n"),
        )
    }

    fn print(&self, tool: &Tool) -> Result<String, Error> {
        Ok(tool.run(PROGRAM, &["list", "ruleset"], "")?.output)
    }

    fn entries(&self, printed: &str) -> usize {
        rules_in(printed) + elements_in(printed)
    }

    fn judged(&self, tool: &Tool, policy: &Policy) -> Result<Judged, Error> {
        let chain = format!("pod-{}", policy.name);
        Ok(judged(&tool.run(PROGRAM, &["list", "chain", "ip", TABLE, &chain], "")?.output))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_what_the_page_says() {
        let peers = ["10.244.1.11", "10.244.3.2"].map(|peer| peer.parse().unwrap()).to_vec();
        let policy = Policy { name: "server".into(), subject: "10.244.2.11".parse().unwrap(), peers };
        let expected = "table ip netpol {
\tset peers-server {
\t\ttype ipv4_addr
\t\tsize 4
\t\telements = { 10.244.1.11, 10.244.3.2 }
\t}
\tchain pod-server {
\t\tmeta l4proto { tcp, udp } th dport 5201-5205 ip saddr @peers-server counter accept
\t\tcounter drop
\t}
\tmap pods {
\t\ttype ipv4_addr : verdict
\t\tsize 256
\t\telements = { 10.244.2.11 : goto pod-server }
\t}
\tchain forward {
\t\ttype filter hook forward priority filter; policy accept;
\t\tct state established,related accept
\t\tip daddr vmap @pods
\t}
}
";
        assert_eq!(table(&[policy]), expected);
        // Two rules of the pod's chain and two of the hook's; two peers and one pod.
        assert_eq!((rules_in(expected), elements_in(expected)), (4, 3));
        // As `nft` breaks a list into lines.
        assert_eq!(elements_in("\telements = { 10.0.0.1, 10.0.0.2,\n\t\t     10.0.0.3 }\n"), 3);
    }

    #[test]
    fn counters_are_read() {
        let printed = "table ip netpol {\n\tchain pod-server {\n\t\tth dport 5201-5205 ip saddr @peers-server counter packets 12 bytes 700 accept\n\t\tcounter packets 9 bytes 300 drop\n\t}\n}\n";
        assert_eq!(judged(printed), Judged { accepted: 12, dropped: 9 });
    }
}
