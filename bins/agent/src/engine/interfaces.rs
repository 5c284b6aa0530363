//! ENI mode: the node's pods have addresses of its ENIs, and their packets leave by them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use api::{Attachment, ErrorCode, PodRef, Reply, Request};
use daemon::clock::Clock;
use ipnetwork::Ipv4Network;
use netcore::eni::{Number, concerns};
use netcore::masquerade::Mark;
use netcore::{Change as Seen, Monitor, Netns, Owned, Pace, State};

use super::{Call, Engine, JOURNAL, refuse};
use crate::addresses::AddressBook;
use crate::args::Args;
use crate::eni::follow::follow;
use crate::eni::foreign::{Claims, Foreign};
use crate::eni::netconf::NetConf;
use crate::eni::{Demand, IpMasq, NodeEnis, Publish, Wishes};
use crate::source::{Answer, OwnInterfaces, Report};
use crate::state_file;

/// The file that holds the ENIs that are known.
const ENIS: &str = "enis.json";
/// Free addresses that a node is to have where nothing is said: Cilium's `IPAMPreAllocation`.
const PRE_ALLOCATE: u64 = 8;
/// How long a pod waits for an address that the operator was asked for. The plugin waits for longer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Packets that answer what came to a pod under its own address.
const ANSWER: Mark = Mark { value: abi::mark::ANSWER, mask: abi::mark::MASK };

/// What the engine has in ENI mode beside all else.
#[derive(Debug)]
pub(super) struct EniMode {
    enis: NodeEnis,
    told: Option<OwnInterfaces>,
    /// Whether what was told was dealt with.
    followed: bool,
    /// The addresses, until the first one can be given.
    book: Option<AddressBook>,
    foreign: Foreign,
    /// Free addresses that the node is to have.
    spare: u64,
    ip_masq: Option<IpMasq>,
    native: Option<Ipv4Network>,
    monitor: Option<Monitor>,
    pace: Pace,
    /// What is plumbed.
    plumbed: (Owned, State),
    demand: Demand,
    waiting: Vec<Hungry>,
}

/// A pod that waits for an address.
#[derive(Debug)]
struct Hungry {
    call: Call,
    until: Instant,
}

impl EniMode {
    /// None in other modes.
    ///
    /// # Errors
    /// When the network configuration or the state cannot be read.
    pub(super) fn new(args: &Args, netns: &Netns, clock: Clock) -> Result<Option<Self>> {
        let Some(wishes) = configured(args)? else { return Ok(None) };
        let known = state_file::read(&args.state_dir.join(ENIS))?.unwrap_or_default();
        let keys = &args.eni;
        let spare = if wishes.ipam.pre_allocate == 0 { PRE_ALLOCATE } else { wishes.ipam.pre_allocate };
        Ok(Some(Self {
            enis: NodeEnis::new(wishes.eni, known),
            told: None,
            followed: false,
            book: Some(AddressBook::open(&args.state_dir.join(JOURNAL), &[], clock.now())?),
            foreign: Foreign::default(),
            spare,
            ip_masq: keys.enable_ip_masq_agent.then(|| IpMasq::new(&keys.ip_masq_agent_config_path)),
            native: keys.ipv4_native_routing_cidr,
            monitor: Some(Monitor::new(netns)?),
            pace: Pace::default(),
            plumbed: (Owned::default(), State::default()),
            demand: Demand::default(),
            waiting: Vec::new(),
        }))
    }

    /// What an object of this node is to say from its first moment, as far as the journal says.
    pub(super) fn introduction(&self) -> Option<Report> {
        self.book.as_ref().map(introduction)
    }

    /// Destinations that pods are not masqueraded to.
    pub(super) fn native(&self) -> BTreeSet<Ipv4Network> {
        self.enis.native(self.beside())
    }

    fn beside(&self) -> BTreeSet<Ipv4Network> {
        let listed = self.ip_masq.iter().flat_map(|file| file.cidrs().iter().copied());
        listed.chain(self.native).collect()
    }

    /// What changed in the namespace. Never returns where there is nothing to hear.
    pub(super) async fn seen(mode: &mut Option<Self>) -> Option<Seen> {
        match mode.as_mut().and_then(|mode| mode.monitor.as_mut()) {
            Some(monitor) => monitor.next().await,
            None => std::future::pending().await,
        }
    }

    /// When the plumbing is to be looked at.
    pub(super) fn due(&self) -> Option<Instant> {
        self.pace.due()
    }

    /// What a person should know.
    pub(super) fn complaints(&self) -> Vec<String> {
        let operator = self.told.iter().filter_map(|told| told.problem.as_ref());
        let operator = operator.map(|problem| format!("the operator says: {problem}"));
        let own = self.enis.complaints(Instant::now()).into_iter();
        own.chain(operator).chain(self.foreign.complaints().cloned()).collect()
    }
}

/// What an object of this node is to say from its first moment.
fn introduction(book: &AddressBook) -> Report {
    Report::Introduction(book.introduction().map(|said| said.to_string()))
}

/// What is configured about ENIs, in ENI mode.
///
/// # Errors
/// When the network configuration cannot be read.
pub(crate) fn configured(args: &Args) -> Result<Option<Wishes>> {
    if args.kubernetes.ipam != crate::source::Ipam::Eni {
        return Ok(None);
    }
    let netconf = match &args.cni.read_cni_conf {
        Some(file) => NetConf::read(file)?.0,
        None => NetConf::default(),
    };
    Ok(Some(Wishes::configured(&args.eni, &netconf)))
}

impl Engine {
    /// The operator says something of this node's interfaces.
    pub(super) fn told_interfaces(&mut self, told: OwnInterfaces) {
        if let Some(mode) = &mut self.eni {
            mode.told = Some(told);
            mode.followed = false;
        }
    }

    /// Follows what was told last of interfaces and prefixes, and finds the links. True once an address can be given.
    pub(super) async fn follow_interfaces(&mut self) -> Result<bool> {
        let used = self.numbers_in_use();
        let Some(mode) = &mut self.eni else { return Ok(false) };
        let Some(told) = mode.told.clone() else { return Ok(false) };
        if mode.followed && self.plumbed.is_some() {
            return Ok(self.addresses.is_some());
        }
        let before = mode.enis.known().clone();
        if !mode.followed {
            mode.enis.list(&told, &used);
        }
        let links = self.net.links().await.context("looking for the links of ENIs")?;
        let moved = mode.enis.find(&links, Instant::now());
        if *mode.enis.known() != before {
            // Before anything depends on it.
            state_file::write(&self.args.state_dir.join(ENIS), mode.enis.known())?;
        }
        if moved || *mode.enis.known() != before {
            self.plumbed = None;
        }
        // What the interfaces have, or will have in a moment.
        let mut own = super::plumbing::own_addresses(&self.net).await?;
        let listed = mode.enis.own_addresses().map(IpAddr::V4);
        own.extend(listed.filter(|address| !own.contains(address)).collect::<Vec<_>>());
        self.cluster.set_own_addresses(own);
        if mode.followed && !moved {
            return Ok(self.addresses.is_some());
        }
        let Some(book) = self.addresses.as_mut().or(mode.book.as_mut()) else { return Ok(false) };
        let answer = follow(book, &told, &mode.enis.usable(), self.clock.now())?;
        mode.followed = true;
        // Before the answer: nobody makes an object that says less than was promised to the one before.
        self.reports.send(introduction(book));
        // What is masqueraded depends on the prefixes.
        self.due.nodes = true;
        if self.addresses.is_none() {
            self.addresses = mode.book.take_if(|book| book.capacity() > 0);
        }
        if let Some(answer) = answer {
            self.reports.send(Report::Drained(Answer { uid: told.uid, value: answer.to_string() }));
        }
        Ok(self.addresses.is_some())
    }

    /// Keeps what other networks' pods of this node have from everybody. The API has told all pods of this node.
    pub(super) fn keep_foreign(&mut self) -> Result<()> {
        let Some(mode) = &mut self.eni else { return Ok(()) };
        let Some(book) = self.addresses.as_mut().or(mode.book.as_mut()) else { return Ok(()) };
        let connected: BTreeSet<_> =
            self.endpoints.iter().filter_map(|endpoint| endpoint.pod.as_ref()).collect();
        let claims = self.cluster.own_pods().filter(|(pod, _)| !connected.contains(pod));
        let v4 = |addresses: &[IpAddr]| {
            let v4 = addresses.iter().filter_map(|address| match address {
                IpAddr::V4(address) => Some(*address),
                IpAddr::V6(_) => None,
            });
            v4.collect()
        };
        let claims: Claims = claims.map(|(pod, addresses)| (pod, v4(addresses))).collect();
        book.keep_foreign(&mut mode.foreign, claims, self.clock.now())
            .context("keeping other networks' addresses")
    }

    /// A pod was disconnected, which the API does not know yet.
    pub(super) fn ended(&mut self, pod: Option<&PodRef>, addresses: &[IpAddr]) {
        if let (Some(mode), Some(pod)) = (&mut self.eni, pod) {
            mode.foreign.ended(pod, addresses);
        }
    }

    /// The ENIs that pods have addresses of.
    fn numbers_in_use(&self) -> BTreeSet<Number> {
        self.endpoints.iter().filter_map(|endpoint| endpoint.eni).collect()
    }

    /// Which ENI has these addresses.
    pub(super) fn eni_of(&self, addresses: &[IpAddr]) -> Option<Number> {
        let mode = self.eni.as_ref()?;
        addresses.iter().find_map(|address| match address {
            IpAddr::V4(address) => mode.enis.owner(*address),
            IpAddr::V6(_) => None,
        })
    }

    /// Tables, rules and links as they are to be.
    pub(super) fn desired_interfaces(&self) -> (Owned, State) {
        let Some(mode) = &self.eni else { return (Owned::default(), State::default()) };
        let pods = self.endpoints.iter().filter_map(|endpoint| {
            let Some(IpAddr::V4(address)) = endpoint.address(true) else { return None };
            Some((address, mode.enis.owner(address).or(endpoint.eni)?))
        });
        let pods: BTreeMap<Ipv4Addr, Number> = pods.collect();
        let native = self.args.masquerades_v4().then(|| mode.beside());
        mode.enis.plumbing(pods, native, ANSWER).state(&mode.enis.link_indexes())
    }

    /// As [`desired_interfaces`](Self::desired_interfaces), with what depends on the kernel's present state.
    pub(super) fn desired_interfaces_anew(&self) -> Result<(Owned, State)> {
        let (owned, mut state) = self.desired_interfaces();
        if let Some(mode) = &self.eni {
            state.sysctls.extend(self.netns.without_reverse_path_filter(&mode.enis.link_names())?);
        }
        Ok((owned, state))
    }

    /// Brings tables and rules in line where a pod came or went. All else is compared now and then.
    pub(super) async fn plumb_interfaces(&mut self) -> Result<()> {
        let (owned, state) = self.desired_interfaces();
        let Some(mode) = &mut self.eni else { return Ok(()) };
        let plan = netcore::plan(&owned, &state, &mode.plumbed.1);
        if plan.is_empty() {
            return Ok(());
        }
        mode.plumbed = (owned, state);
        if let Err(errors) = self.net.apply(&plan).await {
            // What is there is not known.
            self.plumbed = None;
            self.pending = true;
            return Err(super::plumbing::failed(&errors));
        }
        Ok(())
    }

    /// Takes note that all was compared with what the kernel has; `repaired` tells whether that took any doing.
    pub(super) fn interfaces_plumbed(&mut self, plumbed: (Owned, State), repaired: bool) {
        if let Some(mode) = &mut self.eni {
            mode.plumbed = plumbed;
            if mode.pace.due().is_some() {
                mode.pace.asserted(repaired, Instant::now());
            }
        }
    }

    /// Something changed in the namespace.
    pub(super) fn saw(&mut self, seen: Option<&Seen>) {
        let Some(mode) = &mut self.eni else { return };
        let is_of_concern = match seen {
            Some(seen) => concerns(seen, &mode.plumbed.0, &mode.plumbed.1, &mode.enis.awaited()),
            None => {
                tracing::warn!("the kernel's news have ended, and are listened to anew");
                mode.monitor = Monitor::new(&self.netns)
                    .inspect_err(|error| tracing::error!(%error, "ENIs are looked after now and then only"))
                    .ok();
                true
            }
        };
        if is_of_concern {
            mode.pace.noticed(Instant::now());
        }
    }

    /// Looks at links, addresses, routes and rules, and puts back what is not as it should be.
    pub(super) async fn assert_interfaces(&mut self) {
        self.plumbed = None;
        // Before the source has told all, it is not known what is to be there.
        if self.observed.is_some() {
            self.catch_up().await;
        }
        if let Some(mode) = &mut self.eni
            && mode.pace.due().is_some()
        {
            // It failed, and is tried again at the next tick.
            mode.pace.asserted(true, Instant::now());
        }
    }

    /// What is due each second.
    pub(super) async fn tend_interfaces(&mut self) {
        let Some(mode) = &mut self.eni else { return };
        if let Some(file) = &mut mode.ip_masq {
            match file.refresh() {
                Ok(true) => {
                    tracing::info!("other destinations are masqueraded");
                    self.plumbed = None;
                    self.pending = true;
                }
                Ok(false) => {}
                Err(error) => tracing::error!(%error, "what is masqueraded stays as it is"),
            }
        }
        self.report_demand();
        self.feed().await;
    }

    /// Tells the operator how many addresses are needed, if that is due.
    pub(super) fn report_demand(&mut self) {
        let Some(mode) = &mut self.eni else { return };
        let Some(book) = self.addresses.as_ref().or(mode.book.as_ref()) else { return };
        let case = Publish {
            needed: book.used() + mode.waiting.len() as u64 + mode.spare,
            uses: book.prefixes_in_use(self.clock.now().into()),
        };
        if let Some(told) = mode.demand.due(&case, Instant::now()) {
            self.reports.send(Report::Addresses(told));
        }
    }

    /// Keeps a request to connect a pod for which there is no address until the operator has added some. Gives back
    /// what need not wait.
    pub(super) fn keep_hungry(&mut self, call: Call) -> Option<Call> {
        let Request::Add { attachment, .. } = &call.request else { return Some(call) };
        if !self.is_ready() || self.can_give(attachment) {
            return Some(call);
        }
        let Some(mode) = &mut self.eni else { return Some(call) };
        mode.waiting.push(Hungry { call, until: Instant::now() + PATIENCE });
        self.report_demand();
        None
    }

    fn can_give(&mut self, attachment: &Attachment) -> bool {
        self.addresses.as_mut().is_none_or(|book| book.can_give(attachment, self.clock.now()))
    }

    /// Connects pods that waited for an address, where there is one; refuses those that waited for long enough.
    pub(super) async fn feed(&mut self) {
        let Some(mode) = &mut self.eni else { return };
        for hungry in std::mem::take(&mut mode.waiting) {
            let Request::Add { attachment, .. } = &hungry.call.request else { continue };
            let is_late = Instant::now() >= hungry.until;
            if is_late || self.is_ready() && self.can_give(attachment) {
                self.serve(hungry.call).await;
            } else if let Some(mode) = &mut self.eni {
                mode.waiting.push(hungry);
            }
        }
    }

    /// Whoever disconnects an attachment does not want it to be connected any more.
    pub(super) fn give_up_hungry(&mut self, request: &Request) {
        let (Some(mode), Request::Del { attachment }) = (&mut self.eni, request) else { return };
        let is_same = |hungry: &mut Hungry| matches!(&hungry.call.request, Request::Add { attachment: of, .. } if of == attachment);
        for hungry in mode.waiting.extract_if(.., is_same) {
            let message = format!("the attachment {attachment} was disconnected meanwhile");
            let _ = hungry.call.answer.send(Reply::Error(refuse(ErrorCode::Unhealthy, &message)));
        }
    }

    /// Why there is no address, as far as it is known.
    pub(super) fn no_address(&self, why: &str) -> String {
        let Some(mode) = &self.eni else { return why.to_owned() };
        let asked =
            self.addresses.as_ref().map_or(0, AddressBook::used) + mode.waiting.len() as u64 + 1 + mode.spare;
        let complaints = mode.complaints();
        let answer = if complaints.is_empty() {
            "it has not added enough yet".to_owned()
        } else {
            complaints.join("; ")
        };
        format!("{why}; the operator was asked for {asked} in all: {answer}")
    }
}
