//! All that policy depends on, and what follows from it for a node's datapath.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use abi::{Direction, Identity, Peer};
use ipnetwork::IpNetwork;

use crate::cidr::CidrRegistry;
use crate::compile::{Compiled, compile};
use crate::identity::reserved_labels;
use crate::label::{LabelSet, Source};
use crate::peer_selector::{CidrScope, PeerSelector};
use crate::peers::{PeerIndex, selects_set};
use crate::pod::{NamedPort, named_ports};
use crate::policy_key::PolicyKey;
use crate::port::{PortMatch, Ports};
use crate::resolve::{Explanation, Holding, Resolved, explain};
use crate::rule::{Policy, Subject};

/// Policies and known addresses.
///
/// Addresses and CIDRs have peers, which change with the CIDRs that policies name: after a change of policies, read
/// [`Repository::addresses`] and [`Repository::cidrs`] again where [`Repository::set_policy`] said so.
#[derive(Clone, Debug)]
pub struct Repository {
    policies: BTreeMap<PolicyKey, Arc<Policy>>,
    /// By namespace, cluster-wide ones under none: a policy costs nothing to pods of other namespaces.
    by_namespace: BTreeMap<Option<String>, BTreeSet<PolicyKey>>,
    cidrs: CidrRegistry,
    addresses: BTreeMap<IpAddr, (Identity, LabelSet)>,
    peers: PeerIndex,
    compiled: HashMap<Question, Arc<Compiled>>,
}

/// What tables depend on, as long as policies and peers stay as they are.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Question {
    direction: Direction,
    /// The specs that select the subject.
    specs: Vec<(PolicyKey, usize)>,
    /// The subject's own ports, where a rule names some.
    ports: BTreeSet<NamedPort>,
}

impl Default for Repository {
    fn default() -> Self {
        Self::new(CidrRegistry::new())
    }
}

impl Repository {
    /// Without policies and addresses. The registry may hold numbers from before a restart; once all
    /// policies are there, call [`Repository::forget_unused_cidrs`].
    #[must_use]
    pub fn new(cidrs: CidrRegistry) -> Self {
        let mut repository = Self {
            policies: BTreeMap::new(),
            by_namespace: BTreeMap::new(),
            cidrs,
            addresses: BTreeMap::new(),
            peers: PeerIndex::default(),
            compiled: HashMap::new(),
        };
        repository.rebuild_peers();
        repository
    }

    /// The policies.
    pub fn policies(&self) -> impl Iterator<Item = &Policy> {
        self.policies.values().map(AsRef::as_ref)
    }

    /// A policy by name.
    #[must_use]
    pub fn policy(&self, key: &PolicyKey) -> Option<&Policy> {
        self.policies.get(key).map(AsRef::as_ref)
    }

    /// Adds a policy, or replaces the one of its name. True where the CIDRs in use changed, and with them
    /// peers.
    pub fn set_policy(&mut self, policy: impl Into<Arc<Policy>>) -> bool {
        self.set_policies([policy])
    }

    /// Adds or replaces several policies at once, which is quicker than one by one. True where the CIDRs in
    /// use changed, and with them peers.
    pub fn set_policies(&mut self, policies: impl IntoIterator<Item: Into<Arc<Policy>>>) -> bool {
        let mut cidrs_changed = false;
        for policy in policies.into_iter().map(Into::into) {
            let policy: Arc<Policy> = policy;
            if self.policies.get(&policy.key).is_some_and(|old| *old == policy) {
                continue;
            }
            self.compiled.clear();
            // New ones first, so that CIDRs that stay keep their numbers.
            cidrs_changed |= policy.cidrs().fold(false, |changed, cidr| self.cidrs.acquire(cidr) | changed);
            self.by_namespace.entry(policy.key.namespace.clone()).or_default().insert(policy.key.clone());
            if let Some(old) = self.policies.insert(policy.key.clone(), policy) {
                cidrs_changed |= self.release(&old);
            }
        }
        if cidrs_changed {
            self.rebuild_peers();
        }
        cidrs_changed
    }

    /// Removes a policy. True where the CIDRs in use changed, and with them peers.
    pub fn remove_policy(&mut self, key: &PolicyKey) -> bool {
        let Some(old) = self.policies.remove(key) else { return false };
        self.compiled.clear();
        if let Some(keys) = self.by_namespace.get_mut(&key.namespace) {
            keys.remove(key);
            if keys.is_empty() {
                self.by_namespace.remove(&key.namespace);
            }
        }
        let changed = self.release(&old);
        if changed {
            self.rebuild_peers();
        }
        changed
    }

    fn release(&mut self, policy: &Policy) -> bool {
        policy.cidrs().fold(false, |changed, cidr| self.cidrs.release(cidr) | changed)
    }

    /// Forgets numbers from before a restart that no policy uses. True where there were any.
    pub fn forget_unused_cidrs(&mut self) -> bool {
        let changed = self.cidrs.forget_unused();
        if changed {
            self.compiled.clear();
            self.rebuild_peers();
        }
        changed
    }

    /// The CIDRs in use, to be stored.
    #[must_use]
    pub const fn cidr_registry(&self) -> &CidrRegistry {
        &self.cidrs
    }

    /// Says who has an address: a pod, or a node. An identity has the labels that it was first given with as
    /// long as it is known.
    pub fn set_address(&mut self, addr: IpAddr, identity: Identity, labels: LabelSet) {
        if self.addresses.get(&addr).is_some_and(|(known, _)| *known == identity) {
            return;
        }
        self.remove_address(addr);
        let peer = Peer { identity, cidrs: self.cidrs.set_of(addr) };
        if self.peers.add(peer, &labels) {
            self.compiled.clear();
        }
        self.addresses.insert(addr, (identity, labels));
    }

    /// Forgets who had an address.
    pub fn remove_address(&mut self, addr: IpAddr) {
        if let Some((identity, _)) = self.addresses.remove(&addr)
            && self.peers.remove(Peer { identity, cidrs: self.cidrs.set_of(addr) })
        {
            self.compiled.clear();
        }
    }

    /// The known addresses, each with what its owner is to policies.
    pub fn addresses(&self) -> impl Iterator<Item = (IpAddr, Peer)> + '_ {
        self.addresses.iter().map(|(addr, (identity, _))| {
            (*addr, Peer { identity: *identity, cidrs: self.cidrs.set_of(*addr) })
        })
    }

    /// What all other addresses are to policies: the entries of a longest-prefix table.
    #[must_use]
    pub fn cidrs(&self) -> Vec<(IpNetwork, Peer)> {
        self.cidrs.entries()
    }

    /// What an address is to policies, known or not.
    #[must_use]
    pub fn peer(&self, addr: IpAddr) -> Peer {
        let outside = if addr.is_ipv4() { Identity::WORLD_IPV4 } else { Identity::WORLD_IPV6 };
        let identity = self.addresses.get(&addr).map_or(outside, |(identity, _)| *identity);
        Peer { identity, cidrs: self.cidrs.set_of(addr) }
    }

    /// The labels of an identity that some address has.
    #[must_use]
    pub fn labels(&self, identity: Identity) -> Option<&LabelSet> {
        self.peers.labels(identity)
    }

    fn rebuild_peers(&mut self) {
        let mut peers = PeerIndex::default();
        for (_, peer) in self.cidrs.entries() {
            peers.add(peer, &reserved_labels(peer.identity));
        }
        for (addr, (identity, labels)) in &self.addresses {
            peers.add(Peer { identity: *identity, cidrs: self.cidrs.set_of(*addr) }, labels);
        }
        self.peers = peers;
    }

    /// The specs that select a subject, each with its policy and its index in it.
    fn selecting(&self, subject: &LabelSet) -> impl Iterator<Item = (&Policy, usize)> {
        let namespace = subject.namespace().map(ToOwned::to_owned);
        let own = namespace.and_then(|namespace| self.by_namespace.get(&Some(namespace)));
        let keys: BTreeSet<_> = self.by_namespace.get(&None).into_iter().chain(own).flatten().collect();
        let policies: Vec<&Policy> = keys.into_iter().filter_map(|key| self.policy(key)).collect();
        policies.into_iter().flat_map(move |policy| {
            let indexes = 0..policy.specs.len();
            let selected: Vec<_> =
                indexes.filter(|i| selects_subject(&policy.specs[*i].subject, subject)).collect();
            selected.into_iter().map(move |index| (policy, index))
        })
    }

    /// The rules that hold for a subject.
    #[must_use]
    pub fn resolve(&self, subject: &LabelSet, direction: Direction) -> Resolved<'_> {
        let mut resolved = Resolved::default();
        for (policy, index) in self.selecting(subject) {
            let spec = &policy.specs[index];
            let rules = spec.rules.iter().filter(|rule| rule.direction == direction);
            resolved.rules.extend(rules.map(|rule| Holding { rule, tier: spec.tier }));
            if spec.default_deny(direction) {
                resolved.closed_by.push(&spec.origin);
            }
        }
        // Stable: specs of one tier and priority stay in the order of their policies.
        resolved.rules.sort_by_key(|held| held.tier);
        resolved
    }

    /// The tables for a subject. Subjects that the same specs select share them; they are kept until policies or
    /// peers change.
    pub fn compile(&mut self, subject: &LabelSet, direction: Direction) -> Arc<Compiled> {
        let specs: Vec<_> =
            self.selecting(subject).map(|(policy, index)| (policy.key.clone(), index)).collect();
        let resolved = self.resolve(subject, direction);
        let names = |ports: &Ports| match ports {
            Ports::Any => false,
            Ports::OneOf(ports) => ports.iter().any(|port| matches!(port.port, PortMatch::Named(_))),
        };
        let needs_ports =
            direction == Direction::Ingress && resolved.rules.iter().any(|held| names(&held.rule.ports));
        let ports = if needs_ports { named_ports(subject) } else { BTreeSet::new() };
        let question = Question { direction, specs, ports };
        if let Some(known) = self.compiled.get(&question) {
            return Arc::clone(known);
        }
        let compiled = Arc::new(compile(&resolved, direction, subject, &self.peers, &self.cidrs));
        self.compiled.insert(question, Arc::clone(&compiled));
        compiled
    }

    /// Why a packet between a subject and a peer is let through or dropped. `port` is the destination port:
    /// the subject's for ingress, the peer's for egress; it does not count for protocols without ports.
    #[must_use]
    pub fn explain(
        &self,
        subject: &LabelSet,
        direction: Direction,
        peer: Peer,
        proto: u8,
        port: u16,
    ) -> Explanation {
        let resolved = self.resolve(subject, direction);
        let labels = self.peers.labels(peer.identity);
        let selects = |selector: &PeerSelector| match selector {
            PeerSelector::Labels(selector) => labels.is_some_and(|labels| selector.matches(labels)),
            PeerSelector::Cidr(selector) => {
                selects_set(selector, &self.cidrs, peer.cidrs)
                    && (selector.scope == CidrScope::Everyone || peer.identity.is_world())
            }
            _ => false,
        };
        let nobody = LabelSet::default();
        explain(&resolved, subject, labels.unwrap_or(&nobody), selects, (proto, port))
    }
}

/// Whether a subject is one that a spec is about.
fn selects_subject(wanted: &Subject, labels: &LabelSet) -> bool {
    let is_node = labels.get(Source::Reserved, "host").is_some();
    match wanted {
        Subject::Endpoints(selector) => !is_node && selector.matches(labels),
        Subject::Nodes(selector) => is_node && selector.matches(labels),
    }
}
