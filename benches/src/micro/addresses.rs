//! A node's pool of addresses.

use std::time::Duration;

use ipam::{Family, Pool, Timestamp};
use ipnetwork::IpNetwork;

/// How long an address rests.
const REST: Duration = Duration::from_secs(30);

/// A node with a /24 of addresses, and a journal of as many records.
#[derive(Clone, Debug)]
pub struct Addresses {
    pool: Pool,
    owners: Vec<String>,
    journal: Vec<u8>,
}

impl Addresses {
    /// As many pods as there are addresses, or fewer.
    ///
    /// # Errors
    /// What the pool or the journal says, which is a mistake of this benchmark.
    pub fn new(pods: usize) -> Result<Self, Box<dyn std::error::Error>> {
        let range: IpNetwork = "10.0.0.0/24".parse()?;
        let pool = Pool::new([range], REST)?;
        let owners: Vec<String> = (0..pods).map(|pod| format!("container-{pod}/eth0")).collect();
        let mut journal = ipam::journal::MAGIC.to_vec();
        let mut filled = pool.clone();
        for owner in &owners {
            let record = filled.decide(owner, "default/pod", &[Family::V4], Timestamp(0))?;
            let record = record.ok_or("an owner had an address already")?;
            journal.extend(ipam::journal::encode(&record));
            filled.apply(&record)?;
        }
        Ok(Self { pool, owners, journal })
    }

    /// Gives each pod an address, then takes all back; says how many were given.
    #[must_use]
    pub fn turn_over(&self) -> usize {
        let mut pool = self.pool.clone();
        let given = self
            .owners
            .iter()
            .filter(|owner| pool.allocate(owner, "default/pod", &[Family::V4], Timestamp(0)).is_ok())
            .count();
        for owner in &self.owners {
            pool.release(owner, Timestamp(1));
        }
        given
    }

    /// Reads the journal; says how many records it has.
    #[must_use]
    pub fn replay(&self) -> usize {
        ipam::journal::replay(&self.journal).map_or(0, |replay| replay.records)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pod_gets_an_address_and_is_in_the_journal() {
        let addresses = Addresses::new(100).unwrap();
        assert_eq!((addresses.turn_over(), addresses.replay()), (100, 100));
    }
}
