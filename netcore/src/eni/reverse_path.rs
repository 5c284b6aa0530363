//! Source validation (`rp_filter`) must let in what comes by another interface than the answer would take.

use std::{collections::BTreeMap, fs};

use crate::{
    error::{Error, Result},
    netns::Netns,
    sysctl::Sysctl,
};

/// No source validation.
const OFF: u8 = 0;

impl Netns {
    /// The parameters that switch source validation off for `interfaces`, and for them only. The greater of
    /// `all`'s value and the interface's own counts: where `all` is on, each other interface gets that value as
    /// its own, `all` loses it, and nothing changes for them.
    ///
    /// # Errors
    /// [`Error::Sysctl`] if the present values cannot be read; [`Error::Netns`].
    pub fn without_reverse_path_filter(&self, interfaces: &[String]) -> Result<BTreeMap<Sysctl, String>> {
        let values = self.run_in(read_all)??;
        Ok(desired(&values, interfaces))
    }
}

fn read_all() -> Result<BTreeMap<String, u8>> {
    const DIRECTORY: &str = "/proc/sys/net/ipv4/conf";
    let failed = |source| Error::Sysctl { operation: "list", key: "net/ipv4/conf".to_owned(), source };
    let mut values = BTreeMap::new();
    for entry in fs::read_dir(DIRECTORY).map_err(failed)? {
        let Ok(name) = entry.map_err(failed)?.file_name().into_string() else { continue };
        match Sysctl::rp_filter(&name).read_here() {
            Ok(value) => _ = values.insert(name, value.parse().unwrap_or(OFF)),
            // It went meanwhile.
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(values)
}

fn desired(values: &BTreeMap<String, u8>, interfaces: &[String]) -> BTreeMap<Sysctl, String> {
    let all = values.get("all").copied().unwrap_or(OFF);
    let mut desired = BTreeMap::new();
    for (name, &value) in values {
        let to = match name.as_str() {
            "all" => OFF,
            name if interfaces.iter().any(|interface| interface == name) => OFF,
            _ => value.max(all),
        };
        // What is as it should be is named nevertheless where it is ours, so that it stays so.
        if to != value || interfaces.contains(name) || (name == "all" && !interfaces.is_empty()) {
            desired.insert(Sysctl::rp_filter(name), to.to_string());
        }
    }
    if interfaces.is_empty() { BTreeMap::new() } else { desired }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(values: &[(&str, u8)], interfaces: &[&str]) -> Vec<String> {
        let values = values.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
        let interfaces: Vec<String> = interfaces.iter().map(|name| (*name).to_owned()).collect();
        desired(&values, &interfaces).iter().map(|(key, value)| format!("{key}={value}")).collect()
    }

    #[test]
    fn others_keep_the_filter_that_they_had() {
        let values = [("all", 1), ("default", 0), ("eth0", 2), ("eth1", 0), ("lo", 0)];
        assert_eq!(
            told(&values, &["eth1"]),
            [
                "net/ipv4/conf/all/rp_filter=0",
                "net/ipv4/conf/default/rp_filter=1",
                "net/ipv4/conf/eth1/rp_filter=0",
                "net/ipv4/conf/lo/rp_filter=1",
            ]
        );
        assert_eq!(told(&values, &[]), [""; 0]);
        let values = [("all", 0), ("eth0", 1), ("eth1", 2)];
        assert_eq!(
            told(&values, &["eth1"]),
            ["net/ipv4/conf/all/rp_filter=0", "net/ipv4/conf/eth1/rp_filter=0"]
        );
    }
}
