//! How full the maps are.

use abi::maps;
use aya::Ebpf;
use aya::maps::{Map, MapData};

use crate::error::Error;

/// How full a map is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fill {
    /// The map's name.
    pub map: &'static str,
    /// Entries in use.
    pub entries: u64,
    /// Entries that it has room for.
    pub capacity: u64,
}

/// The maps whose entries come and go.
const MAPS: [&str; 11] = [
    maps::ENDPOINTS,
    maps::ADDRESSES,
    maps::CIDRS,
    maps::POLICIES,
    maps::POLICY_CELLS,
    maps::POLICY_PEERS,
    maps::POLICY_PORTS,
    maps::POLICY_RANGES,
    maps::POLICY_SPARSE,
    maps::CT_ESTABLISHED,
    maps::CT_UNCONFIRMED,
];

/// The room of those maps. Pinned ones keep what they were made with, so the kernel is asked.
pub(crate) struct Room([(&'static str, u64); MAPS.len()]);

impl Room {
    /// Asks for it; the maps must not have been taken out of the object yet.
    pub(crate) fn of(ebpf: &Ebpf) -> Result<Self, Error> {
        let mut room = MAPS.map(|name| (name, 0));
        for (name, capacity) in &mut room {
            let map = ebpf.map(name).and_then(data).ok_or(Error::Missing { kind: "map", name })?;
            let info = map.info().map_err(Error::map("asking about", name))?;
            *capacity = u64::from(info.max_entries());
        }
        Ok(Self(room))
    }

    /// How full they are, with as many entries each as `entries` says.
    pub(crate) fn with(&self, entries: impl Fn(&str) -> usize) -> Vec<Fill> {
        self.0.iter().map(|&(map, capacity)| Fill { map, entries: entries(map) as u64, capacity }).collect()
    }
}

const fn data(map: &Map) -> Option<&MapData> {
    match map {
        Map::Array(data) | Map::HashMap(data) | Map::LruHashMap(data) | Map::LpmTrie(data) => Some(data),
        _ => None,
    }
}
