//! Kinds that are served.

mod builtin;
pub(crate) mod custom;
pub(crate) mod defaults;
pub(crate) mod names;
mod network_policy;
pub(crate) mod rules;

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use serde_json::Value;

use crate::schema::Schema;
use crate::store::TableId;

pub(crate) use builtin::{CRDS, NAMESPACES};

/// How a scale subresource finds its numbers.
#[derive(Debug, Clone)]
pub(crate) struct Scale {
    pub(crate) spec: String,
    pub(crate) status: String,
    pub(crate) selector: Option<String>,
}

/// A printer column of a custom kind.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) of: String,
    pub(crate) format: String,
    pub(crate) description: String,
    pub(crate) priority: i64,
    pub(crate) path: String,
}

/// One version of one kind.
#[derive(Debug)]
pub(crate) struct Resource {
    /// API group; empty for the core group.
    pub(crate) group: Arc<str>,
    /// Version.
    pub(crate) version: Arc<str>,
    /// Plural name, as in paths.
    pub(crate) plural: Arc<str>,
    /// Singular name.
    pub(crate) singular: String,
    /// Kind.
    pub(crate) kind: String,
    /// Whether its objects are in namespaces.
    pub(crate) namespaced: bool,
    pub(crate) list_kind: String,
    pub(crate) short_names: Vec<String>,
    pub(crate) categories: Vec<String>,
    pub(crate) table: TableId,
    /// The version that objects are kept in.
    pub(crate) storage: Arc<str>,
    pub(crate) custom: bool,
    pub(crate) status: bool,
    pub(crate) scale: Option<Scale>,
    /// Whether `metadata.generation` counts changes.
    pub(crate) generation: bool,
    pub(crate) schema: Arc<Schema>,
    pub(crate) columns: Vec<Column>,
    pub(crate) selectable: Vec<String>,
    /// Text of a warning to those who use this version.
    pub(crate) deprecated: Option<String>,
}

impl Resource {
    /// `pods`, `deployments.apps`.
    pub(crate) fn qualified(&self) -> String {
        qualified(&self.plural, &self.group)
    }

    /// `Pod`, `Deployment.apps`.
    pub(crate) fn qualified_kind(&self) -> String {
        qualified(&self.kind, &self.group)
    }

    /// `v1`, `apps/v1`.
    pub(crate) fn api_version(&self) -> String {
        api_version(&self.group, &self.version)
    }

    /// Whether the kind is the built-in one of that group and plural name.
    pub(crate) fn is(&self, group: &str, plural: &str) -> bool {
        &*self.group == group && &*self.plural == plural
    }
}

fn qualified(name: &str, group: &str) -> String {
    if group.is_empty() { name.to_owned() } else { format!("{name}.{group}") }
}

/// `v1`, `apps/v1`.
pub(crate) fn api_version(group: &str, version: &str) -> String {
    if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") }
}

/// Versions of a group, then plural names.
pub(crate) type Versions = BTreeMap<Arc<str>, BTreeMap<Arc<str>, Arc<Resource>>>;

/// All kinds at a moment.
#[derive(Debug, Default, Clone)]
pub(crate) struct Kinds {
    pub(crate) groups: BTreeMap<Arc<str>, Versions>,
    /// Raised when kinds come, change or go.
    pub(crate) revision: u64,
}

impl Kinds {
    /// A kind by group, version and plural name.
    pub(crate) fn get(&self, group: &str, version: &str, plural: &str) -> Option<&Arc<Resource>> {
        self.groups.get(group)?.get(version)?.get(plural)
    }

    /// All versions of all kinds.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<Resource>> {
        self.groups.values().flat_map(BTreeMap::values).flat_map(BTreeMap::values)
    }

    /// Versions of a group, the preferred first: stable before beta before alpha, later before earlier.
    pub(crate) fn preferred(versions: &Versions) -> Vec<&Arc<str>> {
        let mut names: Vec<&Arc<str>> = versions.keys().collect();
        names.sort_by_key(|name| std::cmp::Reverse(version_rank(name)));
        names
    }

    fn insert(&mut self, resource: Resource) {
        self.groups
            .entry(resource.group.clone())
            .or_default()
            .entry(resource.version.clone())
            .or_default()
            .insert(resource.plural.clone(), Arc::new(resource));
    }
}

/// Orders versions as `kubectl` does.
fn version_rank(version: &str) -> (u8, u64, u64) {
    let digits = |text: &str| text.parse::<u64>().ok();
    let Some(rest) = version.strip_prefix('v') else { return (0, 0, 0) };
    for (name, rank) in [("beta", 2), ("alpha", 1)] {
        if let Some((major, minor)) = rest.split_once(name) {
            return (rank, digits(major).unwrap_or(0), digits(minor).unwrap_or(0));
        }
    }
    digits(rest).map_or((0, 0, 0), |major| (3, major, 0))
}

/// The kinds, as they are now.
#[derive(Debug)]
pub(crate) struct Registry {
    kinds: RwLock<Arc<Kinds>>,
}

impl Registry {
    /// The built-in kinds.
    pub(crate) fn new() -> Registry {
        let mut kinds = Kinds::default();
        builtin::resources().for_each(|resource| kinds.insert(resource));
        Registry { kinds: RwLock::new(Arc::new(kinds)) }
    }

    /// The kinds at this moment.
    pub(crate) fn kinds(&self) -> Arc<Kinds> {
        self.kinds.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces all versions of a custom kind.
    pub(crate) fn replace(&self, group: &str, plural: &str, versions: Vec<Resource>) {
        let mut guard = self.kinds.write().unwrap_or_else(PoisonError::into_inner);
        let mut kinds = (**guard).clone();
        if let Some(old) = kinds.groups.get_mut(group) {
            old.values_mut().for_each(|resources| {
                if resources.get(plural).is_some_and(|resource| resource.custom) {
                    resources.remove(plural);
                }
            });
            old.retain(|_, resources| !resources.is_empty());
        }
        kinds.groups.retain(|_, versions| !versions.is_empty());
        versions.into_iter().for_each(|resource| kinds.insert(resource));
        kinds.revision += 1;
        *guard = Arc::new(kinds);
    }
}

/// The kind that an object says it is of.
pub(crate) fn kind_of(object: &Value) -> (&str, &str) {
    let text = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default();
    (text("apiVersion"), text("kind"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_in_order() {
        let mut names = vec!["v1alpha1", "v2", "v1beta2", "v1", "v10", "v1beta1", "foo"];
        names.sort_by_key(|name| std::cmp::Reverse(version_rank(name)));
        assert_eq!(names, ["v10", "v2", "v1", "v1beta2", "v1beta1", "v1alpha1", "foo"]);
    }

    #[test]
    fn every_kind_has_its_type() {
        for resource in Registry::new().kinds().all() {
            assert_eq!(
                resource.schema.name.as_deref().map(|name| name.rsplit('.').next()),
                Some(Some(&*resource.kind))
            );
        }
    }
}
