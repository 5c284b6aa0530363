//! `netloom apiserver`.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use crate::Server;

/// Runs a Kubernetes API server in memory. Nobody is asked who he is: listen where only friends are.
#[derive(Debug, Args)]
pub struct ApiserverArgs {
    /// Address and port to listen on (more than once for more). Port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: Vec<SocketAddr>,
    /// Where to write a kubeconfig, once it is ready.
    #[arg(long)]
    write_kubeconfig: Option<PathBuf>,
    /// Keep objects in this file, and take up what is in it.
    #[arg(long)]
    journal: Option<PathBuf>,
    /// Write a line of JSON about each request to this file.
    #[arg(long)]
    audit_log: Option<PathBuf>,
    /// Certificate (PEM) to speak TLS with.
    #[arg(long, requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Its key (PEM).
    #[arg(long, requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Make the service default/kubernetes, with this address behind it.
    #[arg(long)]
    advertise: Option<SocketAddr>,
    /// Events of each kind that are kept for watchers that are behind.
    #[arg(long, default_value_t = 20_000)]
    history: usize,
}

/// Runs the server until SIGINT or SIGTERM.
pub fn run(args: &ApiserverArgs) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(serve(args))
}

async fn serve(args: &ApiserverArgs) -> Result<()> {
    let mut builder = Server::builder().history(args.history);
    for address in &args.listen {
        builder = builder.listen(*address);
    }
    if let Some(path) = &args.journal {
        builder = builder.journal(path);
    }
    if let Some(path) = &args.audit_log {
        builder = builder.audit_log(path);
    }
    if let (Some(cert), Some(key)) = (&args.tls_cert, &args.tls_key) {
        builder = builder.tls(cert, key);
    }
    if let Some(address) = args.advertise {
        builder = builder.advertise(address);
    }
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let server = builder.start().await?;
    if let Some(path) = &args.write_kubeconfig {
        // Renamed into place: whoever waits for the file finds it whole.
        let fresh = path.with_added_extension("new");
        std::fs::write(&fresh, server.kubeconfig())
            .and_then(|()| std::fs::rename(&fresh, path))
            .with_context(|| format!("cannot write the kubeconfig {}", path.display()))?;
    }
    for address in server.addresses() {
        eprintln!("netloom apiserver: listening on {address}");
    }
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    server.stop().await;
    Ok(())
}
