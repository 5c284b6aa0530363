//! What EC2 lists: everything now and then, and what single nodes need to know, many at once.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
};

use super::{
    CONSISTENCY, Fleet, Flight, Node, Outgoing,
    turn::{Kept, Turns},
};
use crate::{
    Timestamp,
    ec2::{DescribeInterfaces, Error, Interface, Reply, Request, SecurityGroup, Subnet},
    eni::{Limits, Reason, garbage::made_for},
};

/// Instances in one request: a filter takes 200 values.
const AT_ONCE: usize = 200;
/// Instance types in one request: a page has no more.
const TYPES_AT_ONCE: usize = 100;

/// A list whose pages are being read.
#[derive(Clone, Debug)]
pub(super) struct List {
    what: What,
    began: Timestamp,
    subnets: Vec<Subnet>,
    groups: Vec<SecurityGroup>,
    interfaces: Vec<Interface>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum What {
    Subnets,
    Vpc,
    Groups,
    /// Of the whole VPC.
    Interfaces,
    /// Of these nodes.
    InterfacesOf(BTreeMap<String, Asked>),
    Types(Vec<String>),
}

/// A node as it was when it was asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Asked {
    generation: u64,
    instance_id: String,
}

/// What is listed, and what is not yet.
#[derive(Clone, Debug, Default)]
pub(super) struct Lists {
    pub(super) turns: Turns,
    /// Pages that are to be asked for, and their tokens.
    pages: Vec<(List, String)>,
}

impl What {
    fn kept(&self) -> Kept {
        match self {
            Self::Subnets => Kept::Subnets,
            Self::Vpc => Kept::Vpc,
            Self::Groups => Kept::Groups,
            Self::Interfaces => Kept::Interfaces,
            Self::InterfacesOf(_) => Kept::OfNodes,
            Self::Types(_) => Kept::Types,
        }
    }
}

impl Fleet {
    /// Asks for what is due.
    pub(super) fn list(&mut self, now: Timestamp, out: &mut Vec<Outgoing>) {
        for (list, token) in mem::take(&mut self.lists.pages) {
            if !self.ask(list.clone(), Some(token.clone()), now, out) {
                self.lists.pages.push((list, token));
            }
        }
        for what in [What::Subnets, What::Vpc, What::Interfaces] {
            self.begin(what, now, out);
        }
        if self.nodes.values().any(Node::chooses_groups) {
            self.begin(What::Groups, now, out);
        }
        self.ask_types(now, out);
        if self.lists.turns.knows(Kept::Interfaces) {
            self.refresh(now, out);
        }
    }

    fn begin(&mut self, what: What, now: Timestamp, out: &mut Vec<Outgoing>) {
        let kept = what.kept();
        let Some(at) = self.lists.turns.next(kept, now) else { return };
        if at > now {
            self.wake_at(at);
        } else if self.ask(List::new(what, now), None, now, out) {
            self.lists.turns.begins(kept, now);
        }
    }

    /// Asks for types that are new at once, and now and then for those that EC2 did not know.
    fn ask_types(&mut self, now: Timestamp, out: &mut Vec<Outgoing>) {
        let types: BTreeSet<&String> = self
            .nodes
            .values()
            .map(|node| &node.record.settings.instance_type)
            .filter(|name| !name.is_empty())
            .collect();
        let new = types.iter().filter(|name| !self.limits.contains_key(**name));
        let mut names: Vec<String> = new.map(|name| (*name).clone()).collect();
        let unknown = types.iter().filter(|name| matches!(self.limits.get(**name), Some(None)));
        let unknown: Vec<String> = unknown.map(|name| (*name).clone()).collect();
        let Some(due) = self.lists.turns.next(Kept::Types, now) else { return };
        if due <= now {
            names.extend(unknown);
        } else if !unknown.is_empty() {
            self.wake_at(due);
        }
        names.truncate(TYPES_AT_ONCE);
        if names.is_empty() {
            return;
        }
        if let Some(until) = self.lists.turns.rests_until(Kept::Types, now) {
            return self.wake_at(until);
        }
        if self.ask(List::new(What::Types(names), now), None, now, out) {
            self.lists.turns.begins(Kept::Types, now);
        }
    }

    /// Asks for the interfaces of nodes that need to know theirs.
    fn refresh(&mut self, now: Timestamp, out: &mut Vec<Outgoing>) {
        if let Some(until) = self.lists.turns.rests_until(Kept::OfNodes, now) {
            return self.wake_at(until);
        }
        loop {
            let mut asked = BTreeMap::new();
            let mut later = Vec::new();
            for (name, node) in &self.nodes {
                let settled = node.mutated.map_or(Timestamp::default(), |at| at.after(CONSISTENCY));
                let from = settled.max(node.ask_from);
                if node.at_ec2 || !node.must_look() {
                    continue;
                }
                if from > now {
                    later.push(from);
                } else if asked.len() < AT_ONCE {
                    let instance_id = node.record.instance_id.clone();
                    asked.insert(name.clone(), Asked { generation: node.generation, instance_id });
                }
            }
            later.into_iter().for_each(|at| self.wake_at(at));
            if asked.is_empty()
                || !self.ask(List::new(What::InterfacesOf(asked.clone()), now), None, now, out)
            {
                return;
            }
            for name in asked.keys() {
                if let Some(node) = self.nodes.get_mut(name) {
                    node.at_ec2 = true;
                }
            }
        }
    }

    /// Asks for a page.
    fn ask(
        &mut self,
        list: List,
        next_token: Option<String>,
        now: Timestamp,
        out: &mut Vec<Outgoing>,
    ) -> bool {
        let vpc_id = self.config.vpc_id.clone();
        let interfaces = |name: &str, values| {
            let filters = vec![(name.to_owned(), values)];
            let page = Some(self.config.page);
            Request::DescribeInterfaces(DescribeInterfaces {
                ids: Vec::new(),
                filters,
                page,
                next_token: next_token.clone(),
            })
        };
        let request = match &list.what {
            What::Subnets => Request::DescribeSubnets { vpc_id, next_token },
            What::Vpc => Request::DescribeVpcs { ids: vec![vpc_id] },
            What::Groups => Request::DescribeSecurityGroups { vpc_id, next_token },
            What::Interfaces => interfaces("vpc-id", vec![vpc_id]),
            What::InterfacesOf(nodes) => {
                let ids = nodes.values().map(|asked| asked.instance_id.clone());
                interfaces("attachment.instance-id", ids.collect())
            }
            What::Types(names) => Request::DescribeInstanceTypes { names: names.clone(), next_token },
        };
        self.send(request, Flight::List(list), None, now, out)
    }

    /// A page came, or did not.
    pub(super) fn listed(&mut self, mut list: List, result: Result<Reply, Error>, now: Timestamp) {
        let next = match result {
            Ok(Reply::Subnets { subnets, next_token }) => {
                list.subnets.extend(subnets);
                next_token
            }
            Ok(Reply::SecurityGroups { groups, next_token }) => {
                list.groups.extend(groups);
                next_token
            }
            Ok(Reply::Interfaces { interfaces, next_token }) => {
                list.interfaces.extend(interfaces);
                next_token
            }
            Ok(Reply::Vpcs(vpcs)) => {
                self.vpc = vpcs.into_iter().find(|vpc| vpc.id == self.config.vpc_id);
                None
            }
            Ok(Reply::InstanceTypes { types, next_token }) => {
                let found = types.iter().map(|of| (of.name.clone(), Some(Limits::from(of))));
                self.limits.extend(found.collect::<Vec<_>>());
                next_token
            }
            Ok(_) => None,
            Err(error) => return self.unlisted(&list, &error, now),
        };
        if let Some(token) = next {
            return self.lists.pages.push((list, token));
        }
        self.take(list, now);
    }

    /// A list begins anew after a while.
    fn unlisted(&mut self, list: &List, error: &Error, now: Timestamp) {
        let kept = list.what.kept();
        if self.lists.turns.failed(kept, error, list.began, now, &mut self.lots) {
            self.nodes.values_mut().for_each(|node| node.stirred = true);
        }
        if let What::InterfacesOf(nodes) = &list.what {
            self.asked(nodes, |_| ());
        }
    }

    /// Nodes that were asked about, as far as they are the same still.
    fn asked(&mut self, nodes: &BTreeMap<String, Asked>, mut then: impl FnMut(&mut Node)) {
        for (name, asked) in nodes {
            if let Some(node) = self.nodes.get_mut(name).filter(|node| node.generation == asked.generation) {
                (node.at_ec2, node.stirred) = (false, true);
                then(node);
            }
        }
    }

    /// A list is complete.
    fn take(&mut self, list: List, now: Timestamp) {
        let List { what, began, subnets, groups, interfaces } = list;
        let kept = what.kept();
        let told = self.lists.turns.failure(kept).is_some();
        self.lists.turns.worked(kept);
        match what {
            What::Subnets => self.subnets = subnets.into_iter().map(|s| (s.id.clone(), s)).collect(),
            What::Groups => self.groups = groups,
            What::Vpc => {}
            What::Interfaces => {
                self.garbage.look(&interfaces, &self.config, now);
                for node in self.nodes.values_mut().filter(|node| !node.at_ec2) {
                    let id = node.record.instance_id.as_str();
                    // What lost its IPv4 would be attached in vain.
                    let ours = |of: &&Interface| made_for(of, &self.config) == Some(id) && of.has_ipv4();
                    let unattached = interfaces.iter().filter(ours).cloned().collect();
                    look(node, &interfaces, Some(unattached), began);
                }
            }
            What::InterfacesOf(nodes) => {
                self.asked(&nodes, |node| look(node, &interfaces, None, began));
                if !told {
                    return;
                }
            }
            What::Types(names) => {
                for name in names {
                    // EC2 knows no such type.
                    self.limits.entry(name).or_insert(None);
                }
            }
        }
        self.nodes.values_mut().for_each(|node| node.stirred = true);
    }

    /// What has to be listed before something can be done for a node.
    pub(super) fn missing(&self, node: &Node) -> Vec<Kept> {
        let turns = &self.lists.turns;
        let mut missing = vec![Kept::Subnets, Kept::Vpc, Kept::Interfaces];
        if node.chooses_groups() {
            missing.push(Kept::Groups);
        }
        missing.retain(|kept| !turns.knows(*kept));
        let name = &node.record.settings.instance_type;
        if !name.is_empty() && !self.limits.contains_key(name) {
            missing.push(Kept::Types);
        }
        if node.interfaces.is_none() {
            missing.push(Kept::OfNodes);
        }
        missing
    }

    /// Why lists cannot be read anew, where that does not pass by itself: what is known of them gets old.
    pub(super) fn lasting_failures(&self, node: &Node) -> Vec<Reason> {
        let groups = node.chooses_groups().then_some(Kept::Groups);
        let of_all = [Kept::Subnets, Kept::Vpc, Kept::Interfaces, Kept::OfNodes].into_iter().chain(groups);
        of_all.filter_map(|kept| self.lists.turns.lasting_failure(kept).cloned()).collect()
    }

    /// Why lists cannot be read.
    pub(super) fn failures(&self, missing: &[Kept]) -> Vec<Reason> {
        missing.iter().filter_map(|kept| self.lists.turns.failure(*kept).cloned()).collect()
    }
}

fn look(node: &mut Node, interfaces: &[Interface], unattached: Option<Vec<Interface>>, began: Timestamp) {
    let id = node.record.instance_id.as_str();
    let of_node = |interface: &&Interface| {
        interface.attachment.as_ref().is_some_and(|attachment| attachment.instance_id == id)
    };
    let own = interfaces.iter().filter(of_node).cloned().collect();
    node.look(own, unattached, began);
}

impl List {
    fn new(what: What, began: Timestamp) -> Self {
        Self { what, began, subnets: Vec::new(), groups: Vec::new(), interfaces: Vec::new() }
    }
}
