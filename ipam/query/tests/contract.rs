//! The contract, over the EC2 Query protocol.

use std::time::Duration;

use ec2_query::Client;
use ipam::ec2::{Ec2, Error, Reply, Request};
use vpc::{Cloud, contract, http::Server};

/// A client, and the server that it talks to.
struct Served {
    client: Client,
    _server: Server,
}

impl Ec2 for Served {
    async fn call(&self, request: Request) -> Result<Reply, Error> {
        self.client.call(request).await
    }
}

async fn connect(cloud: Cloud) -> Served {
    let any = "127.0.0.1:0".parse().expect("an address");
    let server = Server::query(cloud, any).await.expect("a server");
    let endpoint = format!("http://{}", server.address());
    let client = Client::with_timeout(&endpoint, Duration::from_secs(20)).expect("a client");
    Served { client, _server: server }
}

#[tokio::test]
async fn the_client_keeps_the_contract() {
    let broken = contract::run(connect).await;
    assert!(broken.is_empty(), "{broken:#?}");
}
