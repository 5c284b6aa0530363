//! What became of packets, summed over CPUs.

use abi::{Counter, CounterKey, Direction, DropReason, maps};
use aya::maps::{Map, MapData, PerCpuArray};

use crate::error::Error;

/// The counters of a node's datapath.
pub struct Counters(PerCpuArray<MapData, Counter>);

impl Counters {
    pub(crate) fn open(map: Map) -> Result<Self, Error> {
        Ok(Self(map.try_into().map_err(Error::map("opening", maps::COUNTERS))?))
    }

    /// One counter.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn get(&self, key: CounterKey) -> Result<Counter, Error> {
        let values = self.0.get(&key.index(), 0).map_err(Error::map("reading", maps::COUNTERS))?;
        Ok(values.iter().fold(Counter::default(), |sum, value| Counter {
            packets: sum.packets + value.packets,
            bytes: sum.bytes + value.bytes,
        }))
    }

    /// Drop reasons that have counted anything, by direction.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn drops(&self) -> Result<Vec<(DropReason, Direction, Counter)>, Error> {
        let mut drops = Vec::new();
        for reason in DropReason::ALL {
            for direction in [Direction::Ingress, Direction::Egress] {
                let counter = self.get(CounterKey::Dropped(*reason, direction))?;
                if counter.packets > 0 {
                    drops.push((*reason, direction, counter));
                }
            }
        }
        Ok(drops)
    }
}
