//! What is known becomes what is enforced: policies, endpoints, addresses and CIDRs, in this order, so that a
//! packet always finds a policy that knows its peer.
//!
//! Who an address is may change with all this: a pod gets other labels, a new CIDR covers it. Until the addresses
//! are rewritten, packets carry who it was. So a policy that is put in force knows both for that while, and what
//! was is taken out afterwards.

use std::collections::btree_map::Entry;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use abi::{
    Addr, AddressRecord, CidrKey, CidrRecord, CidrSet, Direction, Identity, IfIndex, Peer, PolicySlot,
};
use anyhow::{Context, Result};
use policy::{Compiled, reserved_labels};

use super::Engine;
use super::installed::Installed;
use crate::cluster::Changed;
use crate::tables::{cidr_key, compiled_policy, peer_changes};

impl Engine {
    /// Brings the whole node in line with what is known.
    pub(super) async fn enforce(&mut self) -> Result<()> {
        let first = !self.settled;
        self.due.add(self.cluster.take_changed());
        // Before an address is given, or its prefix promised back.
        self.keep_foreign()?;
        if first {
            self.cluster.forget_unused();
            self.settle().await?;
            if self.addresses.is_none() {
                // Which pods are here cannot be told yet; those that an earlier agent left go on as they are.
                return Ok(());
            }
        } else if self.eni.is_some() {
            self.follow_interfaces().await?;
        } else if self.due.nodes
            && let (Some(book), Some(node)) = (&mut self.addresses, self.cluster.own_node())
        {
            book.set_ranges(&node.pod_cidrs)?;
        }
        self.enforce_datapath()?;
        if self.due.nodes || self.plumbed.is_none() {
            self.plumb().await?;
            self.due.nodes = false;
        }
        if first {
            self.datapath.attach_uplink(&self.uplink.name)?;
            let used = self.installed.iter().map(|installed| installed.slot).collect();
            self.datapath.policies.retire_inherited(&used, Instant::now());
            self.settled = true;
            // The first list was the largest.
            crate::memory::keep_little();
            self.drain_queue().await;
        }
        Ok(())
    }

    /// Brings policies and addresses in line with what is known, without the node's plumbing. After a failure all is
    /// compared anew: what was written by then is not known.
    pub(super) fn enforce_datapath(&mut self) -> Result<()> {
        self.due.add(self.cluster.take_changed());
        let nodes = self.due.nodes;
        let due = std::mem::replace(&mut self.due, Changed { nodes, ..Changed::all() });
        self.store_numbers()?;
        let revision = self.cluster.repository.revision();
        let is_policy_due =
            due.pods || due.addresses.is_none() || *self.published.policy.borrow() != revision;
        let departing = if is_policy_due {
            self.enforce_policies(&due).context("enforcing policies")?
        } else {
            Vec::new()
        };
        self.enforce_addresses(&due).context("entering addresses")?;
        for (slot, peers) in departing {
            self.datapath.policies.remove_peers(slot, &peers)?;
        }
        self.due = Changed { nodes, ..Changed::nothing() };
        super::publish(&self.published.policy, revision);
        if is_policy_due {
            self.report_endpoints();
        }
        Ok(())
    }

    /// Resolves the policies of every endpoint, installs what is new, and lets the endpoints take it over. Returns
    /// the peers that policies are to forget once addresses are rewritten.
    fn enforce_policies(&mut self, due: &Changed) -> Result<Vec<(PolicySlot, BTreeSet<Peer>)>> {
        // What every endpoint wants, and has.
        let mut wanted: HashMap<(IfIndex, Direction), Arc<Compiled>> = HashMap::new();
        for endpoint in self.endpoints.iter() {
            let known = endpoint.pod.as_ref().and_then(|pod| self.cluster.labels(pod));
            let is_known = known.is_some();
            let labels = known.unwrap_or_else(|| reserved_labels(Identity::INIT));
            for direction in [Direction::Ingress, Direction::Egress] {
                let compiled = self.cluster.repository.compile(&labels, direction);
                // Who has no identity yet is closed, unless a policy about such pods says otherwise.
                if is_known || !compiled.tables.allow_all {
                    wanted.insert((endpoint.link(), direction), compiled);
                }
            }
        }
        let moves = self.moves(due)?;
        let mut departing = self.grow(&wanted)?;
        let mut slots = HashMap::new();
        for (place, compiled) in &wanted {
            slots.insert(*place, self.slot(compiled, &moves, &mut departing)?);
        }
        let records: HashMap<IfIndex, abi::Endpoint> = self
            .endpoints
            .iter()
            .map(|endpoint| {
                let slot =
                    |direction| slots.get(&(endpoint.link(), direction)).copied().unwrap_or(PolicySlot::NONE);
                (endpoint.link(), self.record(endpoint, slot(Direction::Ingress), slot(Direction::Egress)))
            })
            .collect();
        self.datapath.endpoints.replace(&records)?;
        let revision = self.cluster.repository.revision();
        self.realised = wanted.keys().map(|(link, _)| (*link, revision)).collect();

        let used: BTreeSet<PolicySlot> = slots.into_values().collect();
        let now = Instant::now();
        self.installed.retain(|installed| {
            let stays = used.contains(&installed.slot);
            if !stays {
                self.datapath.policies.retire(installed.slot, now);
            }
            stays
        });
        Ok(departing)
    }

    /// Who addresses still are to the datapath, and who they will be, where the one that they were is nobody any
    /// more.
    fn moves(&self, due: &Changed) -> Result<Vec<(Peer, Peer)>> {
        let repository = &self.cluster.repository;
        let mut moves = Vec::new();
        let mut look_up = |address: IpAddr, new: Peer| -> Result<()> {
            if let Some(AddressRecord { peer: old, .. }) = self.datapath.addresses.get(&address.into())?
                && old != new
                && !repository.has_peer(old)
            {
                moves.push((old, new));
            }
            Ok(())
        };
        match &due.addresses {
            None => repository.addresses().try_for_each(|(address, new)| look_up(address, new))?,
            Some(due) => {
                let known =
                    due.iter().filter_map(|address| Some((*address, repository.known_peer(*address)?)));
                known.into_iter().try_for_each(|(address, new)| look_up(address, new))?;
            }
        }
        Ok(moves)
    }

    fn record(
        &self,
        endpoint: &crate::endpoint::Endpoint,
        ingress: PolicySlot,
        egress: PolicySlot,
    ) -> abi::Endpoint {
        let address = |v4| endpoint.address(v4);
        let cidrs =
            |v4| address(v4).map_or(CidrSet::EMPTY, |address| self.cluster.repository.peer(address).cidrs);
        let identity =
            endpoint.addresses.first().map_or(Identity::INIT, |address| self.cluster.identity(*address));
        abi::Endpoint {
            v4: address(true).map_or(Addr::UNSPECIFIED, Addr::from),
            v6: address(false).map_or(Addr::UNSPECIFIED, Addr::from),
            identity,
            v4_cidrs: cidrs(true),
            v6_cidrs: cidrs(false),
            ingress,
            egress,
            ifindex: endpoint.link(),
            id: endpoint.number(),
            macs: abi::Endpoint::macs_to(endpoint.mac.0),
            pad: [0; 2],
        }
    }

    /// The slot of a policy, which is installed if it is not yet.
    fn slot(
        &mut self,
        compiled: &Arc<Compiled>,
        moves: &[(Peer, Peer)],
        departing: &mut Vec<(PolicySlot, BTreeSet<Peer>)>,
    ) -> Result<PolicySlot> {
        if compiled.tables.allow_all {
            return Ok(PolicySlot::ALLOW_ALL);
        }
        if let Some(installed) = self.installed.iter().find(|known| Arc::ptr_eq(known.compiled(), compiled)) {
            return Ok(installed.slot);
        }
        let same = |installed: &&mut Installed| installed.compiled().tables == compiled.tables;
        if let Some(installed) = self.installed.iter_mut().find(same) {
            // The same tables may have come from other rules.
            installed.comes_from(Arc::clone(compiled));
            return Ok(installed.slot);
        }
        let mut policy = compiled_policy(&compiled.tables);
        let mut until_rewritten = BTreeSet::new();
        for (old, new) in moves {
            // Where two addresses that were the same become different, the first one decides: for a moment only.
            if let (Some(class), Entry::Vacant(entry)) =
                (compiled.tables.peers.get(new), policy.peers.entry(*old))
            {
                entry.insert(*class);
                until_rewritten.insert(*old);
            }
        }
        let (slot, generation) = self.datapath.policies.install(&policy)?;
        if !until_rewritten.is_empty() {
            departing.push((slot, until_rewritten));
        }
        self.installed.push(Installed::new(Arc::clone(compiled), slot, generation));
        Ok(slot)
    }

    /// Changes policies in place where only peers come or go: one write for each. All endpoints that share a
    /// policy must want the same change.
    fn grow(
        &mut self,
        wanted: &HashMap<(IfIndex, Direction), Arc<Compiled>>,
    ) -> Result<Vec<(PolicySlot, BTreeSet<Peer>)>> {
        let mut departing = Vec::new();
        let mut sharing: HashMap<PolicySlot, Vec<&Arc<Compiled>>> = HashMap::new();
        for ((link, direction), compiled) in wanted {
            let Some(record) = self.datapath.endpoints.get(link) else { continue };
            let slot = if *direction == Direction::Ingress { record.ingress } else { record.egress };
            sharing.entry(slot).or_default().push(compiled);
        }
        for index in 0..self.installed.len() {
            let installed = &self.installed[index];
            let slot = installed.slot;
            let Some((new, others)) = sharing.get(&slot).and_then(|all| all.split_first()) else { continue };
            if Arc::ptr_eq(new, installed.compiled())
                || others.iter().any(|other| !Arc::ptr_eq(other, new) && other.tables != new.tables)
            {
                continue;
            }
            let taken = self
                .installed
                .iter()
                .any(|other| other.slot != slot && other.compiled().tables == new.tables);
            let Some((added, removed)) =
                peer_changes(&installed.compiled().tables, &new.tables).filter(|_| !taken)
            else {
                continue;
            };
            if removed.iter().any(|peer| self.cluster.repository.has_peer(*peer)) {
                continue;
            }
            self.datapath.policies.add_peers(slot, &added)?;
            if !removed.is_empty() {
                departing.push((slot, removed));
            }
            self.installed[index].comes_from(Arc::clone(new));
        }
        Ok(departing)
    }

    /// Enters who has which address, and which CIDRs are in use.
    fn enforce_addresses(&mut self, due: &Changed) -> Result<()> {
        let local: HashMap<IpAddr, IfIndex> = self
            .endpoints
            .iter()
            .flat_map(|endpoint| endpoint.addresses.iter().map(|address| (*address, endpoint.link())))
            .collect();
        match &due.addresses {
            None => self.replace_addresses(&local)?,
            Some(due) => self.update_addresses(due, &local)?,
        }
        if due.cidrs || due.addresses.is_none() {
            let cidrs = self.cluster.repository.cidrs().into_iter();
            let cidrs: HashMap<CidrKey, CidrRecord> =
                cidrs.map(|(cidr, peer)| (cidr_key(cidr), CidrRecord { peer })).collect();
            self.datapath.cidrs.replace(&cidrs)?;
        }
        Ok(())
    }

    /// Makes the datapath know exactly the addresses that are known.
    fn replace_addresses(&mut self, local: &HashMap<IpAddr, IfIndex>) -> Result<()> {
        let repository = &self.cluster.repository;
        for (address, peer) in repository.addresses() {
            let record = self.address_record(address, peer, local);
            self.datapath.addresses.set(address.into(), record)?;
        }
        let is_stale = |address: &Addr| repository.known_peer((*address).into()).is_none();
        self.datapath.addresses.remove_where(is_stale)?;
        Ok(())
    }

    /// Makes the datapath know what is known of these addresses.
    fn update_addresses(&mut self, due: &HashSet<IpAddr>, local: &HashMap<IpAddr, IfIndex>) -> Result<()> {
        let mut stale = Vec::new();
        for address in due {
            match self.cluster.repository.known_peer(*address) {
                Some(peer) => {
                    let record = self.address_record(*address, peer, local);
                    self.datapath.addresses.set((*address).into(), record)?;
                }
                None => stale.push(Addr::from(*address)),
            }
        }
        // The room of what went may be needed by nobody else: what comes, comes first.
        for address in stale {
            self.datapath.addresses.remove(&address)?;
        }
        Ok(())
    }

    fn address_record(&self, address: IpAddr, peer: Peer, local: &HashMap<IpAddr, IfIndex>) -> AddressRecord {
        let here = local.get(&address).copied().unwrap_or_default();
        // In ENI mode the stack chooses the interface, by rules.
        let is_forwarded = here == IfIndex(0) && self.eni.is_none() && self.cluster.is_elsewhere(address);
        let forward = if is_forwarded { self.uplink.index } else { IfIndex(0) };
        AddressRecord { peer, local: here, forward }
    }
}
