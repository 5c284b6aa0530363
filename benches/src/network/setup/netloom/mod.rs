//! A real cluster of two nodes: API server, operator, agents and the CNI plugin, as `netloom lab` makes it.
//!
//! Peers are selected by a label. Those that do not exist are objects in the API (CiliumEndpoint, CiliumIdentity), each
//! with labels of its own: as many identities as peers, which is the worst case. (Pods of one Deployment share one.)

mod agent;
mod judged;
mod manifests;
mod memory;

use std::time::{Duration, Instant};

use futures_util::{TryStreamExt, stream};
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use lab::console::Progress;
use lab::down;
use lab::fabric;
use lab::name::LabName;
use lab::paths::Paths;
use lab::state::{Ipam, Sandbox, State};
use lab::up::Up;
use netcore::Netns;
use nix::unistd::Pid;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use self::judged::Judged;
use self::manifests::{Absent, CHANGE, NAMESPACE, PEER, ROLE, policies, policy_of};
use super::wiring::{Lab, name, named, plain_bridge};
use super::{Cost, Loaded, Setup, SetupName};
use crate::network::Error;
use crate::network::pods::{BYSTANDERS, Pod, Pods};
use crate::network::rules::hold_size;
use crate::objects::{AT_ONCE, api, create_all};

const NAME: SetupName = SetupName::Netloom;
/// The node of the server.
const NODE: &str = "node2";
/// The largest MTU that is measured: the agents take it to be the network's. Links that carry less are set so.
const LARGEST_MTU: u32 = 9001;
/// The MTU that everything begins with.
const MTU: u32 = 1500;
/// How long the lab may take to come up with its pods.
const COMING_UP: Duration = Duration::from_secs(120);
/// How long it may take until policies of the largest size are in force.
const LOADING: Duration = Duration::from_secs(300);
/// How long an agent may take to answer.
const ANSWER: Duration = Duration::from_secs(10);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(50);
/// Objects that nobody here comes back to must not be collected: pods that do not exist have no Pod.
const SETTINGS: [&str; 3] =
    ["cilium-endpoint-gc-interval=0", "identity-gc-interval=0", "nodes-gc-interval=0"];

/// A lab with the benchmark's pods.
pub(super) struct Netloom {
    client: Client,
    runtime: Runtime,
    pods: Pods,
    paths: Paths,
    /// All namespaces: the fabric's, the nodes', the pods'.
    everywhere: Vec<Netns>,
    peers: usize,
    /// What the server's node had judged when the policies of this size were in force.
    loaded: Judged,
    /// How often the newcomer was made a peer.
    changes: usize,
    // The last fields, in this order: what is made is removed while no other run can be in the way.
    _lab: Running,
    _alone: Lab,
}

/// A lab that is removed when this is dropped.
struct Running(LabName);

impl Drop for Running {
    fn drop(&mut self) {
        if let Err(error) = down::down(&self.0) {
            eprintln!("netloom bench: {error:#}");
        }
    }
}

fn failed(operation: &'static str) -> impl Fn(anyhow::Error) -> Error {
    move |error| Error::lab(NAME, operation, &error)
}

fn refused<E: std::error::Error + Send + Sync + 'static>(operation: &'static str) -> impl Fn(E) -> Error {
    move |source| Error::Api { operation, source: Box::new(source) }
}

impl Netloom {
    pub(super) fn make() -> Result<Self, Error> {
        // The lab's own lock is its commands', which hold it for a moment each.
        let alone = Lab::begin(NAME, named(NAME, "bench-alone")?)?;
        let name = name(NAME)?;
        // A run that was killed has left its daemon running.
        down::down(&name).map_err(failed("removing what an earlier run left"))?;
        let settings: Result<Vec<_>, _> = SETTINGS.iter().map(|setting| setting.parse()).collect();
        let documents: Vec<String> = manifests::pods().iter().map(Value::to_string).collect();
        let texts = [("pods".to_owned(), documents.join("\n---\n"))];
        let up = Up {
            ipv4_only: true,
            mtu: LARGEST_MTU,
            // The same ranges as in the other setups.
            ipam: Ipam::Kubernetes,
            settings: settings.map_err(failed("configuring the lab"))?,
            manifests: lab::batch::Batch::parse(&texts).map_err(failed("reading the pods"))?,
            patience: COMING_UP,
            ..Up::new(name.clone(), 2)
        };
        let state = up.run(&Progress::silent()).map_err(failed("making the lab"))?;
        let running = Running(name);
        let paths = Paths::new(&state.name);
        let pods = pods(&paths)?;
        let everywhere = everywhere(&state, &pods)?;
        plain_bridge(NAME, &everywhere[0])?;
        // A worker of its own: connections to the API stay usable between requests.
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .map_err(|source| Error::Socket { setup: NAME, operation: "starting a runtime", source })?;
        let client = runtime.block_on(client(&paths))?;
        let made = Self {
            client,
            runtime,
            pods,
            paths,
            everywhere,
            peers: 0,
            loaded: Judged::default(),
            changes: 0,
            _lab: running,
            _alone: alone,
        };
        made.create(Absent::of_bystanders())?;
        made.links(MTU)?;
        Ok(made)
    }

    fn links(&self, mtu: u32) -> Result<(), Error> {
        let failed = Error::wiring(NAME, format!("setting the MTU to {mtu}"));
        self.runtime.block_on(fabric::set_mtu(&self.everywhere, mtu)).map_err(failed)
    }

    /// Writes pods that do not exist.
    fn create(&self, absents: impl Iterator<Item = Absent>) -> Result<(), Error> {
        let absents: Vec<Absent> = absents.collect();
        self.runtime
            .block_on(async {
                create_all(&self.client, absents.iter().map(Absent::identity)).await?;
                create_all(&self.client, absents.iter().map(Absent::endpoint)).await
            })
            .map_err(refused("writing peers"))
    }

    /// Deletes objects; those that are not there are no error.
    fn delete(&self, objects: impl Iterator<Item = Value>) -> Result<(), Error> {
        let objects: Vec<Value> = objects.collect();
        let delete = |object: Value| async move {
            let name = object["metadata"]["name"].as_str().unwrap_or_default();
            match api(&self.client, &object).delete(name, &DeleteParams::default()).await {
                Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
                deleted => deleted.map(drop).map_err(refused("deleting objects")),
            }
        };
        let all = stream::iter(objects.into_iter().map(Ok)).try_for_each_concurrent(AT_ONCE, delete);
        self.runtime.block_on(all)
    }

    /// Removes policies and peers, and waits until they are in force no more.
    fn unload(&mut self) -> Result<(), Error> {
        if self.peers > 0 {
            self.delete(policies().into_iter())?;
            self.delete(Absent::peers(self.peers).flat_map(|absent| [absent.endpoint(), absent.identity()]))?;
            self.peers = 0;
        }
        self.wait(0)
    }

    /// Creates or changes one object, and says how long that took.
    fn apply(&self, object: &Value) -> Result<Cost, Error> {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        let how = PatchParams::apply("netloom-bench").force();
        let start = Instant::now();
        let applied =
            self.runtime.block_on(api(&self.client, object).patch(name, &how, &Patch::Apply(object)));
        applied.map_err(refused("writing an object"))?;
        Ok(Cost { took: start.elapsed(), children: Duration::ZERO })
    }

    /// Gives the newcomer a role, or none. Each time it has one, it has a label that nobody ever had, too: no identity of
    /// an earlier change fits.
    fn relabel(&self, role: Option<&str>) -> Result<Cost, Error> {
        let change = role.map(|_| self.changes.to_string());
        let newcomer = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": NAMESPACE}});
        let change = json!({"metadata": {"labels": {ROLE: role, CHANGE: change}}});
        let (how, pods) = (PatchParams::default(), api(&self.client, &newcomer));
        let start = Instant::now();
        let patched = self.runtime.block_on(pods.patch("newcomer", &how, &Patch::Merge(&change)));
        patched.map_err(refused("labelling the newcomer"))?;
        Ok(Cost { took: start.elapsed(), children: Duration::ZERO })
    }

    /// Waits until the server's node knows exactly these peers and policies, and its datapath has them.
    fn wait(&self, peers: usize) -> Result<(), Error> {
        let start = Instant::now();
        let policies = if peers == 0 { 0 } else { 1 + BYSTANDERS };
        loop {
            let known = agent::known(&self.paths.node(NODE).socket())?;
            let of = |kind: &str| known.objects.iter().filter(|object| object.kind == kind).count();
            let is_peer = |absent: &Absent| known.peers.contains_key(&absent.address().into());
            let all = Absent::peers(peers).all(|absent| is_peer(&absent));
            let none_more = !is_peer(&Absent(Absent::peers(peers).count()));
            if !known.pending && of("NetworkPolicy") == policies && all && none_more {
                return agent::realised(
                    &self.paths.node(NODE).socket(),
                    LOADING.saturating_sub(start.elapsed()),
                );
            }
            if start.elapsed() > LOADING {
                let what = format!("{peers} peers are in force");
                return Err(Error::Late { setup: NAME, what, seconds: LOADING.as_secs() });
            }
            std::thread::sleep(PAUSE);
        }
    }

    fn hold_policies(&self, change: &'static str) -> Result<(), Error> {
        if self.peers == 0 { Err(Error::NothingToChange { setup: NAME, change }) } else { Ok(()) }
    }
}

impl Setup for Netloom {
    fn name(&self) -> SetupName {
        NAME
    }

    fn pods(&self) -> &Pods {
        &self.pods
    }

    fn load(&mut self, peers: usize) -> Result<Loaded, Error> {
        hold_size(peers)?;
        // As in the other setups, the time is of all of them, and not of what they differ by from the size before.
        self.unload()?;
        let start = Instant::now();
        if peers > 0 {
            self.create(Absent::peers(peers))?;
            policies().iter().try_for_each(|policy| self.apply(policy).map(drop))?;
            self.peers = peers;
            self.wait(peers)?;
        }
        let took = start.elapsed();
        let entries = agent::entries(&self.paths.node(NODE).socket())?;
        self.loaded = agent::judged(&self.paths.node(NODE).socket())?;
        let memory = memory::of_maps(&self.paths.node(NODE).bpffs())?;
        Ok(Loaded { took, entries, memory: Some(memory) })
    }

    fn set_mtu(&mut self, mtu: u32) -> Result<(), Error> {
        self.links(mtu)
    }

    /// The labels of the newcomer: it gets a new identity, which has to be made, told and selected.
    fn add_peer(&mut self) -> Result<Cost, Error> {
        self.hold_policies("a peer is added")?;
        self.changes += 1;
        self.relabel(Some(PEER))
    }

    fn remove_peer(&mut self) -> Result<Cost, Error> {
        self.hold_policies("a peer is removed")?;
        self.relabel(None)
    }

    fn add_policy(&mut self) -> Result<Cost, Error> {
        self.hold_policies("a policy is added")?;
        self.apply(&policy_of("other"))
    }

    fn remove_policy(&mut self) -> Result<Cost, Error> {
        self.hold_policies("a policy is removed")?;
        let start = Instant::now();
        self.delete([policy_of("other")].into_iter())?;
        Ok(Cost { took: start.elapsed(), children: Duration::ZERO })
    }

    /// The API server, the operator, and both agents. The daemon that plays kubelet and scheduler is not netloom's.
    fn processes(&self) -> Vec<Pid> {
        let agents = ["node1", NODE].map(|node| self.paths.node(node).agent_pid());
        let others = ["apiserver", "operator1"].map(|program| self.paths.pid(program));
        let all = agents.into_iter().chain(others);
        all.filter_map(|file| std::fs::read_to_string(file).ok()?.trim().parse().ok())
            .map(Pid::from_raw)
            .collect()
    }

    fn rules(&self) -> Result<String, Error> {
        let policies = if self.peers == 0 { Vec::new() } else { policies() };
        let documents: Result<Vec<String>, _> = policies.iter().map(serde_saphyr::to_string).collect();
        Ok(documents.map_err(refused("writing YAML"))?.join("---\n"))
    }

    /// Since the size was loaded the server's node has let packets through and, where there is a policy, dropped some; and
    /// on neither node was there ever a connection that could not be remembered.
    fn inspect(&self, peers: usize) -> Result<(), Error> {
        for node in ["node1", NODE] {
            let now = agent::judged(&self.paths.node(node).socket())?;
            let held = match node {
                NODE => now.hold_room().and_then(|()| now.hold_judging(self.loaded, peers)),
                _ => now.hold_room(),
            };
            held.map_err(|what| Error::Impure { setup: NAME, netns: node.to_owned(), what })?;
        }
        Ok(())
    }
}

/// The pods as the lab made them.
fn pods(paths: &Paths) -> Result<Pods, Error> {
    let sandboxes = Sandbox::all(paths).map_err(failed("reading the lab's pods"))?;
    let pod = |name: &str| {
        let sandbox = sandboxes.iter().find(|sandbox| sandbox.pod.name == name);
        let found = sandbox.and_then(|sandbox| {
            let address = sandbox.addresses.iter().find_map(|address| match address {
                std::net::IpAddr::V4(address) => Some(*address),
                std::net::IpAddr::V6(_) => None,
            });
            Some((sandbox.netns.as_str(), address?))
        });
        let none = || failed("reading the lab's pods")(anyhow::anyhow!("there is no {name} with an address"));
        let (netns, address) = found.ok_or_else(none)?;
        let netns = Netns::open(netns).map_err(Error::wiring(NAME, "opening a pod"))?;
        Ok::<_, Error>(Pod { name: name.to_owned(), netns, address })
    };
    let bystanders: Result<_, _> =
        (0..BYSTANDERS).map(|number| pod(&format!("bystander-{number}"))).collect();
    Ok(Pods {
        first: pod("first")?,
        middle: pod("middle")?,
        last: pod("last")?,
        stranger: pod("stranger")?,
        newcomer: pod("newcomer")?,
        server: pod("server")?,
        other: pod("other")?,
        bystanders: bystanders?,
    })
}

/// All namespaces, the fabric's first.
fn everywhere(state: &State, pods: &Pods) -> Result<Vec<Netns>, Error> {
    let names = [&state.fabric].into_iter().chain(state.nodes.iter().map(|node| &node.netns));
    let opened: Result<Vec<Netns>, _> = names.map(|name| Netns::open(name)).collect();
    let mut all = opened.map_err(Error::wiring(NAME, "opening the nodes"))?;
    all.extend(pods.all().map(|pod| pod.netns.clone()));
    Ok(all)
}

/// A client of the lab's API.
async fn client(paths: &Paths) -> Result<Client, Error> {
    let operation = "reading the lab's kubeconfig";
    let file = Kubeconfig::read_from(paths.kubeconfig()).map_err(refused(operation))?;
    let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await;
    Client::try_from(config.map_err(refused(operation))?).map_err(refused(operation))
}
