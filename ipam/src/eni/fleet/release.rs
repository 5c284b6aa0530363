//! Prefixes that a node could do without: the operator's half of the handshake, performed.

use std::time::Duration;

use super::{Fleet, Node, Outgoing};
use crate::{
    Timestamp,
    ec2::Request,
    eni::{
        Kind, NodeRecord,
        handshake::{
            Drain,
            operator::{self, Known},
        },
        room,
    },
};

/// How old what was read may be when a request is sent that takes something away. Leaders overlap by no more.
const FENCE: Duration = Duration::from_secs(15);

impl Fleet {
    /// Does the next step of the handshake.
    pub(super) fn release(&mut self, node: &mut Node, now: Timestamp, out: &mut Vec<Outgoing>) {
        if node.at_api || node.unreadable.is_some() {
            return;
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
            operator::Step::Write(drain) => write(node, &drain, now, out),
            operator::Step::Release(prefixes) => {
                // One interface a request; the others follow.
                let Some((interface_id, prefixes)) = prefixes.into_iter().next() else { return };
                if self.is_fenced(node, now, out) {
                    let (singles, prefixes): (Vec<_>, Vec<_>) =
                        prefixes.into_iter().partition(|prefix| prefix.prefix() == 32);
                    let addresses = singles.into_iter().map(ipnetwork::Ipv4Network::ip).collect();
                    let request = Request::Unassign { interface_id, addresses, prefixes };
                    self.ask_for(node, request, now, out);
                }
            }
            // The status follows from what is promised.
            operator::Step::Unlist(_) | operator::Step::Wait | operator::Step::Nothing => {}
        }
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

    /// Whether object and EC2 were looked at, in this order and a short time ago; if not, does so.
    fn is_fenced(&mut self, node: &mut Node, now: Timestamp, out: &mut Vec<Outgoing>) -> bool {
        match node.read_at {
            Some(read_at) if now.since(read_at) < FENCE => {
                if node.looked < read_at {
                    node.must_ask = true;
                    self.wake_at(now);
                    return false;
                }
                true
            }
            _ => {
                node.at_api = true;
                out.push(Outgoing::Read { node: node.record.name.clone() });
                false
            }
        }
    }
}

fn write(node: &mut Node, drain: &Drain, now: Timestamp, out: &mut Vec<Outgoing>) {
    // What the agent refused is not asked for again at once.
    for prefix in node.drained.iter().flat_map(|drained| &drained.refused) {
        node.idle_since.insert(*prefix, now);
    }
    let value = drain.to_string();
    node.at_api = true;
    node.writing = Some(Box::new(NodeRecord { drain: Some(value.clone()), ..node.record.clone() }));
    let NodeRecord { name, uid, resource_version, .. } = node.record.clone();
    out.push(Outgoing::WriteDrain { node: name, uid, resource_version, value });
}
