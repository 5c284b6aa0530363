//! Addresses of a node's pods: arithmetic, the pool, and the journal that remembers who has what.
//!
//! - [`AddressRange`] and its neighbours count, compare and walk prefixes.
//! - [`Pool`] decides who gets which address. It knows no clock: callers say what time it is.
//! - [`ClusterPool`] decides which node has which pod CIDR. It is the operator's, as a [`Pool`] is a node's.
//! - [`ec2`] says in types what a pod network asks of EC2, and what it answers.
//! - [`eni`] decides what to ask: how many addresses a node needs, the cheapest plan to get them, and how a prefix is
//!   taken back; [`eni::Fleet`] is all of the operator's logic, without its I/O.
//! - [`journal`] turns decisions into bytes and back; a write that a crash interrupted is told from damage.
//! - [`mod@file`] (feature `file`, on by default) keeps the journal on disk. It is all the I/O there is.
//!
//! The promise is that no address is given twice and none is lost, whenever the power fails: a decision is
//! journalled before it is told to anyone, and what the journal knows outlives a change of the CIDRs.
//!
//! ```
//! use std::time::{Duration, SystemTime};
//! use ipam::{Family, Pool, Record, file::FileJournal};
//!
//! let directory = tempfile::tempdir()?;
//! let (mut journal, replay) = FileJournal::open(directory.path().join("addresses.journal"))?;
//! let cidrs = ["10.0.1.0/24".parse()?, "fd00:1::/64".parse()?];
//! let now = SystemTime::now().into();
//! let mut pool = Pool::restore(cidrs, Duration::from_secs(30), replay.state, now)?;
//!
//! // Attach: decide, journal, and only then tell.
//! if let Some(record) = pool.decide("c1/eth0", "default/web", &[Family::V4, Family::V6], now)? {
//!     journal.append(&record)?;
//!     pool.apply(&record)?;
//! }
//! assert_eq!(pool.allocation("c1/eth0").map(|has| has.addresses.len()), Some(2));
//!
//! // Detach: the addresses are free once the journal says so.
//! let record = Record::Released { owner: "c1/eth0".to_owned(), at: now };
//! journal.append(&record)?;
//! pool.apply(&record)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! It talks to no cloud: whoever has a client performs the requests.

mod cluster_pool;
pub mod ec2;
pub mod eni;
#[cfg(feature = "file")]
pub mod file;
pub mod journal;
mod pool;
mod range;
mod state;

pub use cluster_pool::{ClusterPool, GivenTwice, InvalidPool};
pub use journal::{JournalError, Replay};
pub use pool::{DrainDecision, Pool, PoolCidr, PoolError, PrefixUse, Refusal};
pub use range::{AddressRange, Family, canonical, contains, overlap};
pub use state::{Allocation, Conflict, Epoch, Record, State, Timestamp};
