//! Objects that people wrote: read by the same parser as files.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::PathBuf;

use kube::api::DynamicObject;
use kubernetes::watch::Key;
use policy::manifest::{ObjectKey, Rejected, parse_stored};
use serde_json::{Map, Value, json};

use super::kind::Kind;
use crate::endpoint::stable_hash;
use crate::source::Change;
use crate::source::last_valid::LastValid;

/// Objects as text, and what they were when they were valid last.
#[derive(Debug)]
pub(super) struct Stored {
    /// What each object's text was, as a number.
    texts: HashMap<(Kind, Key), u64>,
    last_valid: LastValid,
}

impl Stored {
    /// What policies were when they were valid last is kept in this directory.
    pub(super) fn new(last_valid: PathBuf) -> Self {
        Self { texts: HashMap::new(), last_valid: LastValid::new(last_valid) }
    }

    /// An object is there, or is another now.
    pub(super) fn set(&mut self, kind: Kind, object: DynamicObject, changes: &mut Vec<Change>) {
        let key = Key::of(&object);
        let version = object.metadata.resource_version.clone().unwrap_or_default();
        let text = text(kind, object);
        let hash = stable_hash(&text);
        let before = self.texts.insert((kind, key.clone()), hash);
        if before != Some(hash) {
            self.read(kind, &key, &text, before.is_none(), changes);
        }
        if kind.is_versioned() {
            changes.push(Change::Version(object_key(kind, &key), version));
        }
    }

    /// An object is gone.
    pub(super) fn remove(&mut self, kind: Kind, key: &Key, changes: &mut Vec<Change>) {
        self.texts.remove(&(kind, key.clone()));
        if kind.is_policy() {
            self.last_valid.forget(&file_name(kind, key));
        }
        changes.push(Change::Removed(object_key(kind, key)));
    }

    /// All policies are known: forgets what others were.
    pub(super) fn forget_others(&self) {
        let policies = self.texts.keys().filter(|(kind, _)| kind.is_policy());
        let files: Vec<OsString> = policies.map(|(kind, key)| file_name(*kind, key)).collect();
        self.last_valid.keep_only(files.iter().map(OsString::as_os_str));
    }

    fn read(&self, kind: Kind, key: &Key, text: &str, is_new: bool, changes: &mut Vec<Change>) {
        let name = object_key(kind, key);
        let parsed = parse_stored(text, &name.to_string());
        let valid = parsed.iter().all(Result::is_ok);
        if kind.is_policy() {
            let file = file_name(kind, key);
            if valid {
                self.last_valid.remember(&file, text);
            } else if is_new && let Some(before) = self.last_valid.recall(&file) {
                // An earlier agent knew it when it was valid: that stays in force.
                let objects = parse_stored(&before, &name.to_string()).into_iter().flatten();
                changes.extend(objects.map(|object| Change::Set(Box::new(object))));
            }
        }
        changes.extend(parsed.into_iter().map(|parsed| match parsed {
            Ok(object) => Change::Set(Box::new(object)),
            Err(rejected) => {
                let object = rejected.object.clone().or_else(|| Some(name.clone()));
                Change::Rejected(Rejected { object, ..rejected })
            }
        }));
    }
}

/// The name of an object, for people and for the rest of the agent.
pub(super) fn object_key(kind: Kind, key: &Key) -> ObjectKey {
    let namespace = Some(key.namespace()).filter(|namespace| !namespace.is_empty());
    ObjectKey {
        kind: kind.name().to_owned(),
        namespace: namespace.map(str::to_owned),
        name: key.name().to_owned(),
    }
}

/// The longest name of an object that is a file's as it is.
const LONGEST: usize = 230;

/// A file's name for an object: no two objects have the same.
fn file_name(kind: Kind, key: &Key) -> OsString {
    // Neither kinds nor names have underscores.
    let mut name = format!("{}_{}_{}", kind.name(), key.namespace(), key.name());
    if name.len() > LONGEST {
        let hash = stable_hash(&name);
        name.truncate(LONGEST);
        name = format!("{name}_{hash:016x}");
    }
    name.into()
}

/// An object as text, with what decides and nothing else.
fn text(kind: Kind, object: DynamicObject) -> String {
    let (metadata, mut data) = (object.metadata, object.data);
    let mut short = Map::new();
    short.insert("name".into(), json!(metadata.name));
    short.extend(metadata.namespace.map(|namespace| ("namespace".into(), namespace.into())));
    short.extend(metadata.labels.map(|labels| ("labels".into(), json!(labels))));
    if let Value::Object(fields) = &mut data {
        let resource = kind.resource();
        // Where a pod is, and whether it has ended.
        if let Some(Value::Object(mut status)) = fields.remove("status")
            && kind == Kind::Pod
        {
            let wanted = ["phase", "podIP", "podIPs", "hostIP", "hostIPs"];
            status.retain(|field, _| wanted.contains(&field.as_str()));
            fields.insert("status".into(), status.into());
        }
        fields.insert("apiVersion".into(), resource.api_version.into());
        fields.insert("kind".into(), resource.kind.into());
        fields.insert("metadata".into(), short.into());
    }
    data.to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::from_value;

    use super::*;

    fn policy(spec: &Value, version: &str) -> DynamicObject {
        from_value(json!({
            "apiVersion": "cilium.io/v2", "kind": "CiliumNetworkPolicy",
            "metadata": {
                "name": "web", "namespace": "shop", "resourceVersion": version, "uid": "u",
                "managedFields": [{"manager": "kubectl"}], "annotations": {"a": "b"},
            },
            "spec": spec,
            "status": {"conditions": [{"type": "Valid", "status": "True"}]},
        }))
        .unwrap()
    }

    fn told(changes: &mut Vec<Change>) -> Vec<String> {
        let tell = |change| match change {
            Change::Set(object) => format!("set {}", object.key()),
            Change::Rejected(rejected) => {
                format!("rejected {}: {rejected}", rejected.object.as_ref().unwrap())
            }
            Change::Removed(key) => format!("removed {key}"),
            Change::Version(key, version) => format!("{key} is {version}"),
            other => format!("{other:?}"),
        };
        changes.drain(..).map(tell).collect()
    }

    const NAME: &str = "CiliumNetworkPolicy shop/web";

    #[test]
    fn only_what_decides_is_told_again() {
        let directory = tempfile::tempdir().unwrap();
        let mut stored = Stored::new(directory.path().join("policies"));
        let mut changes = Vec::new();
        let kind = Kind::CiliumNetworkPolicy;
        let valid = json!({"endpointSelector": {}, "ingress": [{}]});
        stored.set(kind, policy(&valid, "1"), &mut changes);
        assert_eq!(told(&mut changes), [format!("set {NAME}"), format!("{NAME} is 1")]);
        stored.set(kind, policy(&valid, "2"), &mut changes);
        assert_eq!(told(&mut changes), [format!("{NAME} is 2")], "nothing but its status may have changed");
        stored.remove(kind, &Key::new("shop", "web"), &mut changes);
        assert_eq!(told(&mut changes), [format!("removed {NAME}")]);
    }

    #[test]
    fn what_was_valid_last_survives_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let stored = || Stored::new(directory.path().join("policies"));
        let kind = Kind::CiliumNetworkPolicy;
        let mut changes = Vec::new();
        let mut first = stored();
        first.set(kind, policy(&json!({"endpointSelector": {}, "ingress": [{}]}), "1"), &mut changes);
        told(&mut changes);

        let invalid = policy(&json!({"endpointSelector": {}, "ingres": []}), "2");
        first.set(kind, invalid.clone(), &mut changes);
        let seen = told(&mut changes);
        assert!(seen[0].starts_with(&format!("rejected {NAME}: {NAME}:1:")), "{seen:?}");
        assert!(seen[0].contains("unknown field \"ingres\""), "{seen:?}");
        assert_eq!(seen.len(), 2);

        // The next agent learns both: what is in force, and what is wrong.
        let mut second = stored();
        second.set(kind, invalid.clone(), &mut changes);
        let seen = told(&mut changes);
        assert_eq!(seen[0], format!("set {NAME}"));
        assert!(seen[1].starts_with("rejected") && seen.len() == 3, "{seen:?}");

        // What is gone is forgotten, whether anybody was there when it went or not.
        stored().forget_others();
        stored().set(kind, invalid, &mut changes);
        assert!(told(&mut changes)[0].starts_with("rejected"));
    }

    #[test]
    fn long_names_are_names_of_files() {
        let long = |last: char| Key::new(&"n".repeat(63), &format!("{}{last}", "a".repeat(252)));
        let kind = Kind::CiliumClusterwideNetworkPolicy;
        let (one, other) = (file_name(kind, &long('x')), file_name(kind, &long('y')));
        assert!(one.len() <= 255 && one != other);
        assert_eq!(file_name(kind, &Key::new("", "p")), "CiliumClusterwideNetworkPolicy__p");
    }
}
