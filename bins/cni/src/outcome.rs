//! The result of ADD.

use std::net::IpAddr;

use serde_json::{Map, Value, json};

use crate::config::Dns;
use crate::version::CniVersion;

/// The result of ADD in the form of the requested version: `interfaces[0]` is the host's end and
/// `interfaces[1]` the container's, to which all addresses belong.
#[must_use]
pub fn outcome(
    version: CniVersion,
    made: &api::InterfaceReply,
    ifname: &str,
    netns: &str,
    dns: Option<&Dns>,
) -> Value {
    let mut host = json!({"name": made.host_ifname, "mac": made.host_mac});
    let mut container = json!({"name": ifname, "mac": made.mac, "sandbox": netns});
    if version >= CniVersion::V1_1_0 {
        for interface in [&mut host, &mut container] {
            interface["mtu"] = made.mtu.into();
        }
    }
    let mut ips = Vec::new();
    let mut routes = Vec::new();
    for (address, gateway) in made.addresses.iter().zip(&made.gateways) {
        let mut ip = json!({"address": address.to_string(), "gateway": gateway, "interface": 1});
        if version < CniVersion::V1_0_0 {
            ip["version"] = if address.is_ipv4() { "4" } else { "6" }.into();
        }
        ips.push(ip);
        let everywhere = match gateway {
            IpAddr::V4(_) => "0.0.0.0/0",
            IpAddr::V6(_) => "::/0",
        };
        routes.push(json!({"dst": everywhere, "gw": gateway}));
    }
    let mut result = Map::new();
    result.insert("cniVersion".into(), version.as_str().into());
    result.insert("interfaces".into(), json!([host, container]));
    result.insert("ips".into(), ips.into());
    result.insert("routes".into(), routes.into());
    result.insert("dns".into(), json!(dns.cloned().unwrap_or_default()));
    Value::Object(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made() -> api::InterfaceReply {
        api::InterfaceReply {
            mac: "02:00:00:00:00:02".into(),
            host_ifname: "nl12345678".into(),
            host_mac: "02:6e:6c:00:00:01".into(),
            addresses: vec!["10.244.1.5/32".parse().unwrap(), "fd00:10:244:1::5/128".parse().unwrap()],
            gateways: vec!["169.254.1.1".parse().unwrap(), "fe80::1".parse().unwrap()],
            mtu: 1500,
        }
    }

    #[test]
    fn the_form_follows_the_version() {
        for version in CniVersion::ALL {
            let result = outcome(version, &made(), "eth0", "/run/netns/a", None);
            assert_eq!(result["cniVersion"], version.as_str());
            assert_eq!(result["ips"][0].get("version").is_some(), version < CniVersion::V1_0_0, "{version}");
            assert_eq!(result["interfaces"][1].get("mtu").is_some(), version == CniVersion::V1_1_0);
        }
    }

    #[test]
    fn addresses_belong_to_the_containers_end() {
        let result = outcome(CniVersion::V0_3_1, &made(), "eth0", "/run/netns/a", None);
        assert_eq!(
            result,
            json!({
                "cniVersion": "0.3.1",
                "interfaces": [
                    {"name": "nl12345678", "mac": "02:6e:6c:00:00:01"},
                    {"name": "eth0", "mac": "02:00:00:00:00:02", "sandbox": "/run/netns/a"},
                ],
                "ips": [
                    {"version": "4", "address": "10.244.1.5/32", "gateway": "169.254.1.1", "interface": 1},
                    {"version": "6", "address": "fd00:10:244:1::5/128", "gateway": "fe80::1", "interface": 1},
                ],
                "routes": [
                    {"dst": "0.0.0.0/0", "gw": "169.254.1.1"},
                    {"dst": "::/0", "gw": "fe80::1"},
                ],
                "dns": {},
            })
        );
    }
}
