//! The operator as a process, against API servers: the embedded one, and the real one where the machine has it.
//!
//! A server is started once and used by all parts, one after the other: each takes names of its own.

mod cluster;
mod duties;
mod leaders;

use std::path::Path;

use anyhow::{Context as _, Result};
use cluster::Cluster;

#[tokio::test(flavor = "multi_thread")]
async fn embedded_server() -> Result<()> {
    let server = apiserver::Server::builder().start().await?;
    let dir = tempfile::tempdir()?;
    let kubeconfig = dir.path().join("kubeconfig");
    std::fs::write(&kubeconfig, server.kubeconfig())?;
    all("embedded", &kubeconfig).await?;
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn real_server() -> Result<()> {
    for server in envtest::servers("real_server").await? {
        all(server.name(), server.kubeconfig()).await?;
    }
    Ok(())
}

async fn all(name: &str, kubeconfig: &Path) -> Result<()> {
    let mut cluster = Cluster::new(name, kubeconfig).await?;
    leaders::take_turns(&mut cluster).await.with_context(|| format!("{name}: leaders"))?;
    duties::of_the_leader(&mut cluster).await.with_context(|| format!("{name}: duties"))?;
    duties::identities_of_pods(&mut cluster).await.with_context(|| format!("{name}: identities of pods"))
}
