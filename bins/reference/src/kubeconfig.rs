use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::{Error, Files};

/// The text of a kubeconfig of who may do everything, for the server at this URL. `name` is what cluster, user and
/// context are called.
///
/// # Errors
///
/// When the token or the certificate cannot be read.
pub fn kubeconfig(name: &str, url: &str, files: &Files) -> Result<String, Error> {
    let path = files.authority();
    let authority = fs::read(&path).map_err(|source| Error::File { path, source })?;
    let kubeconfig = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{
            "name": name,
            "cluster": {"server": url, "certificate-authority-data": STANDARD.encode(authority)},
        }],
        "users": [{"name": name, "user": {"token": files.token()?}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    });
    // JSON is YAML, too.
    Ok(format!("{kubeconfig:#}\n"))
}
