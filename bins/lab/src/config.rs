//! What operators and agents are told beside what they need: one ConfigMap for all, as in a cluster.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::str::FromStr;

use anyhow::{Context, Result, bail, ensure};
use policy::{ClusterName, PodLabelling};
use serde::{Deserialize, Serialize};

use crate::cloud::values;
use crate::state::{Ipam, replace};

/// The cluster's ranges of pod addresses, and the length of a node's.
const POOLS: [(&str, &str, u8); 2] = [("ipv4", "10.244.0.0/16", 24), ("ipv6", "fd00:10:244::/48", 64)];

/// Keys that are another option's, and that option.
const OPTIONS: [(&str, &str); 2] = [("ipam", "--mode"), ("enable-ipv6", "--ipv4-only")];

/// Keys that differ by node, or that the lab itself depends on.
const TAKEN: [&str; 14] = [
    "bpffs",
    "check-config",
    "cni-bin-dir",
    "cni-log-file",
    "cni-queue",
    "config-dir",
    "k8s-api-server",
    "k8s-kubeconfig-path",
    "manifests",
    "node",
    "socket",
    "state-dir",
    "uplink",
    "write-cni-conf-when-ready",
];

/// Keys and values; a file for each where the programs read them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Config(BTreeMap<String, String>);

/// One key and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The key.
    pub key: String,
    /// The value.
    pub value: String,
}

impl FromStr for Setting {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (key, value) = text.split_once('=').with_context(|| format!("{text:?} is not KEY=VALUE"))?;
        let of_key = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        ensure!(!key.is_empty() && key.chars().all(of_key), "{key:?} is no key");
        if let Some((_, option)) = OPTIONS.iter().find(|(taken, _)| *taken == key) {
            bail!("{key} is said by {option}");
        }
        ensure!(!TAKEN.contains(&key), "the lab itself sets {key}");
        Ok(Self { key: key.to_owned(), value: value.to_owned() })
    }
}

impl Config {
    /// What the programs of a lab are told: the lab's own settings, and these in addition or in their place.
    ///
    /// # Errors
    /// When the lab itself cannot understand one that it has to.
    pub fn new(ipam: Ipam, ipv4_only: bool, settings: &[Setting]) -> Result<Self> {
        let mut all = BTreeMap::from([
            ("ipam".to_owned(), ipam.to_string()),
            ("enable-ipv6".to_owned(), (!ipv4_only).to_string()),
        ]);
        match ipam {
            Ipam::Kubernetes => {}
            Ipam::ClusterPool => {
                for (family, range, length) in POOLS {
                    all.insert(format!("cluster-pool-{family}-cidr"), range.to_owned());
                    all.insert(format!("cluster-pool-{family}-mask-size"), length.to_string());
                }
            }
            Ipam::Eni => all.extend(values::keys()),
        }
        all.extend(settings.iter().map(|setting| (setting.key.clone(), setting.value.clone())));
        if let Some(file) = all.get_mut(values::READ).filter(|file| !file.is_empty()) {
            // Programs of the lab run in another directory.
            let path = std::path::absolute(&*file).with_context(|| format!("{}: {file}", values::READ))?;
            *file = path.to_string_lossy().into_owned();
        }
        let config = Self(all);
        // Programs that refuse them would not start.
        config.labelling()?;
        Ok(config)
    }

    /// What a key says, if it is there.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// All keys, in alphabetical order.
    pub(crate) fn keys(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// How agents make labels of pods.
    ///
    /// # Errors
    /// When they would not understand it.
    pub fn labelling(&self) -> Result<PodLabelling> {
        let said = |key: &str| self.0.get(key).map(String::as_str).filter(|value| !value.is_empty());
        let cluster = match said("cluster-name") {
            Some(name) => name.parse().context("cluster-name")?,
            None => ClusterName::default(),
        };
        Ok(PodLabelling { filter: said("labels").unwrap_or_default().parse().context("labels")?, cluster })
    }

    /// Writes the files of a directory that is not there yet.
    ///
    /// # Errors
    /// When they cannot be written.
    pub(crate) fn write(&self, directory: &Path) -> Result<()> {
        fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
        self.0.iter().try_for_each(|(key, value)| replace(&directory.join(key), value.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(text: &str) -> Result<Setting, String> {
        text.parse().map_err(|error: anyhow::Error| error.to_string())
    }

    #[test]
    fn keys_that_the_lab_sets_are_refused() {
        let expected = Setting { key: "enable-policy".to_owned(), value: "a=b".to_owned() };
        assert_eq!(setting("enable-policy=a=b"), Ok(expected));
        assert_eq!(setting("debug"), Err("\"debug\" is not KEY=VALUE".to_owned()));
        assert_eq!(setting("../x=y"), Err("\"../x\" is no key".to_owned()));
        assert_eq!(setting("ipam=crd"), Err("ipam is said by --mode".to_owned()));
        assert_eq!(setting("socket=/x"), Err("the lab itself sets socket".to_owned()));
    }

    #[test]
    fn what_is_said_wins_and_is_written() {
        let told = |text: &[&str]| {
            let settings: Vec<Setting> = text.iter().map(|one| setting(one).unwrap()).collect();
            Config::new(Ipam::ClusterPool, false, &settings)
        };
        let config = told(&["cluster-pool-ipv4-cidr=10.9.0.0/28", "cluster-name=blue"]).unwrap();
        assert_eq!(config.labelling().unwrap().cluster.as_str(), "blue");
        let directory = tempfile::tempdir().unwrap();
        config.write(directory.path()).unwrap();
        let file = |key: &str| fs::read_to_string(directory.path().join(key)).unwrap();
        assert_eq!(file("cluster-pool-ipv4-cidr"), "10.9.0.0/28");
        assert_eq!(file("cluster-pool-ipv4-mask-size"), "24");
        assert_eq!(file("enable-ipv6"), "true");
        let of_vpc = Config::new(Ipam::Eni, true, &[]).unwrap();
        assert_eq!(of_vpc.get("egress-masquerade-interfaces"), Some("eth0"));
        assert_eq!(of_vpc.get("cluster-pool-ipv4-cidr"), None);
        assert!(told(&["cluster-name=Blue"]).is_err());
        assert!(told(&["labels=k8s:"]).is_err());
    }
}
