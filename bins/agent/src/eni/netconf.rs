//! Wishes about ENIs in a network configuration, as Cilium's plugin takes them: `cni.configMap` of its chart puts
//! such a file where `read-cni-conf` points to.

use std::path::{Path, PathBuf};

use api::netconf::{self, Problem, What};
use crds::types::node::{EniSpec, IpamSpec};
use serde::Deserialize;
use serde_json::Value;

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
    /// It is no JSON.
    #[error("cannot understand the network configuration {}: {source}", .path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A key has a value of another kind.
    #[error("network configuration {}: {key}: {problem}", .path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// The key, with where it is.
        key: String,
        /// What is wrong with its value.
        problem: String,
    },
}

impl NetConf {
    /// Reads it from a file. Keys that nobody knows are no error: the second value names them.
    ///
    /// # Errors
    /// [`NetConfError`].
    pub fn read(path: &Path) -> Result<(Self, Vec<Problem>), NetConfError> {
        let document = document(path)?;
        let problems = netconf::problems(&document);
        let wrong = |(key, problem)| NetConfError::Value { path: path.to_owned(), key, problem };
        let read = Self::of(&document, &problems).map_err(wrong)?;
        Ok((read, problems))
    }

    /// Of a list of plugins, or of a plugin alone: the key that is wrong, and why.
    fn of(document: &Value, problems: &[Problem]) -> Result<Self, (String, String)> {
        // What the plugin or the runtime would refuse at each pod is better refused at once.
        for Problem { path, what } in problems {
            if let What::Wrong(kind) = what {
                return Err((path.clone(), format!("{kind} is expected")));
            }
        }
        let Some((path, plugin)) = netconf::plugin(document) else { return Ok(Self::default()) };
        serde_path_to_error::deserialize(plugin)
            .map_err(|error| (format!("{path}{}", error.path()), error.inner().to_string()))
    }
}

/// What a file has, as far as it is JSON.
///
/// # Errors
/// [`NetConfError`].
pub(crate) fn document(path: &Path) -> Result<Value, NetConfError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| NetConfError::Read { path: path.to_owned(), source })?;
    serde_json::from_str(&text).map_err(|source| NetConfError::Json { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<NetConf, (String, String)> {
        let document = serde_json::from_str(text).unwrap();
        NetConf::of(&document, &netconf::problems(&document))
    }

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
        let conf = parsed(text).unwrap();
        assert_eq!(conf.eni.first_interface_index, Some(1));
        assert_eq!(conf.eni.subnet_tags["kubernetes.io/role/pods"], "1");
        assert_eq!((conf.ipam.pre_allocate, conf.ipam.min_allocate), (16, 32));
        let alone = parsed(r#"{"name": "cilium", "type": "cilium-cni", "eni": {"subnet-ids": ["a"]}}"#);
        assert_eq!(alone.unwrap().eni.subnet_ids, ["a"]);
        assert_eq!(parsed(r#"{"plugins": [{"type": "cilium-cni"}]}"#).unwrap(), NetConf::default());
    }

    #[test]
    fn a_bad_value_is_named_with_its_key() {
        let wrong = |plugin: &str| {
            let text = format!(
                r#"{{"name": "n", "plugins": [{{"type": "portmap"}}, {{"type": "cilium-cni", {plugin}}}]}}"#
            );
            parsed(&text).unwrap_err()
        };
        let said = |key: &str, problem: &str| (format!("plugins[1].{key}"), problem.to_owned());
        let first = r#""eni": {"first-interface-index": "one"}"#;
        assert_eq!(wrong(first), said("eni.first-interface-index", "a number is expected"));
        assert_eq!(wrong(r#""mtu": "1500""#), said("mtu", "a number is expected"));
        let (key, problem) = wrong(r#""eni": {"subnet-ids": ["a", 1]}"#);
        assert_eq!(key, "plugins[1].eni.subnet-ids[1]");
        assert!(problem.contains("integer `1`, expected a string"), "{problem}");
        let (key, _) = wrong(r#""eni": {"subnet-tags": {"a": true}}"#);
        assert_eq!(key, "plugins[1].eni.subnet-tags.a");
    }

    #[test]
    fn what_nobody_knows_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("05-cilium.conflist");
        std::fs::write(&file, r#"{"type": "cilium-cni", "eni": {"subnetTags": {"a": "b"}}}"#).unwrap();
        let (conf, problems) = NetConf::read(&file).unwrap();
        assert_eq!(conf, NetConf::default());
        let told = r#"eni.subnetTags: unknown key (did you mean "subnet-tags"?)"#;
        assert_eq!(problems.iter().map(ToString::to_string).collect::<Vec<_>>(), [told]);
        std::fs::write(&file, "{").unwrap();
        assert!(NetConf::read(&file).unwrap_err().to_string().contains("05-cilium.conflist"));
    }

    /// The keys that are known are those that have a place.
    #[test]
    fn every_key_of_a_node_is_known() {
        let eni = EniSpec {
            instance_type: Some(String::new()),
            first_interface_index: Some(0),
            security_groups: vec![String::new()],
            security_group_tags: [(String::new(), String::new())].into(),
            subnet_ids: vec![String::new()],
            subnet_tags: [(String::new(), String::new())].into(),
            node_subnet_id: Some(String::new()),
            vpc_id: Some(String::new()),
            availability_zone: Some(String::new()),
            exclude_interface_tags: [(String::new(), String::new())].into(),
            delete_on_termination: Some(true),
            use_primary_address: Some(true),
            disable_prefix_delegation: Some(true),
        };
        let Value::Object(eni) = serde_json::to_value(eni).unwrap() else { panic!("no object") };
        let known: Vec<&str> = netconf::ENI.iter().map(|(key, _)| *key).collect();
        assert_eq!(eni.keys().map(String::as_str).collect::<Vec<_>>(), known);
        let ipam = IpamSpec {
            pool: [(String::new(), crds::types::node::AllocationIp::default())].into(),
            ipv6_pool: [(String::new(), crds::types::node::AllocationIp::default())].into(),
            pools: crds::types::node::Pools { requested: vec![Default::default()], allocated: Vec::new() },
            pod_cidrs: vec![String::new()],
            min_allocate: 1,
            max_allocate: 1,
            pre_allocate: 1,
            max_above_watermark: 1,
            static_ip_tags: [(String::new(), String::new())].into(),
        };
        let Value::Object(mut ipam) = serde_json::to_value(ipam).unwrap() else { panic!("no object") };
        ipam.insert("type".into(), "eni".into());
        let mut keys: Vec<&str> = ipam.keys().map(String::as_str).collect();
        keys.sort_unstable();
        assert_eq!(keys, netconf::IPAM.map(|(key, _)| key));
    }
}
