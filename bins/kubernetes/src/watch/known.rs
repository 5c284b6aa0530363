use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::Key;

/// The names of what was told, each with the number of the list that last had it.
#[derive(Default)]
pub(super) struct Known {
    list: u32,
    names: HashMap<Key, u32>,
}

impl Known {
    pub(super) fn begin(&mut self) {
        self.list = self.list.wrapping_add(1);
    }

    pub(super) fn set(&mut self, key: Key) {
        match self.names.entry(key) {
            Entry::Occupied(mut entry) => _ = entry.insert(self.list),
            Entry::Vacant(entry) => _ = entry.insert(self.list),
        }
    }

    pub(super) fn remove(&mut self, key: &Key) -> bool {
        self.names.remove(key).is_some()
    }

    /// Takes out what the list that just ended did not have.
    pub(super) fn missing(&mut self) -> Vec<Key> {
        let list = self.list;
        let missing = self.names.extract_if(|_, last| *last != list).map(|(key, _)| key).collect();
        if self.names.capacity() > 4 * self.names.len() {
            self.names.shrink_to_fit();
        }
        missing
    }
}
