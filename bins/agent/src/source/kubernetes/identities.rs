//! Which number stands for which labels.

use std::collections::HashMap;

use abi::Identity;
use crds::{CiliumIdentity, types::HEARTBEAT_ANNOTATION};
use policy::{Label, LabelSet, SharedLabels, Source};

use crate::source::Change;

/// The numbers of the cluster. Several may stand for the same labels, where nodes asked for one at the same time:
/// everybody uses the oldest of them.
#[derive(Debug, Default)]
pub(super) struct Identities {
    numbers: HashMap<Identity, Entry>,
    /// For each label set its numbers in order, the one to be used first. Nearly all have one alone.
    by_labels: HashMap<LabelSet, Vec<Rank>>,
    /// Labels that several label sets have.
    shared: SharedLabels,
}

/// Older ones come first, then smaller ones: when it was made, in seconds since 1970.
type Rank = (i64, Identity);

#[derive(Debug)]
struct Entry {
    labels: LabelSet,
    created: i64,
    /// The version of an object that the operator has marked as unused.
    marked: Option<Box<str>>,
}

impl Identities {
    /// An object is there, or is another now.
    pub(super) fn set(&mut self, object: &CiliumIdentity, changes: &mut Vec<Change>) {
        let name = object.metadata.name.as_deref().unwrap_or_default();
        let Some(identity) = object.number().map(Identity) else {
            return tracing::warn!(name, "CiliumIdentity: its name is not a number");
        };
        // Others mean something else, on this node or everywhere.
        if !(Identity::CLUSTER_MIN..=Identity::CLUSTER_MAX).contains(&identity) {
            return tracing::warn!(name, "CiliumIdentity: its number is not one of the cluster's");
        }
        let labels = match labels(object) {
            Ok(labels) => labels,
            Err(key) => {
                self.remove(identity, changes);
                return tracing::warn!(name, key, "CiliumIdentity: a label has no source that is known");
            }
        };
        let created = object.metadata.creation_timestamp.as_ref().map_or(i64::MAX, |time| time.0.as_second());
        let is_marked = object
            .metadata
            .annotations
            .as_ref()
            .is_some_and(|annotations| annotations.contains_key(HEARTBEAT_ANNOTATION));
        let marked = is_marked.then(|| object.metadata.resource_version.clone().unwrap_or_default().into());
        match self.numbers.get_mut(&identity) {
            Some(known) if known.labels == labels && known.created == created => {
                known.marked = marked;
                return;
            }
            // Deleted and made anew, for others maybe, while nobody looked.
            Some(_) => self.remove(identity, changes),
            None => {}
        }
        // One piece of memory for all who have the same labels, and for each label.
        let labels = match self.by_labels.get_key_value(&labels) {
            Some((known, _)) => known.clone(),
            None => self.shared.share(&labels),
        };
        let rank = (created, identity);
        let of_labels = self.by_labels.entry(labels.clone()).or_insert_with(|| Vec::with_capacity(1));
        if let Err(place) = of_labels.binary_search(&rank) {
            of_labels.insert(place, rank);
        }
        changes.push(Change::Identity(identity, labels.clone()));
        if let Some((_, first)) = of_labels.first()
            && *first != identity
        {
            changes.push(Change::Identity(*first, labels.clone()));
        }
        self.numbers.insert(identity, Entry { labels, created, marked });
    }

    /// An object is gone.
    pub(super) fn remove(&mut self, identity: Identity, changes: &mut Vec<Change>) {
        let Some(Entry { labels, created, .. }) = self.numbers.remove(&identity) else { return };
        changes.push(Change::IdentityGone(identity));
        let Some(of_labels) = self.by_labels.get_mut(&labels) else { return };
        let was_first = of_labels.first() == Some(&(created, identity));
        of_labels.retain(|rank| *rank != (created, identity));
        match of_labels.first() {
            Some((_, next)) if was_first => changes.push(Change::Identity(*next, labels)),
            Some(_) => {}
            None => drop(self.by_labels.remove(&labels)),
        }
    }

    /// The number to be used for labels.
    pub(super) fn of(&self, labels: &LabelSet) -> Option<Identity> {
        self.by_labels.get(labels)?.first().map(|(_, identity)| *identity)
    }

    /// The version of a number's object where the operator has marked it as unused.
    pub(super) fn marked(&self, identity: Identity) -> Option<&str> {
        self.numbers.get(&identity)?.marked.as_deref()
    }

    /// How many numbers stand for something.
    pub(super) fn len(&self) -> usize {
        self.numbers.len()
    }

    /// Whether a number stands for nothing.
    pub(super) fn is_free(&self, identity: Identity) -> bool {
        !self.numbers.contains_key(&identity)
    }
}

/// The labels that an object's number stands for; the key that cannot be read where there is one.
fn labels(object: &CiliumIdentity) -> Result<LabelSet, String> {
    let label = |(key, value): (&String, &String)| {
        let known = key.split_once(':').and_then(|(source, key)| Some((Source::from_name(source)?, key)));
        let (source, name) = known.filter(|(_, name)| !name.is_empty()).ok_or_else(|| key.clone())?;
        Ok(Label::new(source, name, value))
    };
    object.security_labels.iter().map(label).collect()
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use k8s_openapi::jiff::Timestamp;

    use super::*;

    fn object(number: &str, app: &str, second: i64) -> CiliumIdentity {
        let mut object = CiliumIdentity::default();
        object.metadata.name = Some(number.into());
        object.metadata.creation_timestamp = Some(Time(Timestamp::from_second(second).unwrap()));
        object.metadata.resource_version = Some("7".into());
        object.security_labels.insert("k8s:app".into(), app.into());
        object
    }

    fn web() -> LabelSet {
        [Label::k8s("app", "web")].into_iter().collect()
    }

    /// What is told, in short.
    fn told(step: impl FnOnce(&mut Vec<Change>)) -> Vec<String> {
        let mut changes = Vec::new();
        step(&mut changes);
        let tell = |change| match change {
            Change::Identity(identity, labels) => format!("{}={labels}", identity.0),
            Change::IdentityGone(identity) => format!("-{}", identity.0),
            other => format!("{other:?}"),
        };
        changes.into_iter().map(tell).collect()
    }

    #[test]
    fn of_duplicates_the_oldest_is_used_then_the_smallest() {
        let mut known = Identities::default();
        assert_eq!(told(|changes| known.set(&object("300", "web", 20), changes)), ["300=k8s:app=web"]);
        // A younger one is somebody's too, but the older one counts.
        assert_eq!(
            told(|changes| known.set(&object("257", "web", 21), changes)),
            ["257=k8s:app=web", "300=k8s:app=web"]
        );
        assert_eq!(known.of(&web()), Some(Identity(300)));
        assert_eq!(told(|changes| known.set(&object("299", "web", 20), changes)), ["299=k8s:app=web"]);
        assert_eq!(known.of(&web()), Some(Identity(299)));
        // Told again, it means nothing new.
        assert!(told(|changes| known.set(&object("299", "web", 20), changes)).is_empty());

        assert_eq!(told(|changes| known.remove(Identity(257), changes)), ["-257"]);
        assert_eq!(told(|changes| known.remove(Identity(299), changes)), ["-299", "300=k8s:app=web"]);
        assert_eq!(told(|changes| known.remove(Identity(300), changes)), ["-300"]);
        assert_eq!(known.of(&web()), None);
        assert!(known.is_free(Identity(300)) && known.by_labels.is_empty());
    }

    #[test]
    fn a_number_that_was_made_anew_stands_for_something_else() {
        let mut known = Identities::default();
        told(|changes| known.set(&object("300", "web", 20), changes));
        assert_eq!(told(|changes| known.set(&object("300", "db", 30), changes)), ["-300", "300=k8s:app=db"]);
        assert_eq!(known.of(&web()), None);
    }

    #[test]
    fn marks_come_and_go() {
        let mut known = Identities::default();
        let mut marked = object("300", "web", 20);
        marked.metadata.annotations = Some([(HEARTBEAT_ANNOTATION.into(), "then".into())].into());
        told(|changes| known.set(&marked, changes));
        assert_eq!(known.marked(Identity(300)), Some("7"));
        assert!(told(|changes| known.set(&object("300", "web", 20), changes)).is_empty());
        assert_eq!(known.marked(Identity(300)), None);
    }

    #[test]
    fn what_is_no_number_and_what_is_no_label_stands_for_nothing() {
        let mut known = Identities::default();
        assert!(told(|changes| known.set(&object("web", "web", 20), changes)).is_empty());
        let mut odd = object("300", "web", 20);
        for number in ["7", "255", "65536", "16777217"] {
            assert!(told(|changes| known.set(&object(number, "web", 20), changes)).is_empty(), "{number}");
        }
        odd.security_labels.insert("planet:earth".into(), String::new());
        assert!(told(|changes| known.set(&odd, changes)).is_empty());
        told(|changes| known.set(&object("300", "web", 20), changes));
        assert_eq!(told(|changes| known.set(&odd, changes)), ["-300"]);
    }
}
