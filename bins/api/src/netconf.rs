//! The keys of a network configuration: what agent and plugin know of it, and what is wrong with one.

use std::fmt;

use serde_json::{Map, Value};

use crate::nearest::{did_you_mean, nearest};

/// What a value is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A text.
    Text,
    /// A number, none below zero.
    Number,
    /// True or false.
    Truth,
    /// True or false, or a text that says so.
    Switch,
    /// An object.
    Object,
    /// A list.
    List,
}

/// What is wrong with a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// Nobody knows it; perhaps this one was meant.
    Unknown(Option<&'static str>),
    /// It has to be something else. The plugin, or the runtime, refuses such a configuration.
    Wrong(Kind),
}

/// A key that something is wrong with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where it is: `plugins[0].eni.subnet-tag`.
    pub path: String,
    /// What it is.
    pub what: What,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = &self.path;
        match &self.what {
            What::Unknown(meant) => write!(f, "{path}: unknown key{}", did_you_mean(*meant)),
            What::Wrong(kind) => write!(f, "{path}: {kind} is expected"),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "a text",
            Self::Number => "a number",
            Self::Truth | Self::Switch => "true or false",
            Self::Object => "an object",
            Self::List => "a list",
        })
    }
}

impl Kind {
    fn is_of(self, value: &Value) -> bool {
        match self {
            Self::Text => value.is_string(),
            Self::Number => value.is_u64(),
            Self::Truth => value.is_boolean(),
            Self::Switch => value.is_boolean() || matches!(value.as_str(), Some("true" | "false")),
            Self::Object => value.is_object(),
            Self::List => value.is_array(),
        }
    }
}

/// Keys of a list of plugins, as the CNI specification 1.1 has them, with what runtimes that use libcni take.
const LIST: [(&str, Kind); 7] = [
    ("cniVersion", Kind::Text),
    ("cniVersions", Kind::List),
    ("disableCheck", Kind::Switch),
    ("disableGC", Kind::Switch),
    ("loadOnlyInlinedPlugins", Kind::Switch),
    ("name", Kind::Text),
    ("plugins", Kind::List),
];

/// Keys of the plugin: the specification's, those of `cilium-cni`, and `socket` and `queue-dir`.
const PLUGIN: [(&str, Kind); 20] = [
    ("alibaba-cloud", Kind::Object),
    ("args", Kind::Object),
    ("azure", Kind::Object),
    ("capabilities", Kind::Object),
    ("chaining-mode", Kind::Text),
    ("cniVersion", Kind::Text),
    ("dns", Kind::Object),
    ("enable-debug", Kind::Truth),
    ("enable-route-mtu", Kind::Truth),
    ("eni", Kind::Object),
    ("ipam", Kind::Object),
    ("log-file", Kind::Text),
    ("log-format", Kind::Text),
    ("mtu", Kind::Number),
    ("name", Kind::Text),
    ("prevResult", Kind::Object),
    ("queue-dir", Kind::Text),
    ("runtimeConfig", Kind::Object),
    ("socket", Kind::Text),
    ("type", Kind::Text),
];

/// Keys of `eni`: those of `spec.eni` of a CiliumNode.
pub const ENI: [(&str, Kind); 13] = [
    ("availability-zone", Kind::Text),
    ("delete-on-termination", Kind::Truth),
    ("disable-prefix-delegation", Kind::Truth),
    ("exclude-interface-tags", Kind::Object),
    ("first-interface-index", Kind::Number),
    ("instance-type", Kind::Text),
    ("node-subnet-id", Kind::Text),
    ("security-group-tags", Kind::Object),
    ("security-groups", Kind::List),
    ("subnet-ids", Kind::List),
    ("subnet-tags", Kind::Object),
    ("use-primary-address", Kind::Truth),
    ("vpc-id", Kind::Text),
];

/// Keys of `ipam`: `type`, and those of `spec.ipam` of a CiliumNode.
pub const IPAM: [(&str, Kind); 10] = [
    ("ipv6-pool", Kind::Object),
    ("max-above-watermark", Kind::Number),
    ("max-allocate", Kind::Number),
    ("min-allocate", Kind::Number),
    ("podCIDRs", Kind::List),
    ("pool", Kind::Object),
    ("pools", Kind::Object),
    ("pre-allocate", Kind::Number),
    ("static-ip-tags", Kind::Object),
    ("type", Kind::Text),
];

/// What runtimes put into a plugin's configuration begins so.
const RUNTIMES: &str = "cni.dev/";

/// The plugin's names, of which it goes by either.
pub const PLUGIN_TYPES: [&str; 2] = ["netloom-cni", "cilium-cni"];

/// The plugin's part of a network configuration, and where it is; none where the configuration has no such plugin.
/// Chained plugins have keys of their own, which may mean something else.
#[must_use]
pub fn plugin(document: &Value) -> Option<(String, &Value)> {
    let is_ours = |plugin: &Value| plugin["type"].as_str().is_some_and(|kind| PLUGIN_TYPES.contains(&kind));
    match document["plugins"].as_array() {
        Some(plugins) => {
            let (index, plugin) = plugins.iter().enumerate().find(|(_, plugin)| is_ours(plugin))?;
            Some((format!("plugins[{index}]."), plugin))
        }
        None => is_ours(document).then(|| (String::new(), document)),
    }
}

/// What is wrong with a network configuration, be it a list of plugins or ours alone: keys that nobody knows, and
/// values of another kind. Known keys that change nothing here are no problem.
///
/// ```
/// use netloom_api::netconf::problems;
///
/// let conf = serde_json::json!({"type": "cilium-cni", "eni": {"subnet-tag": {"a": "b"}}, "mtu": "1500"});
/// let said: Vec<String> = problems(&conf).iter().map(ToString::to_string).collect();
/// assert_eq!(said, [
///     "mtu: a number is expected",
///     "eni.subnet-tag: unknown key (did you mean \"subnet-tags\"?)",
/// ]);
/// ```
#[must_use]
pub fn problems(document: &Value) -> Vec<Problem> {
    let mut found = Vec::new();
    if let (true, Value::Object(list)) = (document["plugins"].is_array(), document) {
        check("", list, &LIST, &mut found);
    }
    if let Some((path, Value::Object(plugin))) = plugin(document) {
        check(&path, plugin, &PLUGIN, &mut found);
        for (key, known) in [("eni", &ENI[..]), ("ipam", &IPAM[..])] {
            if let Some(Value::Object(part)) = plugin.get(key) {
                check(&format!("{path}{key}."), part, known, &mut found);
            }
        }
    }
    found
}

fn check(path: &str, object: &Map<String, Value>, known: &[(&'static str, Kind)], found: &mut Vec<Problem>) {
    for (key, value) in object.iter().filter(|(key, _)| !key.starts_with(RUNTIMES)) {
        let what = match known.iter().find(|(name, _)| name == key) {
            // As if it were not there.
            Some(_) if value.is_null() => continue,
            Some((_, kind)) if kind.is_of(value) => continue,
            Some((_, kind)) => What::Wrong(*kind),
            None => What::Unknown(nearest(key, known.iter().map(|(name, _)| *name))),
        };
        found.push(Problem { path: format!("{path}{key}"), what });
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn said(document: &Value) -> Vec<String> {
        problems(document).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn all_that_the_reference_knows_is_no_problem() {
        let document = json!({
            "cniVersion": "1.0.0", "cniVersions": ["1.0.0"], "disableCheck": "true", "disableGC": false, "name": "n",
            "plugins": [
                {"type": "portmap", "snat": true, "capabilities": {"portMappings": true}},
                {"type": "cilium-cni", "mtu": 0, "eni": {"subnet-tags": {"a": "b"}, "use-primary-address": null},
                 "ipam": {"type": "eni", "pre-allocate": 16, "pools": {}}, "azure": {}, "alibaba-cloud": {},
                 "enable-debug": true, "enable-route-mtu": false, "log-file": "/x", "log-format": "json",
                 "chaining-mode": "none", "cni.dev/valid-attachments": [], "prevResult": {}, "args": {}},
            ],
        });
        assert_eq!(said(&document), Vec::<String>::new());
        assert_eq!(
            said(&json!({"name": "other", "type": "bridge", "isGateway": true})),
            Vec::<String>::new()
        );
    }

    #[test]
    fn keys_that_nobody_knows_are_named_wherever_they_are() {
        let document = json!({
            "name": "n", "pluginz": [],
            "plugins": [{"type": "portmap"}, {
                "type": "netloom-cni", "enable_debug": true, "colour": "red",
                "eni": {"firstInterfaceIndex": 1, "security-groups": "sg-1"}, "ipam": {"preallocate": 8, "min-allocate": -1},
            }],
        });
        assert_eq!(
            said(&document),
            [
                r#"pluginz: unknown key (did you mean "plugins"?)"#,
                r"plugins[1].colour: unknown key",
                r#"plugins[1].enable_debug: unknown key (did you mean "enable-debug"?)"#,
                r#"plugins[1].eni.firstInterfaceIndex: unknown key (did you mean "first-interface-index"?)"#,
                r"plugins[1].eni.security-groups: a list is expected",
                r"plugins[1].ipam.min-allocate: a number is expected",
                r#"plugins[1].ipam.preallocate: unknown key (did you mean "pre-allocate"?)"#,
            ]
        );
    }
}
