//! `netloom-operator`: reads the configuration, listens, and runs until it is told to stop.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Parser;
use daemon::config::{self, Sources};
use daemon::health::Health;
use daemon::listen::serve;
use daemon::logs::LogArgs;
use daemon::metrics;
use operator::{Keys, Metrics};
use tokio::signal::unix::{SignalKind, signal};

/// Netloom's cluster operator.
///
/// Several may run: one holds the lease and works, the others wait. Each key may also be a file in the directory of
/// `--config-dir`, or a variable of the environment: `ipam` is CILIUM_IPAM.
#[derive(Parser)]
#[command(name = NAME, version)]
struct Arguments {
    /// Directory with a file for each key, as a ConfigMap is mounted
    #[arg(long, value_name = "DIRECTORY")]
    config_dir: Option<PathBuf>,
    /// Check the configuration, say what is wrong with it, and end
    #[arg(long)]
    check_config: bool,
    #[command(flatten)]
    keys: Keys,
    #[command(flatten)]
    logs: LogArgs,
}

const NAME: &str = "netloom-operator";

fn main() -> ExitCode {
    let sources = Sources::of_process();
    let parsed = match config::parse::<Arguments>(&sources) {
        Ok(parsed) => parsed,
        Err(error) => error.exit(NAME),
    };
    if parsed.arguments.check_config && sources.only_checks() {
        // Agents give protection; the operator has nothing to do with it.
        return parsed.checked(NAME, |arguments| arguments.keys.check().map(|()| Vec::new()), |_| true);
    }
    if let Err(error) = parsed.arguments.logs.init() {
        eprintln!("{error}");
        return ExitCode::FAILURE;
    }
    if let Some(directory) = &parsed.arguments.config_dir {
        tracing::debug!(directory = %directory.display(), "configuration");
    }
    parsed.report();
    match start(&parsed.arguments.keys) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start(keys: &Keys) -> Result<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let mut registry =
            metrics::Metrics::new("netloom-operator", env!("CARGO_PKG_VERSION"), "cilium_operator");
        let health = Health::new();
        let counted = Metrics::register(registry.registry(), &health);
        let _health_server = serve(&keys.operator_api_serve_addr, health.router()).await?;
        let _metrics_server = match keys.enable_metrics {
            true => Some(serve(&keys.operator_prometheus_serve_addr, registry.router()).await?),
            false => None,
        };
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let shutdown = async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            tracing::info!("stopping");
        };
        operator::run(keys, identity()?, &counted, &health, shutdown).await
    })
}

/// Who this process is to the others: its pod (`K8S_POD_NAME`), or else the machine, and something that no other process
/// has. On the host's network the machine's name would be the node's.
fn identity() -> Result<String> {
    let host = match std::env::var("K8S_POD_NAME") {
        Ok(pod) if !pod.is_empty() => pod,
        _ => std::fs::read_to_string("/proc/sys/kernel/hostname").context("host name")?,
    };
    let random = std::fs::read_to_string("/proc/sys/kernel/random/uuid").context("random identity")?;
    Ok(format!("{}_{}", host.trim(), random.trim()))
}
