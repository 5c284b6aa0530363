//! A model of the loop of Cilium's operator (1.20, `ipam.mode=eni` with prefix delegation), at its best.
//!
//! | constant | source |
//! |---|---|
//! | 4 requests a second, 20 at once, for all actions together | `limit-ipam-api-qps`, `limit-ipam-api-burst` |
//! | all interfaces, subnets, VPCs, groups and route tables each minute | the resync of `operator/pkg/ipam` |
//! | the instance's interfaces again after each change | `nodemanager`: instance sync after a mutation |
//! | the node's use is told at most each 15 s | `ipam.ciliumNodeUpdateRate` |
//! | 50 nodes at once | `parallel-alloc-workers` |
//! | needed = pre-allocate + used - available, and what pods wait for beyond it | `nodemanager/node.go` |
//! | one interface more: create with prefixes, attach, modify | `pkg/aws/ipam/node.go` |
//! | of the subnets that are allowed the one with most addresses; an interface there while its subnet has any | likewise: `findSuitableSubnet` |
//! | without a free /28: single addresses of the same subnet, and no prefixes for the node any more | likewise: `AllocateIPs`, cilium #46644 |

use std::collections::VecDeque;
use std::time::Duration;

use ipam::Timestamp;
use ipam::ec2::{Addresses, CreateInterface, DescribeInterfaces, ErrorKind, Reply, Request};
use ipam::eni::PREFIX_ADDRESSES;

use super::clock::Clock;
use super::world::World;
use super::{LATENCY, PATIENCE, apart};

const PER_SECOND: f64 = 4.0;
const BURST: f64 = 20.0;
const RESYNC: Duration = Duration::from_secs(60);
const TOLD: Duration = Duration::from_secs(15);
const WORKERS: usize = 50;

/// What a node's worker is about to do.
#[derive(Clone, Debug)]
enum Step {
    /// Look what is needed.
    Look,
    /// Attach the new interface.
    Attach(String),
    /// Have it deleted with its instance.
    Modify(String, String),
    /// Ask for the instance's interfaces again.
    Refresh,
}

#[derive(Debug)]
enum Event {
    /// A node's worker goes on.
    Work(usize, Step),
    /// The next of the minute's lists.
    Resync,
    /// The agent tells what it uses.
    Told(usize),
}

/// The one bucket of the client.
struct Bucket {
    tokens: f64,
    at: Timestamp,
}

impl Bucket {
    /// Takes a token; how long to wait for it.
    fn take(&mut self, now: Timestamp) -> Duration {
        self.tokens = (self.tokens + now.since(self.at).as_secs_f64() * PER_SECOND).min(BURST) - 1.0;
        self.at = now;
        Duration::try_from_secs_f64(-self.tokens / PER_SECOND).unwrap_or(Duration::ZERO)
    }
}

struct Model<'a> {
    world: &'a mut World,
    clock: Clock<Event>,
    bucket: Bucket,
    /// Addresses in use, as the operator was told.
    used: Vec<u32>,
    waiting: VecDeque<usize>,
    /// Whether a node waits for a worker, or has one.
    busy: Vec<bool>,
    working: usize,
}

/// Runs until all pods have an address; after how many seconds that was.
pub(super) fn run(world: &mut World) -> Option<f64> {
    let nodes = world.nodes.len();
    let mut model = Model {
        clock: Clock::new(),
        bucket: Bucket { tokens: BURST, at: Timestamp(0) },
        used: vec![0; nodes],
        waiting: VecDeque::new(),
        busy: vec![false; nodes],
        working: 0,
        world,
    };
    model.clock.at(Timestamp(0), Event::Resync);
    for node in 0..nodes {
        // All nodes are known from the beginning, as they are to Netloom's operator.
        model.clock.at(Timestamp(0), Event::Told(node));
    }
    while model.world.goes_on(model.clock.now()) {
        let event = model.clock.next()?;
        if !model.world.goes_on(model.clock.now()) {
            break;
        }
        if model.clock.now() > Timestamp(0).after(PATIENCE) {
            return None;
        }
        model.world.advance(model.clock.now());
        model.handle(event);
    }
    Some(model.clock.seconds())
}

impl Model<'_> {
    fn handle(&mut self, event: Event) {
        match event {
            Event::Resync => {
                let vpc_id = self.world.vpc_id.clone();
                let interfaces = Request::DescribeInterfaces(DescribeInterfaces {
                    filters: vec![("vpc-id".to_owned(), vec![vpc_id.clone()])],
                    page: Some(1000),
                    ..DescribeInterfaces::default()
                });
                let subnets = Request::DescribeSubnets { vpc_id: vpc_id.clone(), next_token: None };
                let groups = Request::DescribeSecurityGroups { vpc_id: vpc_id.clone(), next_token: None };
                for request in [interfaces, subnets, Request::DescribeVpcs { ids: vec![vpc_id] }, groups] {
                    let _ = self.ask(request);
                }
                self.clock.after(RESYNC, Event::Resync);
            }
            Event::Told(node) => {
                let addresses = self.world.addresses(node);
                self.world.nodes[node].place(addresses);
                self.used[node] = self.world.nodes[node].placed;
                if !std::mem::replace(&mut self.busy[node], true) {
                    self.waiting.push_back(node);
                }
                // Agents are at different moments of their 15 s: the second time comes sooner, which does the model no harm.
                let is_first = self.clock.now() == Timestamp(0);
                let next = if is_first { apart(TOLD, node, self.busy.len()) } else { TOLD };
                self.clock.after(next, Event::Told(node));
                self.start();
            }
            Event::Work(node, step) => self.work(node, step),
        }
    }

    /// Gives nodes that wait a worker.
    fn start(&mut self) {
        while self.working < WORKERS
            && let Some(node) = self.waiting.pop_front()
        {
            self.working += 1;
            self.clock.at(self.clock.now(), Event::Work(node, Step::Look));
        }
    }

    /// Asks EC2 when the client's bucket allows it; how long until the answer is there.
    fn ask(&mut self, request: Request) -> (Duration, Result<Reply, ipam::ec2::Error>) {
        let now = self.clock.now();
        let wait = self.bucket.take(now);
        (wait + LATENCY, self.world.ask(now.after(wait), request))
    }

    fn work(&mut self, node: usize, step: Step) {
        let next = match step {
            Step::Look => self.look(node),
            Step::Attach(interface_id) => {
                let request = Request::Attach {
                    interface_id: interface_id.clone(),
                    instance_id: self.world.nodes[node].instance_id.clone(),
                    device_index: self.free_index(node),
                };
                match self.ask(request) {
                    (took, Ok(Reply::Attached { attachment_id })) => {
                        Some((took, Step::Modify(interface_id, attachment_id)))
                    }
                    (took, _) => Some((took + Duration::from_secs(1), Step::Attach(interface_id))),
                }
            }
            Step::Modify(interface_id, attachment_id) => {
                let request = Request::SetDeleteOnTermination { interface_id, attachment_id, delete: true };
                Some((self.ask(request).0, Step::Refresh))
            }
            Step::Refresh => {
                let instance_id = self.world.nodes[node].instance_id.clone();
                let request = Request::DescribeInterfaces(DescribeInterfaces {
                    filters: vec![("attachment.instance-id".to_owned(), vec![instance_id])],
                    ..DescribeInterfaces::default()
                });
                let _ = self.ask(request);
                None
            }
        };
        match next {
            Some((wait, step)) => self.clock.after(wait, Event::Work(node, step)),
            None => {
                // The agent sees new addresses at once, and gives them; it tells later what it uses.
                let addresses = self.world.addresses(node);
                self.world.nodes[node].place(addresses);
                self.busy[node] = false;
                self.working -= 1;
                self.start();
            }
        }
    }

    /// The lowest device index that pods may have and nobody has.
    fn free_index(&self, node: usize) -> u32 {
        let there = u32::try_from(self.world.interfaces(node).len()).unwrap_or(u32::MAX);
        self.world.scenario.first_interface_index + there
    }

    fn look(&mut self, node: usize) -> Option<(Duration, Step)> {
        let available = self.world.addresses(node);
        let (used, pending) = (self.used[node], self.world.nodes[node].pending);
        let needed = (self.world.scenario.pre_allocate + used).saturating_sub(available);
        let surge = pending.saturating_sub(needed);
        if needed == 0 {
            return None;
        }
        let slots = self.world.limits().slots;
        let room = self.world.interfaces(node).into_iter().find_map(|interface| {
            let free = (slots + 1).saturating_sub(interface.slots());
            let available = self.world.available(&interface.subnet_id);
            (free > 0 && available > 0).then(|| (interface.id.clone(), free, available))
        });
        if let Some((interface_id, free, available)) = room {
            let addresses = self.addresses(node, needed + surge, free, available);
            let (took, result) = self.ask(Request::Assign { interface_id, addresses });
            return Some((took, self.after(node, &result)));
        }
        if self.world.interfaces(node).len() as u32 + self.world.scenario.first_interface_index
            >= self.world.instance_type.interfaces
        {
            return None;
        }
        let apart = self.world.scenario.first_interface_index > 0;
        let richest = self.world.pod_subnets.iter().rev().max_by_key(|subnet| self.world.available(subnet));
        let subnet_id = richest.filter(|_| apart).unwrap_or(&self.world.nodes[node].subnet_id).clone();
        // One is the interface's own.
        let available = self.world.available(&subnet_id).saturating_sub(1);
        let addresses = self.addresses(node, needed + surge, slots, available);
        let request = Request::CreateInterface(CreateInterface {
            subnet_id,
            security_groups: Vec::new(),
            description: "model".to_owned(),
            addresses: Some(addresses),
            tags: Default::default(),
            client_token: format!("{node}-{}", self.clock.now().0),
        });
        match self.ask(request) {
            (took, Ok(Reply::Created(interface))) => Some((took, Step::Attach(interface.id))),
            // Otherwise it is tried again when the node is looked at next.
            (took, result) => matches!(self.after(node, &result), Step::Look).then_some((took, Step::Look)),
        }
    }

    /// What is asked for: so many addresses, in so many slots, of so many that the subnet has.
    fn addresses(&self, node: usize, wanted: u32, slots: u32, available: u32) -> Addresses {
        if self.world.nodes[node].single_addresses {
            Addresses::Count(wanted.min(slots).min(available))
        } else {
            Addresses::PrefixCount(wanted.div_ceil(PREFIX_ADDRESSES).min(slots))
        }
    }

    /// Without a free prefix the same is asked for as single addresses, at once and from then on.
    fn after(&mut self, node: usize, result: &Result<Reply, ipam::ec2::Error>) -> Step {
        let is_full = result.as_ref().is_err_and(|error| error.kind == ErrorKind::NoFreePrefix);
        let of = &mut self.world.nodes[node].single_addresses;
        if is_full && !std::mem::replace(of, true) { Step::Look } else { Step::Refresh }
    }
}
