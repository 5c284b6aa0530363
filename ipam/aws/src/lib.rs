//! EC2 through Amazon's SDK: signed requests, TLS, and every way to credentials that the SDK has.
//!
//! `Client` performs the requests of [`ipam::ec2`] as the small client of the emulator does, and keeps the same
//! contract (`ipam/vpc/src/contract`): each request is sent once, and an error tells whether it may have been carried
//! out all the same.
//!
//! Everything is behind the feature `sdk`, without which this crate is empty: the SDK is one crate of 811 operations
//! that takes minutes and gigabytes to compile. `cargo xtask sdk` checks what is here; `cargo clippy --workspace` and
//! `cargo test --workspace` pass it by.
//!
#![cfg_attr(feature = "sdk", doc = "```no_run")]
#![cfg_attr(not(feature = "sdk"), doc = "```ignore")]
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use ipam::ec2::{Ec2 as _, Reply, Request};
//!
//! let client = ec2_sdk::Client::connect(None).await?;
//! let reply = client.call(Request::DescribeVpcs { ids: vec!["vpc-1".to_owned()] }).await?;
//! assert!(matches!(reply, Reply::Vpcs(_)));
//! # Ok(())
//! # }
//! ```
//!
//! It repeats no request of EC2's and limits no rate: who planned a request does both. Credentials are asked for again
//! as the SDK sees fit, since reading twice does no harm.

#[cfg(feature = "sdk")]
mod answer;
#[cfg(feature = "sdk")]
mod ask;
#[cfg(feature = "sdk")]
mod checks;
#[cfg(feature = "sdk")]
mod client;
#[cfg(feature = "sdk")]
mod failure;
#[cfg(feature = "sdk")]
mod https;

#[cfg(feature = "sdk")]
pub use client::{Client, ConnectError};
