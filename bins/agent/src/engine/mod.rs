//! The agent's one owner of everything that changes: the cluster's picture, the datapath, the node's pods.
//!
//! Changes of the source, calls of the socket, events of the datapath and the clock all arrive here and are
//! dealt with one after the other, so nothing needs a lock and nothing is seen half done.

mod attachments;
mod elsewhere;
mod enforce;
mod flows;
mod installed;
mod interfaces;
mod plumbing;
mod reports;
mod status;
mod waiting;

use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use abi::IfIndex;
use anyhow::{Context, Result};
use api::{DelQueue, ErrorCode, ErrorReply, Known, Reply, Request};
use daemon::clock::Clock;
use daemon::watchdog::Watchdog;
use datapath::{AttachMode, Capacities, Datapath, Events, Options};
use netcore::{Net, Netns};
use tokio::sync::{mpsc, oneshot, watch};

use crate::addresses::AddressBook;
use crate::args::Args;
use crate::cluster::{Beginnings, Changed, Cluster, Numbering, Numbers};
use crate::endpoint::Endpoints;
use crate::flows::FlowLog;
use crate::readable::Readable;
use crate::server::Enforced;
use crate::source::{Change, Report};
use crate::state_file;
use elsewhere::Obstacles;
use installed::Installed;
use interfaces::EniMode;
pub(crate) use interfaces::configured as configured_enis;
use plumbing::{Plumbed, Uplink};
use reports::Reporter;
use waiting::Waiting;

/// A call that came over the socket.
#[derive(Debug)]
pub struct Call {
    /// What is asked.
    pub request: Request,
    /// The pod's network namespace, where the request has one.
    pub netns: Option<OwnedFd>,
    /// Where the answer goes.
    pub answer: oneshot::Sender<Reply>,
}

/// How often small things are looked after.
const TICK: Duration = Duration::from_secs(1);
/// How often large things are looked after.
const SWEEP: Duration = Duration::from_secs(30);
/// How often the node's plumbing is compared with what the kernel has, in case somebody else touched it.
const REPAIR: Duration = Duration::from_secs(300);

/// The engine of a node.
pub struct Engine {
    args: Args,
    cluster: Cluster,
    datapath: Datapath,
    events: Events,
    events_there: Readable,
    /// When they are to be read next, at the earliest.
    events_from: Instant,
    endpoints: Endpoints,
    addresses: Option<AddressBook>,
    /// What addresses rest by.
    clock: Clock,
    /// Whether what an earlier agent left has been taken over as a whole.
    settled: bool,
    installed: Vec<Installed>,
    /// The revision of the policies that the tables of each link have realised.
    realised: HashMap<IfIndex, u64>,
    net: Net,
    netns: Netns,
    uplink: Uplink,
    /// What was plumbed last; none where the kernel has to be asked.
    plumbed: Option<Plumbed>,
    /// What is in the way to other nodes' pods.
    obstacles: Obstacles,
    /// When it is to be asked next, in any case.
    repair: Instant,
    masquerade: Option<netcore::masquerade::Masquerade>,
    /// In ENI mode.
    eni: Option<EniMode>,
    reports: Reporter,
    waiting: Vec<Waiting>,
    flows: FlowLog,
    queue: DelQueue,
    published: Enforced<watch::Sender<u64>>,
    /// The newest revision of which all objects are known; enforced once `pending` is false.
    observed: Option<u64>,
    /// What of what is known is not enforced yet.
    due: Changed,
    /// Whether the node is behind what is known.
    pending: bool,
    failure: Option<String>,
}

impl Engine {
    /// Takes over the node: what an earlier agent left goes on as it is until the source has told all. What the cluster
    /// should know of the node goes to `reports`.
    ///
    /// # Errors
    /// When the datapath cannot be loaded, or the state cannot be read.
    pub async fn new(
        args: Args,
        numbering: Numbering,
        flows: FlowLog,
        published: Enforced<watch::Sender<u64>>,
        reports: mpsc::UnboundedSender<Report>,
    ) -> Result<Self> {
        let netns = Netns::current()?;
        let net = Net::current()?;
        let uplink = Uplink::find(&net, &args.uplink).await?;
        let beginnings = Beginnings {
            settings: args.policy.settings(),
            labelling: args.policy.labelling(),
            identities: match numbering {
                Numbering::Own => {
                    Numbers::Own(state_file::read(&args.state_dir.join(IDENTITIES))?.unwrap_or_default())
                }
                Numbering::Given => Numbers::given(),
            },
            node_identities: state_file::read(&args.state_dir.join(NODE_IDENTITIES))?,
            cidrs: state_file::read(&args.state_dir.join(CIDRS))?.unwrap_or_default(),
        };
        let own_addresses = plumbing::own_addresses(&net).await?;
        let cluster = Cluster::new(&args.node, beginnings, own_addresses);
        let endpoints = Endpoints::open(&args.state_dir.join("endpoints"))?;
        let options = Options {
            pins: Some(args.bpffs.clone()),
            capacities: Capacities {
                addresses: args.address_capacity,
                established: args.connection_capacity,
                ..Capacities::default()
            },
            attach: args.clsact.then_some(AttachMode::Clsact),
        };
        let clock = crate::clock::of_boot(&args.state_dir)?;
        let eni = EniMode::new(&args, &netns, clock)?;
        let reports = Reporter::new(reports);
        // First of all, so that the node's object has it from the beginning.
        eni.iter().filter_map(EniMode::introduction).for_each(|said| reports.send(said));
        let mut datapath = Datapath::load(&options).context("loading the datapath")?;
        let config = abi::Config { mtu: uplink.mtu, ..abi::Config::default() };
        datapath.set_config(&config).context("configuring the datapath")?;
        let events = datapath.take_events().context("the datapath has no events")?;
        Ok(Self {
            queue: DelQueue::new(&args.cni_queue),
            events_there: Readable::new(events.as_fd()).context("watching the datapath's events")?,
            events_from: Instant::now(),
            events,
            args,
            cluster,
            datapath,
            endpoints,
            addresses: None,
            clock,
            settled: false,
            installed: Vec::new(),
            realised: HashMap::new(),
            net,
            netns,
            uplink,
            plumbed: None,
            obstacles: Obstacles::default(),
            repair: Instant::now() + REPAIR,
            masquerade: None,
            eni,
            reports,
            waiting: Vec::new(),
            flows,
            published,
            observed: None,
            due: Changed::all(),
            pending: false,
            failure: None,
        })
    }

    /// Runs until the source or the socket is closed. The watchdog is told of each round: there is one each second at
    /// least.
    ///
    /// # Errors
    /// None but those that make going on pointless.
    pub async fn run(
        mut self,
        mut changes: mpsc::Receiver<Change>,
        mut calls: mpsc::Receiver<Call>,
        watchdog: &Watchdog,
    ) -> Result<()> {
        let mut tick = tokio::time::interval(TICK);
        let mut sweep = tokio::time::interval(SWEEP);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        sweep.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            watchdog.moved("the engine", TICK);
            let next_answer = self.next_answer();
            let next_look = self.eni.as_ref().and_then(EniMode::due);
            tokio::select! {
                biased;
                change = changes.recv() => match change {
                    Some(change) => self.change(change, &mut changes).await,
                    None => return Ok(()),
                },
                call = calls.recv() => match call {
                    Some(call) => self.call(call).await,
                    None => return Ok(()),
                },
                () = Self::ready(&self.events_there, self.events_from) => self.read_events(),
                () = until(next_answer) => self.answer_waiting(),
                () = until(next_look) => self.assert_interfaces().await,
                _ = tick.tick() => self.tick().await,
                _ = sweep.tick() => self.sweep().await,
                // Last, since there may be no end of it.
                seen = EniMode::seen(&mut self.eni) => self.saw(seen.as_ref()),
            }
        }
    }

    /// Takes note of a change and of all that are there already, then enforces them at once.
    async fn change(&mut self, first: Change, more: &mut mpsc::Receiver<Change>) {
        let mut next = Some(first);
        while let Some(change) = next {
            if let Change::Observed(revision) = change {
                self.observed = Some(revision);
            }
            match change {
                Change::Interfaces(told) => self.told_interfaces(*told),
                change => self.cluster.apply(change),
            }
            self.pending = true;
            next = more.try_recv().ok();
        }
        // Before the source has told all, what is missing is not gone.
        if self.observed.is_some() {
            self.catch_up().await;
        }
    }

    /// Brings the node in line with what is known; failures are told and tried again at the next tick.
    async fn catch_up(&mut self) {
        match self.enforce().await {
            Ok(()) => {
                self.pending = false;
                self.failure = None;
                if let Some(revision) = self.observed {
                    publish(&self.published.objects, revision);
                }
            }
            Err(error) => {
                tracing::error!(error = format!("{error:#}"), "the node could not be brought up to date");
                self.failure = Some(format!("{error:#}"));
                self.pending = true;
            }
        }
        self.report_wanted();
        self.report_ready();
        self.report_demand();
        self.answer_waiting();
        self.feed().await;
    }

    async fn tick(&mut self) {
        if self.obstacles.is_due(Instant::now()) {
            self.due.nodes = true;
            self.pending |= self.settled;
        }
        if self.pending && self.observed.is_some() {
            self.catch_up().await;
        }
        if let Err(error) = self.datapath.policies.collect(Instant::now()) {
            tracing::error!(%error, "retired policies could not be freed");
        }
        if self.is_ready() {
            self.drain_queue().await;
        }
        self.tend_interfaces().await;
    }

    async fn sweep(&mut self) {
        if !self.settled {
            return;
        }
        self.collect_gone().await;
        if Instant::now() >= self.repair {
            self.repair = Instant::now() + REPAIR;
            self.plumbed = None;
            self.catch_up().await;
        }
        let known: Vec<abi::EndpointId> =
            self.endpoints.iter().map(crate::endpoint::Endpoint::number).collect();
        match self.datapath.connections.collect(|key| !known.contains(&key.endpoint)) {
            Ok(removed) if removed > 0 => tracing::debug!(removed, "connections collected"),
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "connections could not be collected"),
        }
    }

    /// Stores the numbers that were given out, before anything uses them.
    fn store_numbers(&mut self) -> Result<()> {
        if self.cluster.take_new_identities() {
            if let Numbers::Own(identities) = &self.cluster.identities {
                state_file::write(&self.args.state_dir.join(IDENTITIES), identities)?;
            }
            let of_nodes = self.args.state_dir.join(NODE_IDENTITIES);
            state_file::write(&of_nodes, &self.cluster.node_identities)?;
        }
        if self.cluster.take_new_cidrs() {
            state_file::write(&self.args.state_dir.join(CIDRS), self.cluster.repository.cidr_registry())?;
        }
        Ok(())
    }

    /// Whether pods can be connected.
    fn is_ready(&self) -> bool {
        self.addresses.is_some() && !self.pending && self.observed.is_some()
    }

    /// Answers a call, now or when there is something to answer.
    async fn call(&mut self, call: Call) {
        self.give_up_hungry(&call.request);
        if let Some(call) = self.keep_hungry(call) {
            self.serve(call).await;
            // Who was disconnected may have left an address.
            self.report_demand();
        }
    }

    async fn serve(&mut self, call: Call) {
        let connecting = match &call.request {
            Request::Add { attachment, pod, .. } => Some((attachment.clone(), pod.clone())),
            _ => None,
        };
        let reply = match self.answer(call.request, call.netns).await {
            Ok(reply) => reply,
            Err(refusal) => Reply::Error(refusal),
        };
        // A pod that was connected may need a number.
        self.report_wanted();
        match (connecting, &reply) {
            (Some((attachment, pod)), Reply::Added(_)) => {
                self.answer_connected(pod, attachment, reply, call.answer);
            }
            // The caller may have given up.
            _ => drop(call.answer.send(reply)),
        }
    }

    async fn answer(&mut self, request: Request, netns: Option<OwnedFd>) -> Result<Reply, ErrorReply> {
        match request {
            Request::Status => return Ok(Reply::Status(Box::new(self.status()))),
            Request::Known => {
                let known = Known { pending: self.pending, ..self.cluster.known() };
                return Ok(Reply::Known(Box::new(known)));
            }
            Request::Wait { .. } | Request::WaitPolicy { .. } | Request::Flows { .. } => {
                return Err(refuse(ErrorCode::Invalid, "this request is answered by the socket"));
            }
            _ if !self.is_ready() => return Err(refuse(ErrorCode::NotReady, &self.not_ready())),
            _ => {}
        }
        match request {
            Request::Add { attachment, pod, netns: path, mtu } => {
                let netns = pod_netns(netns)?;
                self.add(attachment, pod, path, mtu, netns).await.map(Reply::Added)
            }
            Request::Del { attachment } => self.delete(&attachment).await.map(|()| Reply::Done),
            Request::Check { attachment } => {
                let netns = pod_netns(netns)?;
                self.check(&attachment, &netns).await.map(|()| Reply::Done)
            }
            Request::Gc { valid } => self.keep_only(&valid).await.map(|()| Reply::Done),
            _ => Ok(Reply::Done),
        }
    }

    fn not_ready(&self) -> String {
        match (&self.failure, self.observed, &self.addresses) {
            (Some(failure), _, _) => format!("the agent of {} is not ready: {failure}", self.args.node),
            (None, None, _) if self.eni.is_some() => format!(
                "the agent of {} is still learning about the cluster: it gives no address before it knows which ones \
                 pods of its node have",
                self.args.node
            ),
            (None, None, _) => format!("the agent of {} is still learning about the cluster", self.args.node),
            (None, Some(_), None) if self.eni.is_some() => {
                let complaints = self.eni.as_ref().map(EniMode::complaints).unwrap_or_default();
                let what = "waits for the operator to add a network interface or a prefix";
                format!("the agent of {} {what}; {}", self.args.node, complaints.join("; "))
            }
            (None, Some(_), None) => {
                format!(
                    "the agent of {0} has no range of addresses: Node {0} has no podCIDRs",
                    self.args.node
                )
            }
            _ => format!("the agent of {} is busy", self.args.node),
        }
    }
}

/// The file that holds who has which address.
const JOURNAL: &str = "addresses.journal";

/// The file that holds the numbers of label sets.
const IDENTITIES: &str = "identities.json";

/// The file that holds the numbers of other nodes' label sets.
const NODE_IDENTITIES: &str = "node-identities.json";

/// The file that holds the numbers of CIDRs in use.
const CIDRS: &str = "cidrs.json";

/// Returns at this time, or never.
async fn until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time.into()).await,
        None => std::future::pending().await,
    }
}

/// Tells a revision to whoever waits for it.
fn publish(to: &watch::Sender<u64>, revision: u64) {
    to.send_if_modified(|published| std::mem::replace(published, revision) != revision);
}

/// A refusal.
fn refuse(code: ErrorCode, message: &str) -> ErrorReply {
    ErrorReply { code, message: message.to_owned() }
}

/// Something that broke on the way.
fn broken(what: &str, error: &anyhow::Error) -> ErrorReply {
    tracing::error!(error = format!("{error:#}"), "{what}");
    refuse(ErrorCode::Internal, &format!("{what}: {error:#}"))
}

fn pod_netns(netns: Option<OwnedFd>) -> Result<Netns, ErrorReply> {
    let fd = netns.ok_or_else(|| refuse(ErrorCode::Invalid, "no network namespace came with the request"))?;
    Ok(Netns::from(fd))
}
