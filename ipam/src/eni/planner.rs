//! The cheapest way to more addresses.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use super::{
    Config, Limits, NodeSettings, Reason,
    limits::PREFIX_ADDRESSES,
    settings::has_tags,
    subnet::{History, Kind, candidates, room},
};
use crate::{
    Timestamp,
    ec2::{Addresses, Interface, Subnet},
};

/// What a planner looks at.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    /// What the instance allows.
    pub limits: Limits,
    /// What the node is set to.
    pub settings: &'a NodeSettings,
    /// What the operator is set to.
    pub config: &'a Config,
    /// All interfaces that are attached to the instance.
    pub attached: &'a [Interface],
    /// Interfaces of ours that were made for the instance and are attached to nothing.
    pub unattached: &'a [Interface],
    /// Attached interfaces that are not to be changed.
    pub avoided: &'a BTreeSet<String>,
    /// The VPC's subnets by id.
    pub subnets: &'a BTreeMap<String, Subnet>,
    /// What recently failed.
    pub history: &'a History,
    /// Addresses that are wanted.
    pub wanted: u32,
    /// The time.
    pub now: Timestamp,
}

/// A step of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Attach an interface that was made before. Two calls: the attachment, and that it ends with the instance.
    Attach {
        /// The interface.
        interface_id: String,
        /// Its number.
        device_index: u32,
    },
    /// Give an attached interface more. One call.
    Assign {
        /// The interface.
        interface_id: String,
        /// What it is given.
        addresses: Addresses,
    },
    /// Make and attach an interface. Three calls.
    Create {
        /// Its subnet.
        subnet_id: String,
        /// What it has from the start.
        addresses: Addresses,
        /// Its number.
        device_index: u32,
    },
}

impl Step {
    /// Calls that change something at EC2.
    #[must_use]
    pub fn calls(&self) -> u32 {
        match self {
            Self::Attach { .. } => 2,
            Self::Assign { .. } => 1,
            Self::Create { .. } => 3,
        }
    }
}

/// What to do, and what cannot be done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The steps, in order. Each can fail, and who performs them plans again then.
    pub steps: Vec<Step>,
    /// Addresses that the steps leave wanting.
    pub short: u32,
    /// Why.
    pub reasons: Vec<Reason>,
}

/// Whether pods may have the interface's addresses: it is numbered high enough, not excluded by its tags, an
/// interface like others and with IPv4, on the default card, and nobody else's to change.
#[must_use]
pub fn is_usable(interface: &Interface, settings: &NodeSettings) -> bool {
    let excluded = !settings.exclude_interface_tags.is_empty()
        && has_tags(&interface.tags, &settings.exclude_interface_tags);
    let attached = interface.attachment.as_ref();
    attached.is_some_and(|to| to.network_card == 0 && to.device_index >= settings.first_interface_index)
        && !excluded
        && !interface.requester_managed
        && interface.kind == "interface"
        && interface.has_ipv4()
}

/// The cheapest plan that gives the node what it wants, or as much of it as is possible.
///
/// - An interface that was made before is attached first.
/// - As few new interfaces as possible; with that, as few calls as possible: new ones are made full, since their
///   prefixes come with them, and what is left over goes to the attached ones with the most room.
/// - Single addresses only where no subnet that is allowed has a prefix to give, or the node takes none; they are
///   given to interfaces one by one, and none of them gives up prefixes for it.
///
/// No plan exceeds the slots of an interface, the number of interfaces, or their numbers.
#[must_use]
pub fn plan(situation: &Situation<'_>) -> Plan {
    let mut plan = Plan::default();
    if situation.wanted == 0 {
        return plan;
    }
    if !situation.attached.iter().any(|interface| number(interface) == Some(0)) {
        // The instance is gone, or EC2 does not show it yet. (cilium #9533: interfaces were made for dead instances.)
        plan.short = situation.wanted;
        plan.reasons.push(Reason::NoPrimaryInterface);
        return plan;
    }
    let mut work = Work::new(situation);
    let mut wanted = work.attach(situation.wanted, &mut plan);
    let prefixes = situation.config.prefix_delegation && !situation.settings.disable_prefix_delegation;
    if prefixes && !situation.limits.prefixes {
        plan.reasons.push(Reason::PrefixesUnsupported(situation.settings.instance_type.clone()));
    }
    if prefixes && situation.limits.prefixes {
        let taken = work.cover(Kind::Prefix, wanted.div_ceil(PREFIX_ADDRESSES), &mut plan);
        wanted = wanted.saturating_sub(taken.saturating_mul(PREFIX_ADDRESSES));
    }
    let taken = work.cover(Kind::Address, wanted, &mut plan);
    plan.short = wanted - taken;
    plan.reasons.sort();
    plan.reasons.dedup();
    if plan.short == 0 {
        plan.reasons.clear();
    }
    plan
}

fn number(interface: &Interface) -> Option<u32> {
    let attachment = interface.attachment.as_ref().filter(|to| to.network_card == 0)?;
    Some(attachment.device_index)
}

/// An interface, or one that is to be.
struct Room {
    /// Nothing for a new one.
    interface_id: Option<String>,
    subnet_id: String,
    free: u32,
}

struct Work<'a> {
    situation: &'a Situation<'a>,
    rooms: Vec<Room>,
    /// Numbers for new interfaces.
    numbers: Vec<u32>,
    /// What earlier steps take of each subnet.
    spent: BTreeMap<String, u32>,
}

impl<'a> Work<'a> {
    fn new(situation: &'a Situation<'a>) -> Self {
        let Situation { limits, settings, attached, .. } = *situation;
        let used: Vec<u32> = attached.iter().filter_map(number).collect();
        let count = u32::try_from(used.len()).unwrap_or(u32::MAX);
        let numbers = (settings.first_interface_index.max(1)..limits.interfaces)
            .filter(|number| !used.contains(number))
            .take(limits.interfaces.saturating_sub(count) as usize)
            .collect();
        let rooms = attached
            .iter()
            .filter(|interface| is_usable(interface, settings) && !situation.avoided.contains(&interface.id))
            .map(|interface| Room {
                interface_id: Some(interface.id.clone()),
                subnet_id: interface.subnet_id.clone(),
                free: limits.slots.saturating_sub(interface.slots() - 1),
            })
            .collect();
        Self { situation, rooms, numbers, spent: BTreeMap::new() }
    }

    /// Attaches what was made before; tells what is still wanted.
    fn attach(&mut self, mut wanted: u32, plan: &mut Plan) -> u32 {
        for interface in self.situation.unattached {
            if wanted == 0 || self.numbers.is_empty() {
                break;
            }
            let held = interface.slots() - 1;
            if held > self.situation.limits.slots {
                // (cilium #9730: an interface with more than the type allows can't be attached.)
                plan.reasons.push(Reason::TooManyAddresses(interface.id.clone()));
                continue;
            }
            let device_index = self.numbers.remove(0);
            plan.steps.push(Step::Attach { interface_id: interface.id.clone(), device_index });
            let prefixes = u32::try_from(interface.prefixes.len()).unwrap_or(u32::MAX);
            let singles = u32::try_from(interface.secondary_addresses.len()).unwrap_or(u32::MAX);
            wanted = wanted.saturating_sub(prefixes * PREFIX_ADDRESSES + singles);
            self.rooms.push(Room {
                interface_id: Some(interface.id.clone()),
                subnet_id: interface.subnet_id.clone(),
                free: self.situation.limits.slots - held,
            });
        }
        wanted
    }

    /// How many of a kind a subnet gives at once, after what is planned already.
    fn gives(&self, subnet_id: &str, kind: Kind, primary: bool) -> u32 {
        let Some(subnet) = self.situation.subnets.get(subnet_id) else { return 0 };
        let mut subnet = subnet.clone();
        let spent = self.spent.get(subnet_id).copied().unwrap_or_default();
        subnet.available_addresses = subnet.available_addresses.saturating_sub(spent);
        room(&subnet, kind, primary, self.situation.history, self.situation.now)
    }

    /// Plans for `wanted` of a kind; tells how many it found room for.
    fn cover(&mut self, kind: Kind, wanted: u32, plan: &mut Plan) -> u32 {
        if wanted == 0 {
            return 0;
        }
        // Interfaces of a subnet share what it has.
        let mut by_subnet: BTreeMap<&str, u32> = BTreeMap::new();
        for room in &self.rooms {
            *by_subnet.entry(&room.subnet_id).or_default() += room.free;
        }
        let held: u32 =
            by_subnet.iter().map(|(subnet, free)| (*free).min(self.gives(subnet, kind, false))).sum();
        // As few new interfaces as possible, each as full as is wanted.
        let mut left = wanted;
        let mut new = Vec::new();
        while left > held && !self.numbers.is_empty() {
            let count = left.min(self.situation.limits.slots);
            let Some((subnet_id, count)) = self.subnet(kind, count, plan) else { break };
            self.spend(&subnet_id, kind, count, 1);
            left -= count;
            new.push((subnet_id, count, self.numbers.remove(0)));
        }
        let mut order: Vec<usize> = (0..self.rooms.len()).collect();
        order.sort_by_key(|&index| Reverse(self.rooms[index].free));
        while left > 0 {
            let offers = order.iter().map(|&index| {
                let room = &self.rooms[index];
                (index, room.free.min(self.gives(&room.subnet_id, kind, false)))
            });
            let offers: Vec<_> = offers.filter(|(_, offer)| *offer > 0).collect();
            // The smallest that is enough for the rest; where none is, the largest.
            let enough = offers.iter().filter(|(_, offer)| *offer >= left).min_by_key(|(_, offer)| *offer);
            let largest = offers.iter().max_by_key(|(index, offer)| (*offer, Reverse(*index)));
            let Some(&(index, offer)) = enough.or(largest) else { break };
            let count = offer.min(left);
            self.rooms[index].free -= count;
            let (interface_id, subnet_id) =
                (self.rooms[index].interface_id.clone(), self.rooms[index].subnet_id.clone());
            self.spend(&subnet_id, kind, count, 0);
            left -= count;
            order.retain(|&other| other != index);
            if let Some(interface_id) = interface_id {
                plan.steps.push(Step::Assign { interface_id, addresses: addresses(kind, count) });
            }
        }
        for (subnet_id, count, device_index) in new {
            plan.steps.push(Step::Create { subnet_id, addresses: addresses(kind, count), device_index });
        }
        if left > 0 {
            self.explain(kind, plan);
        }
        wanted - left
    }

    /// The subnet for a new interface, and how many of a kind it gives.
    fn subnet(&self, kind: Kind, count: u32, plan: &mut Plan) -> Option<(String, u32)> {
        let Situation { settings, config, subnets, .. } = *self.situation;
        let found = match candidates(settings, config, subnets) {
            Ok(found) => found,
            Err(reason) => {
                plan.reasons.push(reason);
                return None;
            }
        };
        let offers: Vec<(&Subnet, u32)> =
            found.into_iter().map(|subnet| (subnet, self.gives(&subnet.id, kind, true).min(count))).collect();
        // The first that has enough; where none has, the first that has the most.
        let most = offers.iter().map(|(_, offer)| *offer).max().filter(|most| *most > 0)?;
        offers.into_iter().find(|(_, offer)| *offer == most).map(|(subnet, offer)| (subnet.id.clone(), offer))
    }

    fn spend(&mut self, subnet_id: &str, kind: Kind, count: u32, primary: u32) {
        *self.spent.entry(subnet_id.to_owned()).or_default() += count * kind.addresses() + primary;
    }

    fn explain(&self, kind: Kind, plan: &mut Plan) {
        let Situation { settings, config, subnets, limits, .. } = *self.situation;
        if self.numbers.is_empty() {
            plan.reasons.push(Reason::NoFreeInterface {
                instance_type: settings.instance_type.clone(),
                interfaces: limits.interfaces,
                first: settings.first_interface_index,
            });
        }
        let with_room = self.rooms.iter().filter(|room| room.free > 0).map(|room| room.subnet_id.as_str());
        let mut asked: Vec<&str> = with_room.collect();
        if !self.numbers.is_empty()
            && let Ok(found) = candidates(settings, config, subnets)
        {
            asked.extend(found.into_iter().map(|subnet| subnet.id.as_str()));
        }
        let full = asked.into_iter().filter(|subnet| self.gives(subnet, kind, false) == 0);
        plan.reasons.extend(full.map(|subnet| Reason::SubnetFull { subnet: subnet.to_owned(), kind }));
    }
}

fn addresses(kind: Kind, count: u32) -> Addresses {
    match kind {
        Kind::Prefix => Addresses::PrefixCount(count),
        Kind::Address => Addresses::Count(count),
    }
}
