//! The contract, over the EC2 Query protocol.

use std::time::Duration;

use ec2_query::Client;
use vpc::{
    Cloud,
    contract::{self, Served},
};

async fn connect(cloud: Cloud) -> Served<Client> {
    let client = async |at: &str| Client::with_timeout(at, Duration::from_secs(20)).expect("a client");
    Served::start(cloud, client).await.expect("a server")
}

#[tokio::test]
async fn the_client_keeps_the_contract() {
    let broken = contract::run(connect).await;
    assert!(broken.is_empty(), "{broken:#?}");
}
