//! The programs as they are shipped: built in release, side by side in one directory.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::command::CommandExt as _;
use crate::packages;
use crate::workspace::Workspace;

/// Each program, its package (of the same name) and the profile it is built with.
const PROGRAMS: &[(&str, &str)] = &[
    ("netloom", "release"),
    ("netloom-agent", "release"),
    ("netloom-operator", "release"),
    // Executed once a pod, so small and quick to start; see the root Cargo.toml.
    ("netloom-cni", "cni"),
];

/// What to build besides.
#[derive(Clone, Copy, Default, clap::Args)]
pub(crate) struct Options {
    /// The operator with Amazon's SDK, as releases have it
    #[arg(long)]
    aws: bool,
}

/// The feature of the operator that brings the SDK in, and the profile that it is built with.
const AWS: (&str, &str) = ("netloom-operator/aws", "release");

/// Builds the programs and returns the directory that they are in.
pub(crate) fn build(workspace: &Workspace, options: &Options) -> Result<PathBuf> {
    let directory = workspace.target().join("dist");
    fs::create_dir_all(&directory).with_context(|| format!("creating {}", directory.display()))?;
    for profile in ["release", "cni"] {
        let programs = || PROGRAMS.iter().filter(|(_, with)| *with == profile);
        let mut build = workspace.cargo();
        build.args(["build", "--locked", "--bins", "--profile", profile]);
        for (program, _) in programs() {
            build.args(["--package", program]);
        }
        if options.aws && profile == AWS.1 {
            build.args(["--features", AWS.0]);
        }
        build.run()?;
        for (program, _) in programs() {
            let from = workspace.target().join(profile).join(program);
            let to = directory.join(program);
            // By rename: a program that is running can't be written to.
            let temporary = directory.join(format!(".{program}"));
            fs::copy(&from, &temporary)
                .and_then(|_| fs::rename(&temporary, &to))
                .with_context(|| format!("copying {} to {}", from.display(), to.display()))?;
        }
    }
    Ok(directory)
}

/// Installs what is missing, builds, and runs `netloom lab demo ARGS`.
pub(crate) fn demo(workspace: &Workspace, args: &[String]) -> Result<()> {
    if !packages::is_root()? {
        bail!("the demo makes network namespaces and loads eBPF programs: run it as root");
    }
    packages::ensure(&[packages::RUNTIME])?;
    let directory = build(workspace, &Options::default())?;
    let mut demo = Command::new(directory.join("netloom"));
    demo.args(["lab", "demo"]).args(args);
    eprintln!("+ {}", demo.line());
    let status = demo
        .env("NETLOOM_BIN_DIR", &directory)
        .status()
        .with_context(|| format!("starting `{}`", demo.line()))?;
    if !status.success() {
        bail!("`{}` failed: {status}", demo.line());
    }
    Ok(())
}
