//! The ways to other nodes' pods, and what is in the way.
//!
//! Other nodes say of themselves where they are and which addresses they have, and may say what cannot be: a gateway
//! that this node does not reach, a range that is another's. That is a matter of those nodes' pods, and never keeps this
//! node from connecting its own.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use ipnetwork::IpNetwork;
use netcore::{Failure, Route, State, Step};

use super::Engine;
use crate::cluster::Contested;

/// The first pause before what failed is tried again; each is twice as long as the one before.
const FIRST: Duration = Duration::from_secs(1);
/// The longest pause.
const LONGEST: Duration = Duration::from_secs(60);

/// Something that is in the way to a range: the range where there is one, and a sentence.
pub(super) type Obstacle = (Option<IpNetwork>, String);

/// The ways to other nodes' pods.
#[derive(Debug, Default)]
pub(super) struct Ways {
    /// The routes that there should be.
    pub(super) routes: State,
    /// Why some ranges have none.
    pub(super) obstacles: BTreeSet<Obstacle>,
}

/// What is in the way to other nodes' pods.
#[derive(Debug, Default)]
pub(super) struct Obstacles {
    known: BTreeSet<Obstacle>,
    /// When it is to be tried again, and the pause before that.
    retry: Option<(Instant, Duration)>,
}

impl Obstacles {
    /// These are the obstacles now. What is new is told.
    pub(super) fn note(&mut self, now: BTreeSet<Obstacle>, at: Instant) {
        for (_, what) in now.difference(&self.known) {
            tracing::warn!("{what}");
        }
        if now.is_empty() && !self.known.is_empty() {
            tracing::info!("nothing is in the way to other nodes' pods any more");
        }
        self.retry = match self.retry {
            _ if now.is_empty() => None,
            // Others are tried again as soon as before, and one more does not hold them up.
            Some((then, pause)) if at < then => Some((then, pause)),
            Some((_, pause)) => {
                let pause = (pause * 2).min(LONGEST);
                Some((at + pause, pause))
            }
            None => Some((at + FIRST, FIRST)),
        };
        self.known = now;
    }

    /// Whether it is time to try again.
    pub(super) fn is_due(&self, at: Instant) -> bool {
        self.retry.is_some_and(|(then, _)| at >= then)
    }

    /// The obstacles, for people.
    pub(super) fn sentences(&self) -> impl Iterator<Item = String> + '_ {
        self.known.iter().map(|(_, what)| what.clone())
    }

    /// How many ranges cannot be reached.
    pub(super) fn ranges(&self) -> u64 {
        let ranges: BTreeSet<IpNetwork> = self.known.iter().filter_map(|(range, _)| *range).collect();
        ranges.len() as u64
    }
}

impl Engine {
    /// The ways to the pods of other nodes.
    pub(super) fn ways(&self) -> Ways {
        let (ranges, contested) = self.cluster.ranges_elsewhere();
        let mut ways = Ways::default();
        for Contested { range, node, owner } in contested {
            let what = format!("the range {range} of node {node} is left alone: it is node {owner}'s");
            ways.obstacles.insert((None, what));
        }
        for (range, node) in ranges {
            let gateway = node.addresses.iter().find(|address| address.is_ipv4() == range.is_ipv4());
            match gateway {
                Some(gateway) => {
                    ways.routes.routes.insert(Route::to(range).via(*gateway).dev(self.uplink.device()));
                }
                None => {
                    let what = format!("no address of node {} leads to its pods in {range}", node.name);
                    ways.obstacles.insert((Some(range), what));
                }
            }
        }
        ways
    }
}

/// Makes of the routes that should be those that are, where a step failed. Returns what is in the way.
pub(super) fn keep_what_is(routes: &mut State, failure: Failure) -> Obstacle {
    let range = match failure.step {
        Step::AddRoute(route) => {
            routes.routes.remove(&route);
            Some(route.destination)
        }
        Step::ReplaceRoute { from, to } => {
            routes.routes.remove(&to);
            let range = to.destination;
            routes.routes.insert(from);
            Some(range)
        }
        Step::RemoveRoute(route) => {
            routes.routes.insert(route);
            None
        }
        _ => None,
    };
    (range, format!("the way to other nodes' pods is not as it should be: {}", failure.error))
}
