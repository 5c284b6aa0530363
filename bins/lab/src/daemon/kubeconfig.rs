//! How the lab's user, its nodes and its operators reach the API.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::json;

use super::certificates::Files;
use crate::paths::Paths;
use crate::plan;
use crate::state::{State, replace};

/// Writes all kubeconfigs: the user's, which leads through the machine's loopback, and the nodes', which lead to the
/// fabric.
pub(super) fn write_all(state: &State, paths: &Paths, files: &Files) -> Result<()> {
    let api = plan::api()[0].ip();
    for node in &state.nodes {
        let path = paths.node(&node.name).kubeconfig();
        write(&path, state, files, &format!("https://{api}:{}", plan::API_PORT))?;
    }
    // Last: who waits for it finds the others too.
    write(&paths.kubeconfig(), state, files, &format!("https://127.0.0.1:{}", state.port))
}

fn write(path: &Path, state: &State, files: &Files, server: &str) -> Result<()> {
    let authority = fs::read(files.authority())
        .with_context(|| format!("cannot read {}", files.authority().display()))?;
    let name = format!("netloom-{}", state.name);
    let kubeconfig = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{
            "name": name,
            "cluster": {"server": server, "certificate-authority-data": base64(&authority)},
        }],
        "users": [{"name": name, "user": {"token": files.token()?}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    });
    // JSON is YAML, too.
    replace(path, format!("{kubeconfig:#}\n").as_bytes())
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
