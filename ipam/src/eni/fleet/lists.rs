//! What EC2 lists: everything now and then, and what single nodes need to know, many at once.

use std::{collections::BTreeSet, mem, time::Duration};

use super::{CONSISTENCY, Fleet, Flight, Node, Outgoing, RETRY};
use crate::{
    Timestamp,
    ec2::{DescribeInterfaces, Error, Interface, Reply, Request, SecurityGroup, Subnet},
    eni::{Backoff, Limits, garbage::made_for},
};

/// How often everything is listed.
const EVERY: Duration = Duration::from_secs(300);
/// Instances in one request: a filter takes 200 values.
const AT_ONCE: usize = 200;

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
    InterfacesOf(BTreeSet<String>),
    Types(Vec<String>),
}

/// When what was listed last.
#[derive(Clone, Debug, Default)]
pub(super) struct Lists {
    due: Timestamp,
    /// Lists of this round that are not complete.
    left: Vec<What>,
    underway: Vec<What>,
    known: bool,
    /// Whether security groups were listed.
    has_groups: bool,
    asking_types: bool,
    /// Pages that are to be asked for, and their tokens.
    pages: Vec<(List, String)>,
    backoff: Backoff,
}

impl Lists {
    /// Whether everything was listed once.
    pub(super) fn are_known(&self) -> bool {
        self.known
    }

    /// Lists security groups soon, if they never were; tells whether they will be.
    pub(super) fn need_groups(&mut self) -> bool {
        let lists = !self.has_groups && !self.left.contains(&What::Groups);
        if lists {
            self.left.push(What::Groups);
        }
        lists
    }

    /// Lists everything soon.
    pub(super) fn hurry(&mut self) {
        self.due = Timestamp::default();
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
        if let Some(until) = self.lists.backoff.until(now) {
            return self.wake_at(until);
        }
        if self.lists.left.is_empty() && self.lists.due <= now {
            self.lists.left = vec![What::Subnets, What::Vpc, What::Interfaces];
            if self.nodes.values().any(|node| !node.record.settings.security_group_tags.is_empty()) {
                self.lists.left.push(What::Groups);
            }
            self.lists.due = now.after(EVERY);
        }
        let due = self.lists.due;
        self.wake_at(due);
        let waiting: Vec<What> =
            self.lists.left.iter().filter(|what| !self.lists.underway.contains(what)).cloned().collect();
        for what in waiting {
            if self.ask(List::new(what.clone(), now), None, now, out) {
                self.lists.underway.push(what);
            }
        }
        self.ask_types(now, out);
        if self.lists.known {
            self.refresh(now, out);
        }
    }

    fn ask_types(&mut self, now: Timestamp, out: &mut Vec<Outgoing>) {
        let types = self.nodes.values().map(|node| &node.record.settings.instance_type);
        let unknown: BTreeSet<&String> = types.filter(|name| !self.limits.contains_key(*name)).collect();
        let names: Vec<String> = unknown.into_iter().take(100).cloned().collect();
        if !names.is_empty() && !self.lists.asking_types {
            let list = List::new(What::Types(names), now);
            self.lists.asking_types = self.ask(list, None, now, out);
        }
    }

    /// Asks for the interfaces of nodes that need to know theirs.
    fn refresh(&mut self, now: Timestamp, out: &mut Vec<Outgoing>) {
        loop {
            let mut names = BTreeSet::new();
            let mut later = Vec::new();
            for (name, node) in &self.nodes {
                let settled = node.mutated.map_or(Timestamp::default(), |at| at.after(CONSISTENCY));
                let from = settled.max(node.backoff.until(now).unwrap_or_default());
                if node.at_ec2 || !node.must_look() {
                    continue;
                }
                if from > now {
                    later.push(from);
                } else if names.len() < AT_ONCE {
                    names.insert(name.clone());
                }
            }
            later.into_iter().for_each(|at| self.wake_at(at));
            if names.is_empty()
                || !self.ask(List::new(What::InterfacesOf(names.clone()), now), None, now, out)
            {
                return;
            }
            for name in names {
                if let Some(node) = self.nodes.get_mut(&name) {
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
            What::InterfacesOf(names) => {
                let ids = names.iter().filter_map(|name| self.nodes.get(name));
                interfaces(
                    "attachment.instance-id",
                    ids.map(|node| node.record.instance_id.clone()).collect(),
                )
            }
            What::Types(names) => Request::DescribeInstanceTypes { names: names.clone() },
        };
        self.send(request, Flight::List(list), now, out)
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
            Ok(Reply::InstanceTypes(types)) => {
                let found = types.iter().map(|of| (of.name.clone(), Some(Limits::from(of))));
                self.limits.extend(found.collect::<Vec<_>>());
                None
            }
            Ok(_) => None,
            Err(_) => return self.unlisted(list, now),
        };
        if let Some(token) = next {
            return self.lists.pages.push((list, token));
        }
        self.lists.backoff.worked();
        self.take(list, now);
    }

    /// A list begins anew after a while.
    fn unlisted(&mut self, list: List, now: Timestamp) {
        self.lists.underway.retain(|what| *what != list.what);
        self.lists.backoff.failed(RETRY.0, RETRY.1, now, &mut self.lots);
        match list.what {
            What::Types(_) => self.lists.asking_types = false,
            What::InterfacesOf(names) => self.free(&names),
            _ => {}
        }
    }

    fn free(&mut self, names: &BTreeSet<String>) {
        for (_, node) in self.nodes.iter_mut().filter(|(name, _)| names.contains(*name)) {
            (node.at_ec2, node.stirred) = (false, true);
        }
    }

    /// A list is complete.
    fn take(&mut self, list: List, now: Timestamp) {
        let List { what, began, subnets, groups, interfaces } = list;
        self.lists.left.retain(|left| *left != what);
        self.lists.underway.retain(|underway| *underway != what);
        match what {
            What::Subnets => self.subnets = subnets.into_iter().map(|s| (s.id.clone(), s)).collect(),
            What::Groups => {
                self.groups = groups;
                self.lists.has_groups = true;
            }
            What::Vpc => {}
            What::Interfaces => {
                self.garbage.look(&interfaces, &self.config, now);
                // Types that EC2 did not know are asked for again.
                self.limits.retain(|_, limits| limits.is_some());
                for node in self.nodes.values_mut().filter(|node| !node.at_ec2) {
                    let id = node.record.instance_id.as_str();
                    node.unattached = interfaces
                        .iter()
                        .filter(|interface| made_for(interface, &self.config) == Some(id))
                        .cloned()
                        .collect();
                    look(node, &interfaces, began);
                }
            }
            What::InterfacesOf(names) => {
                self.free(&names);
                for (_, node) in self.nodes.iter_mut().filter(|(name, _)| names.contains(*name)) {
                    look(node, &interfaces, began);
                }
            }
            What::Types(names) => {
                self.lists.asking_types = false;
                for name in names {
                    // EC2 knows no such type.
                    self.limits.entry(name).or_insert(None);
                }
            }
        }
        self.lists.known |= self.lists.left.is_empty();
        self.nodes.values_mut().for_each(|node| node.stirred = true);
    }
}

fn look(node: &mut Node, interfaces: &[Interface], began: Timestamp) {
    let id = node.record.instance_id.as_str();
    let of_node = |interface: &&Interface| {
        interface.attachment.as_ref().is_some_and(|attachment| attachment.instance_id == id)
    };
    let own = interfaces.iter().filter(of_node).cloned().collect();
    node.look(own, began);
}

impl List {
    fn new(what: What, began: Timestamp) -> Self {
        Self { what, began, subnets: Vec::new(), groups: Vec::new(), interfaces: Vec::new() }
    }
}
