//! The operator as a process, against API servers: the embedded one, and the real one where the machine has it.
//!
//! A server is started once and used by all parts, one after the other: each takes names of its own.

mod cluster;
mod duties;
mod eni;
mod leaders;

use anyhow::{Context as _, Result};
use cluster::Cluster;
use envtest::Server;

#[tokio::test(flavor = "multi_thread")]
async fn embedded_server() -> Result<()> {
    all(&Server::embedded().await?).await
}

#[tokio::test(flavor = "multi_thread")]
async fn real_server() -> Result<()> {
    for server in Server::reference("real_server").await?.into_iter().chain(Server::named().await?) {
        all(&server).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn network_interfaces() -> Result<()> {
    let server = Server::embedded().await?;
    let mut cluster = Cluster::new(server.name(), server.kubeconfig()).await?;
    eni::grows_and_shrinks(&mut cluster).await.context("growing and shrinking")?;
    eni::killed_between_request_and_write(&mut cluster).await.context("killed")?;
    eni::stopped_past_the_deadline(&mut cluster).await.context("stopped")?;
    eni::tells_why_ec2_does_not_answer(&mut cluster).await.context("without an answer")?;
    eni::tells_what_hinders(&mut cluster).await.context("hindered")
}

async fn all(server: &Server) -> Result<()> {
    let name = server.name();
    let mut cluster = Cluster::new(name, server.kubeconfig()).await?;
    leaders::take_turns(&mut cluster).await.with_context(|| format!("{name}: leaders"))?;
    duties::of_the_leader(&mut cluster).await.with_context(|| format!("{name}: duties"))?;
    duties::identities_of_pods(&mut cluster).await.with_context(|| format!("{name}: identities of pods"))
}
