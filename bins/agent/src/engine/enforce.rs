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
    Addr, AddressRecord, CidrKey, CidrRecord, CidrSet, Direction, Generation, Identity, IfIndex, Peer,
    PolicySlot,
};
use anyhow::{Context, Result};
use policy::Compiled;

use super::Engine;
use crate::cluster::Holder;
use crate::tables::{cidr_key, compiled_policy, peer_changes};

/// A policy in the kernel.
#[derive(Clone, Debug)]
pub(super) struct Installed {
    /// What it was compiled from.
    pub(super) compiled: Arc<Compiled>,
    /// Where it is.
    pub(super) slot: PolicySlot,
    /// Its number.
    pub(super) generation: Generation,
}

impl Engine {
    /// Brings the whole node in line with what is known.
    pub(super) async fn enforce(&mut self) -> Result<()> {
        let first = !self.settled;
        if first {
            self.cluster.forget_unused_cidrs();
            self.settle().await?;
            if self.addresses.is_none() {
                // Which pods are here cannot be told yet; those that an earlier agent left go on as they are.
                return Ok(());
            }
        } else {
            if let (Some(book), Some(node)) = (&mut self.addresses, self.cluster.own_node()) {
                book.set_ranges(&node.pod_cidrs)?;
            }
            // For a pod that went without a word nothing can be plumbed any more, which would hold up all others.
            self.collect_gone().await;
        }
        self.enforce_datapath()?;
        self.plumb().await?;
        if first {
            self.datapath.attach_uplink(&self.uplink.name)?;
            let used = self.installed.iter().map(|installed| installed.slot).collect();
            self.datapath.policies.retire_inherited(&used, Instant::now());
            self.settled = true;
            self.drain_queue().await;
        }
        Ok(())
    }

    /// Brings policies and addresses in line with what is known, without the node's plumbing.
    pub(super) fn enforce_datapath(&mut self) -> Result<()> {
        self.store_numbers()?;
        let departing = self.enforce_policies().context("enforcing policies")?;
        self.enforce_addresses().context("entering addresses")?;
        for (slot, peers) in departing {
            self.datapath.policies.remove_peers(slot, &peers)?;
        }
        super::publish(&self.published.policy, self.cluster.repository.revision());
        Ok(())
    }

    /// Resolves the policies of every endpoint, installs what is new, and lets the endpoints take it over. Returns
    /// the peers that policies are to forget once addresses are rewritten.
    fn enforce_policies(&mut self) -> Result<Vec<(PolicySlot, BTreeSet<Peer>)>> {
        // What every endpoint wants, and has.
        let mut wanted: HashMap<(IfIndex, Direction), Arc<Compiled>> = HashMap::new();
        for endpoint in self.endpoints.iter() {
            let Some(labels) = endpoint.pod.as_ref().and_then(|pod| self.cluster.labels(pod)) else {
                continue;
            };
            for direction in [Direction::Ingress, Direction::Egress] {
                let compiled = self.cluster.repository.compile(&labels, direction);
                wanted.insert((endpoint.link(), direction), compiled);
            }
        }
        let moves = self.moves();
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
    fn moves(&self) -> Vec<(Peer, Peer)> {
        let known = |address: &Addr| self.datapath.addresses.get(address).map(|record| record.peer);
        let changed: Vec<(Peer, Peer)> = self
            .cluster
            .repository
            .addresses()
            .filter_map(|(address, new)| {
                known(&address.into()).filter(|old| *old != new).map(|old| (old, new))
            })
            .collect();
        if changed.is_empty() {
            return changed;
        }
        let present: HashSet<Peer> = self.cluster.peers().collect();
        changed.into_iter().filter(|(old, _)| !present.contains(old)).collect()
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
        let same = |installed: &&mut Installed| {
            Arc::ptr_eq(&installed.compiled, compiled) || installed.compiled.tables == compiled.tables
        };
        if let Some(installed) = self.installed.iter_mut().find(same) {
            // The same tables may have come from other rules.
            installed.compiled = Arc::clone(compiled);
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
        self.installed.push(Installed { compiled: Arc::clone(compiled), slot, generation });
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
        let mut present: Option<HashSet<Peer>> = None;
        for index in 0..self.installed.len() {
            let installed = &self.installed[index];
            let slot = installed.slot;
            let Some((new, others)) = sharing.get(&slot).and_then(|all| all.split_first()) else { continue };
            if Arc::ptr_eq(new, &installed.compiled)
                || others.iter().any(|other| !Arc::ptr_eq(other, new) && other.tables != new.tables)
            {
                continue;
            }
            let taken =
                self.installed.iter().any(|other| other.slot != slot && other.compiled.tables == new.tables);
            let Some((added, removed)) =
                peer_changes(&installed.compiled.tables, &new.tables).filter(|_| !taken)
            else {
                continue;
            };
            let present = present.get_or_insert_with(|| self.cluster.peers().collect());
            if removed.iter().any(|peer| present.contains(peer)) {
                continue;
            }
            self.datapath.policies.add_peers(slot, &added)?;
            if !removed.is_empty() {
                departing.push((slot, removed));
            }
            self.installed[index].compiled = Arc::clone(new);
        }
        Ok(departing)
    }

    /// Enters who has which address, and which CIDRs are in use.
    fn enforce_addresses(&mut self) -> Result<()> {
        let local: HashMap<IpAddr, IfIndex> = self
            .endpoints
            .iter()
            .flat_map(|endpoint| endpoint.addresses.iter().map(|address| (*address, endpoint.link())))
            .collect();
        let addresses: HashMap<Addr, AddressRecord> = self
            .cluster
            .repository
            .addresses()
            .map(|(address, peer)| {
                let here = local.get(&address).copied().unwrap_or_default();
                let forward = if here == IfIndex(0) && self.forwards_to(address) {
                    self.uplink.index
                } else {
                    IfIndex(0)
                };
                (Addr::from(address), AddressRecord { peer, local: here, forward })
            })
            .collect();
        self.datapath.addresses.replace(&addresses)?;
        let cidrs: HashMap<CidrKey, CidrRecord> = self
            .cluster
            .repository
            .cidrs()
            .into_iter()
            .map(|(cidr, peer)| (cidr_key(cidr), CidrRecord { peer }))
            .collect();
        self.datapath.cidrs.replace(&cidrs)?;
        Ok(())
    }

    /// Whether packets for an address leave by the uplink as they are: pods and nodes elsewhere.
    fn forwards_to(&self, address: IpAddr) -> bool {
        match self.cluster.holder(address) {
            Some(Holder::Node(node)) => *node != self.args.node,
            Some(Holder::Pod(_)) => true,
            Some(Holder::ApiServer) | None => false,
        }
    }
}
