//! This node, as the others are told of it.

use std::collections::BTreeMap;

use crds::CiliumNode;
use crds::types::node::{CNI_READY_ANNOTATION as READY, NodeAddress};
use ipam::eni::handshake::DRAINED;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use serde_json::{Map, Value, json};

use super::super::nodes::OwnNode;
use crate::eni::wishes::merge;
use crate::eni::{Publish, Wishes};
use crate::source::Answer;

/// What this node's object is to say of network interfaces on AWS, as far as it is known yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct OfEni {
    pub(super) wishes: Option<Wishes>,
    pub(super) addresses: Option<Publish>,
    /// What an object says of promises that is made.
    pub(super) introduction: Option<String>,
    pub(super) drained: Option<Answer>,
}

/// What this node's object is to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Desired<'a> {
    pub(super) name: &'a str,
    pub(super) own: &'a OwnNode,
    pub(super) boot_id: &'a str,
    /// Whether the node can connect pods; none where that is about to be found out.
    pub(super) ready: Option<bool>,
    /// The ranges of pod addresses, where the agent is who says them.
    pub(super) ranges: Option<&'a [String]>,
    pub(super) eni: &'a OfEni,
}

impl Desired<'_> {
    /// The whole object. A node whose ranges the API has lost comes with those that it has.
    pub(super) fn object(&self, last_ranges: &[String]) -> CiliumNode {
        let mut object = CiliumNode::default();
        object.metadata.name = Some(self.name.to_owned());
        object.metadata.labels = Some(self.own.labels.clone());
        object.metadata.owner_references = Some(vec![self.owner()]);
        let ready = self.ready.unwrap_or(false).to_string();
        let introduction = self.eni.introduction.iter().map(|said| (DRAINED.to_owned(), said.clone()));
        object.metadata.annotations = Some(introduction.chain([(READY.to_owned(), ready)]).collect());
        object.spec.bootid = Some(self.boot_id.to_owned());
        object.spec.addresses.clone_from(&self.own.addresses);
        if let Some(Wishes { instance_id, eni, ipam }) = &self.eni.wishes {
            object.spec.instance_id = Some(instance_id.clone());
            object.spec.eni = eni.clone();
            object.spec.ipam = ipam.clone();
        }
        if let Some(addresses) = &self.eni.addresses {
            object.spec.ipam.pools = addresses.pools();
        }
        object.spec.ipam.pod_cidrs = self.ranges.unwrap_or(last_ranges).to_vec();
        object
    }

    /// What is to be changed of an object; nothing where all is as it should be. What others write stays.
    pub(super) fn patch(&self, present: &CiliumNode) -> Option<Value> {
        let (mut metadata, mut spec) = (Map::new(), Map::new());
        let none = BTreeMap::new();
        let labels = present.metadata.labels.as_ref().unwrap_or(&none);
        if *labels != self.own.labels {
            let gone = labels.keys().filter(|key| !self.own.labels.contains_key(*key));
            let mut patch: Map<String, Value> = gone.map(|key| (key.clone(), Value::Null)).collect();
            patch.extend(self.own.labels.iter().map(|(key, value)| (key.clone(), json!(value))));
            metadata.insert("labels".into(), patch.into());
        }
        let owner = self.owner();
        if present.metadata.owner_references.as_deref() != Some(std::slice::from_ref(&owner)) {
            metadata.insert("ownerReferences".into(), json!([owner]));
        }
        let is_of_this_boot = present.spec.bootid.as_deref() == Some(self.boot_id);
        let said = present.metadata.annotations.as_ref().unwrap_or(&none).get(READY).map(String::as_str);
        // What an earlier agent said holds until this one knows; what was said before a reboot does not.
        let before = said.filter(|_| is_of_this_boot).unwrap_or("false");
        let ready = self.ready.map_or(before, |ready| if ready { "true" } else { "false" });
        let mut annotations = Map::new();
        if said != Some(ready) {
            annotations.insert(READY.into(), ready.into());
        }
        let has = |answer: &&Answer| {
            let known = present.metadata.annotations.as_ref().unwrap_or(&none);
            known.get(DRAINED) == Some(&answer.value)
        };
        let is_asked = |answer: &&Answer| present.metadata.uid.as_ref() == Some(&answer.uid);
        if let Some(answer) = self.eni.drained.as_ref().filter(|answer| is_asked(answer) && !has(answer)) {
            annotations.insert(DRAINED.into(), answer.value.as_str().into());
            // An object that took its place meanwhile is not to have it.
            metadata.insert("uid".into(), answer.uid.as_str().into());
        }
        if !annotations.is_empty() {
            metadata.insert("annotations".into(), annotations.into());
        }
        if !is_of_this_boot {
            spec.insert("bootid".into(), self.boot_id.into());
        }
        if !same(&present.spec.addresses, &self.own.addresses) {
            spec.insert("addresses".into(), json!(self.own.addresses));
        }
        if let Some(ranges) = self.ranges.filter(|ranges| *ranges != present.spec.ipam.pod_cidrs) {
            spec.insert("ipam".into(), json!({"podCIDRs": ranges}));
        }
        if let Some(wishes) = &self.eni.wishes {
            wishes.patch(&present.spec, &mut spec);
        }
        if let Some(addresses) = &self.eni.addresses {
            merge(&mut spec, "ipam", addresses.patch(&present.spec.ipam.pools));
        }
        let mut patch = Map::new();
        for (key, part) in [("metadata", metadata), ("spec", spec)] {
            if !part.is_empty() {
                patch.insert(key.into(), part.into());
            }
        }
        (!patch.is_empty()).then(|| patch.into())
    }

    fn owner(&self) -> OwnerReference {
        OwnerReference {
            api_version: "v1".into(),
            kind: "Node".into(),
            name: self.name.to_owned(),
            uid: self.own.uid.clone(),
            ..OwnerReference::default()
        }
    }
}

fn same(one: &[NodeAddress], other: &[NodeAddress]) -> bool {
    one.len() == other.len() && one.iter().all(|address| other.contains(address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> OwnNode {
        OwnNode {
            uid: "u".into(),
            labels: [("zone".to_owned(), "a".to_owned())].into(),
            addresses: vec![NodeAddress { type_: "InternalIP".into(), ip: "192.0.2.1".into() }],
            pod_cidrs: vec!["10.1.0.0/24".into()],
        }
    }

    #[test]
    fn only_what_differs_is_written() {
        let own = own();
        let eni = OfEni::default();
        let desired = Desired { name: "n", own: &own, boot_id: "b1", ready: None, ranges: None, eni: &eni };
        let mut object = desired.object(&["10.9.0.0/24".into()]);
        assert_eq!(object.spec.ipam.pod_cidrs, ["10.9.0.0/24"]);
        assert_eq!(desired.patch(&object), None);

        // Ranges are the operator's affair, unless they come from the Node.
        assert_eq!(
            Desired { ranges: Some(&own.pod_cidrs), ..desired.clone() }.patch(&object),
            Some(json!({"spec": {"ipam": {"podCIDRs": ["10.1.0.0/24"]}}}))
        );
        object.metadata.labels = Some([("old".to_owned(), "x".to_owned())].into());
        object.spec.addresses.clear();
        assert_eq!(
            desired.patch(&object),
            Some(json!({
                "metadata": {"labels": {"old": null, "zone": "a"}},
                "spec": {"addresses": [{"type": "InternalIP", "ip": "192.0.2.1"}]},
            }))
        );
    }

    #[test]
    fn an_answer_is_for_one_object() {
        let own = own();
        let answer = Answer { uid: "u2".into(), value: "{}".into() };
        let eni = OfEni { drained: Some(answer), ..OfEni::default() };
        let desired = Desired { name: "n", own: &own, boot_id: "b1", ready: None, ranges: None, eni: &eni };
        let mut object = desired.object(&[]);
        object.metadata.uid = Some("u1".into());
        assert_eq!(desired.patch(&object), None);
        object.metadata.uid = Some("u2".into());
        assert_eq!(
            desired.patch(&object),
            Some(json!({"metadata": {"uid": "u2", "annotations": {DRAINED: "{}"}}}))
        );
        object.metadata.annotations.get_or_insert_default().insert(DRAINED.into(), "{}".into());
        assert_eq!(desired.patch(&object), None);
    }

    /// The operator gives nothing to a node whose agent has not said what it promised: a new one has said so from its
    /// first moment.
    #[test]
    fn who_makes_the_object_introduces_itself() {
        let own = own();
        let eni = OfEni { introduction: Some(r#"{"epoch":2}"#.into()), ..OfEni::default() };
        let desired = Desired { name: "n", own: &own, boot_id: "b1", ready: None, ranges: None, eni: &eni };
        let mut object = desired.object(&[]);
        assert_eq!(object.metadata.annotations.as_ref().unwrap()[DRAINED], r#"{"epoch":2}"#);
        // In one that is there, it answers what it has read.
        object.metadata.annotations.as_mut().unwrap().remove(DRAINED);
        assert_eq!(desired.patch(&object), None);
    }

    #[test]
    fn wishes_and_addresses_are_said() {
        let own = own();
        let wishes = Wishes { instance_id: "i-1".into(), ..Wishes::default() };
        let addresses = Publish { needed: 8, ..Publish::default() };
        let eni = OfEni { wishes: Some(wishes), addresses: Some(addresses), ..OfEni::default() };
        let desired = Desired { name: "n", own: &own, boot_id: "b1", ready: None, ranges: None, eni: &eni };
        assert_eq!(desired.patch(&desired.object(&[])), None, "who makes the object says all");
        let before = Desired { eni: &OfEni::default(), ..desired.clone() }.object(&[]);
        let pools = json!({"requested": [{"pool": "default", "needed": {"ipv4-addrs": 8}}], "allocated": []});
        assert_eq!(
            desired.patch(&before),
            Some(json!({"spec": {"instance-id": "i-1", "ipam": {"pools": pools}}}))
        );
    }

    #[test]
    fn readiness_survives_a_restart_and_not_a_reboot() {
        let own = own();
        let eni = OfEni::default();
        let desired =
            Desired { name: "n", own: &own, boot_id: "b1", ready: Some(true), ranges: None, eni: &eni };
        let object = desired.object(&[]);
        let starting = Desired { ready: None, ..desired.clone() };
        assert_eq!(starting.patch(&object), None, "an agent that is started again");
        assert_eq!(
            Desired { boot_id: "b2", ..starting }.patch(&object),
            Some(json!({"metadata": {"annotations": {READY: "false"}}, "spec": {"bootid": "b2"}}))
        );
        assert_eq!(
            Desired { ready: Some(false), ..desired }.patch(&object),
            Some(json!({"metadata": {"annotations": {READY: "false"}}}))
        );
    }
}
