//! A client, with the emulator behind HTTP that it talks to.

use std::net::SocketAddr;

use ipam::ec2::{Ec2, Error, Reply, Request};

use crate::{Cloud, http::Server};

/// A client of a region that is served over the EC2 Query protocol for as long as the client is there.
#[derive(Debug)]
pub struct Served<E> {
    client: E,
    _server: Server,
}

impl<E: Ec2> Served<E> {
    /// Serves the region on the loopback interface, and makes a client of that `http://` address.
    ///
    /// # Errors
    ///
    /// If nobody can listen there.
    pub async fn start(cloud: Cloud, connect: impl AsyncFnOnce(&str) -> E) -> std::io::Result<Self> {
        let server = Server::query(cloud, SocketAddr::from(([127, 0, 0, 1], 0))).await?;
        let client = connect(&format!("http://{}", server.address())).await;
        Ok(Self { client, _server: server })
    }
}

impl<E: Ec2> Ec2 for Served<E> {
    async fn call(&self, request: Request) -> Result<Reply, Error> {
        self.client.call(request).await
    }
}
