//! What decides how many pods an instance takes.

use ipam::eni::MaxPodsOptions;
use serde_json::Value;

use crate::config::Config;

/// What is configured of it: as the agent reads it, the network configuration wins over keys.
#[must_use]
pub fn options(config: &Config, netconf: &Value) -> MaxPodsOptions {
    let eni = |key: &str| api::netconf::plugin(netconf).map(|(_, plugin)| plugin["eni"][key].clone());
    let is_on = |key: &str| {
        config.get(key).is_some_and(|value| matches!(value, "1" | "t" | "T" | "true" | "TRUE" | "True"))
    };
    let keyed = || config.get("eni-first-interface-index").and_then(|value| value.parse().ok());
    let first = eni("first-interface-index").and_then(|value| value.as_u64()).or_else(keyed).unwrap_or(0);
    let without = eni("disable-prefix-delegation").and_then(|value| value.as_bool());
    let without = without.unwrap_or_else(|| is_on("eni-disable-prefix-delegation"));
    MaxPodsOptions {
        prefixes: is_on("aws-enable-prefix-delegation") && !without,
        first_interface_index: u32::try_from(first).unwrap_or(u32::MAX),
    }
}

#[cfg(test)]
mod tests {
    use ipam::eni::max_pods_with_addresses;
    use serde_json::json;

    use super::*;
    use crate::cloud::values;
    use crate::config::Setting;
    use crate::state::Ipam;

    fn room(kind: &str, settings: &[(&str, &str)], eni: Option<Value>) -> Result<u32, String> {
        let setting = |(key, value): &(&str, &str)| Setting { key: (*key).into(), value: (*value).into() };
        let settings: Vec<Setting> = settings.iter().map(setting).collect();
        let config = Config::new(Ipam::Eni, true, &settings).unwrap();
        let said = |eni| json!({"name": "n", "plugins": [{"type": "cilium-cni", "eni": eni}]});
        let netconf = eni.map_or_else(|| values::netconf(&config).unwrap(), said);
        let of = &vpc::instance_types()[kind];
        max_pods_with_addresses(of, options(&config, &netconf)).map_err(|error| error.to_string())
    }

    #[test]
    fn the_figures_are_those_of_max_pods() {
        // The lab's own settings: prefixes, and no pods on the first interface.
        assert_eq!(room("m5.large", &[], None), Ok(110));
        assert_eq!(room("t3.micro", &[], None), Ok(18));
        assert_eq!(room("m5.large", &[("aws-enable-prefix-delegation", "false")], None), Ok(20));
        assert_eq!(room("m5.large", &[("eni-disable-prefix-delegation", "true")], None), Ok(20));
        assert_eq!(room("t2.micro", &[], None), Ok(3), "it takes no prefixes");
        let first = ("eni-first-interface-index", "0");
        assert_eq!(room("m5.large", &[("aws-enable-prefix-delegation", "false"), first], None), Ok(29));
        // What the network configuration says wins.
        let eni = json!({"first-interface-index": 2, "disable-prefix-delegation": true});
        assert_eq!(room("m5.large", &[first], Some(eni)), Ok(11));
    }

    #[test]
    fn an_instance_without_an_interface_for_pods_is_refused() {
        let refused = room("t2.micro", &[("eni-first-interface-index", "2")], None).unwrap_err();
        assert!(refused.contains("t2.micro has 2 network interfaces"), "{refused}");
        let refused = room("m5.large", &[], Some(json!({"first-interface-index": 3}))).unwrap_err();
        assert!(refused.contains("from 3 on"), "{refused}");
    }
}
