//! The lab's daemon: scheduler, kubelet and container runtime of all nodes in one process.
//!
//! It keeps an agent running on each node, connects and disconnects pods as the store has them by calling the
//! CNI plugin, and answers on every port that a pod declares.

mod agents;
mod pods;
mod responder;
mod runtime;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use netcore::Netns;
use tokio::signal::unix::{SignalKind, signal};

pub use responder::{Answering, Responder};
pub(crate) use runtime::write_config;

use crate::name::LabName;
use crate::paths::Paths;
use crate::plan::{WORLD_PORTS, world};
use crate::pod::Port;
use crate::process::PidFile;
use crate::state::State;
use crate::store::Store;

/// The store is looked at this often even if nothing seems to have changed.
const RESYNC: Duration = Duration::from_secs(5);

/// What all parts of the daemon know.
#[derive(Debug)]
struct Context {
    state: State,
    paths: Paths,
    store: Store,
}

/// Runs the daemon of a lab until it is told to end (SIGTERM, SIGINT). Its caller has detached it.
///
/// # Errors
/// When the lab does not exist, has a daemon already, or the kernel refuses something that it cannot do
/// without.
pub fn run(name: &LabName) -> Result<()> {
    let paths = Paths::new(name);
    let _held = PidFile::hold(&paths.daemon_pid())?;
    let state = State::load(name)?;
    let store = Store::new(paths.store());
    let context = Arc::new(Context { state, paths, store });
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.context("cannot start the runtime")?.block_on(serve(context))
}

async fn serve(context: Arc<Context>) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let watch = watch::Watch::new(context.store.directory())?;
    let _world = answer_for_the_world(&context)?;
    let agents = agents::Agents::start(&context)?;
    let mut pods = pods::Pods::new(Arc::clone(&context));
    let mut resync = tokio::time::interval(RESYNC);
    loop {
        tokio::select! {
            () = watch.changed() => {}
            () = pods.ended() => {}
            _ = resync.tick() => {}
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        }
        if let Err(error) = pods.sync() {
            eprintln!("the store: {error:#}");
        }
    }
    // Pods are not disconnected one by one: their namespaces, and the agents' memory of them, go with the lab.
    agents.stop().await;
    Ok(())
}

fn answer_for_the_world(context: &Context) -> Result<Responder> {
    let fabric = Netns::open(&context.state.fabric)?;
    let ports: Vec<_> = WORLD_PORTS
        .iter()
        .flat_map(|number| ["TCP", "UDP"].map(|protocol| (*number, protocol)))
        .map(|(number, protocol)| Port { name: None, number, protocol: protocol.into() })
        .collect();
    let mut addresses = world().to_vec();
    addresses.retain(|address| address.is_ipv4() || !context.state.ipv4_only);
    let responder = Responder::start(&fabric, &Answering { name: "world".into(), addresses, ports })?;
    for problem in responder.problems() {
        eprintln!("the world: {problem}");
    }
    Ok(responder)
}
