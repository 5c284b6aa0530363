//! The region over HTTP: the EC2 Query protocol for clients of EC2, and IMDSv2 for instances.
//!
//! Requests are believed whoever signed them, or nobody. Servers end when they are dropped.
//!
//! ```no_run
//! # async fn example() -> std::io::Result<()> {
//! use vpc::{Cloud, Settings, http};
//!
//! let cloud = Cloud::new(Settings::default());
//! let ec2 = http::Server::query(cloud.clone(), "127.0.0.1:0".parse().unwrap()).await?;
//! println!("AWS_ENDPOINT_URL_EC2=http://{}", ec2.address());
//! # Ok(())
//! # }
//! ```

mod decode;
mod encode;
mod form;
mod imds;
mod server;
mod xml;

pub use imds::Asking;
pub use server::Server;
