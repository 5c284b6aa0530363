//! What the operator says the node has: interfaces, and the prefixes and addresses that pods may get.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::str::FromStr;

use crds::types::node::{Eni, EniSpec, EniStatus};
use ipnetwork::Ipv4Network;
use netcore::eni::{Interface, MTU, Number};

/// The usable part of `status.eni` of the node's object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listed {
    /// The ENIs.
    pub interfaces: BTreeMap<Number, Interface>,
    /// Prefixes and, as /32, single addresses that pods may get, and which ENI has each.
    pub prefixes: BTreeMap<Ipv4Network, Number>,
    /// The CIDRs of the VPC, the second and later ones too.
    pub vpc: BTreeSet<Ipv4Network>,
    /// What cannot be used, and why.
    pub complaints: Vec<String>,
}

impl Listed {
    /// Reads a status. ENIs below the first index are left out, and those that have all tags by which to exclude.
    /// What cannot be understood is left out, and complained about: unknown is not gone.
    #[must_use]
    pub fn new(status: &EniStatus, spec: &EniSpec) -> Self {
        let mut listed = Self::default();
        let mut contested = BTreeSet::new();
        for (id, eni) in &status.enis {
            for cidr in eni.vpc.primary_cidr.iter().chain(&eni.vpc.cidrs) {
                let cidr = listed.understand::<Ipv4Network>(id, "VPC CIDR", cidr);
                listed.vpc.extend(cidr.map(canonical));
            }
            if is_excluded(eni, spec) {
                continue;
            }
            let Some(interface) = listed.interface(id, eni, spec) else { continue };
            let number = interface.number;
            if let Some(other) = listed.interfaces.insert(number, interface) {
                let complaint = format!("{id}: {} has its device index {number}, too", other.mac);
                listed.complaints.push(complaint);
            }
            for prefix in listed.members(id, eni, spec) {
                if listed.prefixes.insert(prefix, number).is_some_and(|other| other != number) {
                    contested.insert(prefix);
                }
            }
        }
        for prefix in contested {
            // Whose it is cannot be told: pods would get addresses that lead elsewhere.
            listed.prefixes.remove(&prefix);
            listed
                .complaints
                .push(format!("{prefix} is listed on two interfaces: no pod gets an address of it"));
        }
        listed
    }

    /// Which ENI has an address.
    #[must_use]
    pub fn owner(&self, address: Ipv4Addr) -> Option<Number> {
        let found = self.prefixes.iter().find(|(prefix, _)| prefix.contains(address));
        found.map(|(_, number)| *number)
    }

    fn interface(&mut self, id: &str, eni: &Eni, spec: &EniSpec) -> Option<Interface> {
        let number = u32::try_from(eni.number).ok().or_else(|| {
            self.complaints.push(format!("{id}: {} is no device index", eni.number));
            None
        })?;
        let mac = self.understand(id, "MAC address", &eni.mac)?;
        let subnet = eni.subnet.cidr.as_deref().unwrap_or_default();
        let subnet: Ipv4Network = self.understand(id, "subnet's CIDR", subnet)?;
        let address = match &eni.ip {
            Some(text) if !uses_primary(spec) => Some(self.understand(id, "address", text)?),
            _ => None,
        };
        // EC2 keeps the first host of each subnet for its router.
        let gateway = Ipv4Addr::from(u32::from(subnet.network()).saturating_add(1));
        Some(Interface { number: Number(number), mac, address, gateway, mtu: MTU })
    }

    /// What pods may get of an ENI.
    fn members(&mut self, id: &str, eni: &Eni, spec: &EniSpec) -> BTreeSet<Ipv4Network> {
        let mut members = BTreeSet::new();
        for text in &eni.prefixes {
            members.extend(self.understand::<Ipv4Network>(id, "prefix", text).map(canonical));
        }
        // Cilium's operator lists the addresses of prefixes one by one, too.
        let primary = eni.ip.iter().filter(|_| uses_primary(spec));
        for text in eni.addresses.iter().chain(primary) {
            let Some(address) = self.understand::<Ipv4Addr>(id, "address", text) else { continue };
            let is_own = !uses_primary(spec) && eni.ip.as_deref() == Some(text);
            if !is_own && !members.iter().any(|prefix| prefix.contains(address)) {
                members.insert(address.into());
            }
        }
        members
    }

    fn understand<T: FromStr>(&mut self, id: &str, what: &str, text: &str) -> Option<T> {
        let value = text.parse().ok();
        if value.is_none() {
            self.complaints.push(format!("{id}: {text:?} is no {what}"));
        }
        value
    }
}

fn uses_primary(spec: &EniSpec) -> bool {
    spec.use_primary_address == Some(true)
}

fn is_excluded(eni: &Eni, spec: &EniSpec) -> bool {
    let first = spec.first_interface_index.unwrap_or(0);
    let tags = &spec.exclude_interface_tags;
    u64::try_from(eni.number).is_ok_and(|number| number < first)
        || (!tags.is_empty() && tags.iter().all(|(key, value)| eni.tags.get(key) == Some(value)))
}

/// Without host bits.
fn canonical(network: Ipv4Network) -> Ipv4Network {
    Ipv4Network::new(network.network(), network.prefix()).unwrap_or(network)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn listed(status: Value, spec: Value) -> Listed {
        Listed::new(&serde_json::from_value(status).unwrap(), &serde_json::from_value(spec).unwrap())
    }

    fn eni(number: i64, more: &Value) -> Value {
        let mut eni = json!({
            "number": number, "mac": format!("02:00:00:00:00:0{number}"), "ip": format!("100.64.{number}.4"),
            "subnet": {"id": "subnet-1", "cidr": format!("100.64.{number}.0/24")},
            "vpc": {"id": "vpc-1", "primary-cidr": "10.0.0.0/16", "cidrs": ["100.64.0.0/16"]},
        });
        eni.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        eni
    }

    fn prefixes(listed: &Listed) -> Vec<String> {
        listed.prefixes.iter().map(|(prefix, number)| format!("{prefix} {number}")).collect()
    }

    #[test]
    fn interfaces_prefixes_and_single_addresses() {
        let status = json!({"enis": {
            "eni-0": eni(0, &json!({"prefixes": ["10.0.0.16/28"]})),
            // The addresses of a prefix are listed beside it, and the ENI's own.
            "eni-1": eni(1, &json!({
                "prefixes": ["100.64.1.16/28"], "addresses": ["100.64.1.16", "100.64.1.31", "100.64.1.77", "100.64.1.4"],
            })),
            "eni-2": eni(2, &json!({"addresses": ["100.64.2.9"], "tags": {"use": "storage"}})),
        }});
        let spec = json!({"first-interface-index": 1, "exclude-interface-tags": {"use": "storage"}});
        let found = listed(status.clone(), spec);
        assert_eq!(prefixes(&found), ["100.64.1.16/28 1", "100.64.1.77/32 1"]);
        let eni = &found.interfaces[&Number(1)];
        assert_eq!((eni.address, eni.gateway), ("100.64.1.4".parse().ok(), "100.64.1.1".parse().unwrap()));
        assert_eq!(found.interfaces.len(), 1);
        // Of the VPC all is known, from whichever interface.
        assert_eq!(
            found.vpc.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["10.0.0.0/16", "100.64.0.0/16"]
        );
        assert_eq!(found.owner("100.64.1.31".parse().unwrap()), Some(Number(1)));
        assert_eq!(found.owner("100.64.2.9".parse().unwrap()), None);
        assert_eq!(found.complaints, [""; 0]);

        let found = listed(status, json!({"use-primary-address": true}));
        assert_eq!(
            prefixes(&found),
            [
                "10.0.0.16/28 0",
                "100.64.0.4/32 0",
                "100.64.1.4/32 1",
                "100.64.1.16/28 1",
                "100.64.1.77/32 1",
                "100.64.2.4/32 2",
                "100.64.2.9/32 2"
            ]
        );
        assert!(found.interfaces.values().all(|eni| eni.address.is_none()));
    }

    #[test]
    fn what_makes_no_sense_is_left_out_and_told() {
        let status = json!({"enis": {
            "eni-1": eni(1, &json!({"prefixes": ["100.64.9.16/28", "nonsense"]})),
            "eni-2": eni(2, &json!({"prefixes": ["100.64.9.16/28"]})),
            "eni-3": eni(3, &json!({"mac": "", "prefixes": ["100.64.3.16/28"]})),
        }});
        let found = listed(status, json!({}));
        assert_eq!(prefixes(&found), [""; 0]);
        assert_eq!(
            found.complaints,
            [
                "eni-1: \"nonsense\" is no prefix",
                "eni-3: \"\" is no MAC address",
                "100.64.9.16/28 is listed on two interfaces: no pod gets an address of it",
            ]
        );
    }
}
