//! The Describe operations.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use ipam::{
    Timestamp,
    ec2::{InstanceType, Interface},
};

use crate::{
    Answer, Operation, Query, Refusal, Region,
    actions::{
        filters::Listed,
        paging::{self, Limits},
    },
    call::Listing,
    instance_types,
    refusal::Resource,
    state::{Network, SubnetState},
};

impl Region {
    /// Lists; interfaces as they were a while ago.
    pub(super) fn describe(
        &self,
        listing: &Listing,
        query: &Query,
        age: Duration,
    ) -> Result<Answer, Refusal> {
        let then = self.then(age.max(self.settings.lags.describe).min(self.settings.remembered));
        let usual = Limits { most: 1_000, usual: self.settings.page, ids_or_length: true };
        match listing {
            Listing::Interfaces => {
                let limits = Limits { usual: usize::MAX, ..usual };
                let all = self.seen(&query.ids, then)?.into_iter().map(|one| self.state.view(one));
                let page = paging::page(Operation::DescribeNetworkInterfaces, query, &limits, all)?;
                Ok(Answer::Interfaces(page))
            }
            Listing::Subnets => {
                let all = self.state.subnets.values().map(SubnetState::view);
                let known = |id: &str| self.state.subnets.contains_key(id);
                let all = only(query, all, known, |id| Refusal::not_found(Resource::Subnet, id))?;
                Ok(Answer::Subnets(paging::page(Operation::DescribeSubnets, query, &usual, all)?))
            }
            Listing::Vpcs => {
                let all = self.state.networks.values().map(Network::view);
                let known = |id: &str| self.state.networks.contains_key(id);
                let all = only(query, all, known, |id| Refusal::not_found(Resource::Vpc, id))?;
                Ok(Answer::Vpcs(paging::page(Operation::DescribeVpcs, query, &usual, all)?))
            }
            Listing::SecurityGroups => {
                let all = self.state.groups.values().cloned();
                let known = |id: &str| self.state.groups.contains_key(id);
                let missing = |id: &str| {
                    let message = format!("The security group '{id}' does not exist");
                    Refusal::new("InvalidGroup.NotFound", message)
                };
                let all = only(query, all, known, missing)?;
                Ok(Answer::SecurityGroups(paging::page(
                    Operation::DescribeSecurityGroups,
                    query,
                    &usual,
                    all,
                )?))
            }
            Listing::InstanceTypes => {
                if query.ids.len() > 100 {
                    return Err(Refusal::value("At most 100 instance types can be named"));
                }
                let limits = Limits { most: 100, usual: self.settings.page.min(100), ids_or_length: false };
                let all = instance_types().values().cloned();
                let known = |name: &str| instance_types().contains_key(name);
                let missing = |name: &str| {
                    let message = format!("The following supplied instance types do not exist: [{name}]");
                    Refusal::new("InvalidInstanceType", message)
                };
                let all = only::<InstanceType>(query, all, known, missing)?;
                let page = paging::page(Operation::DescribeInstanceTypes, query, &limits, all)?;
                Ok(Answer::InstanceTypes(page))
            }
            Listing::Instances => {
                let all = self.state.instances.values().map(|one| self.instance_view(one, then));
                let known = |id: &str| self.state.instances.contains_key(id);
                let all = only(query, all, known, |id| Refusal::not_found(Resource::Instance, id))?;
                Ok(Answer::Instances(paging::page(Operation::DescribeInstances, query, &usual, all)?))
            }
            Listing::Reservations { subnet_id } => {
                let mut all = self.state.subnet(subnet_id)?.reservations.clone();
                all.sort_by(|a, b| a.id.cmp(&b.id));
                let page =
                    paging::page(Operation::GetSubnetCidrReservations, query, &usual, all.into_iter())?;
                Ok(Answer::Reservations(page))
            }
        }
    }
}

impl Region {
    /// Interfaces as they were then, by id: those that are named, or all. There may be many, and only a few of them
    /// asked for.
    fn seen(&self, ids: &[String], then: Timestamp) -> Result<Vec<&Arc<Interface>>, Refusal> {
        if ids.is_empty() {
            return Ok(self.history.all_at(then).collect());
        }
        let ids: BTreeSet<&String> = ids.iter().collect();
        let find = |id: &String| {
            self.history.at(id, then).ok_or_else(|| Refusal::not_found(Resource::Interface, id))
        };
        ids.into_iter().map(find).collect()
    }
}

/// Those that are named; all, if none is. One that is not there is an error.
fn only<'a, T: Listed + 'a>(
    query: &'a Query,
    all: impl Iterator<Item = T> + 'a,
    known: impl Fn(&str) -> bool,
    missing: impl Fn(&str) -> Refusal,
) -> Result<impl Iterator<Item = T> + 'a, Refusal> {
    if let Some(id) = query.ids.iter().find(|id| !known(id)) {
        return Err(missing(id));
    }
    Ok(all.filter(|item| query.ids.is_empty() || query.ids.iter().any(|id| id == item.id())))
}
