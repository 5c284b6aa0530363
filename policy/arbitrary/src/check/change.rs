//! Changes of a cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use policy::Settings;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::Value;

use crate::Case;

/// One step.
#[derive(Clone, Debug)]
pub enum Change {
    /// Adds objects, or replaces those of the same kinds and names.
    Set(Vec<Value>),
    /// Removes an object that a cluster can do without.
    Remove(Index),
    /// Names are known anew.
    Names(BTreeMap<IpAddr, BTreeSet<String>>),
    /// The installation chooses anew.
    Settings(Settings),
}

/// A random step. Numbers are few, so that most replace something.
pub fn change() -> BoxedStrategy<Change> {
    let one = |object: BoxedStrategy<Value>| object.prop_map(|object| vec![object]).boxed();
    let numbered = |make: fn(usize) -> BoxedStrategy<Value>, numbers: std::ops::Range<usize>| {
        one(numbers.prop_flat_map(make).boxed())
    };
    let policy = (crate::policy(), 0..4usize).prop_map(|(mut policy, number)| {
        policy["metadata"]["name"] = format!("policy-{number}").into();
        policy
    });
    prop_oneof![
        4 => one(policy.boxed()).prop_map(Change::Set),
        4 => numbered(crate::pod, 0..6).prop_map(Change::Set),
        2 => numbered(crate::node, 1..4).prop_map(Change::Set),
        1 => prop_oneof![crate::namespace("x"), crate::namespace("y")].prop_map(|object| Change::Set(vec![object])),
        4 => numbered(crate::group, 1..3).prop_map(Change::Set),
        3 => (1..3usize).prop_flat_map(crate::service).prop_map(Change::Set),
        1 => crate::apiserver().prop_map(Change::Set),
        4 => any::<Index>().prop_map(Change::Remove),
        2 => crate::names().prop_map(Change::Names),
        1 => (crate::settings(), any::<bool>())
            .prop_map(|(settings, audit)| Change::Settings(Settings { audit, ..settings })),
    ]
    .boxed()
}

/// What makes two objects the same one. Pods of two namespaces never have the same name: they would have the same
/// address.
fn key(object: &Value) -> (&Value, &Value) {
    (&object["kind"], &object["metadata"]["name"])
}

impl Change {
    /// Makes the change.
    pub(crate) fn apply(&self, case: &mut Case) {
        match self {
            Self::Set(objects) => {
                for object in objects {
                    match case.objects.iter_mut().find(|known| key(known) == key(object)) {
                        Some(known) => known.clone_from(object),
                        None => case.objects.push(object.clone()),
                    }
                }
            }
            Self::Remove(index) => {
                let needed =
                    |object: &Value| object["kind"] == "Namespace" || object["metadata"]["name"] == "n1";
                let removable: Vec<usize> =
                    (0..case.objects.len()).filter(|number| !needed(&case.objects[*number])).collect();
                if !removable.is_empty() {
                    case.objects.remove(*index.get(&removable));
                }
            }
            Self::Names(names) => case.names.clone_from(names),
            Self::Settings(settings) => case.settings = *settings,
        }
    }
}
