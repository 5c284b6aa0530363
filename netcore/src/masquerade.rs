//! Masquerading: packets of pods that leave the cluster take the node's address.
//!
//! It is an nft table of our own, `inet netloom`, that is replaced as a whole in one transaction.

use std::{collections::BTreeSet, fmt::Write as _};

use ipnetwork::IpNetwork;

use crate::{error::Result, link::check_name, netns::Netns, nft::nft, route::canonical};

/// What is masqueraded: packets from `pods` that leave by one of `uplinks` to elsewhere than `native`.
///
/// ```
/// use netcore::masquerade::Masquerade;
///
/// let masquerade = Masquerade {
///     uplinks: ["eth0".to_owned()].into(),
///     pods: ["10.0.1.0/24".parse()?].into(),
///     native: ["10.0.0.0/16".parse()?, "192.0.2.7/32".parse()?].into(),
///     except: None,
///     mark_answers: false,
/// };
/// assert!(masquerade.ruleset()?.contains("ip saddr @pods4 ip daddr != @native4 masquerade"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Masquerade {
    /// Interfaces by which packets leave the node; `eth+` is every interface that begins with `eth`.
    pub uplinks: BTreeSet<String>,
    /// Addresses of this node's pods.
    pub pods: BTreeSet<IpNetwork>,
    /// Destinations that know the way back to a pod.
    pub native: BTreeSet<IpNetwork>,
    /// Packets with this mark keep their source: those that answer what the stack did not see.
    pub except: Option<Mark>,
    /// Gives that mark to packets of pods that answer what came to a pod under its own address, wherever
    /// from. A rule can then send them back by the interface that has the address: see [`crate::eni`]. What
    /// was addressed to a service and translated on this node goes back as it came.
    pub mark_answers: bool,
}

/// A packet's mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Its value.
    pub value: u32,
    /// The bits of it that count.
    pub mask: u32,
}

impl Masquerade {
    /// The input of `nft -f`: takes the place of the whole table, whether or not it was there.
    ///
    /// # Errors
    /// [`crate::Error::InvalidName`] if an uplink's name is none.
    pub fn ruleset(&self) -> Result<String> {
        let mut uplinks = Vec::new();
        for name in &self.uplinks {
            check_name(name.strip_suffix('+').unwrap_or(name))?;
            uplinks.push(match name.strip_suffix('+') {
                Some(stem) => format!("\"{stem}*\""),
                None => format!("\"{name}\""),
            });
        }
        let mut text =
            String::from("add table inet netloom\ndelete table inet netloom\ntable inet netloom {\n");
        for (name, networks) in [("pods", &self.pods), ("native", &self.native)] {
            for (family, kind) in [("4", "ipv4_addr"), ("6", "ipv6_addr")] {
                let mut members: Vec<String> = networks
                    .iter()
                    .filter(|network| network.is_ipv4() == (family == "4"))
                    .map(|network| canonical(*network).to_string())
                    .collect();
                members.dedup();
                write_set(&mut text, &format!("{name}{family}"), kind, &members);
            }
        }
        if let (true, Some(mark)) = (self.mark_answers, self.except) {
            write_answers(&mut text, mark);
        }
        text.push_str("\n    chain postrouting {\n");
        text.push_str("        type nat hook postrouting priority srcnat; policy accept;\n");
        if !uplinks.is_empty() {
            let uplinks = uplinks.join(", ");
            let unmarked = self
                .except
                .map(|Mark { value, mask }| format!("meta mark & {mask:#x} != {value:#x} "))
                .unwrap_or_default();
            for (ip, family) in [("ip", "4"), ("ip6", "6")] {
                let line = format!(
                    "        oifname {{ {uplinks} }} {unmarked}{ip} saddr @pods{family} {ip} daddr != @native{family} masquerade\n"
                );
                text.push_str(&line);
            }
        }
        text.push_str("    }\n}\n");
        Ok(text)
    }

    /// Puts the table in force in a namespace. Waits for the `nft` program: some milliseconds.
    ///
    /// # Errors
    /// [`crate::Error::NftMissing`], [`crate::Error::NftRun`], [`crate::Error::NftRefused`]; as [`Masquerade::ruleset`].
    pub fn apply(&self, netns: &Netns) -> Result<()> {
        let ruleset = self.ruleset()?;
        nft(netns, "load", &["-f", "-"], &ruleset).map(drop)
    }
}

/// Removes the table from a namespace; a missing one is fine.
///
/// # Errors
/// As [`Masquerade::apply`].
pub fn remove(netns: &Netns) -> Result<()> {
    nft(netns, "delete", &["-f", "-"], "add table inet netloom\ndelete table inet netloom\n").map(drop)
}

/// The table as it is in force, in nft's own words.
///
/// # Errors
/// As [`Masquerade::apply`]; refused if there is none.
pub fn show(netns: &Netns) -> Result<String> {
    nft(netns, "list", &["list", "table", "inet", "netloom"], "")
}

fn write_set(text: &mut String, name: &str, kind: &str, members: &[String]) {
    let elements =
        if members.is_empty() { String::new() } else { format!(" elements = {{ {} }};", members.join(", ")) };
    // Writing to a String cannot fail.
    let _ = writeln!(text, "    set {name} {{ type {kind}; flags interval; auto-merge;{elements} }}");
}

/// A chain that marks answers before they are routed.
fn write_answers(text: &mut String, Mark { value, mask }: Mark) {
    text.push_str("\n    chain prerouting {\n");
    text.push_str("        type filter hook prerouting priority mangle; policy accept;\n");
    for (ip, family) in [("ip", "4"), ("ip6", "6")] {
        let others = !mask;
        let _ = writeln!(
            text,
            "        {ip} saddr @pods{family} ct direction reply ct original {ip} daddr @pods{family} meta mark set meta mark & {others:#x} | {value:#x}"
        );
    }
    text.push_str("    }\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

    fn networks(texts: &[&str]) -> BTreeSet<IpNetwork> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn ruleset_of_a_dual_stack_node() {
        let masquerade = Masquerade {
            uplinks: ["eth0".to_owned(), "ens+".to_owned()].into(),
            pods: networks(&["10.0.1.0/24", "fd00:1::/64"]),
            native: networks(&["10.0.0.0/16", "192.0.2.7/32", "10.0.0.9/16", "fd00::/16"]),
            except: Some(Mark { value: 0x300, mask: 0xf00 }),
            mark_answers: true,
        };
        let expected = r#"add table inet netloom
delete table inet netloom
table inet netloom {
    set pods4 { type ipv4_addr; flags interval; auto-merge; elements = { 10.0.1.0/24 }; }
    set pods6 { type ipv6_addr; flags interval; auto-merge; elements = { fd00:1::/64 }; }
    set native4 { type ipv4_addr; flags interval; auto-merge; elements = { 10.0.0.0/16, 192.0.2.7/32 }; }
    set native6 { type ipv6_addr; flags interval; auto-merge; elements = { fd00::/16 }; }

    chain prerouting {
        type filter hook prerouting priority mangle; policy accept;
        ip saddr @pods4 ct direction reply ct original ip daddr @pods4 meta mark set meta mark & 0xfffff0ff | 0x300
        ip6 saddr @pods6 ct direction reply ct original ip6 daddr @pods6 meta mark set meta mark & 0xfffff0ff | 0x300
    }

    chain postrouting {
        type nat hook postrouting priority srcnat; policy accept;
        oifname { "ens*", "eth0" } meta mark & 0xf00 != 0x300 ip saddr @pods4 ip daddr != @native4 masquerade
        oifname { "ens*", "eth0" } meta mark & 0xf00 != 0x300 ip6 saddr @pods6 ip6 daddr != @native6 masquerade
    }
}
"#;
        assert_eq!(masquerade.ruleset().unwrap(), expected);
    }

    #[test]
    fn no_uplink_no_rule() {
        let ruleset = Masquerade::default().ruleset().unwrap();
        assert!(!ruleset.contains("masquerade"), "{ruleset}");
        assert!(ruleset.contains("set pods4 { type ipv4_addr; flags interval; auto-merge; }"), "{ruleset}");
    }

    #[test]
    fn an_uplink_cannot_smuggle_rules_in() {
        let uplinks = BTreeSet::from(["x\" drop;".to_owned()]);
        let refused = Masquerade { uplinks, ..Masquerade::default() }.ruleset();
        assert!(matches!(refused, Err(Error::InvalidName { .. })));
    }
}
