//! Objects that policies refer to by name or by label: groups of CIDRs and services.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use ipnetwork::IpNetwork;

use crate::cidr::canonical;
use crate::label::{Label, LabelSet, Source};
use crate::peer_selector::{
    CidrGroupSelector, CidrScope, CidrSelector, Named, PeerSelector, ServiceSelector,
};
use crate::pod::NAMESPACE;
use crate::selector::{Requirement, Selector};

/// Names a service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceKey {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl fmt::Display for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// What policies need to know of a service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceFacts {
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// The labels of its pods, which are in its namespace; empty for a service without a selector.
    pub selector: BTreeMap<String, String>,
    /// The backends of a service without a selector.
    pub addresses: BTreeSet<IpAddr>,
}

#[derive(Clone, Debug)]
struct Group {
    labels: LabelSet,
    cidrs: BTreeSet<IpNetwork>,
}

/// Groups of CIDRs and services, by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    groups: BTreeMap<String, Group>,
    services: BTreeMap<ServiceKey, (LabelSet, ServiceFacts)>,
}

/// What a selector comes down to once groups and services are looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Labels(Selector),
    Cidr(CidrSelector),
}

impl Part {
    /// The CIDRs that it names.
    pub(crate) fn cidrs(&self) -> impl Iterator<Item = IpNetwork> + '_ {
        let selector = match self {
            Self::Labels(_) => None,
            Self::Cidr(selector) => Some(selector),
        };
        selector.into_iter().flat_map(CidrSelector::cidrs)
    }
}

impl Facts {
    /// Sets a group. True where it is another than before.
    pub(crate) fn set_group(&mut self, name: &str, labels: LabelSet, cidrs: BTreeSet<IpNetwork>) -> bool {
        let cidrs = cidrs.into_iter().map(canonical).collect();
        let known = self.groups.get(name).is_some_and(|known| known.labels == labels && known.cidrs == cidrs);
        if !known {
            self.groups.insert(name.to_owned(), Group { labels, cidrs });
        }
        !known
    }

    /// Forgets a group. True where there was one.
    pub(crate) fn remove_group(&mut self, name: &str) -> bool {
        self.groups.remove(name).is_some()
    }

    /// Sets a service. True where it is another than before.
    pub(crate) fn set_service(&mut self, key: ServiceKey, facts: ServiceFacts) -> bool {
        if self.services.get(&key).is_some_and(|(_, known)| *known == facts) {
            return false;
        }
        let labels = facts.labels.iter().map(|(key, value)| Label::k8s(key, value)).collect();
        self.services.insert(key, (labels, facts));
        true
    }

    /// Forgets a service. True where there was one.
    pub(crate) fn remove_service(&mut self, key: &ServiceKey) -> bool {
        self.services.remove(key).is_some()
    }

    /// What a selector comes down to.
    pub(crate) fn parts(&self, selector: &PeerSelector) -> Vec<Part> {
        match selector {
            PeerSelector::Labels(selector) => vec![Part::Labels(selector.clone())],
            PeerSelector::Cidr(selector) => vec![Part::Cidr(selector.clone())],
            PeerSelector::Name(pattern) => {
                let learned = Requirement::exists(Source::Fqdn, pattern.as_str());
                vec![Part::Labels(Selector::everything().and(learned))]
            }
            PeerSelector::CidrGroup(selector) => self.of_groups(selector),
            PeerSelector::Service(selector) => self.of_services(selector),
        }
    }

    fn of_groups(&self, selector: &CidrGroupSelector) -> Vec<Part> {
        let wanted = |(name, group): &(&String, &Group)| match &selector.groups {
            Named::Name(wanted) => *name == wanted,
            Named::Labels(wanted) => wanted.matches(&group.labels),
        };
        let cidrs: BTreeSet<IpNetwork> =
            self.groups.iter().filter(wanted).flat_map(|(_, group)| &group.cidrs).copied().collect();
        let part = |cidr| outside(cidr, selector.except.iter().copied().map(canonical).collect());
        cidrs.into_iter().map(part).collect()
    }

    fn of_services(&self, selector: &ServiceSelector) -> Vec<Part> {
        let wanted = |(key, (labels, _)): &(&ServiceKey, &(LabelSet, ServiceFacts))| {
            selector.namespace.as_ref().is_none_or(|namespace| *namespace == key.namespace)
                && match &selector.services {
                    Named::Name(name) => key.name == *name,
                    Named::Labels(wanted) => wanted.matches(labels),
                }
        };
        let part = |(key, (_, facts)): (&ServiceKey, &(LabelSet, ServiceFacts))| {
            if facts.selector.is_empty() {
                let hosts = facts.addresses.iter().map(|address| outside((*address).into(), Vec::new()));
                return hosts.collect();
            }
            let of_pods =
                facts.selector.iter().map(|(key, value)| Requirement::equals(Source::K8s, key, value));
            let selector: Selector = of_pods.collect();
            vec![Part::Labels(selector.and(Requirement::equals(Source::K8s, NAMESPACE, &key.namespace)))]
        };
        self.services.iter().filter(wanted).flat_map(part).collect::<Vec<Part>>()
    }
}

fn outside(cidr: IpNetwork, except: Vec<IpNetwork>) -> Part {
    Part::Cidr(CidrSelector { cidr, except, scope: CidrScope::Outside })
}
