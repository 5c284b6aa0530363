//! All that policy depends on, and what follows from it for a node's datapath.

mod holders;
mod policies;
mod subjects;
mod upkeep;

use std::collections::{BTreeSet, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use abi::{CidrSet, Direction, Identity, Peer};
use ipnetwork::IpNetwork;
use serde::{Deserialize, Serialize};

use crate::cidr::{CidrRegistry, world};
use crate::compile::{Compiled, Live};
use crate::facts::{Facts, Part, ServiceFacts, ServiceKey};
use crate::identity::{LocalIdentities, reserved_labels};
use crate::label::LabelSet;
use crate::peers::PeerIndex;
use crate::pod::named_ports;
use crate::policy_key::PolicyKey;
use crate::resolve::{Explanation, Holding, Resolved, explain};
use crate::rule::{Policy, Spec};
use crate::selector_cache::{Context, LiveId, SelectorCache};
use crate::settings::{Enforcement, Settings};
use holders::Holders;
use policies::{Policies, SpecKey, is_node};
use subjects::{Question, Subjects};
use upkeep::{is_group, is_service};

/// Numbers that must stay the same over a restart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Numbers {
    /// Of the CIDRs in use.
    pub cidrs: CidrRegistry,
    /// Of what lies outside and was learned from DNS.
    pub names: LocalIdentities,
}

impl Default for Numbers {
    fn default() -> Self {
        Self { cidrs: CidrRegistry::default(), names: LocalIdentities::local() }
    }
}

/// Policies, known addresses, and the objects that policies refer to.
///
/// Each change costs work in proportion to what it touches: compiled policies are kept up to date as peers come and go,
/// and forgotten only where another rule holds. What was compiled stays as it was for those who have it; ask
/// [`Repository::compile`] again after changes.
///
/// Addresses and CIDRs have peers, which change with the CIDRs that policies name: read [`Repository::addresses`] and
/// [`Repository::cidrs`] again where a change said so, or ask [`Repository::take_changed_addresses`] which to read.
#[derive(Clone, Debug)]
pub struct Repository {
    settings: Settings,
    policies: Policies,
    facts: Facts,
    cidrs: CidrRegistry,
    holders: Holders,
    peers: PeerIndex,
    selectors: SelectorCache,
    subjects: Subjects,
    revision: u64,
}

impl Default for Repository {
    fn default() -> Self {
        Self::new(Settings::default(), Numbers::default())
    }
}

impl Repository {
    /// Without policies and addresses. The numbers may be from before a restart; once all policies are there, call
    /// [`Repository::forget_unused_cidrs`].
    #[must_use]
    pub fn new(settings: Settings, numbers: Numbers) -> Self {
        let mut repository = Self {
            settings,
            policies: Policies::default(),
            facts: Facts::default(),
            cidrs: numbers.cidrs,
            holders: Holders::new(numbers.names),
            peers: PeerIndex::default(),
            selectors: SelectorCache::default(),
            subjects: Subjects::default(),
            revision: 1,
        };
        for (_, peer) in repository.cidrs.entries() {
            repository.enter(peer, &reserved_labels(peer.identity));
        }
        repository
    }

    /// Counts changes of what policies say: grows with each. Whoever has taken over what [`Repository::compile`] said
    /// at a revision has all changes until then.
    #[must_use]
    pub const fn revision(&self) -> u64 {
        self.revision
    }

    /// What the installation chose.
    #[must_use]
    pub const fn settings(&self) -> Settings {
        self.settings
    }

    /// Chooses anew. Everything is compiled anew where that makes a difference.
    pub fn set_settings(&mut self, settings: Settings) {
        if settings != self.settings {
            self.settings = settings;
            self.subjects.clear();
            self.selectors.forget_peers();
            self.revision += 1;
        }
    }

    /// The policies.
    pub fn policies(&self) -> impl Iterator<Item = &Policy> {
        self.policies.iter()
    }

    /// A policy by name.
    #[must_use]
    pub fn policy(&self, key: &PolicyKey) -> Option<&Policy> {
        self.policies.get(key).map(AsRef::as_ref)
    }

    /// Adds a policy, or replaces the one of its name. True where the CIDRs in use changed, and with them
    /// peers.
    pub fn set_policy(&mut self, policy: impl Into<Arc<Policy>>) -> bool {
        let policy: Arc<Policy> = policy.into();
        if self.policies.get(&policy.key).is_some_and(|old| *old == policy) {
            return false;
        }
        self.revision += 1;
        // New ones first, so that CIDRs that stay keep their numbers.
        let mut changed = self.acquire(&policy);
        let gone = self.subjects.forget(&policy);
        self.drop_lives(gone);
        if let Some(old) = self.policies.insert(policy) {
            let gone = self.subjects.forget(&old);
            self.drop_lives(gone);
            changed |= self.release(&old);
        }
        changed
    }

    /// Adds or replaces several policies. True where the CIDRs in use changed, and with them peers.
    pub fn set_policies(&mut self, policies: impl IntoIterator<Item: Into<Arc<Policy>>>) -> bool {
        policies.into_iter().fold(false, |changed, policy| self.set_policy(policy) | changed)
    }

    /// Removes a policy. True where the CIDRs in use changed, and with them peers.
    pub fn remove_policy(&mut self, key: &PolicyKey) -> bool {
        let Some(old) = self.policies.remove(key) else { return false };
        self.revision += 1;
        let gone = self.subjects.forget(&old);
        self.drop_lives(gone);
        self.release(&old)
    }

    /// Sets a CiliumCIDRGroup. True where the CIDRs in use changed, and with them peers.
    pub fn set_cidr_group(&mut self, name: &str, labels: LabelSet, cidrs: BTreeSet<IpNetwork>) -> bool {
        self.facts.set_group(name, labels, cidrs) && self.look_up(is_group)
    }

    /// Forgets a CiliumCIDRGroup. True where the CIDRs in use changed, and with them peers.
    pub fn remove_cidr_group(&mut self, name: &str) -> bool {
        self.facts.remove_group(name) && self.look_up(is_group)
    }

    /// Sets a service. True where the CIDRs in use changed, and with them peers.
    pub fn set_service(&mut self, key: ServiceKey, facts: ServiceFacts) -> bool {
        self.facts.set_service(key, facts) && self.look_up(is_service)
    }

    /// Forgets a service. True where the CIDRs in use changed, and with them peers.
    pub fn remove_service(&mut self, key: &ServiceKey) -> bool {
        self.facts.remove_service(key) && self.look_up(is_service)
    }

    /// Forgets numbers of CIDRs from before a restart that no policy uses. True where there were any.
    pub fn forget_unused_cidrs(&mut self) -> bool {
        let unused = self.cidrs.unused();
        for cidr in &unused {
            self.cidr_went(*cidr);
        }
        !unused.is_empty()
    }

    /// The CIDRs in use, to be stored.
    #[must_use]
    pub const fn cidr_registry(&self) -> &CidrRegistry {
        &self.cidrs
    }

    /// The identities of what lies outside and was learned from DNS, to be stored.
    #[must_use]
    pub const fn name_identities(&self) -> &LocalIdentities {
        self.holders.identities()
    }

    /// Says who has an address: a pod, or a node. All addresses of an identity have the labels that were said last.
    pub fn set_address(&mut self, addr: IpAddr, identity: Identity, labels: LabelSet) {
        self.relabel(identity, &labels);
        if self.holders.tell(addr, identity, labels) {
            self.place(addr);
        }
    }

    /// Forgets who had an address.
    pub fn remove_address(&mut self, addr: IpAddr) {
        if self.holders.forget(addr) {
            self.place(addr);
        }
    }

    /// Adds somebody who has no address: a peer that no CIDR covers.
    #[expect(clippy::needless_pass_by_value, reason = "as with an address; a label set is cheap to clone")]
    pub fn add_identity(&mut self, identity: Identity, labels: LabelSet) {
        self.relabel(identity, &labels);
        self.enter(Peer { identity, cidrs: CidrSet::EMPTY }, &labels);
    }

    /// Adds somebody who has an address beside whoever [`Repository::set_address`] says. A node is one thing to its own
    /// pods and another to all others; who asks for all nodes at once needs both. The peer has the CIDRs that are in use
    /// now: call it when all policies are there.
    pub fn add_holder(&mut self, addr: IpAddr, identity: Identity, labels: &LabelSet) {
        self.relabel(identity, labels);
        self.enter(Peer { identity, cidrs: self.cidrs.set_of(addr) }, labels);
    }

    /// Takes back what [`Repository::add_identity`] added.
    pub fn remove_identity(&mut self, identity: Identity) {
        self.leave(Peer { identity, cidrs: CidrSet::EMPTY });
    }

    /// Says which DNS names an address outside the cluster was learned by: all of them, none to forget it.
    pub fn set_names(&mut self, addr: IpAddr, names: BTreeSet<String>) {
        if self.holders.learn(addr, names) {
            self.place(addr);
        }
    }

    /// The known addresses, each with what its owner is to policies.
    pub fn addresses(&self) -> impl Iterator<Item = (IpAddr, Peer)> + '_ {
        self.holders.entered().iter().map(|(addr, peer)| (addr, *peer))
    }

    /// The addresses whose peers may be others than when this was asked last, those included that are nobody's any more.
    /// None the first time: then it may be all of them, and from then on it is taken note of.
    pub fn take_changed_addresses(&mut self) -> Option<HashSet<IpAddr>> {
        self.holders.take_changed()
    }

    /// Whether somebody is this peer.
    #[must_use]
    pub fn has_peer(&self, peer: Peer) -> bool {
        self.peers.slot(peer).is_some()
    }

    /// What all other addresses are to policies: the entries of a longest-prefix table.
    #[must_use]
    pub fn cidrs(&self) -> Vec<(IpNetwork, Peer)> {
        self.cidrs.entries()
    }

    /// What an address is to policies, known or not.
    #[must_use]
    pub fn peer(&self, addr: IpAddr) -> Peer {
        let outside = || Peer { identity: world(&addr.into()), cidrs: self.cidrs.set_of(addr) };
        self.holders.entered().get(addr).copied().unwrap_or_else(outside)
    }

    /// What the owner of an address is to policies; none where nobody is known to have it.
    #[must_use]
    pub fn known_peer(&self, addr: IpAddr) -> Option<Peer> {
        self.holders.entered().get(addr).copied()
    }

    /// The CIDRs in use that cover an address, whoever has it.
    #[must_use]
    pub fn cidrs_of(&self, addr: IpAddr) -> CidrSet {
        self.cidrs.set_of(addr)
    }

    /// The labels of an identity that is known.
    #[must_use]
    pub fn labels(&self, identity: Identity) -> Option<&LabelSet> {
        self.peers.labels(identity)
    }

    /// The rules that hold for a subject.
    #[must_use]
    pub fn resolve(&self, subject: &LabelSet, direction: Direction) -> Resolved<'_> {
        let resolved = match self.subjects.specs(subject) {
            Some(specs) => self.resolve_keys(specs, subject, direction),
            None => {
                let specs = self.policies.selecting(subject).into_iter().map(|(_, spec)| spec);
                self.resolve_specs(specs, subject, direction)
            }
        };
        resolved.with_parts(|selector| self.selectors.parts(selector))
    }

    /// The tables for a subject. Subjects that the same specs select share them.
    pub fn compile(&mut self, subject: &LabelSet, direction: Direction) -> Arc<Compiled> {
        let id = match self.subjects.find(subject, direction) {
            Some(id) => id,
            None => self.assign(subject, direction),
        };
        if self.subjects.live(id).is_some_and(|live| live.stale) {
            self.recompile(id, subject);
        }
        self.subjects.live(id).map(|live| Arc::clone(live.compiled())).unwrap_or_default()
    }

    /// Why a packet between a subject and a peer is let through or dropped. `port` is the destination port:
    /// the subject's for ingress, the peer's for egress; of ICMP the type; it does not count for protocols without ports.
    #[must_use]
    pub fn explain(
        &self,
        subject: &LabelSet,
        direction: Direction,
        peer: Peer,
        proto: u8,
        port: u16,
    ) -> Explanation {
        self.judge(&self.resolve(subject, direction), subject, peer, proto, port)
    }

    /// As [`Repository::explain`], for a subject whose rules [`Repository::resolve`] told before: cheaper for many packets.
    #[must_use]
    pub fn judge(
        &self,
        resolved: &Resolved<'_>,
        subject: &LabelSet,
        peer: Peer,
        proto: u8,
        port: u16,
    ) -> Explanation {
        let context = self.context();
        let nobody = LabelSet::default();
        let labels = self.peers.labels(peer.identity);
        let selects = |part: &Part| labels.is_some_and(|labels| context.selects(part, peer, labels));
        explain(resolved, subject, labels.unwrap_or(&nobody), selects, (proto, port))
    }

    fn context(&self) -> Context<'_> {
        Context { peers: &self.peers, cidrs: &self.cidrs, cidrs_match_nodes: self.settings.cidrs_match_nodes }
    }

    fn closes(&self, subject: &LabelSet) -> bool {
        self.settings.enforcement == Enforcement::Always && !is_node(subject)
    }

    fn resolve_keys(
        &self,
        specs: &BTreeSet<SpecKey>,
        subject: &LabelSet,
        direction: Direction,
    ) -> Resolved<'_> {
        let specs = specs.iter().filter_map(|key| self.policies.spec(key));
        self.resolve_specs(specs, subject, direction)
    }

    fn resolve_specs<'a>(
        &'a self,
        specs: impl Iterator<Item = &'a Spec>,
        subject: &LabelSet,
        direction: Direction,
    ) -> Resolved<'a> {
        if self.settings.enforcement == Enforcement::Never {
            return Resolved::default();
        }
        let (mut rules, mut closed_by) = (Vec::new(), Vec::new());
        for spec in specs {
            let of_direction = spec.rules.iter().filter(|rule| rule.direction == direction);
            rules.extend(of_direction.map(|rule| Holding { rule, tier: spec.tier }));
            if spec.default_deny(direction) {
                closed_by.push(&spec.origin);
            }
        }
        Resolved::new(rules, closed_by, self.closes(subject))
    }

    /// Finds or makes the compiled policy of a subject.
    fn assign(&mut self, subject: &LabelSet, direction: Direction) -> LiveId {
        if self.subjects.specs(subject).is_none() {
            let specs = self.policies.selecting(subject).into_iter().map(|(key, _)| key.clone());
            let gone = self.subjects.insert(subject, specs.collect());
            self.drop_lives(gone);
        }
        let specs = self.subjects.specs(subject).cloned().unwrap_or_default();
        let resolved = self.resolve_keys(&specs, subject, direction);
        let needs_ports =
            direction == Direction::Ingress && resolved.rules.iter().any(|held| held.rule.ports.have_names());
        let ports = if needs_ports { named_ports(subject) } else { BTreeSet::new() };
        let question = Question { direction, specs, ports, closed: self.closes(subject) };
        let id = match self.subjects.answer(&question) {
            Some(id) => id,
            None => {
                let live = self.build(&question, subject);
                let id = self.subjects.add(question, live);
                self.register(id);
                id
            }
        };
        self.subjects.assign(subject, direction, id);
        id
    }

    fn build(&mut self, question: &Question, subject: &LabelSet) -> Live {
        // The selectors are filled while policies are read: taken out for as long.
        let mut selectors = std::mem::take(&mut self.selectors);
        let resolved = self.resolve_keys(&question.specs, subject, question.direction);
        let live = Live::new(&resolved, question.direction, &question.ports, &mut selectors, self.context());
        self.selectors = selectors;
        live.with_audit(self.settings.audit)
    }

    fn register(&mut self, id: LiveId) {
        if let Some(live) = self.subjects.live(id) {
            for (selector, atom) in live.selectors() {
                self.selectors.add_user(selector, id, atom);
            }
        }
    }

    fn recompile(&mut self, id: LiveId, subject: &LabelSet) {
        let Some(question) = self.subjects.question(id).cloned() else { return };
        let live = self.build(&question, subject);
        let Some(known) = self.subjects.live_mut(id) else { return };
        let old = std::mem::replace(known, live);
        self.selectors.remove_user(id, old.selectors().map(|(selector, _)| selector));
        self.register(id);
    }

    fn drop_lives(&mut self, gone: Vec<(LiveId, Live)>) {
        for (id, live) in gone {
            self.selectors.remove_user(id, live.selectors().map(|(selector, _)| selector));
        }
    }
}
