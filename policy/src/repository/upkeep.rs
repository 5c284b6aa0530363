//! What follows from a change: selectors, CIDRs, peers, and the compiled policies that name them.

use std::net::IpAddr;

use abi::{CidrSet, Identity, Peer};
use ipnetwork::IpNetwork;

use super::Repository;
use crate::facts::Part;
use crate::identity::reserved_labels;
use crate::label::LabelSet;
use crate::peer_selector::PeerSelector;
use crate::rule::Policy;
use crate::selector_cache::SelectorId;

impl Repository {
    /// Adds a policy's use of selectors and CIDRs. True where other CIDRs are in use.
    pub(super) fn acquire(&mut self, policy: &Policy) -> bool {
        let mut changed = false;
        for selector in policy.peer_selectors() {
            if self.selectors.acquire(selector, &self.facts) {
                let parts = self.selectors.parts(selector).to_vec();
                changed |= self.acquire_cidrs(&parts);
                self.learn_anew(selector);
            }
        }
        changed
    }

    /// Takes a policy's use of selectors and CIDRs away. True where other CIDRs are in use.
    pub(super) fn release(&mut self, policy: &Policy) -> bool {
        let mut changed = false;
        for selector in policy.peer_selectors() {
            if let Some(parts) = self.selectors.release(selector) {
                changed |= self.release_cidrs(&parts);
                self.learn_anew(selector);
            }
        }
        changed
    }

    /// Places the addresses anew that were learned by a name that a selector selects.
    fn learn_anew(&mut self, selector: &PeerSelector) {
        if let PeerSelector::Name(pattern) = selector {
            for addr in self.holders.learned_by(pattern) {
                self.place(addr);
            }
        }
    }

    fn acquire_cidrs(&mut self, parts: &[Part]) -> bool {
        let mut changed = false;
        for cidr in parts.iter().flat_map(Part::cidrs) {
            if self.cidrs.acquire(cidr) {
                self.cidr_came(cidr);
                changed = true;
            }
        }
        changed
    }

    fn release_cidrs(&mut self, parts: &[Part]) -> bool {
        let mut changed = false;
        for cidr in parts.iter().flat_map(Part::cidrs) {
            if self.cidrs.is_last_use(cidr) {
                self.cidr_went(cidr);
                changed = true;
            } else {
                self.cidrs.release(cidr);
            }
        }
        changed
    }

    /// Looks groups or services up anew. True where other CIDRs are in use.
    pub(super) fn look_up(&mut self, affected: fn(&PeerSelector) -> bool) -> bool {
        let looked_up = self.selectors.look_up(&self.facts, affected);
        if looked_up.is_empty() {
            return false;
        }
        self.revision += 1;
        let mut changed = false;
        for (_, _, after) in &looked_up {
            changed |= self.acquire_cidrs(after);
        }
        for (id, ..) in &looked_up {
            self.refresh(*id);
        }
        for (_, before, _) in &looked_up {
            changed |= self.release_cidrs(before);
        }
        changed
    }

    /// Asks a selector anew that comes down to something else than before.
    fn refresh(&mut self, id: SelectorId) {
        let mut selectors = std::mem::take(&mut self.selectors);
        let refreshed = selectors.refresh(id, self.context());
        self.selectors = selectors;
        let Some(refreshed) = refreshed else { return };
        for user in refreshed.users {
            let Some(live) = self.subjects.live_mut(user) else { continue };
            for slot in &refreshed.changed {
                let Some(peer) = self.peers.peer(slot) else { continue };
                let naming = live.naming(slot, &self.selectors);
                if let Some(labels) = self.peers.labels(peer.identity) {
                    live.enter(peer, labels, naming);
                }
            }
        }
    }

    /// A CIDR came into use: it is a peer of its own, and who lies in it is another one.
    fn cidr_came(&mut self, cidr: IpNetwork) {
        if let Some(peer) = self.cidrs.entry(cidr) {
            self.enter(peer, &reserved_labels(peer.identity));
            if cidr.prefix() == 0 {
                self.leave(Peer { cidrs: CidrSet::EMPTY, ..peer });
            }
        }
        for addr in self.holders.within(cidr) {
            self.place(addr);
        }
    }

    /// A CIDR goes out of use: who lies in it is another peer.
    pub(super) fn cidr_went(&mut self, cidr: IpNetwork) {
        let peer = self.cidrs.retire(cidr);
        for addr in self.holders.within(cidr) {
            self.place(addr);
        }
        if let Some(peer) = peer {
            if cidr.prefix() == 0 {
                self.enter(Peer { cidrs: CidrSet::EMPTY, ..peer }, &reserved_labels(peer.identity));
            }
            self.leave(peer);
            self.cidrs.forget_set(peer.cidrs);
        }
    }

    /// Enters an address as what it is now.
    pub(super) fn place(&mut self, addr: IpAddr) {
        let holder = self.holders.holder(addr, self.selectors.names());
        let before = self.holders.entered().get(addr).copied();
        let after =
            holder.as_ref().map(|(identity, _)| Peer { identity: *identity, cidrs: self.cidrs.set_of(addr) });
        if before == after {
            return;
        }
        // The new one first: an identity that stays is never unknown in between.
        if let (Some(peer), Some((_, labels))) = (after, holder) {
            self.enter(peer, &labels);
            self.holders.count_in(peer.identity);
        }
        self.holders.enter(addr, after);
        if let Some(peer) = before {
            let labels = self.peers.labels(peer.identity).cloned().unwrap_or_default();
            self.leave(peer);
            self.holders.count_out(peer.identity, &labels);
        }
    }

    pub(super) fn enter(&mut self, peer: Peer, labels: &LabelSet) {
        let Some(slot) = self.peers.add(peer, labels) else { return };
        self.revision += 1;
        self.offer(slot, peer, labels);
    }

    /// Offers a peer to the selectors, and to the compiled policies that name it.
    fn offer(&mut self, slot: u32, peer: Peer, labels: &LabelSet) {
        let mut selectors = std::mem::take(&mut self.selectors);
        let naming = selectors.peer_came(slot, peer, labels, self.context());
        self.selectors = selectors;
        for (id, atoms) in naming {
            if let Some(live) = self.subjects.live_mut(id) {
                live.enter(peer, labels, atoms);
            }
        }
        // Rules about everyone may name its ports.
        for id in self.subjects.asking_everyone() {
            if let Some(live) = self.subjects.live_mut(id) {
                let naming = live.naming(slot, &self.selectors);
                live.enter(peer, labels, naming);
            }
        }
    }

    pub(super) fn leave(&mut self, peer: Peer) {
        let Some((slot, labels)) = self.peers.remove(peer) else { return };
        self.revision += 1;
        self.withdraw(slot, peer, &labels);
    }

    fn withdraw(&mut self, slot: u32, peer: Peer, labels: &LabelSet) {
        for id in self.selectors.peer_went(slot, peer, labels, &self.cidrs) {
            if let Some(live) = self.subjects.live_mut(id) {
                live.remove(peer);
            }
        }
        for id in self.subjects.asking_everyone() {
            if let Some(live) = self.subjects.live_mut(id) {
                live.remove(peer);
            }
        }
    }

    /// Gives an identity other labels than it has.
    pub(super) fn relabel(&mut self, identity: Identity, labels: &LabelSet) {
        let Some(before) = self.peers.labels(identity).filter(|known| *known != labels).cloned() else {
            return;
        };
        let all: Vec<(Peer, u32)> = self.peers.of_identity(identity).collect();
        for (peer, slot) in &all {
            self.withdraw(*slot, *peer, &before);
        }
        self.peers.relabel(identity, labels);
        let relabelled = self.holders.relabel(identity, labels);
        self.revision += 1;
        for (peer, slot) in all {
            self.offer(slot, peer, labels);
        }
        // Those that were learned from DNS as well have an identity of both.
        for addr in relabelled {
            self.place(addr);
        }
    }
}

/// Whether a selector is about groups of CIDRs.
pub(super) const fn is_group(selector: &PeerSelector) -> bool {
    matches!(selector, PeerSelector::CidrGroup(_))
}

/// Whether a selector is about services.
pub(super) const fn is_service(selector: &PeerSelector) -> bool {
    matches!(selector, PeerSelector::Service(_))
}
