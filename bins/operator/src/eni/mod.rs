//! Network interfaces of EC2 for pods: the shell around [`ipam::eni::Fleet`], which decides everything.
//!
//! [`keys`] are what is configured, [`client`] is what talks to EC2, [`record`] turns CiliumNodes into what the fleet knows of
//! them and back, [`pending`] counts pods that wait, [`errand`] carries out what the fleet wants done, and [`duty`] feeds it.

mod client;
mod duty;
mod errand;
mod keys;
mod metrics;
mod pending;
mod record;

pub(crate) use client::{Client, connect};
pub(crate) use duty::{PART, keep};
pub use keys::EniKeys;
pub(crate) use keys::EniOptions;
pub(crate) use metrics::EniMetrics;
pub(crate) use record::EniView;
