//! Pods of other nodes come and go, and policies change meanwhile.

use std::time::{Duration, Instant};

use abi::{PortClass, PortKey, maps};
use aya::maps::{HashMap as BpfHashMap, MapData};
use kube::Api;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams};
use serde_json::json;
use tokio::task::JoinSet;

use super::agent::Agent;
use super::cluster::{self, Cluster};
use super::server::Server;
use super::{Options, tell};
use crate::Error;
use crate::objects::{create, resource};

/// How often pods come and go.
const TICK: Duration = Duration::from_millis(50);
/// How often a policy changes.
const POLICY: Duration = Duration::from_millis(250);
/// How often the datapath's map is looked at.
const LOOK: Duration = Duration::from_millis(1);
/// How long a change may take before it counts as missed.
const LATE: Duration = Duration::from_secs(5);
/// The first port that policies change to: each change has one of its own.
const FIRST_PORT: u16 = 10_000;

/// What comes and goes.
pub(super) struct Churn<'a> {
    options: &'a Options,
    server: &'a Server,
    cluster: &'a Cluster,
    agent: &'a Agent,
}

/// What was seen.
pub(super) struct Churned {
    pub(super) seconds: f64,
    pub(super) pods: u64,
    /// From before the request that changes a policy until the map has it, in seconds.
    pub(super) latencies: Vec<f64>,
    pub(super) missed: usize,
}

impl<'a> Churn<'a> {
    pub(super) const fn new(
        options: &'a Options,
        server: &'a Server,
        cluster: &'a Cluster,
        agent: &'a Agent,
    ) -> Self {
        Self { options, server, cluster, agent }
    }

    pub(super) async fn run(&self) -> Result<Churned, Error> {
        let map = self.agent.map(maps::POLICY_PORTS);
        let failed = |source| Error::map("opening", maps::POLICY_PORTS)(source);
        let map = MapData::from_pin(&map).map_err(failed)?;
        let map = aya::maps::Map::HashMap(map);
        let ports: BpfHashMap<MapData, PortKey, PortClass> = map.try_into().map_err(failed)?;
        let started = Instant::now();
        let (churned, (latencies, missed)) =
            tokio::try_join!(self.pods(started), self.policies(started, &ports))?;
        Ok(Churned { seconds: started.elapsed().as_secs_f64(), pods: churned, latencies, missed })
    }

    /// Lets pods go, and others come in their place.
    async fn pods(&self, started: Instant) -> Result<u64, Error> {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        let (mut next, mut requests) = (0_u64, JoinSet::new());
        while started.elapsed() < self.options.churning {
            tick.tick().await;
            let due = (started.elapsed().as_secs_f64() * f64::from(self.options.churn)) as u64;
            for number in next..due {
                let (index, round) = self.turn(number);
                let (client, cluster) = (self.server.client.clone(), self.cluster.clone());
                requests.spawn(async move {
                    let (namespace, name) = cluster.endpoint_key(index, round);
                    let api: Api<DynamicObject> =
                        Api::namespaced_with(client.clone(), &namespace, &resource("CiliumEndpoint"));
                    let gone = api.delete(&name, &DeleteParams::default()).await;
                    gone.map_err(|source| Error::doing("deleting an endpoint", source))?;
                    create(&client, cluster.endpoint(index, round + 1)).await
                });
            }
            next = next.max(due);
            while let Some(done) = requests.try_join_next() {
                done.map_err(|source| Error::doing("letting pods come and go", source))??;
            }
        }
        while let Some(done) = requests.join_next().await {
            done.map_err(|source| Error::doing("letting pods come and go", source))??;
        }
        tell(&format!("{next} pods came, and as many went"));
        Ok(next)
    }

    /// Which pod goes, and how often its place was taken before.
    fn turn(&self, number: u64) -> (u32, u32) {
        let pods = u64::from(self.cluster.pods);
        ((number % pods) as u32, (number / pods) as u32)
    }

    /// Changes policies of the agent's pods, one after another.
    async fn policies(
        &self,
        started: Instant,
        ports: &BpfHashMap<MapData, PortKey, PortClass>,
    ) -> Result<(Vec<f64>, usize), Error> {
        let mut tick = tokio::time::interval(POLICY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        let (mut latencies, mut missed) = (Vec::new(), 0);
        let resource = resource("CiliumNetworkPolicy");
        for change in 0..u16::MAX - FIRST_PORT {
            tick.tick().await;
            if started.elapsed() >= self.options.churning {
                break;
            }
            let index = self.cluster.policy_about(u32::from(change) % self.cluster.local_pods);
            let port = FIRST_PORT + change;
            let namespace = self.cluster.policy_namespace(index);
            let api: Api<DynamicObject> =
                Api::namespaced_with(self.server.client.clone(), &namespace, &resource);
            let spec = self.cluster.policy(index, port)["spec"].take();
            let written = Instant::now();
            let (name, patch) = (cluster::policy_name(index), Patch::Merge(json!({"spec": spec})));
            let params = PatchParams::default();
            let write = api.patch(&name, &params, &patch);
            let (write, seen) = tokio::join!(write, seen(ports, port, written + LATE));
            write.map_err(|source| Error::doing("changing a policy", source))?;
            match seen? {
                true => latencies.push(written.elapsed().as_secs_f64()),
                false => missed += 1,
            }
        }
        Ok((latencies, missed))
    }
}

/// Waits until a policy in the datapath names a port.
async fn seen(
    ports: &BpfHashMap<MapData, PortKey, PortClass>,
    port: u16,
    until: Instant,
) -> Result<bool, Error> {
    while Instant::now() < until {
        // A key that goes while it is looked at begins the list anew; the next look sees it all.
        if ports.keys().flatten().any(|key| key.port == port) {
            return Ok(true);
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(false)
}
