//! How it is measured.

use std::collections::BTreeSet;
use std::hint::black_box;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ::policy::cidr::{canonical, contains};
use ::policy::{
    CidrScope, Compiled, Label, LabelSet, PeerSelector, Peers, Policy, PortMatch, Ports, Repository, Rule,
    prefixes,
};
use abi::{Direction, Identity, Peer};

use super::Options;
use super::clock::Moment;
use super::cluster::{SUBJECTS, pod};
use super::heap;
use super::policies::{About, pairs, policy};
use super::report::{AddIdentity, Adversarial, Cold, Entries, Report};

const DIRECTIONS: [Direction; 2] = [Direction::Ingress, Direction::Egress];
pub(super) type Pod = (IpAddr, Identity, LabelSet);

pub(super) fn run(options: &Options) -> Report {
    let mut runs = Vec::new();
    let mut last = None;
    for _ in 0..options.runs.max(1) {
        // Only one at a time holds memory.
        drop(last.take());
        let (warm, cold) = Warm::from_cold(options);
        runs.push(cold);
        last = Some(warm);
    }
    runs.sort_by(|one, other| one.seconds.total_cmp(&other.seconds));
    let cold = runs.swap_remove(runs.len() / 2);
    Report {
        cold,
        add_identity: last.map_or_else(AddIdentity::default, |warm| warm.add_identities(options)),
        entries: everyones(options),
        adversarial: vec![diagonal(options.pairs), sparse(options.pairs)],
    }
}

/// A repository with policies and identities, and what the subjects got.
struct Warm {
    repository: Repository,
    subjects: Vec<LabelSet>,
    compiled: Vec<Arc<Compiled>>,
}

impl Warm {
    fn from_cold(options: &Options) -> (Self, Cold) {
        let before = heap::held();
        let pods: Vec<Pod> = (0..options.identities).map(pod).collect();
        let policies: Vec<Arc<Policy>> =
            (0..options.policies).map(|number| Arc::new(policy(number, About::Their))).collect();
        let subjects: Vec<LabelSet> =
            pods.iter().take(SUBJECTS as usize).map(|(.., labels)| labels.clone()).collect();
        let mut cold = Cold {
            policies: policies.len(),
            identities: pods.len(),
            subjects: subjects.len(),
            unused_policies: 0,
            seconds: 0.0,
            identities_seconds: 0.0,
            policies_seconds: 0.0,
            compile_seconds: 0.0,
            heap_bytes: None,
        };

        let mut repository = Repository::default();
        let start = Moment::now();
        for (addr, identity, labels) in pods {
            repository.set_address(addr, identity, labels);
        }
        let identities = start.elapsed();
        repository.set_policies(policies);
        let both = start.elapsed();
        let compiled = compile(&mut repository, &subjects);
        let all = start.elapsed();

        cold.seconds = all.as_secs_f64();
        cold.identities_seconds = identities.as_secs_f64();
        cold.policies_seconds = (both - identities).as_secs_f64();
        cold.compile_seconds = (all - both).as_secs_f64();
        // What is left over from making them is gone by now; subjects share their labels with the identities.
        cold.heap_bytes = heap::held().zip(before).and_then(|(now, before)| u64::try_from(now - before).ok());
        cold.unused_policies = cold.policies - used(&repository, &subjects);
        (Self { repository, subjects, compiled }, cold)
    }

    fn add_identities(mut self, options: &Options) -> AddIdentity {
        let mut times = Vec::new();
        let mut changed = 0;
        let first = options.identities;
        for number in first..first + options.additions {
            let (addr, identity, labels) = pod(number);
            let start = Moment::now();
            self.repository.set_address(addr, identity, labels);
            let compiled = compile(&mut self.repository, &self.subjects);
            times.push(start.elapsed());
            changed +=
                compiled.iter().zip(&self.compiled).filter(|(new, old)| !Arc::ptr_eq(new, old)).count();
            self.compiled = compiled;
        }
        times.sort_unstable();
        let seconds = |time: Option<&Duration>| time.map_or(0.0, Duration::as_secs_f64);
        AddIdentity {
            seconds_median: seconds(times.get(times.len() / 2)),
            seconds_max: seconds(times.last()),
            added: times.len(),
            tables_changed: changed as f64 / times.len().max(1) as f64,
        }
    }
}

/// The tables of all subjects in both directions, as an agent asks for those of its endpoints.
pub(super) fn compile(repository: &mut Repository, subjects: &[LabelSet]) -> Vec<Arc<Compiled>> {
    let both = |subject| DIRECTIONS.map(|direction| repository.compile(subject, direction));
    subjects.iter().flat_map(both).collect()
}

/// How many policies have a rule for some subject.
fn used(repository: &Repository, subjects: &[LabelSet]) -> usize {
    let both = |subject| DIRECTIONS.map(|direction| repository.resolve(subject, direction));
    let resolved = subjects.iter().flat_map(both);
    let keys = resolved.flat_map(|resolved| resolved.rules.into_iter().map(|held| &held.rule.origin.policy));
    keys.collect::<BTreeSet<_>>().len()
}

/// The same number of policies about one endpoint.
fn everyones(options: &Options) -> Entries {
    let mut repository = Repository::default();
    for (addr, identity, labels) in (0..options.identities).map(pod) {
        repository.set_address(addr, identity, labels);
    }
    repository.set_policies((0..options.policies).map(|number| policy(number, About::All)));
    let (.., subject) = pod(0);
    sizes(&mut repository, &subject)
}

fn diagonal(count: u32) -> Adversarial {
    adversarial("diagonal", count, (0..count).map(|number| (number, 1000 + number as u16)))
}

/// Each peer may use four ports of as many as there are peers.
fn sparse(count: u32) -> Adversarial {
    // A multiplicative generator (MINSTD): the same each time.
    let mut state = 1u64;
    let mut chance = move || {
        state = state * 48_271 % 0x7fff_ffff;
        state as u32
    };
    let rules: Vec<(u32, u16)> =
        (0..4 * count).map(|number| (number / 4, 1000 + (chance() % count) as u16)).collect();
    adversarial("sparse", count, rules.into_iter())
}

fn adversarial(shape: &'static str, peers: u32, rules: impl Iterator<Item = (u32, u16)>) -> Adversarial {
    let policy = pairs(rules);
    let pairs = policy.specs.iter().map(|spec| spec.rules.len()).sum();
    let (.., subject) = pod(0);
    let peers = (0..peers).map(|number| {
        let (addr, identity, _) = pod(number);
        let label = |key: &str, value: String| Label::k8s(key, value);
        (addr, identity, [label("peer", number.to_string())].into_iter().collect::<LabelSet>())
    });
    let peers: Vec<Pod> = peers.collect();
    let mut repository = Repository::default();
    let start = Moment::now();
    for (addr, identity, labels) in peers {
        repository.set_address(addr, identity, labels);
    }
    repository.set_policy(policy);
    black_box(repository.compile(&subject, Direction::Ingress));
    let seconds = start.elapsed().as_secs_f64();
    Adversarial { shape, pairs, entries: sizes(&mut repository, &subject), seconds }
}

/// The sizes of an endpoint's ingress tables, and what its rules name.
fn sizes(repository: &mut Repository, subject: &LabelSet) -> Entries {
    let compiled = repository.compile(subject, Direction::Ingress);
    let (peers, ports) = named(repository, subject);
    let tables = &compiled.tables;
    Entries {
        peers,
        ports,
        peer_entries: tables.peers.len(),
        port_entries: tables.ports.len() + tables.ranges.len(),
        cells: if tables.sparse.is_empty() { tables.cells.len() } else { tables.sparse.len() },
    }
}

/// How many known peers and how many prefixes of ports the rules for a subject name, counted one by one.
fn named(repository: &Repository, subject: &LabelSet) -> (usize, usize) {
    let resolved = repository.resolve(subject, Direction::Ingress);
    let rules: Vec<&Rule> = resolved.rules.iter().map(|held| held.rule).collect();
    let selectors: BTreeSet<&PeerSelector> = rules
        .iter()
        .filter_map(|rule| match &rule.peers {
            Peers::Any => None,
            Peers::OneOf(selectors) => Some(selectors),
        })
        .flatten()
        .collect();
    let outside = repository.cidrs().into_iter().map(|(cidr, peer)| (cidr.ip(), peer));
    let known: BTreeSet<(Peer, IpAddr)> =
        repository.addresses().chain(outside).map(|(addr, peer)| (peer, addr)).collect();
    let names = |(peer, addr): &&(Peer, IpAddr)| {
        let labels = repository.labels(peer.identity);
        selectors.iter().any(|selector| selects(selector, labels, *addr))
    };
    let peers: BTreeSet<Peer> = known.iter().filter(names).map(|(peer, _)| *peer).collect();

    let mut ports = BTreeSet::new();
    for rule in rules {
        let Ports::OneOf(selectors) = &rule.ports else { continue };
        for selector in selectors {
            if let PortMatch::Range(first, last) = selector.port {
                for protocol in &selector.protocols {
                    ports.extend(prefixes(first, last).into_iter().map(|prefix| (*protocol, prefix)));
                }
            }
        }
    }
    (peers.len(), ports.len())
}

fn selects(selector: &PeerSelector, labels: Option<&LabelSet>, addr: IpAddr) -> bool {
    match selector {
        PeerSelector::Labels(selector) => labels.is_some_and(|labels| selector.matches(labels)),
        PeerSelector::Cidr(selector) => {
            let holds = |cidr| contains(canonical(cidr), addr.into());
            let outside = labels.is_none_or(|labels| labels.namespace().is_none());
            holds(selector.cidr)
                && !selector.except.iter().any(|except| holds(*except))
                && (selector.scope == CidrScope::Everyone || outside)
        }
        // The benchmark has none of these.
        PeerSelector::CidrGroup(_) | PeerSelector::Service(_) | PeerSelector::Name(_) => false,
    }
}
