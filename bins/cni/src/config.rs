//! The network configuration on standard input.

use std::path::PathBuf;

use api::netconf::PLUGIN_TYPES;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::CniError;
use crate::version::CniVersion;

/// The key of what the runtime still knows.
const VALID_ATTACHMENTS: &str = "cni.dev/valid-attachments";

/// The network configuration: that of `cilium-cni` and two keys of our own, `socket` and `queue-dir`.
///
/// Keys that are not here are ignored, as the specification asks, but for a line in the log at each ADD
/// ([`api::netconf`]). Keys of the reference that change
/// nothing here are decoded nevertheless, so that one of the wrong type is an error and not a surprise.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct NetConf {
    /// The version of the specification that the result is to have. Missing means 0.1.0, which is refused.
    #[serde(rename = "cniVersion", default)]
    pub cni_version: String,
    /// The network's name.
    #[serde(default)]
    pub name: String,
    /// `netloom-cni` or `cilium-cni`.
    #[serde(rename = "type", default)]
    pub kind: String,
    /// The interface's MTU in bytes; zero or missing leaves it to the agent.
    #[serde(default)]
    pub mtu: Option<u32>,
    /// Where to log; missing means nowhere.
    #[serde(default)]
    pub log_file: Option<PathBuf>,
    /// `json`, or text.
    #[serde(default)]
    pub log_format: Option<String>,
    /// Whether the log has every request.
    #[serde(default)]
    pub enable_debug: bool,
    /// How the plugin stands among others: `none` and `portmap` are supported.
    #[serde(default)]
    pub chaining_mode: Option<String>,
    /// Only for chained plugins, which are not supported.
    #[serde(default)]
    pub enable_route_mtu: bool,
    /// For the operator; the plugin only passes by.
    #[serde(default)]
    pub eni: Option<Map<String, Value>>,
    /// For the operator and the agent.
    #[serde(default)]
    pub ipam: Option<Map<String, Value>>,
    /// Not for this plugin.
    #[serde(default)]
    pub azure: Option<Map<String, Value>>,
    /// Not for this plugin.
    #[serde(default)]
    pub alibaba_cloud: Option<Map<String, Value>>,
    /// What the runtime passes to plugins that declare capabilities; this one declares none.
    #[serde(rename = "runtimeConfig", default)]
    pub runtime_config: Option<Map<String, Value>>,
    /// Capabilities that the configuration declares.
    #[serde(default)]
    pub capabilities: Option<Map<String, Value>>,
    /// Further arguments.
    #[serde(default)]
    pub args: Option<Map<String, Value>>,
    /// Copied to the result.
    #[serde(default)]
    pub dns: Option<Dns>,
    /// What ADD answered, for CHECK and DEL. The agent has its own record.
    #[serde(rename = "prevResult", default)]
    pub prev_result: Option<Map<String, Value>>,
    /// The agent's socket.
    #[serde(default)]
    pub socket: Option<PathBuf>,
    /// The queue of disconnections.
    #[serde(default)]
    pub queue_dir: Option<PathBuf>,
    /// For GC: what the runtime still knows. `null` is an empty list, as Go writes one.
    #[serde(rename = "cni.dev/valid-attachments", default, deserialize_with = "present")]
    pub valid_attachments: Option<Vec<ValidAttachment>>,
}

/// An attachment that the runtime still knows.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ValidAttachment {
    /// The container.
    #[serde(rename = "containerID")]
    pub container_id: String,
    /// Its interface.
    pub ifname: String,
}

/// DNS settings of the network.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dns {
    /// Servers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nameservers: Vec<String>,
    /// The local domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// Search domains.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub search: Vec<String>,
    /// Options of the resolver.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
}

fn present<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Vec<ValidAttachment>>, D::Error> {
    Ok(Some(Option::deserialize(from)?.unwrap_or_default()))
}

impl NetConf {
    /// Decodes a configuration.
    ///
    /// # Errors
    /// When it is no JSON object or a key has the wrong type.
    pub fn decode(bytes: &[u8]) -> Result<Self, CniError> {
        // An array would be taken for a struct's fields in order.
        let mut object: Map<String, Value> = serde_json::from_slice(bytes).map_err(CniError::Decode)?;
        // To Go `null` says nothing, but of a list that is told it is the empty one.
        object.retain(|key, value| !value.is_null() || key == VALID_ATTACHMENTS);
        serde_json::from_value(Value::Object(object)).map_err(CniError::Decode)
    }

    /// The version, or the newest for an error about a configuration whose version is not supported.
    pub(crate) fn answer_version(&self) -> CniVersion {
        CniVersion::parse(&self.cni_version).unwrap_or(CniVersion::NEWEST)
    }

    /// The version that results are to have.
    ///
    /// # Errors
    /// When the plugin does not speak it.
    pub fn version(&self) -> Result<CniVersion, CniError> {
        CniVersion::parse(&self.cni_version)
            .ok_or_else(|| CniError::Version { version: self.cni_version.clone(), command: None })
    }

    /// Checks the values.
    ///
    /// # Errors
    /// When one is missing, makes no sense or is not supported.
    pub fn validate(&self) -> Result<(), CniError> {
        let problem = |key, problem: String| Err(CniError::Config { key, problem });
        let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        if !self.name.starts_with(|c: char| c.is_ascii_alphanumeric()) || !self.name.chars().all(inner) {
            return problem("name", format!("{:?} is no name of a network", self.name));
        }
        if !PLUGIN_TYPES.contains(&self.kind.as_str()) {
            return problem("type", format!("{:?} is neither netloom-cni nor cilium-cni", self.kind));
        }
        if let Some(mtu @ (1..=1279 | 65_536..)) = self.mtu {
            return problem("mtu", format!("{mtu} is not between 1280 and 65535"));
        }
        if let Some(mode) = self.chaining_mode.as_deref()
            && !matches!(mode, "" | "none" | "portmap")
        {
            return Err(CniError::Unsupported {
                key: "chaining-mode",
                value: mode.into(),
                hint: "the plugin makes the interface itself; use none or portmap",
            });
        }
        for (key, path) in [("socket", &self.socket), ("queue-dir", &self.queue_dir)] {
            if let Some(path) = path
                && !path.is_absolute()
            {
                return problem(key, format!("{} is no absolute path", path.display()));
            }
        }
        Ok(())
    }

    /// The agent's socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.socket.clone().unwrap_or_else(|| api::DEFAULT_SOCKET.into())
    }

    /// The queue of disconnections.
    #[must_use]
    pub fn queue(&self) -> api::DelQueue {
        api::DelQueue::new(self.queue_dir.clone().unwrap_or_else(|| api::DEFAULT_QUEUE.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(config: &str) -> Option<u32> {
        let checked = NetConf::decode(config.as_bytes()).and_then(|config| {
            config.version()?;
            config.validate()
        });
        checked.err().map(|error| error.code() as u32)
    }

    #[test]
    fn the_configuration_of_a_cloud_is_accepted() {
        let config = r#"{"cniVersion": "0.3.1", "name": "cilium", "type": "cilium-cni", "mtu": 0,
            "eni": {"subnet-tags": {"foo": "true"}, "first-interface-index": 1}, "ipam": {"pre-allocate": 16},
            "log-file": "/var/run/cilium/cilium-cni.log", "log-format": "json", "enable-debug": true,
            "chaining-mode": "portmap", "enable-route-mtu": false, "azure": {}, "alibaba-cloud": {},
            "capabilities": {"portMappings": true}, "runtimeConfig": {}, "args": {"cni": {}},
            "dns": {"nameservers": ["10.0.0.2"]}, "prevResult": {}, "a-key-of-the-future": [1]}"#;
        assert_eq!(code(config), None);
    }

    #[test]
    fn codes_of_refusals() {
        for (config, expected) in [
            ("", 6),
            ("[]", 6),
            (r#"{"cniVersion": 1}"#, 6),
            (r#"{"cniVersion": "1.0.0", "mtu": "1500"}"#, 6),
            (r#"{"cniVersion": "1.0.0", "mtu": -1}"#, 6),
            (r#"{"cniVersion": "1.0.0", "eni": []}"#, 6),
            (r#"{"cniVersion": "1.0.0", "enable-debug": "yes"}"#, 6),
            (r#"{"cniVersion": "1.0.0", "cni.dev/valid-attachments": [{"containerID": "a"}]}"#, 6),
            (r#"{"name": "n", "type": "netloom-cni"}"#, 1),
            (r#"{"cniVersion": "0.2.0", "name": "n", "type": "netloom-cni"}"#, 1),
            (r#"{"cniVersion": "1.0.0", "type": "netloom-cni"}"#, 7),
            (r#"{"cniVersion": "1.0.0", "name": "a/b", "type": "netloom-cni"}"#, 7),
            (r#"{"cniVersion": "1.0.0", "name": "n", "type": "bridge"}"#, 7),
            (r#"{"cniVersion": "1.0.0", "name": "n", "type": "netloom-cni", "mtu": 100}"#, 7),
            (r#"{"cniVersion": "1.0.0", "name": "n", "type": "netloom-cni", "socket": "x"}"#, 7),
            (r#"{"cniVersion": "1.0.0", "name": "n", "type": "netloom-cni", "chaining-mode": "aws-cni"}"#, 2),
        ] {
            assert_eq!(code(config), Some(expected), "{config}");
        }
    }

    #[test]
    fn no_attachments_is_not_the_same_as_none_said() {
        let valid = |config: &str| NetConf::decode(config.as_bytes()).unwrap().valid_attachments;
        assert_eq!(valid("{}"), None);
        assert_eq!(valid(r#"{"cni.dev/valid-attachments": null}"#), Some(vec![]));
    }
}
