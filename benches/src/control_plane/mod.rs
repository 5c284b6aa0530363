//! A node's agent in a cluster that does not exist: objects of thousands of nodes and pods are written to a Kubernetes
//! API server, and an agent, which cannot tell, follows them.
//!
//! The agent is the real program, in a network namespace of its own, with real pods of its own. It reaches the API
//! server through a `proxy` that counts. What a policy's change takes is measured where it counts: from before the
//! request that writes it until the datapath's map has it.

mod agent;
mod churn;
mod cluster;
mod fill;
mod proxy;
mod report;
mod server;
mod watchdog;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};

use crate::Error;
use agent::Agent;
use churn::Churn;
use cluster::Cluster;
use proxy::Proxy;
use server::Server;
use watchdog::within;

pub use report::{Report, Requests, Resident, Targets};

/// How large the cluster is, and how restless.
#[derive(Clone, Debug)]
pub struct Options {
    /// Nodes, the agent's own included.
    pub nodes: u32,
    /// Pods of other nodes.
    pub pods: u32,
    /// Label sets with a number.
    pub identities: u32,
    /// Policies.
    pub policies: u32,
    /// Pods of the agent's node.
    pub local_pods: u32,
    /// Pods that come, and as many that go, in a second.
    pub churn: u32,
    /// How long they come and go.
    pub churning: Duration,
    /// Kubeconfig of a running API server; one of our own is started where there is none.
    pub kubeconfig: Option<PathBuf>,
    /// The directory of the programs `netloom` and `netloom-agent`.
    pub programs: PathBuf,
}

impl Options {
    /// Whether the sizes can be had.
    fn check(&self) -> Result<(), Error> {
        let bounds = [
            ("--nodes", self.nodes, 2..=cluster::MOST_NODES),
            ("--identities", self.identities, 1..=cluster::MOST_IDENTITIES),
            ("--policies", self.policies, 1..=20_000),
            ("--local-pods", self.local_pods, 1..=120),
            ("--pods", self.pods, 1..=self.nodes.saturating_sub(1).saturating_mul(120)),
            ("--churn", self.churn, 1..=2_000),
        ];
        match bounds.into_iter().find(|(_, value, bounds)| !bounds.contains(value)) {
            Some((option, value, bounds)) => Err(Error::control_plane(format!(
                "{option} {value}: it takes {} to {}",
                bounds.start(),
                bounds.end()
            ))),
            None => Ok(()),
        }
    }
}

/// Runs it all, and takes it all away again. Progress is told on standard error.
///
/// # Errors
/// When it is not run by root, or something cannot be made or does not get ready in time.
pub fn run(options: &Options) -> Result<Report, Error> {
    if !nix::unistd::geteuid().is_root() {
        return Err(Error::control_plane(
            "the agent makes links and loads programs: run the benchmark as root".into(),
        ));
    }
    options.check()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|source| Error::doing("starting the runtime", source))?;
    runtime.block_on(async {
        let failed = |source| Error::doing("waiting for signals", source);
        let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
        // Whoever stops it early still has everything taken away.
        tokio::select! {
            report = measure(options) => report,
            _ = tokio::signal::ctrl_c() => Err(Error::control_plane("interrupted".into())),
            _ = terminate.recv() => Err(Error::control_plane("terminated".into())),
        }
    })
}

async fn measure(options: &Options) -> Result<Report, Error> {
    let room = tempfile::Builder::new()
        .prefix("netloom-bench-")
        .tempdir()
        .map_err(|source| Error::doing("making a directory", source))?;
    let server = Server::start(options, room.path()).await?;
    let cluster = Cluster::of(options);
    let started = Instant::now();
    within(fill::PATIENCE, "writing the cluster's objects", fill::fill(&server, &cluster)).await?;
    let filled = started.elapsed();
    tell(&format!("the API server has the cluster, after {filled:.1?}"));

    let place = agent::Place::make().await?;
    let proxy = Proxy::start(&server, &place).await?;
    let kubeconfig = server.kubeconfig_for(proxy.address(), room.path())?;
    let mut agent = Agent::start(options, &place, &kubeconfig, room.path())?;
    let outcome = observe(options, &server, &cluster, &proxy, &mut agent, filled).await;
    // The agent first, so that it does not complain about the others.
    let log = agent.stop();
    fill::sweep(&server, options).await;
    outcome.map_err(|error| match log {
        Some(log) => Error::control_plane(format!("{error}\nthe agent's last words:\n{log}")),
        None => error,
    })
}

async fn observe(
    options: &Options,
    server: &Server,
    cluster: &Cluster,
    proxy: &Proxy,
    agent: &mut Agent,
    filled: Duration,
) -> Result<Report, Error> {
    let started = Instant::now();
    agent.wait_ready().await?;
    let listed = started.elapsed();
    let first = agent.usage()?;
    let of_list = proxy.counts();
    tell(&format!("the agent enforces the cluster, after {listed:.1?}"));
    let connecting = agent.connect_pods(cluster)?;
    agent.wait_identities(options.local_pods).await?;
    let connected = agent.usage()?;
    tell("its pods are connected");

    let requests_before = proxy.counts();
    let churned = Churn::new(options, server, cluster, agent).run().await?;
    let last = agent.usage()?;
    Ok(Report {
        nodes: options.nodes,
        pods: options.pods,
        identities: options.identities,
        policies: options.policies,
        local_pods: options.local_pods,
        churn_per_second: options.churn,
        server: server.name(),
        fill_seconds: filled.as_secs_f64(),
        first_list_seconds: listed.as_secs_f64(),
        first_list_cpu_seconds: first.cpu,
        rss_after_list: first.resident,
        peak_after_list_bytes: first.peak,
        rss_connected: connected.resident,
        rss_steady: last.resident,
        peak_bytes: last.peak,
        connect_p50_seconds: report::percentile(&connecting, 50),
        connect_p99_seconds: report::percentile(&connecting, 99),
        churn_seconds: churned.seconds,
        churned_pods: churned.pods,
        churn_cpu_share: (last.cpu - connected.cpu) / churned.seconds,
        policy_changes: churned.latencies.len(),
        policy_changes_missed: churned.missed,
        policy_p50_seconds: report::percentile(&churned.latencies, 50),
        policy_p99_seconds: report::percentile(&churned.latencies, 99),
        policy_max_seconds: report::percentile(&churned.latencies, 100),
        requests_of_connecting: requests_before.since(&of_list),
        requests_of_list: of_list,
        requests_of_churn: proxy.counts().since(&requests_before),
        targets: Targets::default(),
    }
    .judged())
}

fn tell(progress: &str) {
    eprintln!("netloom bench: {progress}");
}
