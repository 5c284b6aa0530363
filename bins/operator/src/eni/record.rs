//! CiliumNodes as the fleet knows them, and the fleet's words as CiliumNodes have them.

use std::net::Ipv4Addr;

use crds::CiliumNode;
use crds::types::node::{Eni, EniSpec, EniSubnet, EniVpc, IpamSpec};
use ipam::eni::handshake::{DRAIN, DRAINED};
use ipam::eni::{ListedInterface, NodeRecord, NodeSettings, NodeStatus, Watermarks};
use ipnetwork::Ipv4Network;
use serde_json::{Map, Value, json};

/// What a CiliumNode says about its interfaces. Of pods it knows nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EniView {
    pub(super) record: NodeRecord,
    pub(super) vpc_id: Option<String>,
}

impl From<&CiliumNode> for EniView {
    fn from(node: &CiliumNode) -> Self {
        let meta = &node.metadata;
        let note = |key: &str| meta.annotations.as_ref().and_then(|notes| notes.get(key)).cloned();
        let ipam = &node.spec.ipam;
        let requested = ipam.pools.requested.iter().map(|pool| pool.needed.ipv4_addrs);
        let record = NodeRecord {
            name: meta.name.clone().unwrap_or_default(),
            uid: meta.uid.clone().unwrap_or_default(),
            resource_version: meta.resource_version.clone().unwrap_or_default(),
            instance_id: node.spec.instance_id.clone().unwrap_or_default(),
            settings: settings(&node.spec.eni, ipam),
            requested: (!ipam.pools.requested.is_empty())
                .then(|| u32::try_from(requested.sum::<i64>().max(0)).unwrap_or(u32::MAX)),
            allocated: ipam
                .pools
                .allocated
                .iter()
                .flat_map(|pool| &pool.cidrs)
                .filter_map(|cidr| cidr.parse().ok())
                .collect(),
            pending_pods: 0,
            drain: note(DRAIN),
            drained: note(DRAINED),
            status: status(node),
        };
        Self { record, vpc_id: node.spec.eni.vpc_id.clone().filter(|id| !id.is_empty()) }
    }
}

fn settings(eni: &EniSpec, ipam: &IpamSpec) -> NodeSettings {
    let number = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    let usual = Watermarks::default();
    let flag = |set: Option<bool>, usual| set.unwrap_or(usual);
    NodeSettings {
        instance_type: eni.instance_type.clone().unwrap_or_default(),
        first_interface_index: number(eni.first_interface_index.unwrap_or(0)),
        security_groups: eni.security_groups.clone(),
        security_group_tags: eni.security_group_tags.clone(),
        subnet_ids: eni.subnet_ids.clone(),
        subnet_tags: eni.subnet_tags.clone(),
        node_subnet_id: eni.node_subnet_id.clone(),
        availability_zone: eni.availability_zone.clone().unwrap_or_default(),
        exclude_interface_tags: eni.exclude_interface_tags.clone(),
        delete_on_termination: flag(eni.delete_on_termination, true),
        use_primary_address: flag(eni.use_primary_address, false),
        disable_prefix_delegation: flag(eni.disable_prefix_delegation, false),
        watermarks: Watermarks {
            // The agent counts as many beyond what it uses.
            pre_allocate: if ipam.pre_allocate == 0 { usual.pre_allocate } else { number(ipam.pre_allocate) },
            min_allocate: number(ipam.min_allocate),
            max_allocate: number(ipam.max_allocate),
            max_above_watermark: number(ipam.max_above_watermark),
        },
    }
}

fn status(node: &CiliumNode) -> NodeStatus {
    let Some(status) = &node.status else { return NodeStatus::default() };
    let interfaces = status.eni.enis.iter().map(|(id, eni)| (id.clone(), listed(eni)));
    NodeStatus {
        interfaces: interfaces.collect(),
        error: status.ipam.operator_status.error.clone().filter(|error| !error.is_empty()),
    }
}

fn listed(eni: &Eni) -> ListedInterface {
    let prefixes = parsed::<Ipv4Network>(&eni.prefixes);
    let mut addresses = parsed::<Ipv4Addr>(&eni.addresses);
    // Cilium's operator lists the addresses of prefixes as well.
    addresses.retain(|address| !prefixes.iter().any(|prefix| prefix.contains(*address)));
    ListedInterface {
        ip: eni.ip.as_ref().and_then(|ip| ip.parse().ok()).unwrap_or(Ipv4Addr::UNSPECIFIED),
        mac: eni.mac.clone(),
        availability_zone: eni.availability_zone.clone().unwrap_or_default(),
        description: eni.description.clone().unwrap_or_default(),
        number: u32::try_from(eni.number).unwrap_or(u32::MAX),
        subnet_id: eni.subnet.id.clone(),
        subnet_cidr: eni.subnet.cidr.as_ref().and_then(|cidr| cidr.parse().ok()),
        vpc_id: eni.vpc.id.clone(),
        vpc_primary_cidr: eni.vpc.primary_cidr.as_ref().and_then(|cidr| cidr.parse().ok()),
        vpc_cidrs: parsed(&eni.vpc.cidrs),
        addresses,
        prefixes,
        security_groups: eni.security_groups.clone(),
        tags: eni.tags.clone(),
    }
}

fn parsed<T: std::str::FromStr>(texts: &[String]) -> Vec<T> {
    texts.iter().filter_map(|text| text.parse().ok()).collect()
}

fn texts<T: ToString>(values: &[T]) -> Vec<String> {
    values.iter().map(ToString::to_string).collect()
}

/// The change that makes a status that said `before` say this, as a merge of JSON. What else it says stays.
pub(super) fn status_patch(before: &NodeStatus, wanted: &NodeStatus) -> Value {
    let enis = |status: &NodeStatus| -> Value {
        status.interfaces.iter().map(|(id, listed)| (id.clone(), json!(eni(id, listed)))).collect()
    };
    let mut enis = difference(&enis(before), enis(wanted));
    for id in wanted.interfaces.keys() {
        // What is not said may be there all the same: of `before` it is known only as far as it was understood, and of
        // addresses that prefixes have Cilium's operator lists each.
        for field in UNSAID {
            let (outer, inner) = field.split_at(field.len() - 1);
            let owner = outer.iter().try_fold(&mut enis[id.as_str()], |value, key| value.get_mut(*key));
            if let (Some(Value::Object(owner)), [key]) = (owner, inner) {
                owner.entry(*key).or_insert(Value::Null);
            }
        }
    }
    json!({ "status": {
        "eni": { "enis": enis },
        "ipam": { "operator-status": { "error": wanted.error } },
    } })
}

/// The fields of an interface that are left out where they are empty.
const UNSAID: [&[&str]; 8] = [
    &["availability-zone"],
    &["description"],
    &["addresses"],
    &["prefixes"],
    &["security-groups"],
    &["subnet", "cidr"],
    &["vpc", "primary-cidr"],
    &["vpc", "cidrs"],
];

fn eni(id: &str, of: &ListedInterface) -> Eni {
    let said = |text: &String| (!text.is_empty()).then(|| text.clone());
    Eni {
        id: id.to_owned(),
        ip: Some(of.ip.to_string()),
        mac: of.mac.clone(),
        availability_zone: said(&of.availability_zone),
        description: said(&of.description),
        number: of.number.into(),
        subnet: EniSubnet {
            id: of.subnet_id.clone(),
            cidr: of.subnet_cidr.as_ref().map(ToString::to_string),
        },
        vpc: EniVpc {
            id: of.vpc_id.clone(),
            primary_cidr: of.vpc_primary_cidr.as_ref().map(ToString::to_string),
            cidrs: texts(&of.vpc_cidrs),
        },
        addresses: texts(&of.addresses),
        prefixes: texts(&of.prefixes),
        security_groups: of.security_groups.clone(),
        tags: of.tags.clone(),
        ..Eni::default()
    }
}

/// What a merge has to say so that `now` becomes `wanted`: fields that are no more are named as null (RFC 7386).
fn difference(now: &Value, wanted: Value) -> Value {
    match (now, wanted) {
        (Value::Object(now), Value::Object(wanted)) => {
            let mut patch: Map<String, Value> = now
                .keys()
                .filter(|key| !wanted.contains_key(*key))
                .map(|key| (key.clone(), Value::Null))
                .collect();
            for (key, value) in wanted {
                let value = difference(now.get(&key).unwrap_or(&Value::Null), value);
                patch.insert(key, value);
            }
            Value::Object(patch)
        }
        (_, wanted) => wanted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(value: Value) -> CiliumNode {
        serde_json::from_value(value).unwrap()
    }

    /// A merge of JSON, as the API server does it.
    fn merge(into: &mut Value, patch: &Value) {
        let Value::Object(patch) = patch else {
            *into = patch.clone();
            return;
        };
        if !into.is_object() {
            *into = json!({});
        }
        for (key, value) in patch {
            if value.is_null() {
                into.as_object_mut().unwrap().remove(key);
            } else {
                merge(into.as_object_mut().unwrap().entry(key).or_insert(Value::Null), value);
            }
        }
    }

    fn interface(prefixes: &[&str], tags: &[&str]) -> ListedInterface {
        ListedInterface {
            ip: Ipv4Addr::new(10, 0, 0, 9),
            mac: "02:00:00:00:00:01".to_owned(),
            availability_zone: "eu-central-1a".to_owned(),
            description: String::new(),
            number: 1,
            subnet_id: "subnet-1".to_owned(),
            subnet_cidr: "10.0.0.0/24".parse().ok(),
            vpc_id: "vpc-1".to_owned(),
            vpc_primary_cidr: "10.0.0.0/16".parse().ok(),
            vpc_cidrs: vec!["10.0.0.0/16".parse().unwrap()],
            addresses: vec![Ipv4Addr::new(10, 0, 0, 77)],
            prefixes: prefixes.iter().map(|prefix| prefix.parse().unwrap()).collect(),
            security_groups: vec!["sg-1".to_owned()],
            tags: tags.iter().map(|tag| ((*tag).to_owned(), "x".to_owned())).collect(),
        }
    }

    /// What is written is read as it was meant, whatever was there before: else it would be written for ever.
    #[test]
    fn a_status_is_read_as_it_was_written() {
        let one = |id: &str, of| (id.to_owned(), of);
        let said = |interfaces: Vec<(String, ListedInterface)>, error: Option<&str>| NodeStatus {
            interfaces: interfaces.into_iter().collect(),
            error: error.map(ToOwned::to_owned),
        };
        let mut object = json!({"metadata": {"name": "n"}, "spec": {}, "status": {
            // As Cilium's operator leaves it: with the addresses of a prefix, and with what nobody understands.
            "eni": {"enis": {"eni-2": {
                "id": "eni-2", "public-ip": "192.0.2.1", "prefixes": ["10.0.0.96/28"], "subnet": {"id": "s", "cidr": "?"},
                "addresses": ["10.0.0.97", "10.0.0.98"],
            }}},
            "ipam": {"used": {"10.0.0.9": {"owner": "x/y"}}},
        }});
        for status in [
            said(
                vec![
                    one("eni-1", interface(&["10.0.0.16/28"], &["a", "b"])),
                    one("eni-2", interface(&[], &[])),
                ],
                Some("why"),
            ),
            said(
                vec![
                    one("eni-1", interface(&["10.0.0.32/28", "10.0.0.48/28"], &["b"])),
                    one("eni-2", interface(&[], &["c"])),
                ],
                None,
            ),
            said(vec![one("eni-2", interface(&["10.0.0.16/28"], &[]))], None),
            said(vec![], Some("other")),
        ] {
            let before = EniView::from(&node(object.clone())).record.status;
            let patch = status_patch(&before, &status);
            merge(&mut object, &patch);
            assert_eq!(EniView::from(&node(object.clone())).record.status, status);
            assert_eq!(object["status"]["ipam"]["used"]["10.0.0.9"]["owner"], "x/y", "others' words stay");
            if status.interfaces.contains_key("eni-2") {
                let two = &object["status"]["eni"]["enis"]["eni-2"];
                assert_eq!(two["public-ip"], "192.0.2.1");
                assert_eq!(two["addresses"], json!(["10.0.0.77"]), "those of the old prefix went with it");
            }
        }
    }

    #[test]
    fn a_node_says_what_it_wants() {
        let view = EniView::from(&node(json!({
            "metadata": {"name": "n", "uid": "u", "resourceVersion": "7", "annotations": {
                "netloom.io/drain": "d", "netloom.io/drained": "e",
            }},
            "spec": {
                "instance-id": "i-1",
                "eni": {"instance-type": "m5.large", "vpc-id": "vpc-1", "first-interface-index": 1},
                "ipam": {"min-allocate": 3, "pools": {
                    "requested": [{"pool": "default", "needed": {"ipv4-addrs": 11}}],
                    "allocated": [{"pool": "default", "cidrs": ["10.0.0.16/28", "fd00::/80"]}],
                }},
            },
            "status": {"eni": {"enis": {"eni-1": {
                "prefixes": ["10.0.0.16/28"], "addresses": ["10.0.0.17", "10.0.0.77"],
            }}}},
        })));
        let record = view.record;
        assert_eq!(view.vpc_id.as_deref(), Some("vpc-1"));
        assert_eq!((record.uid.as_str(), record.resource_version.as_str()), ("u", "7"));
        assert_eq!((record.drain.as_deref(), record.drained.as_deref()), (Some("d"), Some("e")));
        assert_eq!((record.instance_id.as_str(), record.requested), ("i-1", Some(11)));
        assert_eq!(record.allocated.len(), 1);
        let settings = &record.settings;
        assert_eq!((settings.first_interface_index, settings.delete_on_termination), (1, true));
        // Where nothing is said, the agent counts eight beyond what it uses.
        assert_eq!((settings.watermarks.pre_allocate, settings.watermarks.min_allocate), (8, 3));
        // Cilium's operator lists the addresses of prefixes, too.
        assert_eq!(record.status.interfaces["eni-1"].addresses, [Ipv4Addr::new(10, 0, 0, 77)]);
        assert_eq!(EniView::from(&node(json!({"spec": {}}))).record.requested, None);
    }
}
