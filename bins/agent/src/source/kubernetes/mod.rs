//! The Kubernetes API as the source of objects, and the place where the node publishes what others need to know.
//!
//! ```text
//!   watches --Told--> Picture --Change--> engine
//!                        |
//!   API <---Call---- Publisher <--Report-- engine
//! ```
//!
//! One task owns all of it. While the API is away, what it told stays in force, and what is to be published waits.
//! Nothing here blocks the engine: reports wait in their channel, and changes are sent as the engine takes them.

mod endpoints;
mod identities;
mod kind;
mod lost;
mod nodes;
mod owner;
mod picture;
mod publish;
mod stored;
mod watches;

use std::collections::VecDeque;
use std::iter;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use futures_util::stream::{BoxStream, FuturesUnordered, SelectAll, StreamExt};
use futures_util::{FutureExt, future};
use kube::Client;
use tokio::sync::mpsc::{Sender, UnboundedReceiver};

use super::{Change, Report};
use crate::metrics::Counts;
use kind::Kind;
use picture::Picture;
use publish::{Call, Publisher, Subject, Terms};
use watches::Told;

/// Changes that wait for the engine before the watches are left alone.
const WAITING: usize = 1024;
/// Events that are taken together, at most.
const TOGETHER: usize = 256;
/// Changes that are handed to the engine together, at most.
const AT_ONCE: usize = 64;
/// How often it is said what the start waits for.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where the node's ranges of pod addresses come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Ipam {
    /// The operator cuts them out of the cluster's ranges, and writes them into the CiliumNode.
    #[default]
    ClusterPool,
    /// `spec.podCIDRs` of the Node.
    Kubernetes,
    /// Network interfaces of AWS, which the operator makes.
    Eni,
}

/// Who makes numbers stand for labels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum IdentityManagement {
    /// Each agent, for the pods of its node.
    #[default]
    Agent,
    /// The operator, for all pods.
    Operator,
    /// Whoever is first.
    Both,
}

/// How the API is used.
#[derive(Clone, Debug)]
pub struct Options {
    /// This node's name.
    pub node: String,
    /// Where the node's ranges of pod addresses come from.
    pub ipam: Ipam,
    /// Who makes numbers stand for labels.
    pub identities: IdentityManagement,
    /// Whether pods of other nodes are told in slices.
    pub slices: bool,
    /// Directory for what policies were when they were valid last.
    pub last_valid: PathBuf,
    /// File for the ranges of pod addresses that the node had last.
    pub ranges: PathBuf,
    /// Where what the API tells is counted.
    pub counts: Counts,
}

/// The Kubernetes API.
pub struct Kubernetes {
    client: Client,
    node: String,
    watches: SelectAll<BoxStream<'static, Told>>,
    /// The kind that tells of pods elsewhere, until it is watched.
    endpoints: Option<Kind>,
    counts: Counts,
    picture: Picture,
    publisher: Publisher,
    calls: FuturesUnordered<future::BoxFuture<'static, (Subject, Call, kube::Result<()>)>>,
    /// Changes that the engine has not taken yet.
    outbox: VecDeque<Change>,
    /// How many times it was said that all is known.
    observed: u64,
    /// Whether something may be due to be published.
    stirred: bool,
    /// When something will be, if nothing happens before.
    wake: Option<Instant>,
}

impl Kubernetes {
    /// The API that a client talks to. Nothing is asked yet.
    ///
    /// # Errors
    /// When the machine's boot cannot be told from others, or what an earlier agent kept cannot be read.
    pub fn new(client: Client, options: Options) -> Result<Self> {
        let boot_id = daemon::clock::boot_id().context("reading the boot's id")?;
        let endpoints = if options.slices { Kind::CiliumEndpointSlice } else { Kind::CiliumEndpoint };
        let wanted: Vec<Kind> = Kind::COMMON.into_iter().chain([endpoints]).collect();
        let terms = Terms {
            node: options.node.clone(),
            boot_id,
            ranges_of_node: options.ipam == Ipam::Kubernetes,
            allocates: options.identities != IdentityManagement::Operator,
            slices: options.slices,
        };
        Ok(Self {
            watches: SelectAll::new(),
            endpoints: Some(endpoints),
            picture: Picture::open(&options.node, wanted, options.last_valid, options.ranges)?,
            publisher: Publisher::new(terms),
            calls: FuturesUnordered::new(),
            outbox: VecDeque::new(),
            observed: 0,
            stirred: true,
            wake: None,
            node: options.node,
            counts: options.counts,
            client,
        })
    }

    /// Sends what is there, then what changes, and publishes what is reported, until nobody listens.
    ///
    /// # Errors
    /// None: what fails is tried again.
    pub async fn run(
        mut self,
        changes: Sender<Change>,
        mut reports: UnboundedReceiver<Report>,
    ) -> Result<()> {
        for kind in Kind::COMMON {
            self.watches.push(watches::open(self.client.clone(), kind, &self.node));
        }
        let mut patience = tokio::time::interval(PATIENCE);
        patience.tick().await;
        let mut reporting = true;
        let at_once = changes.max_capacity().min(AT_ONCE);
        loop {
            if std::mem::take(&mut self.stirred) {
                self.publish();
            }
            tokio::select! {
                biased;
                // Before the engine hears of anything: requests are on their way while it works, for which others wait.
                Some((subject, call, outcome)) = self.calls.next() => {
                    self.publisher.done(&subject, &call, &outcome, Instant::now());
                    self.stirred = true;
                }
                permit = changes.reserve_many(self.outbox.len().min(at_once)), if !self.outbox.is_empty() => {
                    let Ok(permits) = permit else { return Ok(()) };
                    for (permit, change) in permits.zip(iter::from_fn(|| self.outbox.pop_front())) {
                        permit.send(change);
                    }
                }
                report = reports.recv(), if reporting => match report {
                    Some(report) => self.report(report, &mut reports),
                    None => reporting = false,
                },
                Some(told) = self.watches.next(), if self.outbox.len() < WAITING => self.take(told),
                () = sleep_until(self.wake) => self.stirred = true,
                _ = patience.tick(), if !self.picture.is_complete() => self.complain(),
                () = changes.closed() => return Ok(()),
            }
        }
    }

    /// Takes note of a report and of all that are there already.
    fn report(&mut self, first: Report, more: &mut UnboundedReceiver<Report>) {
        let mut next = Some(first);
        while let Some(report) = next {
            self.publisher.report(report, Instant::now());
            next = more.try_recv().ok();
        }
        self.stirred = true;
    }

    /// Takes note of what a watch tells, and of what else they tell at this moment.
    fn take(&mut self, first: Told) {
        let (mut changes, mut is_news) = (Vec::new(), false);
        let mut next = Some(first);
        for _ in 0..TOGETHER {
            let Some(told) = next else { break };
            self.counts.told(told.kind().name(), told.action());
            is_news |= self.picture.take(told, &mut changes);
            self.watch_endpoints();
            next = self.watches.next().now_or_never().flatten();
        }
        // The last one was taken from the watches already.
        is_news |= next.is_some_and(|told| self.picture.take(told, &mut changes));
        self.counts.known(self.picture.identities.len(), self.picture.nodes.count());
        self.stirred |= self.picture.take_stirred();
        if is_news {
            self.tell(changes);
        } else {
            self.outbox.extend(changes);
        }
    }

    /// Tells changes with which all is known.
    fn tell(&mut self, changes: Vec<Change>) {
        self.outbox.extend(changes);
        self.observed += 1;
        if self.observed == 1 {
            tracing::info!("the API has told everything");
        }
        self.outbox.push_back(Change::Observed(self.observed));
    }

    /// Says what the start waits for.
    fn complain(&self) {
        if self.picture.nodes.own.is_none() {
            tracing::warn!(node = self.node, "waiting for the API to have this Node");
        }
        let missing: Vec<&str> = self.picture.missing().map(Kind::name).collect();
        tracing::warn!(kinds = missing.join(", "), "waiting for the API to tell of these");
    }

    /// Which endpoints are this node's is told by its addresses: those come first.
    fn watch_endpoints(&mut self) {
        if self.picture.nodes.own.is_some()
            && let Some(kind) = self.endpoints.take()
        {
            self.watches.push(watches::open(self.client.clone(), kind, &self.node));
        }
    }

    /// Believes the API server that what it lost is gone, once that opens no pod that it lost too.
    fn give_up_lost(&mut self, now: Instant) {
        let Some(next) = self.picture.lost.next() else { return };
        if next > now {
            self.wake = Some(self.wake.map_or(next, |wake| wake.min(next)));
        } else if !self.publisher.has_orphans(&self.picture) {
            let mut changes = Vec::new();
            self.picture.give_up_lost(now, &mut changes);
            self.tell(changes);
            self.stirred = true;
        }
    }

    /// Starts what is due.
    fn publish(&mut self) {
        let due;
        let now = Instant::now();
        (due, self.wake) = self.publisher.due(&self.picture, now);
        self.give_up_lost(now);
        for (subject, call) in due {
            let client = self.client.clone();
            self.calls.push(
                async move {
                    let outcome = call.run(client).await;
                    (subject, call, outcome)
                }
                .boxed(),
            );
        }
    }
}

async fn sleep_until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment.into()).await,
        None => future::pending().await,
    }
}
