//! What is or should be in a namespace, and which part of it is ours.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{
    address::Address,
    error::Result,
    link_settings::LinkSettings,
    mac::IfIndex,
    neighbour::Neighbour,
    net::Net,
    route::{Protocol, Route, RouteTable},
    rule::Rule,
    sysctl::Sysctl,
};

/// The plumbing of a namespace, desired or observed. Links are made before; what is set on them is part of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// What is set on interfaces.
    pub links: BTreeMap<IfIndex, LinkSettings>,
    /// Addresses of interfaces.
    pub addresses: BTreeSet<Address>,
    /// Routes.
    pub routes: BTreeSet<Route>,
    /// Rules.
    pub rules: BTreeSet<Rule>,
    /// Permanent neighbour entries.
    pub neighbours: BTreeSet<Neighbour>,
    /// Kernel parameters and their values.
    pub sysctls: BTreeMap<Sysctl, String>,
}

impl State {
    /// Adds another part of the namespace.
    pub fn merge(&mut self, other: Self) {
        let Self { links, addresses, routes, rules, neighbours, sysctls } = other;
        self.links.extend(links);
        self.addresses.extend(addresses);
        self.routes.extend(routes);
        self.rules.extend(rules);
        self.neighbours.extend(neighbours);
        self.sysctls.extend(sysctls);
    }
}

/// What a plan may remove. Everything else that is observed and not desired belongs to others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owned {
    /// Routes, rules and neighbour entries made under this number.
    pub protocol: Protocol,
    /// Only routes and neighbours of these interfaces, if given: so that one pod's state is compared
    /// without that of all others.
    pub within: Option<BTreeSet<IfIndex>>,
    /// All addresses of these interfaces, except IPv6 link-local ones, which the kernel makes by itself.
    pub addresses_of: BTreeSet<IfIndex>,
    /// All IPv4 routes of the main table through these interfaces, whoever made them.
    pub main_routes_of: BTreeSet<IfIndex>,
}

impl Default for Owned {
    /// What bears our protocol number; no addresses.
    fn default() -> Self {
        let none = BTreeSet::new();
        Self { protocol: Protocol::NETLOOM, within: None, addresses_of: none.clone(), main_routes_of: none }
    }
}

impl Owned {
    /// Our part of one interface: its routes and neighbours of ours, and all of its addresses.
    #[must_use]
    pub fn interface(index: IfIndex) -> Self {
        let only = BTreeSet::from([index]);
        Self { within: Some(only.clone()), addresses_of: only, ..Self::default() }
    }

    fn reaches(&self, device: Option<IfIndex>) -> bool {
        match (&self.within, device) {
            (None, _) => true,
            (Some(within), Some(device)) => within.contains(&device),
            (Some(_), None) => false,
        }
    }

    pub(crate) fn route(&self, route: &Route) -> bool {
        route.protocol == self.protocol && self.reaches(route.device) || self.is_on_our_link(route)
    }

    /// Whether the route leads, in the main table, through an interface that is wholly ours.
    pub(crate) fn is_on_our_link(&self, route: &Route) -> bool {
        route.table == RouteTable::MAIN
            && route.destination.is_ipv4()
            && route.device.is_some_and(|device| self.main_routes_of.contains(&device))
    }

    pub(crate) fn rule(&self, rule: &Rule) -> bool {
        rule.protocol == self.protocol && self.within.is_none()
    }

    pub(crate) fn neighbour(&self, neighbour: &Neighbour) -> bool {
        neighbour.protocol == self.protocol && self.reaches(Some(neighbour.device))
    }

    pub(crate) fn address(&self, address: &Address) -> bool {
        self.addresses_of.contains(&address.device) && !address.is_link_local_v6()
    }
}

impl Net {
    /// The present state of the namespace, with the links and parameters that `desired` names (an absent one
    /// is left out). Lists are read only where `desired` or `owned` may have entries in them.
    ///
    /// # Errors
    /// As the lists have them: [`Net::routes`] and its siblings, [`crate::Netns::sysctl`].
    pub async fn observe(&self, owned: &Owned, desired: &State) -> Result<State> {
        let mut state = State {
            routes: self.routes().await?.into_iter().collect(),
            neighbours: self.neighbours().await?.into_iter().collect(),
            ..State::default()
        };
        if owned.within.is_none() || !desired.rules.is_empty() {
            state.rules = self.rules().await?.into_iter().collect();
        }
        if !(owned.addresses_of.is_empty() && desired.addresses.is_empty()) {
            state.addresses = self.addresses().await?.into_iter().collect();
        }
        if !desired.links.is_empty() {
            let links = self.links().await?.into_iter();
            let named = links.filter(|link| desired.links.contains_key(&link.index));
            state.links = named.map(|link| (link.index, link.settings())).collect();
        }
        if !desired.sysctls.is_empty() {
            state.sysctls = self.netns().run_in(|| read_all(desired.sysctls.keys()))??;
        }
        Ok(state)
    }
}

fn read_all<'a>(keys: impl Iterator<Item = &'a Sysctl>) -> Result<BTreeMap<Sysctl, String>> {
    let mut values = BTreeMap::new();
    for key in keys {
        match key.read_here() {
            Ok(value) => {
                values.insert(key.clone(), value);
            }
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(values)
}
