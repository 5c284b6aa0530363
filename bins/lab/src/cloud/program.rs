//! The program `netloom lab-cloud`: EC2, the instances' metadata, and the plug.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use netcore::Netns;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinSet;
use vpc::http::{Asking, Server};
use vpc::{Chance, Change, Cloud, Fault, Outcome, Region};

use super::control::{CloudStatus, InstanceStatus, InterfaceStatus, Reply, Request, SubnetStatus, Use};
use super::plug::{Plug, Port};
use super::region::{self, Instances};
use super::rules::Rules;
use super::{Setup, plan};
use crate::name::LabName;
use crate::paths::Paths;
use crate::process::PidFile;
use crate::state::State;

/// How often it is looked whether all is as it must be; it is at each change, too.
const LOOK: Duration = Duration::from_millis(200);
/// Violations and failures that are kept: the first ones tell most.
const KEPT: usize = 100;
/// The longest request.
const LONGEST: u64 = 1 << 20;
/// For how long new ids are unknown while things go wrong.
const NEW_IDS: Duration = Duration::from_secs(2);
/// How old stale reads are.
const STALE: Duration = Duration::from_secs(2);

/// Runs a lab's cloud until it is told to end (SIGTERM, SIGINT). Its caller has detached it.
///
/// # Errors
/// When the lab does not exist or has a cloud already, or the kernel refuses something.
pub fn run(name: &LabName) -> Result<()> {
    let paths = Paths::new(name);
    let _held = PidFile::hold(&paths.cloud_pid())?;
    let state = State::load(name)?;
    let wanted = state.cloud.clone().with_context(|| format!("lab {name} has no cloud"))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("cannot start the runtime")?.block_on(serve(&state, &paths, &wanted))
}

/// What the parts of the program share.
struct Shared {
    cloud: Cloud,
    instances: Instances,
    rules: Rules,
    ports: Mutex<BTreeMap<String, Port>>,
    violations: Mutex<BTreeSet<String>>,
    unplugged: Mutex<Vec<String>>,
}

async fn serve(state: &State, paths: &Paths, wanted: &Setup) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let cloud = Cloud::new(region::settings(wanted.seed));
    let (events, told) = unbounded_channel();
    cloud.subscribe(move |event| {
        // Without the receiver the program is about to end.
        let _ = events.send(event.change.clone());
    });
    let instances = cloud.with(|region, now| region::build(region, now, wanted, &state.nodes))?;
    let fabric = Netns::open(&state.fabric)?;
    let mut plugged = BTreeMap::new();
    let mut servers = Vec::new();
    for node in &state.nodes {
        let netns = Netns::open(&node.netns)?;
        let instance = &instances[&node.name];
        let listener = listen(&netns, plan::METADATA.into())?;
        servers.push(Server::metadata_on(cloud.clone(), listener, Asking::Instance(instance.clone()))?);
        plugged.insert(instance.clone(), (node.name.clone(), netns));
    }
    servers.push(Server::query_on(cloud.clone(), listen(&fabric, plan::EC2.into())?)?);
    let plug = Plug::new(cloud.clone(), fabric.clone(), plugged)?;
    let shared = Arc::new(Shared {
        cloud,
        instances,
        rules: Rules::of(&fabric),
        ports: Mutex::default(),
        violations: Mutex::default(),
        unplugged: Mutex::default(),
    });
    tokio::select! {
        ended = work(&shared, plug, told, paths) => ended,
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    }
}

/// A listener in another network namespace.
fn listen(netns: &Netns, address: IpAddr) -> Result<TcpListener> {
    let at = SocketAddr::new(address, plan::HTTP);
    let listener = netns.run_in(|| std::net::TcpListener::bind(at))?;
    let listener = listener.with_context(|| format!("cannot listen on {at} in {netns}"))?;
    listener.set_nonblocking(true)?;
    Ok(TcpListener::from_std(listener)?)
}

async fn work(
    shared: &Arc<Shared>,
    mut plug: Plug,
    mut told: UnboundedReceiver<Change>,
    paths: &Paths,
) -> Result<()> {
    // Instances have their first interfaces before anybody can ask how the cloud is.
    while let Ok(change) = told.try_recv() {
        shared.follow(&mut plug, &change).await?;
    }
    let socket = UnixListener::bind(paths.cloud_socket()).context("cannot listen for questions")?;
    let mut conversations = JoinSet::new();
    let mut look = tokio::time::interval(LOOK);
    loop {
        tokio::select! {
            Some(change) = told.recv() => {
                if let Err(error) = shared.follow(&mut plug, &change).await {
                    shared.fail(format!("{error:#}"));
                }
                shared.check();
            }
            accepted = socket.accept() => {
                if let Ok((stream, _)) = accepted {
                    conversations.spawn(converse(Arc::clone(shared), stream));
                }
            }
            _ = look.tick() => shared.check(),
            Some(_) = conversations.join_next(), if !conversations.is_empty() => {}
        }
    }
}

/// Answers one question. Who went away does not want the answer.
async fn converse(shared: Arc<Shared>, mut stream: UnixStream) {
    let (read, mut write) = stream.split();
    let mut line = String::new();
    let mut reader = BufReader::new(tokio::io::AsyncReadExt::take(read, LONGEST));
    if reader.read_line(&mut line).await.is_err() {
        return;
    }
    let reply = match serde_json::from_str(&line) {
        Ok(request) => shared.answer(&request),
        Err(error) => Reply::Error(error.to_string()),
    };
    if let Ok(mut text) = serde_json::to_string(&reply) {
        text.push('\n');
        let _ = write.write_all(text.as_bytes()).await;
    }
}

impl Shared {
    async fn follow(&self, plug: &mut Plug, change: &Change) -> Result<()> {
        let changed = plug.change(change).await;
        self.ports.lock().unwrap_or_else(PoisonError::into_inner).clone_from(plug.ports());
        changed
    }

    fn fail(&self, why: String) {
        eprintln!("{why}");
        let mut kept = self.unplugged.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < KEPT {
            kept.push(why);
        }
    }

    /// Looks at everything, and notes what must not be.
    fn check(&self) {
        let found = self.cloud.with(|region, _| region.check());
        let mut kept = self.violations.lock().unwrap_or_else(PoisonError::into_inner);
        for violation in found.iter().map(ToString::to_string) {
            if kept.len() < KEPT && !kept.contains(&violation) {
                eprintln!("violation: {violation}");
                kept.insert(violation);
            }
        }
    }

    fn answer(&self, request: &Request) -> Reply {
        match request {
            Request::Status => {
                self.check();
                Reply::Status(Box::new(self.status()))
            }
            Request::Uses(used) => self.pod(used, |region, instance, address| {
                region.register_pod(instance, &used.pod, address);
            }),
            Request::Left(used) => self.pod(used, |region, instance, address| {
                region.unregister_pod(instance, &used.pod, address);
            }),
            Request::Trouble(chance) => {
                self.cloud.with(|region, _| trouble(region, *chance));
                Reply::Done
            }
        }
    }

    fn pod(&self, used: &Use, note: impl Fn(&mut Region, &str, std::net::Ipv4Addr)) -> Reply {
        let Some(instance) = self.instances.get(&used.node) else {
            return Reply::Error(format!("there is no instance of {}", used.node));
        };
        self.cloud.with(|region, _| {
            for address in &used.addresses {
                if let IpAddr::V4(address) = address {
                    note(region, instance, *address);
                }
            }
        });
        Reply::Done
    }

    fn status(&self) -> CloudStatus {
        let ports = self.ports.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let violations = self.violations.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let unplugged = self.unplugged.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let dropped = self.rules.dropped().unwrap_or_else(|error| {
            eprintln!("{error:#}");
            super::rules::Dropped::default()
        });
        self.cloud.with(|region, _| {
            let mut status = CloudStatus {
                pid: std::process::id(),
                endpoint: format!("http://{}", plan::EC2),
                vpc: region.vpcs().next().map(|vpc| vpc.id).unwrap_or_default(),
                seed: region.settings().seed,
                violations: violations.into_iter().collect(),
                unplugged,
                dropped,
                ..CloudStatus::default()
            };
            for (operation, outcome, number) in region.counters().iter() {
                *status.calls.entry(operation.name().to_owned()).or_default() += number;
                match outcome {
                    Outcome::Done => {}
                    Outcome::Refused(code) => {
                        *status.refused.entry((*code).to_owned()).or_default() += number;
                    }
                    Outcome::Unanswered => status.unanswered += number,
                }
            }
            status.subnets = region.subnets().map(subnet).collect();
            status.instances =
                self.instances.iter().map(|(node, id)| instance(region, node, id, &ports)).collect();
            let free = region.interfaces().filter(|interface| interface.attachment.is_none());
            status.unattached = free.map(|interface| interface.id.clone()).collect();
            status
        })
    }
}

fn subnet(subnet: ipam::ec2::Subnet) -> SubnetStatus {
    SubnetStatus {
        name: subnet.tags.get("Name").cloned().unwrap_or_default(),
        id: subnet.id,
        zone: subnet.availability_zone,
        cidr: subnet.cidr,
        available: subnet.available_addresses,
    }
}

fn instance(region: &Region, node: &str, id: &str, ports: &BTreeMap<String, Port>) -> InstanceStatus {
    let view = region.instances().find(|instance| instance.id == id);
    let (instance_type, zone) =
        view.map(|view| (view.instance_type, view.availability_zone)).unwrap_or_default();
    let mut interfaces: Vec<InterfaceStatus> = region
        .interfaces_of(id)
        .map(|interface| InterfaceStatus {
            id: interface.id.clone(),
            device_index: interface.attachment.as_ref().map_or(0, |attachment| attachment.device_index),
            link: ports.get(&interface.id).map(|port| port.link.clone()),
            mac: interface.mac.clone(),
            subnet: interface.subnet_id.clone(),
            address: interface.primary_address,
            addresses: interface.secondary_addresses.clone(),
            prefixes: interface.prefixes.clone(),
        })
        .collect();
    interfaces.sort_by_key(|interface| interface.device_index);
    InstanceStatus { node: node.to_owned(), id: id.to_owned(), instance_type, zone, interfaces }
}

/// Has requests go wrong, each way as often as this.
fn trouble(region: &mut Region, probability: f64) {
    region.faults().clear();
    region.settings_mut().lags = region::LAGS;
    if probability <= 0.0 {
        return;
    }
    region.settings_mut().lags.new_ids = NEW_IDS;
    let ways = [
        Fault::LostRequest,
        Fault::LostReply,
        Fault::InternalError { carried_out: false },
        Fault::InternalError { carried_out: true },
        Fault::Unavailable { carried_out: false },
        Fault::Throttled,
        Fault::Stale(STALE),
    ];
    for fault in ways {
        region.faults().by_chance(Chance { operation: None, probability, fault });
    }
    region.faults().omit_by_chance(probability);
}
