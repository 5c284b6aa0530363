//! How the lab's user, its nodes and its operators reach the API.

use std::path::Path;

use anyhow::Result;
use reference::Files;

use crate::paths::Paths;
use crate::plan;
use crate::state::{State, replace};

/// Writes all kubeconfigs: the user's, which leads through the machine's loopback, and the nodes', which lead to the
/// fabric.
pub(super) fn write_all(state: &State, paths: &Paths, files: &Files) -> Result<()> {
    let api = state.api()[0];
    for node in &state.nodes {
        let path = paths.node(&node.name).kubeconfig();
        write(&path, state, files, &format!("https://{api}:{}", plan::API_PORT))?;
    }
    // Last: who waits for it finds the others too.
    write(&paths.kubeconfig(), state, files, &format!("https://127.0.0.1:{}", state.port))
}

fn write(path: &Path, state: &State, files: &Files, server: &str) -> Result<()> {
    let text = reference::kubeconfig(&format!("netloom-{}", state.name), server, files)?;
    replace(path, text.as_bytes())
}
