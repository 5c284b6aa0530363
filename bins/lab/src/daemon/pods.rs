//! Pods: placed on nodes, connected, answered for, and disconnected again.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use api::PodRef;
use ipnetwork::IpNetwork;
use netcore::Netns;
use serde_json::{Value, json};
use tokio::sync::{Notify, watch};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::sleep;

use super::Context;
use super::responder::{Answering, Responder};
use super::runtime::{Runtime, addresses};
use crate::namespaces;
use crate::plan::Node;
use crate::pod::{self, Pod, Status};
use crate::state::{Sandbox, write_json};

/// Before a failed ADD or DEL is tried again.
const PAUSE: Duration = Duration::from_millis(200);
/// The longest pause between tries.
const LONG_PAUSE: Duration = Duration::from_secs(5);
/// How often DEL is tried before the namespace is removed all the same.
const DEL_TRIES: usize = 3;

/// The pods of all nodes.
pub(super) struct Pods {
    context: Arc<Context>,
    workers: HashMap<PodRef, Worker>,
    ended: Arc<Notify>,
}

/// A pod that is here or leaving.
struct Worker {
    uid: String,
    node: String,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Pods {
    pub(super) fn new(context: Arc<Context>) -> Self {
        Self { context, workers: HashMap::new(), ended: Arc::default() }
    }

    /// Returns after a pod has gone: another of its name may be waiting.
    pub(super) async fn ended(&self) {
        self.ended.notified().await;
    }

    /// Brings the pods in line with the store.
    pub(super) fn sync(&mut self) -> Result<()> {
        let wanted: BTreeMap<PodRef, Pod> =
            Pod::all(&self.context.store)?.into_iter().map(|pod| (pod.name.clone(), pod)).collect();
        self.workers.retain(|name, worker| {
            if wanted.get(name).is_none_or(|pod| pod.uid != worker.uid) {
                // A worker that has ended does not listen any more.
                let _ = worker.stop.send(true);
            }
            !worker.task.is_finished()
        });
        for pod in wanted.into_values() {
            match self.workers.get(&pod.name) {
                Some(worker) if worker.uid == pod.uid => {}
                // The earlier pod of this name is leaving.
                Some(_) => {}
                None => self.start(pod)?,
            }
        }
        Ok(())
    }

    fn start(&mut self, pod: Pod) -> Result<()> {
        let node = match &pod.node {
            Some(node) => node.clone(),
            None => self.place(&pod)?,
        };
        let Ok(node) = self.context.state.node(&node).cloned() else {
            let message = format!("there is no node {node}");
            return set_status(&self.context, &pod, Status::pending(message));
        };
        let (stop, stopping) = watch::channel(false);
        let life = live(Arc::clone(&self.context), node.clone(), pod.clone(), stopping);
        let ended = Arc::clone(&self.ended);
        let worker = Worker {
            uid: pod.uid.clone(),
            node: node.name,
            stop,
            task: tokio::spawn(async move {
                life.await;
                ended.notify_one();
            }),
        };
        self.workers.insert(pod.name, worker);
        Ok(())
    }

    /// Chooses the node with the fewest pods.
    fn place(&self, pod: &Pod) -> Result<String> {
        let load = |node: &&Node| self.workers.values().filter(|worker| worker.node == node.name).count();
        let node = self.context.state.nodes.iter().min_by_key(load).context("the lab has no node")?;
        pod::update(&self.context.store, &pod.name, &pod.uid, |value| {
            value["spec"]["nodeName"] = json!(node.name);
        })?;
        Ok(node.name.clone())
    }
}

async fn live(context: Arc<Context>, node: Node, pod: Pod, mut stopping: watch::Receiver<bool>) {
    let mut pause = PAUSE;
    loop {
        match run(&context, &node, &pod, &mut stopping).await {
            Ok(()) => return,
            Err(error) => {
                eprintln!("{}: {error:#}", pod.name);
                let told = set_status(&context, &pod, Status::pending(format!("{error:#}")));
                if let Err(error) = told {
                    eprintln!("{}: {error:#}", pod.name);
                }
            }
        }
        tokio::select! {
            () = sleep(pause) => {}
            _ = stopping.changed() => return,
        }
        pause = (pause * 2).min(LONG_PAUSE);
    }
}

/// Runs a pod; success means that it was told to end and is gone.
async fn run(
    context: &Arc<Context>,
    node: &Node,
    pod: &Pod,
    stopping: &mut watch::Receiver<bool>,
) -> Result<()> {
    let sandbox = make_sandbox(context, node, pod)?;
    write_json(&Sandbox::path(&context.paths, &pod.name), &sandbox)?;
    let mut added = None;
    let served = async {
        let ips = if sandbox.container_id.is_some() {
            let result = call(context, node, &sandbox, |runtime| runtime.add()).await?;
            addresses(added.insert(result))?
        } else {
            node.addresses.iter().map(IpNetwork::ip).collect()
        };
        let answering =
            Answering { name: pod.name.to_string(), addresses: ips.clone(), ports: pod.ports.clone() };
        let responder = Responder::start(&Netns::open(&sandbox.netns)?, &answering)?;
        let mut status = Status::running(&ips, node.addresses.first().map(IpNetwork::ip));
        status.message = responder.problems().first().cloned();
        set_status(context, pod, status)?;
        Ok::<_, anyhow::Error>(responder)
    }
    .await;
    if served.is_ok() {
        // The sender lives as long as the pods do; without it there is nothing to wait for either.
        let _ = stopping.changed().await;
    }
    let served = served.map(drop);
    remove_sandbox(context, node, &sandbox, added).await?;
    served
}

fn make_sandbox(context: &Context, node: &Node, pod: &Pod) -> Result<Sandbox> {
    let (container_id, netns) = if pod.host_network {
        (None, node.netns.clone())
    } else {
        let of = format!("{}-{}", pod.name.namespace, pod.name.name);
        let (netns, _) = namespaces::create(&context.state.name, &of)?;
        let id = crate::random::hex(&crate::random::bytes::<32>()?);
        (Some(id), netns)
    };
    Ok(Sandbox { pod: pod.name.clone(), uid: pod.uid.clone(), node: node.name.clone(), container_id, netns })
}

async fn remove_sandbox(
    context: &Arc<Context>,
    node: &Node,
    sandbox: &Sandbox,
    added: Option<Value>,
) -> Result<()> {
    if sandbox.container_id.is_some() {
        for attempt in 1..=DEL_TRIES {
            let added = added.clone();
            match call(context, node, sandbox, move |runtime| runtime.del(added.as_ref())).await {
                Ok(()) => break,
                Err(error) => eprintln!("{}: try {attempt}: {error:#}", sandbox.pod),
            }
            sleep(PAUSE).await;
        }
        namespaces::delete(&context.state.name, &sandbox.netns)?;
    }
    let record = Sandbox::path(&context.paths, &sandbox.pod);
    std::fs::remove_file(&record).with_context(|| format!("cannot remove {}", record.display()))
}

/// Calls the plugin on a thread that may block.
async fn call<T: Send + 'static>(
    context: &Arc<Context>,
    node: &Node,
    sandbox: &Sandbox,
    body: impl FnOnce(Runtime<'_>) -> Result<T> + Send + 'static,
) -> Result<T> {
    let (context, node, sandbox) = (Arc::clone(context), node.clone(), sandbox.clone());
    spawn_blocking(move || body(Runtime { context: &context, node: &node, sandbox: &sandbox })).await?
}

fn set_status(context: &Context, pod: &Pod, status: Status) -> Result<()> {
    let status = serde_json::to_value(status)?;
    pod::update(&context.store, &pod.name, &pod.uid, |value| value["status"] = status)
}
