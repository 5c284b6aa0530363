//! The CNI plugin's network configuration and arguments.

use cni::{Environment, NetConf, PodArgs};

/// Reads the input as a network configuration, calls VERSION with it, and reads it as `CNI_ARGS`.
pub fn netconf(input: &[u8]) {
    if let Ok(config) = NetConf::decode(input) {
        let _ = (config.version(), config.validate(), config.socket());
    }
    let environment = Environment { command: Some("VERSION".into()), ..Environment::default() };
    let output = cni::run(&environment, Ok(input.to_vec()));
    // A result or an error: the runtime is always told in JSON.
    serde_json::from_slice::<serde_json::Value>(&output.stdout).expect("a plugin answers in JSON");
    if let Ok(text) = std::str::from_utf8(input) {
        let _ = PodArgs::parse(text);
    }
}
