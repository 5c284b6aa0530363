//! What the instance metadata service says of the instance. It is asked once, for what never changes: the service
//! lags behind EC2 and leaves things out, so nothing that changes is asked for.

use std::time::Duration;

use ec2_query::imds::{Client, ENDPOINT, Error};

/// Between two attempts of an agent that cannot know who its instance is.
const PAUSE: Duration = Duration::from_secs(5);

/// What an instance is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// `i-…`.
    pub instance_id: String,
    /// `m5.large`.
    pub instance_type: String,
    /// `eu-central-1a`.
    pub availability_zone: String,
    /// The VPC of its primary interface.
    pub vpc_id: String,
    /// The subnet of its primary interface.
    pub subnet_id: String,
}

/// Asks the service at an address, or at the usual one, until it has said everything.
///
/// # Errors
/// If the address is none.
pub async fn learn(endpoint: Option<&str>) -> Result<Facts, ec2_query::BadEndpoint> {
    let client = Client::new(endpoint.unwrap_or(ENDPOINT))?;
    loop {
        match ask(&client).await {
            Ok(facts) => return Ok(facts),
            Err(error) => {
                let error = format!("{:#}", anyhow::Error::from(error));
                tracing::warn!(error, "the instance does not know itself yet, and cannot have new ENIs");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn ask(client: &Client) -> Result<Facts, Error> {
    let instance = client.instance().await?;
    let absent = || Error::Absent { path: format!("network/interfaces/macs/{}/", instance.mac) };
    let primary = client.interface(&instance.mac).await?.ok_or_else(absent)?;
    Ok(Facts {
        instance_id: instance.id,
        instance_type: instance.instance_type,
        availability_zone: instance.availability_zone,
        vpc_id: primary.vpc_id,
        subnet_id: primary.subnet_id,
    })
}
