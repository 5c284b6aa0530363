//! What is counted about ENIs. Names are the reference's.

use std::collections::{BTreeSet, HashMap};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ipam::ec2::{Error, Reply, Request};
use ipam::eni::Figures;
use ipnetwork::Ipv4Network;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfNode {
    target_node: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfSubnet {
    subnet_id: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfZone {
    subnet_id: String,
    availability_zone: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Category {
    category: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    operation: &'static str,
    response_code: String,
}

/// Gauges of nodes, and EC2's answers.
#[derive(Clone, Debug)]
pub(crate) struct EniMetrics {
    available: Family<OfNode, Gauge>,
    used: Family<OfNode, Gauge>,
    needed: Family<OfNode, Gauge>,
    nodes: Family<Category, Gauge>,
    calls: Family<Ended, Histogram, fn() -> Histogram>,
    pub(super) conflicts: Counter,
    // Gauges that only grow: a counter would be called `…_total`, which the reference's are not.
    given: Family<OfSubnet, Gauge>,
    taken: Family<OfSubnet, Gauge>,
    made: Family<OfSubnet, Gauge>,
    free: Family<OfZone, Gauge>,
    looks: Counter,
    subnets: Arc<Mutex<Subnets>>,
}

/// In which subnet interfaces are: those of the last look at all of them and since, and those of the one before.
#[derive(Debug, Default)]
struct Subnets {
    now: HashMap<String, String>,
    before: HashMap<String, String>,
}

/// What is counted of a request once it is answered.
#[derive(Debug)]
pub(super) struct Asked {
    action: &'static str,
    /// The interface that it is about.
    interface: Option<String>,
    /// Addresses that it takes back.
    releases: u64,
    /// It begins a list of a kind anew.
    begins: bool,
}

impl Asked {
    pub(super) fn of(request: &Request) -> Self {
        let (interface, releases) = match request {
            Request::Assign { interface_id, .. } => (Some(interface_id), 0),
            Request::Unassign { interface_id, addresses, prefixes } => {
                (Some(interface_id), count(addresses, prefixes))
            }
            _ => (None, 0),
        };
        let begins = match request {
            Request::DescribeSubnets { next_token, .. } => next_token.is_none(),
            // Those of single instances are asked for by another filter.
            Request::DescribeInterfaces(list) => {
                list.next_token.is_none() && list.filters.iter().any(|(name, _)| name == "vpc-id")
            }
            _ => false,
        };
        Self { action: request.action().name(), interface: interface.cloned(), releases, begins }
    }
}

/// Addresses, those of prefixes among them.
fn count(addresses: &[Ipv4Addr], prefixes: &[Ipv4Network]) -> u64 {
    addresses.len() as u64 + prefixes.iter().map(|prefix| u64::from(prefix.size())).sum::<u64>()
}

impl EniMetrics {
    pub(crate) fn new() -> Self {
        Self {
            available: Family::default(),
            used: Family::default(),
            needed: Family::default(),
            nodes: Family::default(),
            calls: Family::new_with_constructor(times),
            conflicts: Counter::default(),
            given: Family::default(),
            taken: Family::default(),
            made: Family::default(),
            free: Family::default(),
            looks: Counter::default(),
            subnets: Arc::default(),
        }
    }

    /// What only this operator counts.
    pub(crate) fn register_own(&self, own: &mut Registry) {
        own.register(
            "eni_write_conflicts",
            "CiliumNodes that were not written since they were others by then",
            self.conflicts.clone(),
        );
    }

    /// What the reference counts as well.
    pub(crate) fn register(&self, theirs: &mut Registry) {
        theirs.register("ipam_available_ips", "Pod addresses that a node has", self.available.clone());
        theirs.register("ipam_used_ips", "Pod addresses that a node uses", self.used.clone());
        theirs.register("ipam_needed_ips", "Pod addresses that a node lacks", self.needed.clone());
        theirs.register("ipam_nodes", "Nodes whose ENIs are managed, by how they fare", self.nodes.clone());
        theirs.register(
            "ipam_ip_allocation_ops",
            "Pod addresses that interfaces were given, those of prefixes among them",
            self.given.clone(),
        );
        theirs.register("ipam_ip_release_ops", "Pod addresses that were taken back", self.taken.clone());
        theirs.register("ipam_interface_creation_ops", "Interfaces that were made", self.made.clone());
        theirs.register(
            "ipam_available_ips_per_subnet",
            "Single addresses that are unused in a subnet, as EC2 said last",
            self.free.clone(),
        );
        theirs.register("ipam_resync", "Looks at all of the VPC", self.looks.clone());
        theirs.register(
            "ec2_api_duration_seconds",
            "How long EC2 took to answer, by action and how it ended",
            self.calls.clone(),
        );
    }

    pub(super) fn answered(&self, asked: &Asked, result: &Result<Reply, Error>, took: Duration) {
        let response_code = match result {
            Ok(reply) => {
                self.done(asked, reply);
                "OK".to_owned()
            }
            Err(error) => error.code.clone(),
        };
        self.calls
            .get_or_create(&Ended { operation: asked.action, response_code })
            .observe(took.as_secs_f64());
    }

    fn done(&self, asked: &Asked, reply: &Reply) {
        let mut subnets = self.subnets.lock().unwrap_or_else(PoisonError::into_inner);
        let of = |subnets: &Subnets| {
            let found =
                asked.interface.as_ref().and_then(|id| subnets.now.get(id).or(subnets.before.get(id)));
            OfSubnet { subnet_id: found.cloned().unwrap_or_default() }
        };
        match reply {
            Reply::Assigned(new) => grow(&self.given, &of(&subnets), count(&new.addresses, &new.prefixes)),
            Reply::Done if asked.releases > 0 => grow(&self.taken, &of(&subnets), asked.releases),
            Reply::Created(new) => {
                subnets.now.insert(new.id.clone(), new.subnet_id.clone());
                let label = OfSubnet { subnet_id: new.subnet_id.clone() };
                grow(&self.made, &label, 1);
                grow(&self.given, &label, count(&new.secondary_addresses, &new.prefixes));
            }
            Reply::Interfaces { interfaces, .. } => {
                if asked.begins {
                    subnets.before = std::mem::take(&mut subnets.now);
                    self.looks.inc();
                }
                subnets.now.extend(interfaces.iter().map(|one| (one.id.clone(), one.subnet_id.clone())));
            }
            Reply::Subnets { subnets, .. } => {
                if asked.begins {
                    self.free.clear();
                }
                for one in subnets {
                    let (subnet_id, availability_zone) = (one.id.clone(), one.availability_zone.clone());
                    let label = OfZone { subnet_id, availability_zone };
                    self.free.get_or_create(&label).set(one.available_addresses.into());
                }
            }
            _ => {}
        }
    }

    /// Says how all nodes fare. Those that were shown before and are gone are forgotten.
    pub(crate) fn show<'a>(
        &self,
        figures: impl Iterator<Item = (&'a str, Figures)>,
        shown: &mut BTreeSet<String>,
    ) {
        let mut gone = std::mem::take(shown);
        let (mut total, mut short, mut full) = (0, 0, 0);
        for (node, of) in figures {
            gone.remove(node);
            shown.insert(node.to_owned());
            let label = OfNode { target_node: node.to_owned() };
            for (family, number) in
                [(&self.available, of.available), (&self.used, of.used), (&self.needed, of.needed)]
            {
                family.get_or_create(&label).set(number.into());
            }
            total += 1;
            short += i64::from(of.needed > 0);
            full += i64::from(of.full);
        }
        for target_node in gone {
            let label = OfNode { target_node };
            for family in [&self.available, &self.used, &self.needed] {
                family.remove(&label);
            }
        }
        for (category, number) in [("total", total), ("in-deficit", short), ("at-capacity", full)] {
            self.nodes.get_or_create(&Category { category }).set(number);
        }
    }

    /// One of each, for the book.
    #[cfg(test)]
    pub(crate) fn exemplify(&self) {
        self.show([("n1", Figures::default())].into_iter(), &mut BTreeSet::new());
        let vpcs = Request::DescribeVpcs { ids: Vec::new() };
        self.answered(&Asked::of(&vpcs), &Ok(Reply::Vpcs(Vec::new())), Duration::ZERO);
        let subnet = || OfSubnet { subnet_id: "subnet-1".to_owned() };
        for family in [&self.given, &self.taken, &self.made] {
            grow(family, &subnet(), 1);
        }
        let zone = OfZone { subnet_id: "subnet-1".to_owned(), availability_zone: "a".to_owned() };
        self.free.get_or_create(&zone).set(1);
    }
}

fn grow(family: &Family<OfSubnet, Gauge>, label: &OfSubnet, by: u64) {
    family.get_or_create(label).inc_by(i64::try_from(by).unwrap_or(i64::MAX));
}

/// From 10 milliseconds to 40 seconds: a request ends after 30.
fn times() -> Histogram {
    Histogram::new(exponential_buckets(0.01, 2.0, 13))
}

#[cfg(test)]
mod tests {
    use ipam::Timestamp;
    use ipam::ec2::{Addresses, CreateInterface, DescribeInterfaces};
    use vpc::{Region, Settings};

    use super::*;

    /// A region, and what is counted of each answer of it.
    struct Counted {
        region: Region,
        metrics: EniMetrics,
    }

    impl Counted {
        fn ask(&mut self, request: Request) -> Reply {
            let asked = Asked::of(&request);
            let reply = self.region.call(Timestamp(1), request);
            self.metrics.answered(&asked, &reply, Duration::ZERO);
            reply.unwrap()
        }
    }

    #[test]
    fn addresses_are_counted_by_their_interfaces_subnet() {
        let mut region = Region::new(Settings { throttled: false, ..Settings::default() });
        let vpc_id = region.add_vpc("10.0.0.0/16".parse().unwrap()).unwrap();
        let subnet_id = region.add_subnet(&vpc_id, "10.0.0.0/24".parse().unwrap(), "a").unwrap();
        let mut counted = Counted { region, metrics: EniMetrics::new() };
        let create = Request::CreateInterface(CreateInterface {
            subnet_id: subnet_id.clone(),
            security_groups: Vec::new(),
            description: String::new(),
            addresses: Some(Addresses::PrefixCount(1)),
            tags: Default::default(),
            client_token: "t".to_owned(),
        });
        let Reply::Created(made) = counted.ask(create) else { panic!("no interface") };
        let list = || {
            Request::DescribeInterfaces(DescribeInterfaces {
                filters: vec![("vpc-id".to_owned(), vec![vpc_id.clone()])],
                ..DescribeInterfaces::default()
            })
        };
        counted.ask(list());
        let addresses = Addresses::PrefixCount(2);
        let Reply::Assigned(given) =
            counted.ask(Request::Assign { interface_id: made.id.clone(), addresses })
        else {
            panic!("no prefixes")
        };
        counted.ask(Request::Unassign {
            interface_id: made.id.clone(),
            addresses: Vec::new(),
            prefixes: given.prefixes[..1].to_vec(),
        });
        counted.ask(Request::DescribeSubnets { vpc_id: vpc_id.clone(), next_token: None });
        let label = OfSubnet { subnet_id: subnet_id.clone() };
        let metrics = &counted.metrics;
        let of = |family: &Family<OfSubnet, Gauge>| family.get_or_create(&label).get();
        assert_eq!((of(&metrics.made), of(&metrics.given), of(&metrics.taken)), (1, 48, 16));
        assert_eq!(metrics.looks.get(), 1);
        let availability_zone =
            counted.region.subnets().find(|one| one.id == subnet_id).unwrap().availability_zone.clone();
        let free = metrics.free.get_or_create(&OfZone { subnet_id, availability_zone }).get();
        assert_eq!(free, 251 - 1 - 32, "the interface's own address, and two prefixes");
        // An interface that is gone is forgotten, two looks later.
        counted.region.reset_counters();
        counted.ask(Request::DeleteInterface { interface_id: made.id.clone() });
        counted.ask(list());
        counted.ask(list());
        let subnets = counted.metrics.subnets.lock().unwrap();
        assert!(!subnets.now.contains_key(&made.id) && !subnets.before.contains_key(&made.id));
    }
}
