//! Feeds the fleet and has done what it wants, for one term.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use daemon::clock::Clock;
use ipam::Timestamp;
use ipam::ec2::Ec2;
use ipam::eni::{Config, Fleet, NodeRecord};
use kubernetes::watch::Key;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::errand::{Answer, Errands};
use super::pending::Pending;
use crate::controllers::Context;
use crate::store::Changes;

/// The name that the watchdog knows it by.
const DUTY: &str = "network interfaces";
/// The part of the program's health that stands for EC2: whether it answers, and allows what is asked of it.
pub(crate) const PART: &str = "ec2";
/// It looks at least so often.
const LONGEST: Duration = Duration::from_secs(60);
/// Changes that come so close together are looked at once.
const QUIET: Duration = Duration::from_millis(20);
/// Metrics of nodes are computed no more often.
const SHOWN: Duration = Duration::from_secs(1);

/// Keeps interfaces and addresses of all nodes as they should be.
pub(crate) async fn keep(context: Context) {
    let (Some(options), Some(ec2)) = (context.options.eni.clone(), context.ec2.clone()) else { return };
    context.nodes.synced().await;
    context.cilium_nodes.synced().await;
    context.pods.synced().await;
    let clock = Clock::start();
    let errands = Errands::new(
        ec2,
        context.leadership.clone(),
        context.writer.clone(),
        Arc::clone(&context.nodes),
        Arc::clone(&context.cilium_nodes),
        context.metrics.eni.clone(),
        clock,
    );
    let sight = Sight::of(&context);
    let config = sight.config(options.config).await;
    tracing::info!(vpc = config.vpc_id, cluster = config.cluster_name, "network interfaces are managed");
    if config.cluster_name == policy::ClusterName::default().to_string() {
        tracing::warn!(
            "cluster-name is the default: where another cluster in this VPC has the same, each takes the other's \
             interfaces for its own"
        );
    }
    sight.work(errands, config, clock).await;
}

/// What the fleet is told of objects.
struct Sight {
    context: Context,
    changed: Arc<Notify>,
    changed_nodes: Arc<Changes>,
    changed_pods: Arc<Changes>,
    pending: Pending,
    /// Nodes of another VPC, which are left alone.
    strangers: BTreeSet<String>,
}

impl Sight {
    fn of(context: &Context) -> Self {
        let changed = Arc::<Notify>::default();
        context.cilium_nodes.tell(&changed);
        context.pods.tell(&changed);
        Self {
            changed_nodes: context.cilium_nodes.changes(),
            changed_pods: context.pods.changes(),
            context: context.clone(),
            changed,
            pending: Pending::default(),
            strangers: BTreeSet::new(),
        }
    }

    /// The settings with the VPC; where none is configured, most nodes' one, once a node says so.
    async fn config(&self, config: Config) -> Config {
        if !config.vpc_id.is_empty() {
            return config;
        }
        loop {
            let mut votes: BTreeMap<String, u64> = BTreeMap::new();
            for node in self.context.cilium_nodes.read().values() {
                if let Some(vpc) = node.eni.as_ref().and_then(|eni| eni.vpc_id.clone()) {
                    *votes.entry(vpc).or_default() += 1;
                }
            }
            if let Some((vpc_id, _)) = votes.into_iter().max_by_key(|(_, votes)| *votes) {
                return Config { vpc_id, ..config };
            }
            self.wait(LONGEST).await;
        }
    }

    /// Until an object changes, for so long at most.
    async fn wait(&self, longest: Duration) {
        self.context.watchdog.moved(DUTY, LONGEST);
        _ = tokio::time::timeout(longest, self.changed.notified()).await;
        self.context.watchdog.moved(DUTY, Duration::ZERO);
    }

    /// For ever.
    async fn work<E: Ec2 + Clone + 'static>(mut self, errands: Errands<E>, config: Config, clock: Clock) {
        let vpc_id = config.vpc_id.clone();
        let mut fleet = Fleet::new(config, Timestamp::from(clock.now()).0);
        // Dropped with the term: what is under way then is given up.
        let mut tasks: JoinSet<Answer> = JoinSet::new();
        let (mut shown, mut names) = (None::<Instant>, BTreeSet::new());
        loop {
            self.observe(&mut fleet, &vpc_id);
            let now = Timestamp::from(clock.now());
            let left = self.context.leadership.left();
            fleet.leads_until((!left.is_zero()).then(|| now.after(left)), now);
            for outgoing in fleet.poll(now) {
                tasks.spawn(errands.clone().run(outgoing));
            }
            if shown.is_none_or(|at| at.elapsed() >= SHOWN) {
                self.context.metrics.eni.show(fleet.figures(now), &mut names);
                shown = Some(Instant::now());
            }
            self.context.health.set(PART, answers(&fleet));
            let pause = until(fleet.wake(), clock.now().into());
            self.context.watchdog.moved(DUTY, LONGEST);
            tokio::select! {
                Some(answer) = tasks.join_next() => {
                    let mut answer = Some(answer);
                    while let Some(result) = answer {
                        match result {
                            Ok(answer) => answer.tell(&mut fleet, clock, |node| self.pending.of(node)),
                            // The watch shows a new leader what came of it; this one would wait for ever.
                            Err(error) => std::panic::resume_unwind(error.into_panic()),
                        }
                        answer = tasks.try_join_next();
                    }
                }
                () = self.changed.notified() => tokio::time::sleep(QUIET).await,
                () = tokio::time::sleep(pause) => {}
            }
            self.context.watchdog.moved(DUTY, Duration::ZERO);
        }
    }

    /// Tells the fleet what changed.
    fn observe(&mut self, fleet: &mut Fleet, vpc_id: &str) {
        let mut names = BTreeSet::new();
        for key in self.changed_pods.take() {
            let pod = self.context.pods.get(&key);
            self.pending.set(&key, pod.as_deref(), &mut names);
        }
        names.extend(self.changed_nodes.take().into_iter().map(|key| key.name().to_owned()));
        for name in names {
            let node = self.context.cilium_nodes.get(&Key::new("", &name));
            let Some(eni) = node.as_ref().and_then(|node| node.eni.as_ref()) else {
                self.strangers.remove(&name);
                fleet.forget(&name);
                continue;
            };
            if let Some(other) = eni.vpc_id.as_ref().filter(|id| *id != vpc_id) {
                if self.strangers.insert(name.clone()) {
                    tracing::warn!(
                        node = name,
                        vpc = other,
                        ours = vpc_id,
                        "left alone: it is of another VPC"
                    );
                }
                fleet.forget(&name);
                continue;
            }
            self.strangers.remove(&name);
            fleet.observe(NodeRecord { pending_pods: self.pending.of(&name), ..eni.record.clone() });
        }
    }
}

/// Whether EC2 does what the fleet as a whole asks of it; else all that it does not, and why.
fn answers(fleet: &Fleet) -> Result<(), String> {
    let hindrances: Vec<String> = fleet.hindrances().into_iter().map(ToString::to_string).collect();
    if hindrances.is_empty() { Ok(()) } else { Err(hindrances.join("; ")) }
}

/// How long until then.
fn until(wake: Option<Timestamp>, now: Timestamp) -> Duration {
    // Not in a tight loop, if something is due that cannot be done.
    wake.map_or(LONGEST, |at| at.since(now)).clamp(Duration::from_millis(10), LONGEST)
}
