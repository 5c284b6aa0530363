//! A small client of EC2 for emulators and other endpoints that ask for no signature, and a client of the
//! instance metadata service.
//!
//! - [`Client`] performs the requests of [`ipam::ec2`] over the EC2 Query protocol, by plain HTTP.
//! - [`imds`] asks IMDSv2 what an instance is.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use ipam::ec2::{Ec2 as _, Reply, Request};
//!
//! let client = ec2_query::Client::new("http://127.0.0.1:8080")?;
//! let reply = client.call(Request::DescribeVpcs { ids: vec!["vpc-1".to_owned()] }).await?;
//! assert!(matches!(reply, Reply::Vpcs(_)));
//! # Ok(())
//! # }
//! ```
//!
//! It signs nothing and speaks no TLS, so Amazon's own endpoints refuse it: those take Amazon's SDK. It
//! repeats no request of EC2's either: who planned a request decides that.

mod client;
mod decode;
mod element;
mod encode;
pub mod imds;
mod transport;

pub use client::Client;
pub use transport::{BadEndpoint, HttpError};
