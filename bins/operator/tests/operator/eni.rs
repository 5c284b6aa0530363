//! `ipam: eni` against an EC2 in this process: the agent's part is played here.
//!
//! Built with the feature `aws`, operators learn region and credentials from the metadata service of the instance that they
//! run on, as in a cluster; the small client needs neither.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use vpc::http::{Asking, Server};
use vpc::{Change, Cloud, Operation, Settings};

use crate::cluster::{Cluster, Operator};

/// A VPC with a subnet, served to operators.
struct World {
    cloud: Cloud,
    server: Server,
    /// Of the instance that the operators run on.
    metadata: Server,
    vpc: String,
    subnet: String,
}

impl World {
    /// Another for each seed: ids follow from it.
    async fn new(seed: u64) -> Result<Self> {
        let cloud = Cloud::new(Settings { seed, ..Settings::default() });
        let (vpc, subnet, host) = cloud.with(|region, _| -> Result<_> {
            let vpc = region.add_vpc("10.0.0.0/16".parse()?).context("VPC")?;
            let subnet = region.add_subnet(&vpc, "10.0.1.0/24".parse()?, "a").context("subnet")?;
            let host = region.add_instance("m5.large", &subnet).context("instance")?;
            Ok((vpc, subnet, host))
        })?;
        let server = Server::query(cloud.clone(), "127.0.0.1:0".parse()?).await?;
        let metadata =
            Server::metadata(cloud.clone(), "127.0.0.1:0".parse()?, Asking::Instance(host)).await?;
        Ok(Self { cloud, server, metadata, vpc, subnet })
    }

    fn start(&self, cluster: &mut Cluster) -> Result<Operator> {
        self.start_at(cluster, &self.server.address().to_string())
    }

    /// Starts an operator that takes another host for EC2.
    fn start_at(&self, cluster: &mut Cluster, host: &str) -> Result<Operator> {
        let endpoint = format!("--ec2-api-endpoint=http://{host}");
        let flags = ["--ipam=eni", "--aws-enable-prefix-delegation", "--aws-release-excess-ips"];
        let others =
            ["--excess-ip-release-delay=1", "--cluster-name=test", "--eni-tags=team=network", &endpoint];
        let metadata = format!("http://{}", self.metadata.address());
        let variables = [("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata.as_str())];
        cluster.start_in(&variables, &[flags.as_slice(), others.as_slice()].concat())
    }

    /// An instance, its Node, and the CiliumNode that its agent makes. Its first interface is not for pods.
    async fn node(&self, cluster: &Cluster, name: &str) -> Result<String> {
        let instance = self.cloud.with(|region, _| region.add_instance("m5.large", &self.subnet))?;
        let node =
            cluster.create(json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}})).await?;
        let owner = json!({"apiVersion": "v1", "kind": "Node", "name": name, "uid": node.metadata.uid});
        cluster
            .create(json!({
                "apiVersion": "cilium.io/v2", "kind": "CiliumNode",
                "metadata": {
                    "name": name, "ownerReferences": [owner],
                    "annotations": {"netloom.io/drained": r#"{"epoch":0}"#},
                },
                "spec": {
                    "instance-id": instance,
                    "eni": {
                        "instance-type": "m5.large", "vpc-id": self.vpc, "first-interface-index": 1,
                        "availability-zone": "eu-central-1a", "node-subnet-id": self.subnet,
                    },
                    "ipam": {"pools": {"requested": [{"pool": "default", "needed": {"ipv4-addrs": 8}}]}},
                },
            }))
            .await?;
        Ok(instance)
    }

    /// The instance's interfaces beside the first one, and their prefixes.
    fn has(&self, instance: &str) -> (usize, Vec<String>) {
        self.cloud.with(|region, _| {
            let beside = region.interfaces_of(instance).filter(|interface| {
                interface.attachment.as_ref().is_some_and(|attachment| attachment.device_index > 0)
            });
            let prefixes: Vec<Vec<String>> = beside
                .map(|interface| interface.prefixes.iter().map(ToString::to_string).collect())
                .collect();
            (prefixes.len(), prefixes.concat())
        })
    }

    fn calls(&self, operation: Operation) -> u64 {
        self.cloud.with(|region, _| region.counters().calls(operation))
    }

    fn is_sound(&self) -> Result<()> {
        let wrong = self.cloud.with(|region, _| region.check());
        ensure!(wrong.is_empty(), "{wrong:?}");
        Ok(())
    }
}

/// The prefixes that a CiliumNode lists.
fn listed(node: &Value) -> Vec<String> {
    let enis = node["status"]["eni"]["enis"].as_object().cloned().unwrap_or_default();
    let prefixes = enis.values().flat_map(|eni| eni["prefixes"].as_array().cloned().unwrap_or_default());
    let mut all: Vec<String> = prefixes.filter_map(|prefix| prefix.as_str().map(ToOwned::to_owned)).collect();
    all.sort();
    all
}

fn drain(node: &Value) -> Value {
    let text = node["metadata"]["annotations"]["netloom.io/drain"].as_str().unwrap_or_default();
    serde_json::from_str(text).unwrap_or_default()
}

/// A pod that waits for an address.
async fn waits(cluster: &Cluster, name: &str, node: &str) -> Result<()> {
    cluster
        .create(json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default"},
            "spec": {"nodeName": node, "containers": [{"name": "c", "image": "none"}]},
        }))
        .await?;
    Ok(())
}

/// The next part has another VPC.
async fn end(cluster: &Cluster, nodes: &[&str]) -> Result<()> {
    for node in nodes {
        cluster.delete("CiliumNode", None, node).await?;
        cluster.delete("Node", None, node).await?;
    }
    Ok(())
}

pub(crate) async fn grows_and_shrinks(cluster: &mut Cluster) -> Result<()> {
    let world = World::new(1).await?;
    let mut operator = world.start(cluster)?;
    operator.said("leading").await?;
    operator.said(if cfg!(feature = "aws") { "signed=true" } else { "signed=false" }).await?;
    for number in 0..20 {
        waits(cluster, &format!("p{number}"), "e1").await?;
    }
    let instance = world.node(cluster, "e1").await?;
    // Twenty pods are more than a prefix.
    let node = cluster.until("CiliumNode", None, "e1", |node| listed(node).len() == 2).await?;
    let (interfaces, mut prefixes) = world.has(&instance);
    prefixes.sort();
    ensure!(interfaces == 1 && prefixes == listed(&node), "{interfaces} {prefixes:?}: {node}");
    let eni = node["status"]["eni"]["enis"].as_object().and_then(|enis| enis.values().next()).cloned();
    let eni = eni.context("an interface")?;
    ensure!(eni["number"] == 1 && eni["tags"]["team"] == "network", "{eni}");
    ensure!(eni["vpc"]["primary-cidr"] == "10.0.0.0/16" && eni["subnet"]["cidr"] == "10.0.1.0/24", "{eni}");

    // The pods are gone, and one prefix is used: the other is asked back, and taken only when it is promised.
    for number in 0..20 {
        cluster.delete("Pod", Some("default"), &format!("p{number}")).await?;
    }
    let pools = json!({
        "requested": [{"pool": "default", "needed": {"ipv4-addrs": 9}}],
        "allocated": [{"pool": "default", "cidrs": [prefixes[0]]}],
    });
    cluster.patch("CiliumNode", None, "e1", json!({"spec": {"ipam": {"pools": pools}}})).await?;
    let asked = cluster
        .until("CiliumNode", None, "e1", |node| drain(node)["prefixes"] == json!([prefixes[1]]))
        .await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    ensure!(world.calls(Operation::UnassignPrivateIpAddresses) == 0, "nothing was promised yet");
    ensure!(world.has(&instance).1.len() == 2);
    let epoch = drain(&asked)["epoch"].clone();
    let promise = json!({"epoch": epoch, "prefixes": [prefixes[1]], "refused": []}).to_string();
    let annotations = json!({"netloom.io/drained": promise});
    cluster.patch("CiliumNode", None, "e1", json!({"metadata": {"annotations": annotations}})).await?;
    let after = cluster
        .until("CiliumNode", None, "e1", |node| {
            listed(node) == prefixes[..1] && drain(node)["epoch"].as_u64() > epoch.as_u64()
        })
        .await?;
    ensure!(world.has(&instance) == (1, prefixes[..1].to_vec()), "{after}");
    ensure!(world.calls(Operation::UnassignPrivateIpAddresses) == 1);
    operator.signal(Signal::SIGTERM)?;
    ensure!(operator.ended().await?, "{}", operator.log());
    end(cluster, &["e1"]).await?;
    world.is_sound()
}

/// Killed when EC2 has made the interface and nobody was told; another goes on with it.
pub(crate) async fn killed_between_request_and_write(cluster: &mut Cluster) -> Result<()> {
    let world = World::new(2).await?;
    let victim = Arc::new(Mutex::new(None::<Pid>));
    let killed = Arc::clone(&victim);
    world.cloud.subscribe(move |event| {
        let made = matches!(&event.change, Change::Created(interface) if interface.tags.contains_key("team"));
        // The region is locked still: no answer has left.
        if made && let Some(pid) = killed.lock().unwrap_or_else(PoisonError::into_inner).take() {
            kill(pid, Signal::SIGKILL).ok();
        }
    });
    let mut first = world.start(cluster)?;
    first.said("leading").await?;
    *victim.lock().unwrap_or_else(PoisonError::into_inner) = Some(first.pid()?);
    let instance = world.node(cluster, "e2").await?;
    ensure!(!first.ended().await?, "it was killed");
    let node = cluster.get("CiliumNode", None, "e2").await?;
    ensure!(listed(&node).is_empty() && world.has(&instance).0 == 0, "{node}");
    let second = world.start(cluster)?;
    cluster.until("CiliumNode", None, "e2", |node| listed(node).len() == 1).await?;
    let (interfaces, prefixes) = world.has(&instance);
    ensure!((interfaces, prefixes.len()) == (1, 1), "{interfaces} {prefixes:?}\n{}", second.log());
    let all = world.cloud.with(|region, _| region.interfaces().count());
    ensure!(all == 3, "the first ones and ours: {all}");
    second.signal(Signal::SIGKILL)?;
    end(cluster, &["e2"]).await?;
    world.is_sound()
}

/// A leader that is stopped past its deadline asks EC2 for nothing when it goes on.
pub(crate) async fn stopped_past_the_deadline(cluster: &mut Cluster) -> Result<()> {
    let world = World::new(3).await?;
    let first = world.start(cluster)?;
    first.said("leading").await?;
    let holder = cluster.leader("").await?;
    let instance = world.node(cluster, "e3").await?;
    cluster.until("CiliumNode", None, "e3", |node| listed(node).len() == 1).await?;
    first.signal(Signal::SIGSTOP)?;
    let own = World { server: Server::query(world.cloud.clone(), "127.0.0.1:0".parse()?).await?, ..world };
    let second = own.start(cluster)?;
    cluster.leader(&holder).await?;
    let asked = first.log().matches("action=").count();
    ensure!(asked > 0, "the log names what is asked: {}", first.log());
    let other = own.node(cluster, "e4").await?;
    cluster.until("CiliumNode", None, "e4", |node| listed(node).len() == 1).await?;
    first.signal(Signal::SIGCONT)?;
    first.said("not leading any more").await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    ensure!(first.log().matches("action=").count() == asked, "{}", first.log());
    for instance in [&instance, &other] {
        let (interfaces, prefixes) = own.has(instance);
        ensure!((interfaces, prefixes.len()) == (1, 1), "{interfaces} {prefixes:?}");
    }
    second.signal(Signal::SIGKILL)?;
    end(cluster, &["e3", "e4"]).await?;
    own.is_sound()
}

/// An endpoint whose name is none is told with all causes: in the log of the operator's health, and of each node.
pub(crate) async fn tells_why_ec2_does_not_answer(cluster: &mut Cluster) -> Result<()> {
    let world = World::new(5).await?;
    // A label of a name has at most 63 characters: no server has to be asked.
    let operator = world.start_at(cluster, &format!("{}.invalid", "x".repeat(64)))?;
    world.node(cluster, "e6").await?;
    let told = |node: &Value| {
        let error = node["status"]["ipam"]["operator-status"]["error"].as_str().unwrap_or_default();
        error.contains("DescribeSubnets fails: NoAnswer: ") && error.contains("dns error")
    };
    cluster.until("CiliumNode", None, "e6", told).await?;
    operator.said("component=ec2").await?;
    let failing =
        operator.log().lines().any(|line| line.contains("component=ec2") && line.contains("dns error"));
    ensure!(failing, "{}", operator.log());
    operator.signal(Signal::SIGKILL)?;
    end(cluster, &["e6"]).await?;
    world.is_sound()
}

/// What hinders a node is told in its status and with an event, and where pods wait for it, in a condition of the Node.
pub(crate) async fn tells_what_hinders(cluster: &mut Cluster) -> Result<()> {
    let world = World::new(4).await?;
    let operator = world.start(cluster)?;
    world.node(cluster, "e5").await?;
    let wish = json!({"spec": {"eni": {"subnet-ids": ["subnet-none"]}}});
    cluster.patch("CiliumNode", None, "e5", wish).await?;
    cluster
        .until_all("Event", |events| {
            let about = |event: &Value| &event["involvedObject"]["name"] == "e5";
            events.iter().any(|event| about(event) && event["reason"] == "AddressAllocationFailed")
        })
        .await?;
    let error = |node: &Value| node["status"]["ipam"]["operator-status"]["error"].clone();
    let node = cluster.until("CiliumNode", None, "e5", |node| error(node).is_string()).await?;
    ensure!(error(&node).as_str().is_some_and(|error| error.contains("subnet-none")), "{node}");
    let condition = |node: &Value| {
        let all = node["status"]["conditions"].as_array().cloned().unwrap_or_default();
        all.into_iter().find(|one| one["type"] == "netloom.io/PodAddressUnavailable").unwrap_or_default()
    };
    ensure!(condition(&cluster.get("Node", None, "e5").await?).is_null(), "no pod waits");
    waits(cluster, "starved", "e5").await?;
    let starved = cluster.until("Node", None, "e5", |node| condition(node)["status"] == "True").await?;
    let said = condition(&starved);
    ensure!(said["reason"] == "NoPodAddress", "{said}");
    ensure!(said["message"].as_str().is_some_and(|message| message.contains("subnet-none")), "{said}");
    cluster.patch("CiliumNode", None, "e5", json!({"spec": {"eni": {"subnet-ids": null}}})).await?;
    cluster.until("CiliumNode", None, "e5", |node| error(node).is_null() && listed(node).len() == 1).await?;
    cluster.until("Node", None, "e5", |node| condition(node)["reason"] == "PodAddressAvailable").await?;
    operator.signal(Signal::SIGKILL)?;
    world.is_sound()
}
