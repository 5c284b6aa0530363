//! The lab's daemon: it keeps the API server, the operators and the agents running, and is to the cluster what its
//! kubelets, its container runtimes, its scheduler and its controllers would be.

mod definitions;
mod endpoints;
mod events;
mod forward;
mod keeper;
mod kubeconfig;
mod kubelet;
mod namespaces;
mod nodes;
mod programs;
mod routes;
mod scheduler;
mod stores;
mod workloads;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::Client;
use kubernetes::client::{Connector, Settings};
use netcore::Netns;
use reference::Files;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;

pub use kubelet::{Answering, Responder};

use self::forward::Forward;
use self::keeper::Keeper;
use self::stores::Stores;
use crate::cluster::is_ready;
use crate::name::LabName;
use crate::paths::Paths;
use crate::plan::{self, WORLD_PORTS, world};
use crate::pod::Port;
use crate::process::PidFile;
use crate::random;
use crate::state::State;

/// How long a request to the API may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks at whether the API server is ready.
const LOOK: Duration = Duration::from_millis(20);

/// What all parts of the daemon know.
struct Context {
    state: State,
    paths: Paths,
    client: Client,
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
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.context("cannot start the runtime")?.block_on(serve(state, paths))
}

async fn serve(state: State, paths: Paths) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let _world = answer_for_the_world(&state)?;
    let fabric = Netns::open(&state.fabric)?;
    let api = (state.api()[0], plan::API_PORT).into();
    let _forward = Forward::start(state.port, fabric, api).await?;
    let mut keeper = Keeper::new();
    let ended = tokio::select! {
        ended = work(state, paths, &mut keeper) => ended,
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    };
    // Pods are not disconnected one by one: their namespaces, and the agents' memory of them, go with the lab.
    keeper.stop().await;
    ended
}

/// Starts all programs and controllers; ends only with an error.
async fn work(state: State, paths: Paths, keeper: &mut Keeper) -> Result<()> {
    let files = Files::of(paths.api());
    let token = random::hex(&random::bytes::<16>()?);
    files.make(&state.api(), &token)?;
    kubeconfig::write_all(&state, &paths, &files)?;
    for program in programs::api(&state, &paths, &files)? {
        keeper.keep(program);
    }
    let client = connect(&paths).await?;
    let (stores, _watches) = Stores::watch(&client)?;
    let context = Arc::new(Context { state, paths, client });
    // The API server that answered may be an earlier daemon's, about to make room for this one's.
    while let Err(error) = prepare(&context, &stores).await {
        eprintln!("the cluster cannot be prepared yet: {error:#}");
        sleep(LOOK).await;
    }
    for program in programs::operators(&context).into_iter().chain(programs::agents(&context)?) {
        keeper.keep(program);
    }
    tokio::join!(
        nodes::control(Arc::clone(&context), stores.clone()),
        routes::control(Arc::clone(&context), stores.clone()),
        scheduler::control(Arc::clone(&context), stores.clone()),
        kubelet::control(Arc::clone(&context), stores.clone()),
        endpoints::control(Arc::clone(&context), stores.clone()),
        workloads::control(Arc::clone(&context), stores.clone()),
        namespaces::control(Arc::clone(&context), stores.clone()),
    );
    Ok(())
}

/// Makes what the cluster has from the beginning, as far as it is not there.
async fn prepare(context: &Context, stores: &Stores) -> Result<()> {
    namespaces::make(context).await?;
    definitions::install(context).await?;
    stores.ready().await?;
    nodes::sync(context, stores).await
}

/// Waits until the API is ready. Its client's requests are answered in time or fail; watches go on.
async fn connect(paths: &Paths) -> Result<Client> {
    let settings =
        Settings { kubeconfig: Some(paths.kubeconfig()), timeout: PATIENCE, ..Settings::new("netloom-lab") };
    let connector = Connector::new(settings).await?;
    let impatient = connector.prompt(PATIENCE)?;
    while !is_ready(&impatient).await {
        sleep(LOOK).await;
    }
    Ok(connector.client()?)
}

/// The present, as objects say it.
fn now() -> Time {
    Time(Timestamp::from_second(Timestamp::now().as_second()).unwrap_or_default())
}

fn answer_for_the_world(state: &State) -> Result<Responder> {
    let fabric = Netns::open(&state.fabric)?;
    let ports: Vec<_> = WORLD_PORTS
        .iter()
        .flat_map(|number| ["TCP", "UDP"].map(|protocol| (*number, protocol)))
        .map(|(number, protocol)| Port { name: None, number, protocol: protocol.into() })
        .collect();
    let mut addresses = world().to_vec();
    addresses.retain(|address| address.is_ipv4() || !state.ipv4_only);
    let responder = Responder::start(&fabric, &Answering { name: "world".into(), addresses, ports })?;
    for problem in responder.problems() {
        eprintln!("the world: {problem}");
    }
    Ok(responder)
}
