//! What a node needs next.

use std::collections::{BTreeMap, BTreeSet};

use super::{Fleet, Flight, Node, Outgoing, node::assigned, outcome::named, turn::Kept};
use crate::{
    Timestamp,
    ec2::{Addresses, CreateInterface, Interface, Request},
    eni::{
        ListedInterface, NodeRecord, NodeStatus, Reason, Situation, Step,
        garbage::{is_ours, tags},
        handshake::operator::MayUse,
        plan,
        settings::has_tags,
    },
};

impl Fleet {
    /// Does what a node needs next, at the API server and at EC2.
    pub(super) fn step(&mut self, name: &str, now: Timestamp, out: &mut Vec<Outgoing>) {
        let Some(mut node) = self.nodes.remove(name) else { return };
        let wake = self.wake.take();
        node.stirred = false;
        node.troubles.age(now);
        self.serve(&mut node, now, out);
        node.due = std::mem::replace(&mut self.wake, wake);
        self.nodes.insert(name.to_owned(), node);
    }

    fn serve(&mut self, node: &mut Node, now: Timestamp, out: &mut Vec<Outgoing>) {
        self.reread(node, now, out);
        let missing = self.missing(node);
        node.reasons = self.failures(&missing);
        if node.reasons.is_empty() && !missing.is_empty() {
            return;
        }
        let of_all = [Kept::Subnets, Kept::Vpc, Kept::Interfaces, Kept::OfNodes];
        if missing.iter().any(|kept| of_all.contains(kept)) {
            // Nothing is known that could be told but this.
            let interfaces = node.record.status.interfaces.clone();
            return self.tell(node, interfaces, now, out);
        }
        if node.must_look() {
            node.reasons.extend(self.failures(&[Kept::OfNodes]));
        }
        node.reasons.extend(self.lasting_failures(node));
        let odd = node.interfaces.iter().flatten().filter(|of| of.is_in_unknown_state());
        node.reasons.extend(odd.map(|of| Reason::UnknownState(of.id.clone())));
        let next = self.grow(node, now);
        let interfaces = self.listable(node, now);
        self.tell(node, interfaces, now, out);
        if node.at_ec2 || node.must_look() {
            return;
        }
        // What is promised comes first, for EC2 might give it back, and it would be taken again. Where it cannot be
        // taken, growth goes on, and where there is no growth, it is taken all the same.
        if !node.promised.is_empty() && self.release(node, now, out) {
            return;
        }
        for request in next.into_iter().chain(self.end_with_instance(node)) {
            let unseen = node.troubles.unseen_until(named(&request), now);
            match node.troubles.until(request.action(), now).max(unseen) {
                Some(until) => self.wake_at(until),
                None => return self.ask_for(node, request, None, now, out),
            }
        }
        if node.promised.is_empty() {
            self.release(node, now, out);
        }
    }

    /// Reads the object again, if that is needed.
    fn reread(&mut self, node: &mut Node, now: Timestamp, out: &mut Vec<Outgoing>) {
        if !node.must_read || node.at_api {
            return;
        }
        match node.api.until(now) {
            Some(until) => self.wake_at(until),
            None => self.read_now(node, now, out),
        }
    }

    pub(super) fn read_now(&mut self, node: &mut Node, now: Timestamp, out: &mut Vec<Outgoing>) {
        let (name, generation) = (node.record.name.clone(), node.generation);
        let id = self.takes_off(Flight::Read { name: name.clone(), generation, sent: now });
        node.at_api = true;
        out.push(Outgoing::Read { id, node: name });
    }

    /// Sends a node's request.
    pub(super) fn ask_for(
        &mut self,
        node: &mut Node,
        request: Request,
        not_after: Option<Timestamp>,
        now: Timestamp,
        out: &mut Vec<Outgoing>,
    ) {
        let (name, generation) = (node.record.name.clone(), node.generation);
        let flight = Flight::Node { name, generation, request: request.clone(), sent: now };
        if !self.send(request.clone(), flight, not_after, now, out) {
            return;
        }
        node.at_ec2 = true;
        match request {
            Request::CreateInterface(create) => node.creating = Some(create),
            // It is wanted.
            Request::Attach { interface_id, .. } => self.garbage.forget(&interface_id),
            _ => {}
        }
    }

    /// The next request on the way to what the node wants.
    fn grow(&mut self, node: &mut Node, now: Timestamp) -> Option<Request> {
        let name = &node.record.settings.instance_type;
        let limits = match self.limits.get(name) {
            Some(Some(limits)) => *limits,
            // Why they are not known stands there already, unless EC2 does not know them.
            known => {
                if known.is_some() || name.is_empty() {
                    node.reasons.push(Reason::UnknownLimits(name.clone()));
                }
                return None;
            }
        };
        if let Some(creating) = &node.creating {
            return Some(Request::CreateInterface(creating.clone()));
        }
        let attached = node.interfaces.clone().unwrap_or_default();
        let avoided = node.troubles.avoided(now).map(|(id, until)| {
            self.wake = Some(self.wake.map_or(until, |wake| wake.min(until)));
            id.to_owned()
        });
        let avoided: BTreeSet<String> = avoided.collect();
        let situation = Situation {
            limits,
            settings: &node.record.settings,
            config: &self.config,
            attached: &attached,
            unattached: &node.unattached,
            avoided: &avoided,
            subnets: &self.subnets,
            history: &self.history,
            wanted: node.wanted(now),
            now,
        };
        let plan = plan(&situation);
        if plan.short > 0
            && let Some(at) = self.history.next_try(now)
        {
            self.wake_at(at);
        }
        node.full = plan.reasons.iter().any(|reason| matches!(reason, Reason::NoFreeInterface { .. }));
        node.reasons.extend(plan.reasons);
        match plan.steps.into_iter().next()? {
            Step::Assign { interface_id, addresses } => Some(Request::Assign { interface_id, addresses }),
            Step::Attach { interface_id, device_index } => {
                let instance_id = node.record.instance_id.clone();
                Some(Request::Attach { interface_id, instance_id, device_index })
            }
            Step::Create { subnet_id, addresses, .. } => match self.security_groups(node, &attached) {
                Ok(security_groups) => {
                    Some(self.create(node, &attached, subnet_id, security_groups, addresses))
                }
                Err(reason) => {
                    if self.lists.turns.knows(Kept::Groups) {
                        node.reasons.push(reason);
                    }
                    None
                }
            },
        }
    }

    /// Named ones, else those with the tags, else those of the primary interface.
    fn security_groups(&self, node: &Node, attached: &[Interface]) -> Result<Vec<String>, Reason> {
        let settings = &node.record.settings;
        if !settings.security_groups.is_empty() {
            return Ok(settings.security_groups.clone());
        }
        if settings.security_group_tags.is_empty() {
            let primary = |interface: &&Interface| {
                interface.attachment.as_ref().is_some_and(|to| to.device_index == 0 && to.network_card == 0)
            };
            return Ok(attached
                .iter()
                .find(primary)
                .map(|of| of.security_groups.clone())
                .unwrap_or_default());
        }
        let found = self.groups.iter().filter(|group| has_tags(&group.tags, &settings.security_group_tags));
        let found: Vec<String> = found.map(|group| group.id.clone()).collect();
        if !found.is_empty() {
            return Ok(found);
        }
        let tags = settings.security_group_tags.iter().map(|(key, value)| format!("{key}={value}"));
        Err(Reason::NoSecurityGroup(tags.collect::<Vec<_>>().join(", ")))
    }

    /// The token is the same as long as the same interfaces are attached and the same is asked for: who leads after a
    /// crash finds what was made before it.
    fn create(
        &self,
        node: &Node,
        attached: &[Interface],
        subnet_id: String,
        security_groups: Vec<String>,
        addresses: Addresses,
    ) -> Request {
        let instance_id = &node.record.instance_id;
        let mut ids: Vec<&str> = attached.iter().map(|interface| interface.id.as_str()).collect();
        ids.sort_unstable();
        let tags = tags(&self.config, instance_id);
        let attempt = node.attempt;
        let asked =
            format!("{instance_id} {ids:?} {subnet_id} {security_groups:?} {addresses:?} {tags:?} {attempt}");
        let client_token = format!("{:.36}-{:08x}", node.record.uid, crc32fast::hash(asked.as_bytes()));
        Request::CreateInterface(CreateInterface {
            subnet_id,
            security_groups,
            description: format!("Pods of {} ({instance_id})", node.record.name),
            addresses: Some(addresses),
            tags,
            client_token,
        })
    }

    /// Interfaces that we made end with the instance, or do not, as is set.
    fn end_with_instance(&self, node: &Node) -> Option<Request> {
        let delete = node.record.settings.delete_on_termination;
        node.interfaces.iter().flatten().filter(|interface| is_ours(interface, &self.config)).find_map(|of| {
            let attachment = of.attachment.as_ref()?;
            (attachment.delete_on_termination != delete && attachment.device_index > 0).then(|| {
                let (interface_id, attachment_id) = (of.id.clone(), attachment.id.clone());
                Request::SetDeleteOnTermination { interface_id, attachment_id, delete }
            })
        })
    }

    /// Writes the status if it is not what it should be.
    fn tell(
        &mut self,
        node: &mut Node,
        interfaces: BTreeMap<String, ListedInterface>,
        now: Timestamp,
        out: &mut Vec<Outgoing>,
    ) {
        let wants = node.interfaces.is_some() && node.wanted(now) > 0;
        let refused = node.troubles.reasons(wants, !node.promised.is_empty());
        let reasons = node.reasons.iter().chain(refused).chain(&node.unreadable);
        let mut said = BTreeSet::new();
        let reasons = reasons.map(ToString::to_string).filter(|reason| said.insert(reason.clone()));
        let error: Vec<String> = reasons.collect();
        let status = NodeStatus { interfaces, error: (!error.is_empty()).then(|| error.join("; ")) };
        if node.at_api || status == node.record.status {
            return;
        }
        if let Some(until) = node.api.until(now) {
            return self.wake_at(until);
        }
        node.at_api = true;
        node.writing = Some(Box::new(NodeRecord { status: status.clone(), ..node.record.clone() }));
        let NodeRecord { name, uid, resource_version, .. } = node.record.clone();
        let id = self.takes_off(Flight::Write { name: name.clone(), generation: node.generation });
        out.push(Outgoing::WriteStatus { id, node: name, uid, resource_version, status });
    }

    /// What the node may use.
    fn listable(&mut self, node: &mut Node, now: Timestamp) -> BTreeMap<String, ListedInterface> {
        let mut interfaces = BTreeMap::new();
        for interface in node.usable() {
            let mut listed = self.entry(interface);
            listed.addresses.extend(node.primary(interface));
            interfaces.insert(interface.id.clone(), listed);
        }
        let mut look_at = None;
        for interface in node.usable() {
            let Some(listed) = interfaces.get_mut(&interface.id) else { continue };
            for prefix in assigned(interface) {
                match node.may_use(prefix, now) {
                    MayUse::Yes if prefix.prefix() == 32 => listed.addresses.push(prefix.ip()),
                    MayUse::Yes => listed.prefixes.push(prefix),
                    MayUse::Later(at) => look_at = Some(look_at.map_or(at, |other: Timestamp| other.min(at))),
                    MayUse::No => {}
                }
            }
            listed.addresses.sort_unstable();
            listed.prefixes.sort_unstable();
        }
        if let Some(at) = look_at {
            node.must_ask |= at <= now;
            self.wake_at(at);
        }
        interfaces
    }

    fn entry(&self, of: &Interface) -> ListedInterface {
        ListedInterface {
            ip: of.primary_address,
            mac: of.mac.clone(),
            availability_zone: of.availability_zone.clone(),
            description: of.description.clone(),
            number: of.attachment.as_ref().map_or(0, |to| to.device_index),
            subnet_id: of.subnet_id.clone(),
            subnet_cidr: self.subnets.get(&of.subnet_id).map(|subnet| subnet.cidr),
            vpc_id: of.vpc_id.clone(),
            vpc_primary_cidr: self.vpc.as_ref().map(|vpc| vpc.primary_cidr),
            vpc_cidrs: self.vpc.as_ref().map(|vpc| vpc.cidrs.clone()).unwrap_or_default(),
            addresses: Vec::new(),
            prefixes: Vec::new(),
            security_groups: of.security_groups.clone(),
            tags: of.tags.clone(),
        }
    }
}
