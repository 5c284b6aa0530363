//! What the drivers of pods' links do for the stack, as `ethtool` tells it.

use std::collections::BTreeMap;
use std::process::Command;

use netcore::Netns;
use netcore::spawn::in_netns;

use super::setup::{Setup, SetupName, find};

/// Features of a link by their names, each with its state, such as `on` or `off [fixed]`.
type Features = BTreeMap<String, String>;

/// What the links of a pod do in each setup: what is alike in all, and how they differ.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Offloads {
    /// Which of the features that `ethtool` tells first are on and which off, or that they are not told.
    pub(crate) told: String,
    /// One sentence for each setup that has others than the first.
    pub(crate) differences: Vec<String>,
}

/// Asks about the server's link in each setup.
pub(crate) fn of(setups: &[Box<dyn Setup>]) -> Offloads {
    let asked: Option<Vec<_>> =
        setups.iter().map(|setup| Some((setup.name(), ask(&setup.pods().server.netns)?))).collect();
    asked.as_deref().and_then(compared).unwrap_or_else(|| Offloads {
        told: "not told: there is no ethtool, or it failed".to_owned(),
        differences: Vec::new(),
    })
}

fn ask(netns: &Netns) -> Option<String> {
    let mut command = Command::new(find("ethtool")?);
    let said = in_netns(&mut command, netns).ok()?.args(["-k", "eth0"]).output().ok()?;
    said.status.success().then(|| String::from_utf8_lossy(&said.stdout).into_owned())
}

fn compared(asked: &[(SetupName, String)]) -> Option<Offloads> {
    let ((first, text), others) = asked.split_first()?;
    let common = features(text);
    let differing = |(setup, text): &(SetupName, String)| {
        let own = features(text);
        let names: std::collections::BTreeSet<&String> = common.keys().chain(own.keys()).collect();
        let state = |of: &Features, name: &String| of.get(name).map_or("nothing", String::as_str).to_owned();
        let differs = names.into_iter().filter(|name| common.get(*name) != own.get(*name));
        let told: Vec<String> = differs
            .map(|name| format!("{name} is {} (in {first} {})", state(&own, name), state(&common, name)))
            .collect();
        (!told.is_empty()).then(|| format!("Pods' links of {setup} differ: {}.", told.join(", ")))
    };
    Some(Offloads { told: told(text), differences: others.iter().filter_map(differing).collect() })
}

/// Those that are on, and those that somebody could have on. What `ethtool` sets in belongs to the one above it.
fn told(text: &str) -> String {
    let of = |wanted: &str| {
        let first_ones =
            text.lines().filter(|line| !line.starts_with(char::is_whitespace)).filter_map(feature);
        let names = first_ones.filter(|(_, state)| state == wanted).map(|(name, _)| name);
        names.collect::<Vec<_>>().join(", ")
    };
    format!("on: {}; off: {}; all others are fixed", of("on"), of("off"))
}

fn features(text: &str) -> Features {
    text.lines().filter_map(feature).collect()
}

fn feature(line: &str) -> Option<(String, String)> {
    let (name, state) = line.trim().split_once(": ")?;
    Some((name.to_owned(), state.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOLD: &str = "Features for eth0:\nrx-checksumming: on\ntx-checksumming: on\n\ttx-checksum-ipv4: off [fixed]\n\ttx-checksum-ip-generic: on\ngeneric-receive-offload: off\nntuple-filters: off [fixed]\n";

    #[test]
    fn links_that_differ_are_named() {
        let other = TOLD.replace("generic: on", "generic: off");
        let found = compared(&[
            (SetupName::Veth, TOLD.to_owned()),
            (SetupName::Nftables, TOLD.to_owned()),
            (SetupName::Netloom, other),
        ])
        .unwrap();
        let expected =
            "on: rx-checksumming, tx-checksumming; off: generic-receive-offload; all others are fixed";
        assert_eq!(found.told, expected);
        let expected = "Pods' links of netloom differ: tx-checksum-ip-generic is off (in veth on).";
        assert_eq!(found.differences, [expected]);
    }
}
