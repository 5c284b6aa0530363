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
mod check;
mod clock;
pub mod cluster;
pub mod cni;
pub mod endpoint;
pub mod engine;
pub mod eni;
pub mod flows;
pub mod limits;
mod memory;
pub mod metrics;
mod readable;
pub mod server;
pub mod source;
mod state_file;
pub mod tables;

use std::cell::Cell;
use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use axum::Router;
use daemon::health::{Health, KUBERNETES};
use daemon::listen::{self, Listen};
use daemon::requests::Requests;
use daemon::watchdog::Watchdog;
use kubernetes::client::Connector;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use args::Args;
pub use check::check;
use cluster::Numbering;
use engine::Engine;
use eni::Wishes;
use flows::FlowLog;
use metrics::Counts;
use server::{Enforced, Server};
use source::{Change, Kubernetes, KubernetesOptions, Manifests, Report};

/// How long requests that came before the end may take.
const GRACE: Duration = Duration::from_secs(5);

/// Runs the agent until it is told to stop. What it enforces stays in force.
///
/// # Errors
/// When it cannot start, or something breaks that it cannot do without.
pub async fn run(args: Args) -> Result<()> {
    memory::keep_little();
    for remark in check::remarks(&args) {
        tracing::warn!(file = ?args.cni.read_cni_conf, "network configuration: {remark}");
    }
    std::fs::create_dir_all(&args.state_dir)
        .with_context(|| format!("creating {}", args.state_dir.display()))?;
    let mut terminate = signal(SignalKind::terminate()).context("waiting for signals")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("waiting for signals")?;
    if let Some((plugin, directory)) = args.plugin()? {
        cni::install(&plugin, &directory)?;
    }
    let (health, counts) = (Health::new(), Counts::default());
    health.expect(NODE);
    let requests = Requests::new(&health);
    let source = Source::new(&args, &health, &counts, &requests).await?;
    let flows = FlowLog::new(&args.node);
    let (publish, enforced) = Enforced::channel();
    let (changes, changed) = mpsc::channel(1024);
    let (calls, called) = mpsc::channel(64);
    let (reports, reported) = mpsc::unbounded_channel();
    let (publishable, to_publish) = mpsc::unbounded_channel();

    let _asking = match interfaces(&args)? {
        Some(wishes) => Some(say_who(wishes, &args, reports.clone())?),
        None => None,
    };
    let engine = Engine::new(args.clone(), source.numbering(), flows.clone(), publish, reports).await?;
    let listener = Server::listen(&args.socket)?;
    let health_at = (args.agent_health_port != 0).then(|| Listen::loopback(args.agent_health_port));
    let _probes = serve_at(health_at.as_ref(), health.router()).await?;
    let router = metrics::router(&counts, &requests, calls.clone());
    let _metrics = serve_at(args.prometheus_serve_addr.0.as_ref(), router).await?;
    let server = Server::new(calls, enforced, flows);
    let answers = server.answers();
    tracing::info!(node = args.node, socket = %args.socket.display(), source = %source, "started");
    let begun = Cell::new(false);
    let is_ready = |ready: bool| {
        health.set(NODE, if ready { Ok(()) } else { Err("pods cannot be connected") });
        if ready && !begun.replace(true) {
            counts.begun();
        }
    };
    let mut serving = pin!(server.run(listener));
    // If its whole thread stands still, the probes themselves are not answered.
    health.expect_vital(ENGINE);
    let watchdog = Watchdog::new(ENGINE, ROUND);
    let mut engine = pin!(engine.run(changed, called, &watchdog));
    tokio::select! {
        ended = &mut engine => return ended,
        ended = &mut serving => return ended,
        ended = source.run(changes, to_publish) => return ended,
        () = cni::keep(args.conflist(), reported, publishable, is_ready) => return Ok(()),
        never = watchdog.watch(&health) => match never {},
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    // Nobody new is heard, and whoever is being answered gets the answer.
    answers.refuse_new();
    tokio::select! {
        ended = &mut engine => ended,
        ended = &mut serving => ended,
        () = answers.all_given() => Ok(()),
        () = tokio::time::sleep(GRACE) => Ok(()),
    }
}

/// What is configured about network interfaces of AWS, where they are used.
fn interfaces(args: &Args) -> Result<Option<Wishes>> {
    let wishes = engine::configured_enis(args)?;
    if wishes.is_some() && args.manifests.is_some() {
        bail!("--ipam=eni needs the Kubernetes API: an operator adds network interfaces there");
    }
    Ok(wishes)
}

/// Finds out which instance this is, and tells the cluster.
fn say_who(wishes: Wishes, args: &Args, reports: mpsc::UnboundedSender<Report>) -> Result<AbortOnDrop> {
    let endpoint = args.eni.ec2_metadata_endpoint.clone();
    if let Some(endpoint) = &endpoint {
        ec2_query::imds::Client::new(endpoint).context("--ec2-metadata-endpoint")?;
    }
    Ok(AbortOnDrop(tokio::spawn(async move {
        match eni::metadata::learn(endpoint.as_deref()).await {
            Ok(facts) => {
                tracing::info!(?facts, "this instance");
                // Who does not listen any more is about to end.
                let _ = reports.send(Report::Wishes(Box::new(wishes.of(&facts))));
            }
            Err(error) => tracing::error!(%error, "the instance cannot be asked who it is"),
        }
    })))
}

/// A task that ends with its handle.
struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The part of the agent's health that stands for the node: whether pods can be connected.
const NODE: &str = "node";

/// The vital part of the agent's health: whether its engine still goes round. Where it does not, the kernel or the agent
/// is at fault, and only an agent that is started again can go on.
const ENGINE: &str = "engine";

/// How long one round of the engine may take. The longest are those in which much of a large cluster is new, with
/// seconds each.
const ROUND: Duration = Duration::from_secs(60);

/// Serves something over HTTP, if it is to be served.
async fn serve_at(listen: Option<&Listen>, router: Router) -> Result<Option<listen::Server>> {
    match listen {
        Some(listen) => Ok(Some(listen::serve(listen, router).await?)),
        None => Ok(None),
    }
}

/// Where objects come from.
enum Source {
    Manifests(Manifests),
    Kubernetes(Box<Kubernetes>, String),
}

impl Source {
    async fn new(args: &Args, health: &Health, counts: &Counts, requests: &Requests) -> Result<Self> {
        let last_valid = args.state_dir.join("policies");
        if let Some(directory) = &args.manifests {
            return Ok(Self::Manifests(Manifests::new(directory, last_valid)));
        }
        health.expect(KUBERNETES);
        let mut settings = args.kubernetes.client();
        settings.observer = Some(Arc::new(requests.clone()));
        let connector = Connector::new(settings).await?;
        let options = KubernetesOptions {
            node: args.node.clone(),
            ipam: args.kubernetes.ipam,
            identities: args.kubernetes.identity_management_mode,
            slices: args.kubernetes.enable_cilium_endpoint_slice,
            last_valid,
            ranges: args.state_dir.join("ranges.json"),
            counts: counts.clone(),
        };
        let server = connector.url().to_string();
        Ok(Self::Kubernetes(Box::new(Kubernetes::new(connector.client()?, options)?), server))
    }

    const fn numbering(&self) -> Numbering {
        match self {
            Self::Manifests(_) => Numbering::Own,
            Self::Kubernetes(..) => Numbering::Given,
        }
    }

    async fn run(
        self,
        changes: mpsc::Sender<Change>,
        reports: mpsc::UnboundedReceiver<Report>,
    ) -> Result<()> {
        match self {
            // A directory has no use for what the node has to tell.
            Self::Manifests(manifests) => manifests.run(changes).await,
            Self::Kubernetes(kubernetes, _) => kubernetes.run(changes, reports).await,
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Manifests(_) => f.write_str("manifests"),
            Self::Kubernetes(_, server) => f.write_str(server),
        }
    }
}
