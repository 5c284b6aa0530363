//! Prefixes that a node could do without: the operator's half of the handshake, performed.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use ipnetwork::Ipv4Network;

use super::{FENCE, Fleet, Flight, Node, Outgoing};
use crate::{
    Timestamp,
    ec2::{Action, Request},
    eni::{
        Kind, NodeRecord,
        handshake::{
            Drain,
            operator::{self, Known},
        },
        room,
    },
};

impl Fleet {
    /// Does the next step of the handshake; tells whether what is promised is on its way, or cannot be taken now.
    pub(super) fn release(&mut self, node: &mut Node, now: Timestamp, out: &mut Vec<Outgoing>) -> bool {
        if let Some(until) = node.api.until(now) {
            self.wake_at(until);
            return false;
        }
        if node.unreadable.is_some() {
            return false;
        }
        if node.at_api {
            return true;
        }
        let mut excess = node.excess(&self.config, now);
        if node.full {
            excess = node.convertible(|subnet| self.may_have_prefixes(node, subnet, now));
        }
        if let Some(first) = node.idle_since.values().min() {
            let due = first.after(Duration::from_secs(self.config.excess_release_delay.into()));
            if due > now {
                self.wake_at(due);
            }
        }
        let known = Known {
            drain: &node.drain,
            drained: node.drained.as_ref(),
            listed: &node.listed,
            attached: &node.attached(),
            excess: &excess,
        };
        match operator::next(known, now) {
            operator::Step::Write(drain) => self.write(node, &drain, now, out),
            operator::Step::Release(prefixes) => return self.unassign(node, prefixes, now, out),
            // The status follows from what is promised.
            operator::Step::Unlist(_) | operator::Step::Wait | operator::Step::Nothing => {}
        }
        true
    }

    /// Takes what was promised from an interface that is ours to change; the others follow, one a request.
    fn unassign(
        &mut self,
        node: &mut Node,
        prefixes: BTreeMap<String, BTreeSet<Ipv4Network>>,
        now: Timestamp,
        out: &mut Vec<Outgoing>,
    ) -> bool {
        let mut until = node.troubles.until(Action::UnassignPrivateIpAddresses, now);
        if until.is_none() {
            let rest = |id: &String| node.troubles.avoids_until(id, now);
            until = prefixes.keys().map(rest).min().flatten();
        }
        if let Some(until) = until {
            self.wake_at(until);
            return false;
        }
        let ours = |(id, _): &(String, _)| node.troubles.avoids_until(id, now).is_none();
        let Some((interface_id, prefixes)) = prefixes.into_iter().find(ours) else { return false };
        if let Some(not_after) = self.fence(node, now, out) {
            let (singles, prefixes): (Vec<_>, Vec<_>) =
                prefixes.into_iter().partition(|prefix| prefix.prefix() == 32);
            let addresses = singles.into_iter().map(Ipv4Network::ip).collect();
            let request = Request::Unassign { interface_id, addresses, prefixes };
            self.ask_for(node, request, Some(not_after), now, out);
        }
        true
    }

    /// Whether it makes sense to ask the subnet for a prefix.
    fn may_have_prefixes(&self, node: &Node, subnet: &str, now: Timestamp) -> bool {
        let settings = &node.record.settings;
        let limits = self.limits.get(&settings.instance_type).copied().flatten();
        self.config.prefix_delegation
            && !settings.disable_prefix_delegation
            && limits.is_some_and(|limits| limits.prefixes)
            && self
                .subnets
                .get(subnet)
                .is_some_and(|of| room(of, Kind::Prefix, false, &self.history, now) > 0)
    }

    /// Until when something may be taken: object and EC2 were looked at, in this order and a short time ago. If they were
    /// not, it does so.
    fn fence(&mut self, node: &mut Node, now: Timestamp, out: &mut Vec<Outgoing>) -> Option<Timestamp> {
        match node.read_at.map(|read_at| (read_at, read_at.after(FENCE))) {
            Some((read_at, not_after)) if now < not_after => {
                if node.looked < read_at {
                    node.must_ask = true;
                    self.wake_at(now);
                    return None;
                }
                Some(not_after)
            }
            _ => {
                self.read_now(node, now, out);
                None
            }
        }
    }

    fn write(&mut self, node: &mut Node, drain: &Drain, now: Timestamp, out: &mut Vec<Outgoing>) {
        // What the agent refused is not asked for again at once.
        for prefix in node.drained.iter().flat_map(|drained| &drained.refused) {
            node.idle_since.insert(*prefix, now);
        }
        let value = drain.to_string();
        node.at_api = true;
        node.writing = Some(Box::new(NodeRecord { drain: Some(value.clone()), ..node.record.clone() }));
        let NodeRecord { name, uid, resource_version, .. } = node.record.clone();
        let id = self.takes_off(Flight::Write { name: name.clone(), generation: node.generation });
        out.push(Outgoing::WriteDrain { id, node: name, uid, resource_version, value });
    }
}
