//! Netloom's node agent, as a library: it takes the cluster's objects from a [`source`], connects the node's
//! pods for the CNI plugin, and keeps the datapath in line with policies and addresses.
//!
//! ```text
//!   source --Change--> engine <--Call-- server <-- CNI plugin, command line
//!                        |  ^
//!        datapath, links |  | events
//! ```
//!
//! The [`engine`] owns everything and does one thing at a time. What is enforced does not depend on the agent
//! being up: programs, maps and links are pinned, allocations and endpoints are on disk.

mod addresses;
pub mod args;
pub mod cluster;
pub mod endpoint;
pub mod engine;
pub mod flows;
pub mod limits;
mod readable;
pub mod server;
pub mod source;
mod state_file;
pub mod tables;

use anyhow::{Context, Result};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use args::Args;
use cluster::Numbering;
use engine::Engine;
use flows::FlowLog;
use server::{Enforced, Server};
use source::Manifests;

/// Runs the agent until it is told to stop. What it enforces stays in force.
///
/// # Errors
/// When it cannot start, or something breaks that it cannot do without.
pub async fn run(args: Args) -> Result<()> {
    std::fs::create_dir_all(&args.state_dir)
        .with_context(|| format!("creating {}", args.state_dir.display()))?;
    let flows = FlowLog::default();
    let (publish, enforced) = Enforced::channel();
    let (changes, changed) = mpsc::channel(1024);
    let (calls, called) = mpsc::channel(64);

    // A directory has no use for what the node has to tell.
    let (reports, _) = mpsc::unbounded_channel();

    let engine = Engine::new(args.clone(), Numbering::Own, flows.clone(), publish, reports).await?;
    let listener = Server::listen(&args.socket)?;
    let server = Server { calls, enforced, flows };
    let mut terminate = signal(SignalKind::terminate()).context("waiting for signals")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("waiting for signals")?;
    tracing::info!(node = args.node, socket = %args.socket.display(), "started");
    tokio::select! {
        ended = engine.run(changed, called) => ended,
        ended = server.run(listener) => ended,
        ended = Manifests::new(&args.manifests, args.state_dir.join("policies")).run(changes) => ended,
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    }
}
