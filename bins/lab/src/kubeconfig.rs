//! How the lab's user, its nodes and its operators reach the API.

use std::path::Path;

use anyhow::{Context, Result};
use kube::config::Kubeconfig;

use crate::paths::Paths;
use crate::plan;
use crate::state::{State, replace};

/// Writes all kubeconfigs after the API server's own: the user's, which leads through the machine's loopback, and the
/// nodes', which lead to the fabric.
///
/// # Errors
/// When the server's own cannot be read, or another cannot be written.
pub(crate) fn write_all(state: &State, paths: &Paths, own: &Path) -> Result<()> {
    let own = Kubeconfig::read_from(own).with_context(|| format!("cannot read {}", own.display()))?;
    write(&paths.kubeconfig(), &own, &format!("https://127.0.0.1:{}", state.port))?;
    let api = plan::api()[0].ip();
    for node in &state.nodes {
        let path = paths.node(&node.name).kubeconfig();
        write(&path, &own, &format!("https://{api}:{}", plan::API_PORT))?;
    }
    Ok(())
}

fn write(path: &Path, own: &Kubeconfig, server: &str) -> Result<()> {
    let mut file = own.clone();
    for cluster in file.clusters.iter_mut().filter_map(|cluster| cluster.cluster.as_mut()) {
        cluster.server = Some(server.to_owned());
    }
    // JSON is YAML, too.
    replace(path, &serde_json::to_vec_pretty(&file).context("cannot write a kubeconfig")?)
}
