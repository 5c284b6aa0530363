//! `netloom-operator`: reads the configuration, listens, and runs until it is told to stop.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Parser;
use operator::{Keys, Metrics, serve};
use prometheus_client::registry::Registry;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// Netloom's cluster operator.
///
/// Several may run: one holds the lease and works, the others wait.
#[derive(Parser)]
#[command(name = "netloom-operator", version)]
struct Arguments {
    #[command(flatten)]
    keys: Keys,
    /// Logs more
    #[arg(long, default_value_t = false, num_args = 0..=1, default_missing_value = "true", action = clap::ArgAction::Set, value_name = "BOOL")]
    debug: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let level = if arguments.debug { "info,operator=debug,kubernetes=debug" } else { "info" };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    log.with_ansi(std::io::stderr().is_terminal()).init();
    match start(&arguments.keys) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start(keys: &Keys) -> Result<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        let (address, health) = serve::health(&keys.operator_api_serve_addr).await?;
        tracing::info!(%address, "health");
        tokio::spawn(health);
        if !keys.operator_prometheus_serve_addr.is_empty() {
            let (address, answers) = serve::metrics(&keys.operator_prometheus_serve_addr, registry).await?;
            tracing::info!(%address, "metrics");
            tokio::spawn(answers);
        }
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let shutdown = async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            tracing::info!("stopping");
        };
        operator::run(keys, identity()?, &metrics, shutdown).await
    })
}

/// Who this process is to the others: the machine, or pod, and something that no other process has.
fn identity() -> Result<String> {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").context("host name")?;
    let random = std::fs::read_to_string("/proc/sys/kernel/random/uuid").context("random identity")?;
    Ok(format!("{}_{}", host.trim(), random.trim()))
}
