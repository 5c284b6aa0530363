//! The way from an observed state to a desired one.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::IpAddr,
};

use serde::{Deserialize, Serialize};

use crate::{
    address::Address,
    error::{Error, Result},
    link_settings::LinkSettings,
    mac::IfIndex,
    neighbour::Neighbour,
    net::{Net, Request},
    route::Route,
    rule::Rule,
    state::{Owned, State},
    sysctl::Sysctl,
};

/// One change of a namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "kebab-case")]
pub enum Step {
    /// Set a kernel parameter.
    SetSysctl {
        /// The parameter.
        key: Sysctl,
        /// Its value so far, if the parameter is there at all.
        from: Option<String>,
        /// Its value to be.
        to: String,
    },
    /// Set an interface's MTU, and up or down.
    SetLink {
        /// The interface.
        device: IfIndex,
        /// What is set so far; nothing if the interface is not there.
        from: Option<LinkSettings>,
        /// What is to be set.
        to: LinkSettings,
    },
    /// Give an address to an interface.
    AddAddress(Address),
    /// Take an address away.
    RemoveAddress(Address),
    /// Make a neighbour entry, in place of what is there.
    SetNeighbour(Neighbour),
    /// Remove a neighbour entry.
    RemoveNeighbour(Neighbour),
    /// Add a route where there is none of its destination, table and metric.
    AddRoute(Route),
    /// Put a route in the place of another with the same destination, table and metric.
    ReplaceRoute {
        /// The route so far.
        from: Route,
        /// The route to be.
        to: Route,
    },
    /// Remove a route.
    RemoveRoute(Route),
    /// Add a rule.
    AddRule(Rule),
    /// Remove a rule.
    RemoveRule(Rule),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SetSysctl { key, from: Some(from), to } => write!(f, "~ sysctl {key}: {from} -> {to}"),
            Self::SetSysctl { key, from: None, to } => write!(f, "+ sysctl {key}: {to}"),
            Self::SetLink { device, from: Some(from), to } => write!(f, "~ link {device}: {from} -> {to}"),
            Self::SetLink { device, from: None, to } => write!(f, "~ link {device}: {to}"),
            Self::AddAddress(address) => write!(f, "+ address {address}"),
            Self::RemoveAddress(address) => write!(f, "- address {address}"),
            Self::SetNeighbour(neighbour) => write!(f, "+ neighbour {neighbour}"),
            Self::RemoveNeighbour(neighbour) => write!(f, "- neighbour {neighbour}"),
            Self::AddRoute(route) => write!(f, "+ route {route}"),
            Self::ReplaceRoute { from, to } => write!(f, "~ route {from} -> {to}"),
            Self::RemoveRoute(route) => write!(f, "- route {route}"),
            Self::AddRule(rule) => write!(f, "+ rule {rule}"),
            Self::RemoveRule(rule) => write!(f, "- rule {rule}"),
        }
    }
}

impl Step {
    /// Nothing for what is no netlink request.
    fn request(&self) -> Option<Request> {
        match self {
            Self::SetSysctl { .. } => None,
            Self::SetLink { device, to, .. } => Some(to.set(*device)),
            Self::AddAddress(address) => Some(address.replace()),
            Self::RemoveAddress(address) => Some(address.delete()),
            Self::SetNeighbour(neighbour) => Some(neighbour.replace()),
            Self::RemoveNeighbour(neighbour) => Some(neighbour.delete()),
            Self::AddRoute(route) => Some(route.add()),
            Self::ReplaceRoute { to, .. } => Some(to.replace()),
            Self::RemoveRoute(route) => Some(route.delete()),
            Self::AddRule(rule) => Some(rule.add()),
            Self::RemoveRule(rule) => Some(rule.delete()),
        }
    }

    pub(crate) fn removes(&self) -> bool {
        matches!(
            self,
            Self::RemoveAddress(_) | Self::RemoveNeighbour(_) | Self::RemoveRoute(_) | Self::RemoveRule(_)
        )
    }
}

/// Steps in the order in which they are to be done. Printed, it is one line a step.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Plan {
    steps: Vec<Step>,
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.steps.iter().try_for_each(|step| writeln!(f, "{step}"))
    }
}

impl Plan {
    /// Nothing is to be done.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The steps in their order.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    pub(crate) fn into_steps(self) -> Vec<Step> {
        self.steps
    }
}

/// What leads from `observed` to `desired` and touches nothing that is not `owned`.
///
/// Additions come first, removals last, so that packets find a way throughout; only what an addition needs
/// out of its way is removed before. A desired object that another party has made already with the same
/// content is left alone. Where another party's route has the place of a desired one, applying the plan
/// says [`Error::Exists`].
///
/// ```
/// use netcore::{IfIndex, Owned, Route, State, plan};
///
/// let old = Route::to("10.0.1.0/24".parse()?).via("192.0.2.7".parse()?).dev(IfIndex(2));
/// let new = Route::to("10.0.2.0/24".parse()?).via("192.0.2.8".parse()?).dev(IfIndex(2));
/// let observed = State { routes: [old].into(), ..State::default() };
/// let desired = State { routes: [new].into(), ..State::default() };
///
/// let plan = plan(&Owned::default(), &desired, &observed);
/// assert_eq!(plan.to_string(), "+ route 10.0.2.0/24 via 192.0.2.8 dev #2 proto 110\n\
///                               - route 10.0.1.0/24 via 192.0.2.7 dev #2 proto 110\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn plan(owned: &Owned, desired: &State, observed: &State) -> Plan {
    let mut draft = Draft::default();
    for (key, to) in &desired.sysctls {
        let from = observed.sysctls.get(key);
        if from != Some(to) {
            draft.sysctls.push(Step::SetSysctl { key: key.clone(), from: from.cloned(), to: to.clone() });
        }
    }
    for (&device, &to) in &desired.links {
        let from = observed.links.get(&device).copied();
        if from != Some(to) {
            draft.links.push(Step::SetLink { device, from, to });
        }
    }
    draft.addresses(owned, &desired.addresses, &observed.addresses);
    draft.neighbours(owned, &desired.neighbours, &observed.neighbours);
    draft.routes(owned, &desired.routes, &observed.routes);
    draft.rules(owned, &desired.rules, &observed.rules);
    draft.finish()
}

/// The steps by the time when they are due.
#[derive(Default)]
struct Draft {
    sysctls: Vec<Step>,
    links: Vec<Step>,
    clear: Vec<Step>,
    add: Vec<Step>,
    remove: Vec<Step>,
}

impl Draft {
    fn addresses(&mut self, owned: &Owned, desired: &BTreeSet<Address>, observed: &BTreeSet<Address>) {
        // Duplicate address detection is over once an address is there: it makes no difference then.
        let place = |address: &Address| (address.device, address.network.ip(), address.network.prefix());
        let have: BTreeSet<_> = observed.iter().map(place).collect();
        let want: BTreeSet<_> = desired.iter().map(place).collect();
        let coming: BTreeSet<(IfIndex, IpAddr)> =
            want.difference(&have).map(|&(device, ip, _)| (device, ip)).collect();
        self.add.extend(
            desired.iter().filter(|address| !have.contains(&place(address))).copied().map(Step::AddAddress),
        );
        let surplus = observed.iter().filter(|address| !want.contains(&place(address)));
        for address in surplus.filter(|address| owned.address(address)) {
            // IPv6 has an address once on an interface, whatever its prefix.
            let ip = address.network.ip();
            let in_the_way = ip.is_ipv6() && coming.contains(&(address.device, ip));
            let phase = if in_the_way { &mut self.clear } else { &mut self.remove };
            phase.push(Step::RemoveAddress(*address));
        }
    }

    fn neighbours(&mut self, owned: &Owned, desired: &BTreeSet<Neighbour>, observed: &BTreeSet<Neighbour>) {
        let places: BTreeSet<_> = desired.iter().map(|neighbour| (neighbour.device, neighbour.ip)).collect();
        self.add.extend(desired.difference(observed).copied().map(Step::SetNeighbour));
        let surplus = observed.iter().filter(|neighbour| !places.contains(&(neighbour.device, neighbour.ip)));
        self.remove.extend(
            surplus.filter(|neighbour| owned.neighbour(neighbour)).copied().map(Step::RemoveNeighbour),
        );
    }

    fn routes(&mut self, owned: &Owned, desired: &BTreeSet<Route>, observed: &BTreeSet<Route>) {
        // Others may have several routes for one key (IPv6); ours are what can be replaced.
        let ours: BTreeMap<_, _> =
            observed.iter().filter(|route| owned.route(route)).map(|route| (route.key(), route)).collect();
        let mut replaced = BTreeSet::new();
        for route in desired.difference(observed) {
            match ours.get(&route.key()) {
                Some(&old) if desired.contains(old) => self.add.push(Step::AddRoute(route.clone())),
                Some(&old) if route.can_take_the_place_of(old) => {
                    self.add.push(Step::ReplaceRoute { from: old.clone(), to: route.clone() });
                    replaced.insert(old);
                }
                Some(&old) => {
                    self.clear.push(Step::RemoveRoute(old.clone()));
                    self.add.push(Step::AddRoute(route.clone()));
                    replaced.insert(old);
                }
                None => self.add.push(Step::AddRoute(route.clone())),
            }
        }
        // Gateways must be reachable before routes lead through them.
        self.add.sort_by_key(|step| match step {
            Step::AddRoute(route) | Step::ReplaceRoute { to: route, .. } => route.via.is_some(),
            _ => false,
        });
        for route in observed.iter().filter(|route| owned.route(route)) {
            if !desired.contains(route) && !replaced.contains(route) {
                self.remove.push(Step::RemoveRoute(route.clone()));
            }
        }
    }

    fn rules(&mut self, owned: &Owned, desired: &BTreeSet<Rule>, observed: &BTreeSet<Rule>) {
        let coming: Vec<&Rule> = desired.difference(observed).collect();
        for rule in observed.difference(desired).filter(|rule| owned.rule(rule)) {
            // The kernel would take one for the other: it looks only at what the request names.
            let in_the_way = coming.iter().any(|other| other.is_taken_for(rule) || rule.is_taken_for(other));
            let phase = if in_the_way { &mut self.clear } else { &mut self.remove };
            phase.push(Step::RemoveRule(rule.clone()));
        }
        self.add.extend(coming.into_iter().cloned().map(Step::AddRule));
    }

    fn finish(mut self) -> Plan {
        // Routes through a gateway go before what makes the gateway reachable.
        self.remove.reverse();
        let mut steps = self.sysctls;
        // An interface that is down can have no routes.
        steps.append(&mut self.links);
        steps.append(&mut self.clear);
        steps.append(&mut self.add);
        steps.append(&mut self.remove);
        Plan { steps }
    }
}

/// A step that failed.
#[derive(Debug)]
pub struct Failure {
    /// The step.
    pub step: Step,
    /// Why.
    pub error: Error,
}

impl Net {
    /// Carries out a plan in this namespace. All steps are tried, also after one has failed. What is to be
    /// removed and is gone already is content. Returns the steps that failed, in their order.
    pub async fn apply_each(&self, plan: &Plan) -> Vec<Failure> {
        let mut failures = Vec::new();
        let sysctls: Vec<_> = plan
            .steps
            .iter()
            .filter_map(|step| match step {
                Step::SetSysctl { key, to, .. } => Some((step, key, to)),
                _ => None,
            })
            .collect();
        if let Some((first, ..)) = sysctls.first() {
            let write = || {
                let failed = |(step, key, to): &(&Step, &Sysctl, &String)| {
                    key.write_here(to).err().map(|error| Failure { step: (*step).clone(), error })
                };
                sysctls.iter().filter_map(failed).collect()
            };
            failures = self
                .netns()
                .run_in(write)
                .unwrap_or_else(|error| vec![Failure { step: (*first).clone(), error }]);
        }
        let (steps, requests): (Vec<&Step>, Vec<Request>) =
            plan.steps.iter().filter_map(|step| Some((step, step.request()?))).unzip();
        for (result, step) in self.submit_each(requests).await.into_iter().zip(steps) {
            match result {
                Err(Error::NotFound { .. }) if step.removes() => {}
                Err(error) => failures.push(Failure { step: step.clone(), error }),
                Ok(()) => {}
            }
        }
        failures
    }

    /// As [`Net::apply_each`], for whom it does not matter which steps failed.
    ///
    /// # Errors
    /// Every failed step's, in their order.
    pub async fn apply(&self, plan: &Plan) -> Result<(), Vec<Error>> {
        let failures: Vec<Error> =
            self.apply_each(plan).await.into_iter().map(|failure| failure.error).collect();
        if failures.is_empty() { Ok(()) } else { Err(failures) }
    }

    /// Observes, plans and applies; tells what was done.
    ///
    /// # Errors
    /// The first failure of observing, or every failed step's.
    pub async fn reconcile(&self, owned: &Owned, desired: &State) -> Result<Plan, Vec<Error>> {
        let observed = self.observe(owned, desired).await.map_err(|error| vec![error])?;
        let plan = plan(owned, desired, &observed);
        self.apply(&plan).await?;
        Ok(plan)
    }
}
