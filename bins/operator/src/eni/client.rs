//! The client of EC2: Amazon's SDK where it is compiled in, else the small one, which signs nothing.

use anyhow::{Context as _, Result};
#[cfg(not(feature = "aws"))]
pub(crate) use ec2_query::Client;
#[cfg(feature = "aws")]
pub(crate) use ec2_sdk::Client;

use super::EniOptions;

/// Finds out where EC2 is. Nothing is asked of it yet.
pub(crate) async fn connect(options: &EniOptions) -> Result<Client> {
    let endpoint = options.endpoint.as_deref();
    let client = open(endpoint).await?;
    let endpoint = endpoint.unwrap_or("of the environment, or Amazon's own");
    tracing::info!(endpoint, signed = cfg!(feature = "aws"), "EC2");
    Ok(client)
}

#[cfg(feature = "aws")]
async fn open(endpoint: Option<&str>) -> Result<Client> {
    Client::connect(endpoint).await.context("ipam eni: EC2")
}

/// Without an endpoint there is none that this client could talk to.
#[cfg(not(feature = "aws"))]
async fn open(endpoint: Option<&str>) -> Result<Client> {
    Client::new(endpoint.unwrap_or_default()).context("ec2-api-endpoint")
}
