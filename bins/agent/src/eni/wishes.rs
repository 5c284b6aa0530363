//! What the node's object says about ENIs: who the instance is, and what is wanted.

use crds::types::node::{EniSpec, IpamSpec, NodeSpec};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::keys::EniArgs;
use super::metadata::Facts;
use super::netconf::NetConf;

/// What the node's object is to say, whatever it says now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// The instance's id.
    pub instance_id: String,
    /// What the operator is to know when it makes ENIs.
    pub eni: EniSpec,
    /// How many addresses the node wants. Of it only the numbers count.
    pub ipam: IpamSpec,
}

impl Wishes {
    /// The network configuration's word, then the keys'. Nothing of the instance yet.
    #[must_use]
    pub fn configured(keys: &EniArgs, netconf: &NetConf) -> Self {
        let (keyed, conf) = (keys.spec(), &netconf.eni);
        let eni = EniSpec {
            first_interface_index: either(&conf.first_interface_index, keyed.first_interface_index),
            security_groups: either(&conf.security_groups, keyed.security_groups),
            security_group_tags: either(&conf.security_group_tags, keyed.security_group_tags),
            subnet_ids: either(&conf.subnet_ids, keyed.subnet_ids),
            subnet_tags: either(&conf.subnet_tags, keyed.subnet_tags),
            exclude_interface_tags: either(&conf.exclude_interface_tags, keyed.exclude_interface_tags),
            delete_on_termination: either(&conf.delete_on_termination, keyed.delete_on_termination),
            use_primary_address: either(&conf.use_primary_address, keyed.use_primary_address),
            disable_prefix_delegation: either(
                &conf.disable_prefix_delegation,
                keyed.disable_prefix_delegation,
            ),
            ..conf.clone()
        };
        let ipam = IpamSpec {
            pre_allocate: either(&netconf.ipam.pre_allocate, keys.ipam_pre_allocate),
            min_allocate: either(&netconf.ipam.min_allocate, keys.ipam_min_allocate),
            max_allocate: either(&netconf.ipam.max_allocate, keys.ipam_max_allocate),
            max_above_watermark: netconf.ipam.max_above_watermark,
            ..IpamSpec::default()
        };
        Self { instance_id: String::new(), eni, ipam }
    }

    /// With what the instance says of itself, where nothing else is configured.
    #[must_use]
    pub fn of(mut self, facts: &Facts) -> Self {
        self.instance_id.clone_from(&facts.instance_id);
        self.eni.instance_type = Some(facts.instance_type.clone());
        let given = |field: &mut Option<String>, fact: &String| _ = field.get_or_insert_with(|| fact.clone());
        given(&mut self.eni.node_subnet_id, &facts.subnet_id);
        given(&mut self.eni.vpc_id, &facts.vpc_id);
        given(&mut self.eni.availability_zone, &facts.availability_zone);
        self
    }

    /// What is to be changed of an object's spec. All of `eni` is the agent's to say; of `ipam` the numbers are.
    pub(crate) fn patch(&self, present: &NodeSpec, spec: &mut Map<String, Value>) {
        if present.instance_id.as_ref() != Some(&self.instance_id) {
            spec.insert("instance-id".into(), json!(self.instance_id));
        }
        let mut eni = object(&self.eni);
        let now = object(&present.eni);
        eni.retain(|key, value| now.get(key) != Some(value));
        let wanted = object(&self.eni);
        eni.extend(
            now.into_iter().filter(|(key, _)| !wanted.contains_key(key)).map(|(key, _)| (key, Value::Null)),
        );
        // A merge keeps what a map has beside: tags that are not wanted any more have to be named.
        for (key, value) in &mut eni {
            if let (Value::Object(value), Some(Value::Object(now))) = (value, object(&present.eni).get(key)) {
                for gone in now.keys() {
                    value.entry(gone.clone()).or_insert(Value::Null);
                }
            }
        }
        if !eni.is_empty() {
            spec.insert("eni".into(), eni.into());
        }
        let numbers = [
            ("pre-allocate", self.ipam.pre_allocate, present.ipam.pre_allocate),
            ("min-allocate", self.ipam.min_allocate, present.ipam.min_allocate),
            ("max-allocate", self.ipam.max_allocate, present.ipam.max_allocate),
            ("max-above-watermark", self.ipam.max_above_watermark, present.ipam.max_above_watermark),
        ];
        let numbers = numbers.into_iter().filter(|(_, wanted, now)| wanted != now);
        let ipam: Map<String, Value> =
            numbers.map(|(key, wanted, _)| (key.to_owned(), json!((wanted > 0).then_some(wanted)))).collect();
        merge(spec, "ipam", ipam);
    }
}

/// What is configured in the first place, or else in the second.
fn either<T: Default + PartialEq + Clone>(first: &T, second: T) -> T {
    if *first == T::default() { second } else { first.clone() }
}

/// Adds `fields` to an object within `spec`.
pub(crate) fn merge(spec: &mut Map<String, Value>, key: &str, fields: Map<String, Value>) {
    if fields.is_empty() {
        return;
    }
    if let Value::Object(object) = spec.entry(key).or_insert_with(|| json!({})) {
        object.extend(fields);
    }
}

fn object(value: &impl Serialize) -> Map<String, Value> {
    match serde_json::to_value(value) {
        Ok(Value::Object(map)) => map,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Args {
        #[command(flatten)]
        eni: EniArgs,
    }

    fn facts() -> Facts {
        Facts {
            instance_id: "i-1".into(),
            instance_type: "m5.large".into(),
            availability_zone: "eu-central-1a".into(),
            vpc_id: "vpc-1".into(),
            subnet_id: "subnet-1".into(),
        }
    }

    fn wishes(flags: &[&str], netconf: Value) -> Wishes {
        let keys = Args::parse_from(std::iter::once("agent").chain(flags.iter().copied())).eni;
        Wishes::configured(&keys, &serde_json::from_value(netconf).unwrap()).of(&facts())
    }

    #[test]
    fn the_network_configuration_wins_over_keys() {
        let flags = [
            "--eni-first-interface-index=0",
            "--eni-subnet-tags=a=b",
            "--ipam-pre-allocate=8",
            "--eni-use-primary-address",
        ];
        let conf = json!({"eni": {"first-interface-index": 1, "subnet-ids": ["subnet-9"]}, "ipam": {"pre-allocate": 16}});
        let mut spec = Map::new();
        wishes(&flags, conf).patch(&NodeSpec::default(), &mut spec);
        assert_eq!(
            Value::from(spec),
            json!({
                "instance-id": "i-1",
                "eni": {
                    "instance-type": "m5.large", "first-interface-index": 1, "subnet-ids": ["subnet-9"],
                    "subnet-tags": {"a": "b"}, "node-subnet-id": "subnet-1", "vpc-id": "vpc-1",
                    "availability-zone": "eu-central-1a", "use-primary-address": true,
                },
                "ipam": {"pre-allocate": 16},
            })
        );
    }

    #[test]
    fn what_is_not_wanted_any_more_is_taken_back() {
        let before = wishes(
            &["--eni-subnet-tags=a=b,c=d", "--eni-security-groups=sg-1"],
            json!({"ipam": {"min-allocate": 3}}),
        );
        let present = NodeSpec {
            instance_id: Some("i-1".into()),
            eni: before.eni.clone(),
            ipam: before.ipam.clone(),
            ..NodeSpec::default()
        };
        let mut spec = Map::new();
        before.patch(&present, &mut spec);
        assert_eq!(spec, Map::new());
        wishes(&["--eni-subnet-tags=a=x"], json!({})).patch(&present, &mut spec);
        let expected = json!({
            "eni": {"subnet-tags": {"a": "x", "c": null}, "security-groups": null},
            "ipam": {"min-allocate": null},
        });
        assert_eq!(Value::from(spec), expected);
    }
}
