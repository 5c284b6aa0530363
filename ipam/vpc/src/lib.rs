//! A region of EC2 in memory: VPCs, subnets, security groups, instances and network interfaces, for whoever
//! manages the addresses of pods and wants to try it without an account.
//!
//! - [`Region`] is the region as plain data: requests with a time go in, answers and errors come out as EC2
//!   would give them, and the same seed gives the same history. [`Region::check`] says what must not be.
//! - [`Settings`], [`Lags`] and [`Faults`] say how it behaves: throttling, eventual consistency, lost
//!   answers, failures, stale reads.
//! - [`Cloud`] shares a region and gives it a clock; it is an [`ipam::ec2::Ec2`] too.
//! - [`Event`] tells who plugs the region with real interfaces what changed.
//! - `http` (feature `http`, on by default) speaks the EC2 Query protocol and IMDSv2.
//! - `contract` (feature `contract`) holds what every client of EC2 has to show against the emulator.
//!
//! ```
//! use ipam::{Timestamp, ec2::{Addresses, Reply, Request}};
//! use vpc::{Region, Settings};
//!
//! let now = Timestamp(0);
//! let mut region = Region::new(Settings::default());
//! let vpc = region.add_vpc("10.0.0.0/16".parse()?)?;
//! let subnet = region.add_subnet(&vpc, "10.0.1.0/24".parse()?, "a")?;
//! let node = region.add_instance("m5.large", &subnet)?;
//! region.advance(now);
//!
//! let eth0 = region.primary_interface(&node).map(|interface| interface.id.clone()).ok_or("no eth0")?;
//! let request = Request::Assign { interface_id: eth0, addresses: Addresses::PrefixCount(2) };
//! let Reply::Assigned(assigned) = region.call(now, request)? else { return Err("another reply".into()) };
//! assert_eq!(assigned.prefixes.len(), 2);
//! assert_eq!(region.check(), []);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! It has no IPv6, no elastic addresses, no routes, no rules of security groups, no volumes and no images,
//! and it believes whoever asks: there are no credentials. What EC2 is not documented to do, it does as the
//! comments say; see also docs/vpc.md.

mod actions;
mod answer;
mod call;
mod cloud;
#[cfg(feature = "contract")]
pub mod contract;
mod counters;
mod events;
mod faults;
mod history;
#[cfg(feature = "http")]
pub mod http;
mod instance_types;
mod invariants;
mod metadata;
mod operation;
mod pods;
mod refusal;
mod region;
mod settings;
mod shorthands;
mod space;
mod state;
mod throttle;

pub use answer::{
    Answer, CidrView, GroupView, InstanceState, InstanceView, InterfaceView, Page, Reservation, VpcView,
};
pub use call::{Call, CreateInterface, Listing, Modify, Query, RunInstances, Wanted};
pub use cloud::Cloud;
pub use counters::{Counters, Outcome};
pub use events::{Change, Event};
pub use faults::{Chance, Fault, Faults, Omission, Planned};
pub use instance_types::instance_types;
pub use invariants::Violation;
pub use operation::Operation;
pub use refusal::{Failure, Refusal};
pub use region::Region;
pub use settings::{Lags, Settings, Spelling};
pub use space::ReservationKind;
pub use throttle::{Buckets, Rate};
