//! The kubelets of all nodes: pods that are bound to a node are connected, answered for, and disconnected again.

mod life;
mod responder;
mod runtime;
mod status;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use anyhow::Result;
use api::PodRef;
use k8s_openapi::api::core::v1 as core;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

pub use responder::{Answering, Responder};

use super::Context;
use super::events::{Kind, tell};
use super::stores::Stores;
use crate::pod::Pod;
use crate::state::Sandbox;

/// Runs the pods of all nodes, for ever.
pub(super) async fn control(context: Arc<Context>, stores: Stores) {
    let mut pods = Pods { context, workers: HashMap::new(), refused: HashSet::new(), ended: Arc::default() };
    let ended = Arc::clone(&pods.ended);
    let again = stores.clone();
    let sync = async || {
        pods.sync(&stores).await?;
        Ok(())
    };
    again.control_or("kubelet", &ended, sync).await;
}

/// Why a kubelet refuses a pod where it has as many as it takes.
const OUT_OF_PODS: &str = "OutOfpods";

/// In the order in which nodes take them: those that run first, then by age.
fn in_order(pods: HashMap<PodRef, (Arc<core::Pod>, Pod)>) -> Vec<(PodRef, (Arc<core::Pod>, Pod))> {
    let mut pods: Vec<_> = pods.into_iter().collect();
    let made = |object: &core::Pod| object.metadata.creation_timestamp.as_ref().map(|time| time.0);
    pods.sort_by(|(a, (of_a, pod_a)), (b, (of_b, pod_b))| {
        let runs = pod_b.is_running().cmp(&pod_a.is_running());
        runs.then_with(|| made(of_a).cmp(&made(of_b))).then_with(|| a.cmp(b))
    });
    pods
}

/// The pods of all nodes.
struct Pods {
    context: Arc<Context>,
    workers: HashMap<PodRef, Worker>,
    /// The uids of those that were refused, for as long as they are there: they have failed for good, which the API may not
    /// have told yet.
    refused: HashSet<String>,
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
    /// Brings the pods in line with the API.
    async fn sync(&mut self, stores: &Stores) -> Result<()> {
        let wanted: HashMap<PodRef, (Arc<core::Pod>, Pod)> = stores
            .pods
            .state()
            .into_iter()
            .map(|object| (Pod::of(&object), object))
            .filter(|(pod, _)| pod.node.is_some())
            .map(|(pod, object)| (pod.name.clone(), (object, pod)))
            .collect();
        self.workers.retain(|name, worker| {
            let stays = |(_, pod): &(Arc<core::Pod>, Pod)| pod.uid == worker.uid && !pod.terminating;
            if !wanted.get(name).is_some_and(stays) {
                // A worker that has ended does not listen any more.
                let _ = worker.stop.send(true);
            }
            !worker.task.is_finished()
        });
        self.remove_left_over(&wanted).await?;
        self.refused.retain(|uid| wanted.values().any(|(_, pod)| pod.uid == *uid));
        for (name, (object, pod)) in in_order(wanted) {
            // The earlier pod of this name is leaving.
            if self.workers.contains_key(&name) || self.is_left_alone(&pod) {
                continue;
            }
            if pod.terminating {
                // It never ran here, or has just been disconnected.
                status::finish(&self.context, &pod).await?;
            } else if !pod.is_finished() && !self.refused.contains(&pod.uid) {
                self.start(object, pod).await?;
            }
        }
        Ok(())
    }

    /// Whether somebody else plays the kubelet of its node.
    fn is_left_alone(&self, pod: &Pod) -> bool {
        let node = pod.node.as_deref().unwrap_or_default();
        self.context.state.node(node).is_ok() && self.context.paths.node(node).unattended().exists()
    }

    /// Disconnects what an earlier daemon ran and nobody wants any more.
    async fn remove_left_over(&self, wanted: &HashMap<PodRef, (Arc<core::Pod>, Pod)>) -> Result<()> {
        for sandbox in Sandbox::all(&self.context.paths)? {
            let is = |(_, pod): &(Arc<core::Pod>, Pod)| pod.uid == sandbox.uid && !pod.terminating;
            if !self.workers.contains_key(&sandbox.pod) && !wanted.get(&sandbox.pod).is_some_and(is) {
                life::remove(&self.context, &sandbox, None).await?;
            }
        }
        Ok(())
    }

    /// As a kubelet refuses a pod that is one too many: it has failed, for good.
    async fn refuse(&self, object: &core::Pod, pod: &Pod, used: usize, capacity: usize) -> Result<()> {
        let why = format!(
            "Pod was rejected: Node didn't have enough resource: pods, requested: 1, used: {used}, capacity: {capacity}"
        );
        status::refused(&self.context, pod, OUT_OF_PODS, &why).await?;
        tell(&self.context, object, Kind::Warning, OUT_OF_PODS, &why).await;
        Ok(())
    }

    async fn start(&mut self, object: Arc<core::Pod>, pod: Pod) -> Result<()> {
        let name = pod.node.clone().unwrap_or_default();
        let Ok(node) = self.context.state.node(&name).cloned() else {
            return status::pending(&self.context, &pod, &format!("there is no node {name}")).await;
        };
        let stays = |worker: &&Worker| worker.node == name && !*worker.stop.borrow();
        let used = self.workers.values().filter(stays).count();
        let capacity = self.context.state.max_pods as usize;
        if used >= capacity {
            self.refuse(&object, &pod, used, capacity).await?;
            self.refused.insert(pod.uid);
            return Ok(());
        }
        let (stop, stopping) = watch::channel(false);
        let uid = pod.uid.clone();
        let of = pod.name.clone();
        let life = life::live(Arc::clone(&self.context), node, object, pod, stopping);
        let ended = Arc::clone(&self.ended);
        let task = tokio::spawn(async move {
            life.await;
            ended.notify_one();
        });
        self.workers.insert(of, Worker { uid, node: name, stop, task });
        Ok(())
    }
}
