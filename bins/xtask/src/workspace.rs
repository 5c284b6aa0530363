//! Where things are: the clone, the build directory, the cache.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::command::CommandExt as _;

/// The clone that this tool was started in.
pub(crate) struct Workspace {
    root: PathBuf,
    target: PathBuf,
}

impl Workspace {
    /// Asks cargo where the workspace and its build directory are.
    pub(crate) fn find() -> Result<Self> {
        // Set by `cargo run` (so by `cargo xtask`). A path compiled in would be wrong where clones
        // share a build directory.
        let here = std::env::var_os("CARGO_MANIFEST_DIR")
            .context("CARGO_MANIFEST_DIR is not set: start this tool as `cargo xtask`")?;
        let metadata =
            cargo().args(["metadata", "--format-version=1", "--no-deps"]).current_dir(here).read()?;
        let metadata: Value = serde_json::from_str(&metadata).context("reading cargo metadata")?;
        let path = |key: &str| {
            metadata[key].as_str().map(PathBuf::from).with_context(|| format!("cargo metadata has no {key}"))
        };
        Ok(Self { root: path("workspace_root")?, target: path("target_directory")? })
    }

    /// The clone's top directory.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Cargo's build directory.
    pub(crate) fn target(&self) -> &Path {
        &self.target
    }

    /// `cargo`, to be run in the clone.
    pub(crate) fn cargo(&self) -> Command {
        let mut cargo = cargo();
        cargo.current_dir(&self.root);
        cargo
    }
}

/// The cargo that started us.
fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Netloom's cache directory, outside of any clone: `$XDG_CACHE_HOME/netloom` or `~/.cache/netloom`.
pub(crate) fn cache() -> Result<PathBuf> {
    let base = std::env::var_os("XDG_CACHE_HOME")
        .filter(|path| !path.is_empty())
        .map(PathBuf::from)
        .or_else(|| std::env::home_dir().map(|home| home.join(".cache")))
        .context("neither XDG_CACHE_HOME nor a home directory is known")?;
    Ok(base.join("netloom"))
}
