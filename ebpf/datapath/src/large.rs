//! A map that is too large to be kept again in user space.

use std::collections::HashMap;
use std::hash::Hash;

use aya::Pod;
use aya::maps::{HashMap as BpfHashMap, MapData, MapError};

use crate::error::Error;
use crate::table::is_absent;

/// A hash of which user space is the only writer. The kernel is asked what is in it: a question takes less than a
/// microsecond, and what a node knows of a large cluster would take megabytes once more.
pub struct LargeTable<K, V> {
    name: &'static str,
    map: BpfHashMap<MapData, K, V>,
    len: usize,
}

impl<K: Pod + Eq + Hash, V: Pod + PartialEq> LargeTable<K, V> {
    /// Takes a map over, with what is in it.
    pub(crate) fn open(name: &'static str, map: BpfHashMap<MapData, K, V>) -> Result<Self, Error> {
        let len =
            map.keys().try_fold(0, |len, key| key.map(|_| len + 1)).map_err(Error::map("reading", name))?;
        Ok(Self { name, map, len })
    }

    /// How many entries the map has.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether it has none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All that is in the map.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn entries(&self) -> Result<HashMap<K, V>, Error> {
        self.map.iter().collect::<Result<_, _>>().map_err(Error::map("reading", self.name))
    }

    /// What the map has for a key.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn get(&self, key: &K) -> Result<Option<V>, Error> {
        match self.map.get(key, 0) {
            Ok(value) => Ok(Some(value)),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(Error::map("reading", self.name)(error)),
        }
    }

    /// Writes an entry, where it is not there already. True where something was written.
    ///
    /// # Errors
    /// When the kernel refuses, for example because the map is full.
    pub fn set(&mut self, key: K, value: V) -> Result<bool, Error> {
        let there = self.get(&key)?;
        if there == Some(value) {
            return Ok(false);
        }
        self.map.insert(key, value, 0).map_err(Error::map("writing", self.name))?;
        self.len += usize::from(there.is_none());
        Ok(true)
    }

    /// Removes an entry; one that is not there is no error. True where it was there.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn remove(&mut self, key: &K) -> Result<bool, Error> {
        match self.map.remove(key) {
            Ok(()) => {
                self.len = self.len.saturating_sub(1);
                Ok(true)
            }
            Err(error) if is_absent(&error) => Ok(false),
            Err(error) => Err(Error::map("removing from", self.name)(error)),
        }
    }

    /// Removes every entry that `stale` says is. Returns how many.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn remove_where(&mut self, stale: impl Fn(&K) -> bool) -> Result<usize, Error> {
        // A walk begins anew where the entry that it is at goes away.
        let is_stale = |key: &Result<K, MapError>| key.as_ref().map_or(true, &stale);
        let keys: Result<Vec<K>, MapError> = self.map.keys().filter(is_stale).collect();
        let keys = keys.map_err(Error::map("reading", self.name))?;
        for key in &keys {
            self.remove(key)?;
        }
        Ok(keys.len())
    }
}

impl<K, V> std::fmt::Debug for LargeTable<K, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LargeTable").field("name", &self.name).finish_non_exhaustive()
    }
}
