//! What operators and agents of a cluster in the VPC are told: the Helm values and the network configuration of
//! "Cilium on EKS with a secondary CIDR and prefix delegation".

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result};
use api::netconf::PLUGIN_TYPES;
use serde_json::{Map, Value, json};

use super::plan;
use crate::config::Config;
use crate::paths::{NodePaths, Paths};
use crate::plan::Node;
use crate::state::write_json;

/// The agent's key for the file with the network configuration.
pub const READ: &str = "read-cni-conf";

/// Keys of the ConfigMap, as Cilium's chart makes them of its values.
#[must_use]
pub fn keys() -> BTreeMap<String, String> {
    let ec2 = format!("http://{}", plan::EC2);
    [
        // eni.awsEnablePrefixDelegation, eni.awsReleaseExcessIPs, eni.updateEC2AdapterLimitViaAPI
        ("aws-enable-prefix-delegation", "true"),
        ("aws-release-excess-ips", "true"),
        ("update-ec2-adapter-limit-via-api", "true"),
        // egressMasqueradeInterfaces
        ("egress-masquerade-interfaces", "eth0"),
        // What the seed leaves to the environment.
        ("cluster-name", "lab"),
        ("ec2-api-endpoint", &ec2),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into()
}

/// Of the network configuration's `eni`: what it says, and the keys that say the same. What a user of the lab says
/// by a key is left out, since the network configuration wins over keys.
fn wishes() -> [(&'static str, Value, &'static [&'static str]); 2] {
    let (key, value) = plan::POD_SUBNET;
    [
        ("first-interface-index", json!(1), &["eni-first-interface-index"]),
        ("subnet-tags", json!({ key: value }), &["eni-subnet-tags", "eni-subnet-ids"]),
    ]
}

/// The network configuration, as `cni.configMap` brings it: pods have addresses of the tagged subnets, and none of an
/// instance's first interface. The lab's user may bring another one, by the key [`READ`].
///
/// # Errors
/// When his cannot be read.
pub fn netconf(config: &Config) -> Result<Value> {
    if let Some(netconf) = of_user(config)? {
        return Ok(netconf);
    }
    let kept = wishes().into_iter().filter(|(_, _, keys)| !keys.iter().any(|key| config.get(key).is_some()));
    let eni: Map<String, Value> = kept.map(|(field, value, _)| (field.to_owned(), value)).collect();
    Ok(json!({
        "cniVersion": "0.3.1",
        "name": "cilium",
        "plugins": [{"cniVersion": "0.3.1", "type": "cilium-cni", "eni": eni}],
    }))
}

/// The network configuration that the lab's user brings, if he brings one.
///
/// # Errors
/// When it cannot be read.
pub fn of_user(config: &Config) -> Result<Option<Value>> {
    let Some(file) = config.get(READ).filter(|file| !file.is_empty()) else { return Ok(None) };
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {file}"))?;
    serde_json::from_str(&text).map(Some).with_context(|| format!("{file} is no network configuration"))
}

/// Writes a network configuration where the nodes' agents read it.
///
/// # Errors
/// When a file cannot be written.
pub fn write(netconf: &Value, nodes: &[Node], paths: &Paths) -> Result<()> {
    nodes.iter().try_for_each(|node| {
        let files = paths.node(&node.name);
        write_json(&files.netconf(), &for_node(netconf.clone(), &files))
    })
}

/// The same for a node of several that share this machine: their plugins have to find the right agent.
#[must_use]
pub fn for_node(mut netconf: Value, files: &NodePaths) -> Value {
    let ours = |plugin: &&mut Value| plugin["type"].as_str().is_some_and(|kind| PLUGIN_TYPES.contains(&kind));
    let is_alone = !netconf["plugins"].is_array();
    let plugin = if is_alone {
        Some(&mut netconf)
    } else {
        netconf["plugins"].as_array_mut().into_iter().flatten().find(ours)
    };
    if let Some(plugin @ Value::Object(_)) = plugin {
        plugin["socket"] = json!(files.socket());
        plugin["queue-dir"] = json!(files.queue());
        plugin["log-file"] = json!(files.cni_log());
    }
    netconf
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Setting;
    use crate::state::Ipam;

    fn told(settings: &[(&str, &str)]) -> Config {
        let setting = |(key, value): &(&str, &str)| Setting { key: (*key).into(), value: (*value).into() };
        let settings: Vec<Setting> = settings.iter().map(setting).collect();
        Config::new(Ipam::Eni, true, &settings).unwrap()
    }

    #[test]
    fn what_the_user_says_is_left_out() {
        let eni = |settings| netconf(&told(settings)).unwrap()["plugins"][0]["eni"].clone();
        let tags = json!({"kubernetes.io/role/cni": "1"});
        assert_eq!(eni(&[]), json!({"first-interface-index": 1, "subnet-tags": tags}));
        assert_eq!(eni(&[("eni-subnet-ids", "subnet-1")]), json!({"first-interface-index": 1}));
        assert_eq!(eni(&[("eni-first-interface-index", "0")]), json!({"subnet-tags": tags}));
    }

    #[test]
    fn the_users_own_file_is_every_nodes() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("mine");
        let config = told(&[(READ, file.to_str().unwrap())]);
        assert!(netconf(&config).unwrap_err().to_string().contains("mine"));
        let files = Paths::new(&"values".parse().unwrap()).node("node1");
        let eni = json!({"subnet-ids": ["subnet-1"]});
        for netconf_of_his in [
            json!({"name": "x", "plugins": [{"type": "portmap"}, {"type": "netloom-cni", "eni": eni}]}),
            json!({"name": "x", "type": "cilium-cni", "eni": eni}),
        ] {
            fs::write(&file, netconf_of_his.to_string()).unwrap();
            let made = for_node(netconf(&config).unwrap(), &files);
            let plugin = made["plugins"].get(1).unwrap_or(&made);
            assert_eq!((&plugin["eni"], &plugin["socket"]), (&eni, &json!(files.socket())), "{made}");
            assert!(made["plugins"][0]["socket"].is_null());
        }
    }
}
