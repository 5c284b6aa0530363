//! Connections, read from user space.

use std::time::Duration;

use abi::{Config, CtEntry, CtKey, maps};
use aya::maps::{HashMap, Map, MapData};
use nix::time::{ClockId, clock_gettime};

use crate::error::Error;

/// The two tables of connections. The datapath is their only writer, but for [`Connections::collect`].
pub struct Connections {
    established: HashMap<MapData, CtKey, CtEntry>,
    unconfirmed: HashMap<MapData, CtKey, CtEntry>,
}

impl Connections {
    pub(crate) fn open(established: Map, unconfirmed: Map) -> Result<Self, Error> {
        Ok(Self {
            established: established.try_into().map_err(Error::map("opening", maps::CT_ESTABLISHED))?,
            unconfirmed: unconfirmed.try_into().map_err(Error::map("opening", maps::CT_UNCONFIRMED))?,
        })
    }

    /// Valid connections: established, then unconfirmed. Others may come and go meanwhile.
    #[must_use]
    pub fn list(&self) -> [Vec<(CtKey, CtEntry)>; 2] {
        let now = now();
        [&self.established, &self.unconfirmed].map(|map| {
            // A key that vanishes while walking ends the walk early; the list is a glimpse anyway.
            map.iter().filter_map(Result::ok).filter(|(_, entry)| entry.expires > now).collect()
        })
    }

    /// Removes what has expired, and what `stale` says is. Nothing depends on it but memory.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn collect(&mut self, stale: impl Fn(&CtKey) -> bool) -> Result<usize, Error> {
        let now = now();
        let mut removed = 0;
        for map in [&mut self.established, &mut self.unconfirmed] {
            let due: Vec<CtKey> = map
                .iter()
                .filter_map(Result::ok)
                .filter(|(key, entry)| entry.expires <= now || stale(key))
                .map(|(key, _)| key)
                .collect();
            for key in due {
                removed += usize::from(map.remove(&key).is_ok());
            }
        }
        Ok(removed)
    }
}

/// The datapath's time, in ticks.
fn now() -> u32 {
    let time = clock_gettime(ClockId::CLOCK_MONOTONIC).map(Duration::from).unwrap_or_default();
    (time.as_nanos() >> Config::TICK_SHIFT) as u32
}
