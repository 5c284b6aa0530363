//! A map and what user space knows to be in it, so that only differences are written.

use std::collections::HashMap;
use std::hash::Hash;
use std::io;

use abi::{CidrKey, PortRangeKey};
use aya::Pod;
use aya::maps::lpm_trie::{Key, LpmTrie};
use aya::maps::{HashMap as BpfHashMap, MapData, MapError};

use crate::error::Error;

/// How a kind of map is read and written.
pub(crate) trait Store<K, V> {
    fn read(&self) -> Result<Vec<(K, V)>, MapError>;
    fn write(&mut self, key: &K, value: &V) -> Result<(), MapError>;
    fn erase(&mut self, key: &K) -> Result<(), MapError>;
}

impl<K: Pod, V: Pod> Store<K, V> for BpfHashMap<MapData, K, V> {
    fn read(&self) -> Result<Vec<(K, V)>, MapError> {
        self.iter().collect()
    }

    fn write(&mut self, key: &K, value: &V) -> Result<(), MapError> {
        self.insert(key, value, 0)
    }

    fn erase(&mut self, key: &K) -> Result<(), MapError> {
        self.remove(key)
    }
}

/// A key of a trie, as a type of ours and as aya's.
pub(crate) trait TrieKey: Copy {
    type Data: Pod;
    fn to_key(self) -> Key<Self::Data>;
    fn from_key(key: &Key<Self::Data>) -> Self;
}

impl TrieKey for CidrKey {
    type Data = [u8; 16];

    fn to_key(self) -> Key<[u8; 16]> {
        Key::new(self.prefix_len, self.addr.octets())
    }

    fn from_key(key: &Key<[u8; 16]>) -> Self {
        Self { prefix_len: key.prefix_len(), addr: abi::Addr::from_octets(key.data()) }
    }
}

impl TrieKey for PortRangeKey {
    type Data = [u8; 8];

    fn to_key(self) -> Key<[u8; 8]> {
        let ([a, b, c, d], [e, f]) = (self.generation, self.port);
        Key::new(self.prefix_len, [a, b, c, d, self.proto, e, f, self.pad])
    }

    fn from_key(key: &Key<[u8; 8]>) -> Self {
        let [a, b, c, d, proto, e, f, pad] = key.data();
        Self { prefix_len: key.prefix_len(), generation: [a, b, c, d], proto, port: [e, f], pad }
    }
}

impl<K: TrieKey, V: Pod> Store<K, V> for LpmTrie<MapData, K::Data, V> {
    fn read(&self) -> Result<Vec<(K, V)>, MapError> {
        // Keys that share a prefix are walked longest first, so that removing one while walking is safe.
        self.iter().map(|entry| entry.map(|(key, value)| (K::from_key(&key), value))).collect()
    }

    fn write(&mut self, key: &K, value: &V) -> Result<(), MapError> {
        self.insert(&key.to_key(), value, 0)
    }

    fn erase(&mut self, key: &K) -> Result<(), MapError> {
        self.remove(&key.to_key())
    }
}

/// Whether an error says that an entry is not there. Looking up and removing say so in different ways.
pub(crate) fn is_absent(error: &MapError) -> bool {
    match error {
        MapError::KeyNotFound => true,
        MapError::SyscallError(error) => error.io_error.kind() == io::ErrorKind::NotFound,
        _ => false,
    }
}

/// What a replacement changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Entries written.
    pub written: usize,
    /// Entries removed.
    pub removed: usize,
}

/// A map of which user space is the only writer. What is in it is kept here too; a [`crate::LargeTable`] does without.
pub struct Table<K, V> {
    name: &'static str,
    store: Box<dyn Store<K, V> + Send>,
    known: HashMap<K, V>,
}

impl<K: Copy + Eq + Hash, V: Copy + PartialEq> Table<K, V> {
    pub(crate) fn open(name: &'static str, store: impl Store<K, V> + Send + 'static) -> Result<Self, Error> {
        let known = store.read().map_err(Error::map("reading", name))?.into_iter().collect();
        Ok(Self { name, store: Box::new(store), known })
    }

    /// What is in the map.
    #[must_use]
    pub fn entries(&self) -> &HashMap<K, V> {
        &self.known
    }

    /// What the map has for a key.
    #[must_use]
    pub fn get(&self, key: &K) -> Option<V> {
        self.known.get(key).copied()
    }

    /// Writes an entry, where it is not there already. True where something was written.
    ///
    /// # Errors
    /// When the kernel refuses, for example because the map is full.
    pub fn set(&mut self, key: K, value: V) -> Result<bool, Error> {
        if self.known.get(&key) == Some(&value) {
            return Ok(false);
        }
        self.store.write(&key, &value).map_err(Error::map("writing", self.name))?;
        self.known.insert(key, value);
        Ok(true)
    }

    /// Removes an entry; one that is not there is no error.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn remove(&mut self, key: &K) -> Result<bool, Error> {
        if !self.known.contains_key(key) {
            return Ok(false);
        }
        match self.store.erase(key) {
            Ok(()) => {}
            Err(error) if is_absent(&error) => {}
            Err(error) => return Err(Error::map("removing from", self.name)(error)),
        }
        self.known.remove(key);
        Ok(true)
    }

    /// Makes the map hold exactly these entries: new and changed ones are written first, then what is left
    /// over is removed.
    ///
    /// # Errors
    /// When the kernel refuses; the map is then somewhere between.
    pub fn replace(&mut self, desired: &HashMap<K, V>) -> Result<Changes, Error> {
        let mut changes = Changes::default();
        for (key, value) in desired {
            changes.written += usize::from(self.set(*key, *value)?);
        }
        let stale: Vec<K> = self.known.keys().filter(|key| !desired.contains_key(*key)).copied().collect();
        for key in stale {
            changes.removed += usize::from(self.remove(&key)?);
        }
        Ok(changes)
    }

    /// Removes every entry that `stale` says is.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn remove_where(&mut self, stale: impl Fn(&K) -> bool) -> Result<usize, Error> {
        let keys: Vec<K> = self.known.keys().filter(|key| stale(key)).copied().collect();
        for key in &keys {
            self.remove(key)?;
        }
        Ok(keys.len())
    }
}

impl<K, V> std::fmt::Debug for Table<K, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Table").field("name", &self.name).field("entries", &self.known.len()).finish()
    }
}
