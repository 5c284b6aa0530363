//! The operator as a process, against a real API server.
//!
//! A server is started once and used by all parts, one after the other: each takes names of its own.

mod cluster;
mod duties;
mod leaders;

use anyhow::{Context as _, Result};
use cluster::Cluster;

#[tokio::test(flavor = "multi_thread")]
async fn operator() -> Result<()> {
    for server in envtest::servers("operator").await? {
        let name = server.name().to_owned();
        let mut cluster = Cluster::new(server).await?;
        leaders::take_turns(&mut cluster).await.with_context(|| format!("{name}: leaders"))?;
        duties::of_the_leader(&mut cluster).await.with_context(|| format!("{name}: duties"))?;
        duties::identities_of_pods(&mut cluster)
            .await
            .with_context(|| format!("{name}: identities of pods"))?;
    }
    Ok(())
}
