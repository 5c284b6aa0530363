//! Who owns whom, by uid.

use std::collections::{BTreeSet, HashMap};

use super::{Key, Stored, TableId};

/// Where an object is.
pub(crate) type Place = (TableId, Key);

#[derive(Debug, Default)]
pub(super) struct Owners {
    pub(super) places: HashMap<Box<str>, Place>,
    pub(super) dependents: HashMap<Box<str>, BTreeSet<Place>>,
}

impl Owners {
    /// Notes what an object was and is.
    pub(super) fn note(&mut self, id: &TableId, before: Option<&Stored>, after: Option<&Stored>) {
        if let (Some(before), Some(after)) = (before, after)
            && before.uid == after.uid
            && before.owners == after.owners
        {
            return;
        }
        if let Some(before) = before {
            let place = (id.clone(), before.key.clone());
            self.places.remove(&before.uid);
            for owner in &before.owners {
                if let Some(places) = self.dependents.get_mut(owner) {
                    places.remove(&place);
                    if places.is_empty() {
                        self.dependents.remove(owner);
                    }
                }
            }
        }
        if let Some(after) = after {
            let place = (id.clone(), after.key.clone());
            for owner in &after.owners {
                self.dependents.entry(owner.clone()).or_default().insert(place.clone());
            }
            self.places.insert(after.uid.clone(), place);
        }
    }
}
