//! Which version of each object is known.

use std::collections::HashMap;

use api::KnownObject;
use policy::manifest::ObjectKey;

/// The versions of objects, as the source told them.
#[derive(Clone, Debug, Default)]
pub(super) struct Versions(HashMap<ObjectKey, Box<str>>);

impl Versions {
    pub(super) fn set(&mut self, object: ObjectKey, version: &str) {
        self.0.insert(object, version.into());
    }

    pub(super) fn remove(&mut self, object: &ObjectKey) {
        self.0.remove(object);
    }

    /// All of them in order.
    pub(super) fn list(&self) -> Vec<KnownObject> {
        let known = |key: &ObjectKey, version: &str| KnownObject {
            kind: key.kind.clone(),
            namespace: key.namespace.clone(),
            name: key.name.clone(),
            version: version.to_owned(),
        };
        let mut all: Vec<KnownObject> = self.0.iter().map(|(key, version)| known(key, version)).collect();
        all.sort();
        all
    }
}
