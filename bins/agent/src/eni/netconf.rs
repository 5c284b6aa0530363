//! Wishes about ENIs in a network configuration, as Cilium's plugin takes them: `cni.configMap` of its chart puts
//! such a file where `read-cni-conf` points to.

use std::path::{Path, PathBuf};

use crds::types::node::{EniSpec, IpamSpec};
use serde::Deserialize;

/// What a network configuration says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct NetConf {
    /// As `spec.eni` of a CiliumNode.
    pub eni: EniSpec,
    /// As `spec.ipam` of a CiliumNode: numbers of addresses.
    pub ipam: IpamSpec,
}

/// Why a network configuration says nothing.
#[derive(Debug, thiserror::Error)]
pub enum NetConfError {
    /// The file cannot be read.
    #[error("cannot read the network configuration {}: {source}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// It is none.
    #[error("cannot understand the network configuration {}: {source}", .path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

/// A list of plugins, or a plugin alone.
#[derive(Deserialize)]
#[serde(untagged)]
enum Document {
    List { plugins: Vec<serde_json::Value> },
    One(serde_json::Value),
}

impl NetConf {
    /// Reads it from a file.
    ///
    /// # Errors
    /// [`NetConfError`].
    pub fn read(path: &Path) -> Result<Self, NetConfError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| NetConfError::Read { path: path.to_owned(), source })?;
        Self::parse(&text).map_err(|source| NetConfError::Parse { path: path.to_owned(), source })
    }

    fn parse(text: &str) -> serde_json::Result<Self> {
        let plugins = match serde_json::from_str(text)? {
            Document::List { plugins } => plugins,
            Document::One(plugin) => vec![plugin],
        };
        // Chained plugins have keys of their own: `ipam` of theirs means something else.
        let is_ours = |plugin: &serde_json::Value| {
            plugin["type"].as_str().is_some_and(|kind| ["cilium-cni", "netloom-cni"].contains(&kind))
        };
        plugins.into_iter().find(is_ours).map_or_else(|| Ok(Self::default()), serde_json::from_value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_of_a_config_map() {
        let text = r#"{
            "cniVersion": "0.3.1", "name": "cilium",
            "plugins": [
                {"type": "portmap", "ipam": "not ours"},
                {"type": "cilium-cni", "eni": {
                    "first-interface-index": 1, "subnet-tags": {"kubernetes.io/role/pods": "1"},
                    "security-groups": ["sg-1"], "delete-on-termination": true
                 }, "ipam": {"pre-allocate": 16, "min-allocate": 32, "type": "eni"}}
            ]
        }"#;
        let conf = NetConf::parse(text).unwrap();
        assert_eq!(conf.eni.first_interface_index, Some(1));
        assert_eq!(conf.eni.subnet_tags["kubernetes.io/role/pods"], "1");
        assert_eq!((conf.ipam.pre_allocate, conf.ipam.min_allocate), (16, 32));
        let alone =
            NetConf::parse(r#"{"name": "cilium", "type": "cilium-cni", "eni": {"subnet-ids": ["a"]}}"#);
        assert_eq!(alone.unwrap().eni.subnet_ids, ["a"]);
        assert_eq!(NetConf::parse(r#"{"plugins": [{"type": "cilium-cni"}]}"#).unwrap(), NetConf::default());
        assert!(
            NetConf::parse(r#"{"type": "cilium-cni", "eni": {"first-interface-index": "one"}}"#).is_err()
        );
    }
}
