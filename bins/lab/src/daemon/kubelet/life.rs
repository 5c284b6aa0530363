//! One pod's life: a network namespace, ADD, answers on its ports, DEL.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use ipnetwork::IpNetwork;
use k8s_openapi::api::core::v1 as core;
use netcore::Netns;
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use super::responder::{Answering, Responder};
use super::runtime::{Runtime, addresses};
use super::status;
use crate::cloud::control::{Client, Request, Use};
use crate::daemon::Context;
use crate::daemon::events::{Kind, tell};
use crate::namespaces;
use crate::plan::Node;
use crate::pod::Pod;
use crate::state::{Sandbox, write_json};

/// Before a failed ADD or DEL is tried again.
const PAUSE: Duration = Duration::from_millis(200);
/// The longest pause between tries.
const LONG_PAUSE: Duration = Duration::from_secs(5);
/// How often DEL is tried before the namespace is removed all the same.
const DEL_TRIES: usize = 3;

/// Runs a pod until it is told to end and is gone.
pub(super) async fn live(
    context: Arc<Context>,
    node: Node,
    object: Arc<core::Pod>,
    pod: Pod,
    mut stopping: watch::Receiver<bool>,
) {
    let mut pause = PAUSE;
    let mut told = false;
    loop {
        match run(&context, &node, &pod, &mut stopping).await {
            Ok(()) => return,
            Err(error) => {
                let error = format!("{error:#}");
                eprintln!("{}: {error}", pod.name);
                if let Err(error) = status::pending(&context, &pod, &error).await {
                    eprintln!("{}: {error:#}", pod.name);
                }
                if !told {
                    tell(&context, &object, Kind::Warning, "FailedCreatePodSandBox", &error).await;
                    told = true;
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
    let record = Sandbox::path(&context.paths, &pod.name);
    let mut sandbox = sandbox(context, node, pod)?;
    write_json(&record, &sandbox)?;
    let mut added = None;
    let served = async {
        sandbox.addresses = if sandbox.container_id.is_some() {
            let result = call(context, node, &sandbox, |runtime| runtime.add()).await?;
            addresses(added.insert(result))?
        } else {
            node.addresses.iter().map(IpNetwork::ip).collect()
        };
        write_json(&record, &sandbox)?;
        note(context, &sandbox, Request::Uses).await;
        let answering = Answering {
            name: pod.name.to_string(),
            addresses: sandbox.addresses.clone(),
            ports: pod.ports.clone(),
        };
        let responder = Responder::start(&Netns::open(&sandbox.netns)?, &answering)?;
        Ok::<_, anyhow::Error>(responder)
    }
    .await;
    if let Ok(responder) = &served {
        // The API may be away: the pod runs all the same, and says so as soon as it can.
        tokio::select! {
            () = status::run(context, node, pod, &sandbox.addresses, responder.problems()) => {}
            // The sender lives as long as the pods do; without it there is nothing to wait for either.
            _ = stopping.changed() => {}
        }
        if !*stopping.borrow() {
            let _ = stopping.changed().await;
        }
    }
    let served = served.map(drop);
    remove(context, &sandbox, added).await?;
    served
}

/// The pod's sandbox: that which an earlier daemon made, or a new one.
fn sandbox(context: &Context, node: &Node, pod: &Pod) -> Result<Sandbox> {
    if let Some(sandbox) = Sandbox::load(&context.paths, &pod.name)?
        && sandbox.uid == pod.uid
        && Netns::path(&sandbox.netns)?.exists()
    {
        return Ok(sandbox);
    }
    let (container_id, netns) = if pod.host_network {
        (None, node.netns.clone())
    } else {
        let of = format!("{}-{}", pod.name.namespace, pod.name.name);
        let (netns, _) = namespaces::create(&context.state.name, &of)?;
        let id = crate::random::hex(&crate::random::bytes::<32>()?);
        (Some(id), netns)
    };
    Ok(Sandbox {
        pod: pod.name.clone(),
        uid: pod.uid.clone(),
        node: node.name.clone(),
        container_id,
        netns,
        addresses: Vec::new(),
    })
}

/// Disconnects a pod and removes its network namespace and its record.
pub(super) async fn remove(context: &Arc<Context>, sandbox: &Sandbox, added: Option<Value>) -> Result<()> {
    if sandbox.container_id.is_some() {
        let node = context.state.node(&sandbox.node)?;
        note(context, sandbox, Request::Left).await;
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

/// Has the cloud note what a pod uses, so that it says when that is taken away. Where it does not answer, the lab's
/// status says so.
async fn note(context: &Context, sandbox: &Sandbox, what: impl FnOnce(Use) -> Request) {
    if context.state.cloud.is_none() || sandbox.container_id.is_none() {
        return;
    }
    let used = Use {
        node: sandbox.node.clone(),
        pod: sandbox.pod.to_string(),
        addresses: sandbox.addresses.clone(),
    };
    let (request, cloud) = (what(used), Client::new(&context.paths.cloud_socket()));
    match spawn_blocking(move || cloud.tell(&request)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => eprintln!("{}: {error:#}", sandbox.pod),
        Err(error) => eprintln!("{}: {error}", sandbox.pod),
    }
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
