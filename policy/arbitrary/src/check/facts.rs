//! What the agent of node `n1` tells its repository of a cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use abi::Identity;
use ipnetwork::IpNetwork;
use policy::manifest::{EndpointSlice, Meta, Node, Object, Pod};
use policy::{
    IdentityAllocator, Label, LabelSet, LocalIdentities, Policy, PolicyKey, Repository, ServiceFacts,
    ServiceKey, Settings, node_labels, pod_labels, reserved_labels,
};

use crate::Case;

/// The node whose agent it is.
pub(crate) const OWN_NODE: &str = "n1";

/// Fixed identities without an address.
pub(crate) const FIXED: [Identity; 2] = [Identity::HEALTH, Identity::INGRESS];

/// Whence an identity's number comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    Fixed(Identity),
    Cluster,
    RemoteNode,
}

/// All that a repository is told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    settings: Settings,
    policies: BTreeMap<PolicyKey, Policy>,
    addresses: BTreeMap<IpAddr, (Scope, LabelSet)>,
    groups: BTreeMap<String, (LabelSet, BTreeSet<IpNetwork>)>,
    services: BTreeMap<ServiceKey, ServiceFacts>,
    names: BTreeMap<IpAddr, BTreeSet<String>>,
}

/// The labels of every namespace, with the one that Kubernetes itself gives.
pub(crate) fn namespace_labels(objects: &[Object]) -> BTreeMap<String, BTreeMap<String, String>> {
    let mut namespaces: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for object in objects {
        match object {
            Object::Namespace(namespace) => {
                namespaces
                    .entry(namespace.meta.name.clone())
                    .or_default()
                    .extend(namespace.meta.labels.clone());
            }
            Object::Pod(pod) => {
                namespaces.entry(pod.meta.namespace().to_owned()).or_default();
            }
            _ => {}
        }
    }
    for (name, labels) in &mut namespaces {
        labels.insert("kubernetes.io/metadata.name".to_owned(), name.clone());
    }
    namespaces
}

/// Whether a pod has an identity of its own.
pub(crate) fn is_endpoint(pod: &Pod) -> bool {
    !pod.host_network && !pod.is_finished()
}

impl Facts {
    pub(crate) fn of(case: &Case, objects: &[Object]) -> Self {
        let mut facts = Self { settings: case.settings, names: case.names.clone(), ..Self::default() };
        let namespaces = namespace_labels(objects);
        let slices = || {
            objects.iter().filter_map(|object| match object {
                Object::EndpointSlice(slice) => Some(slice),
                _ => None,
            })
        };
        let backends = |namespace: &str, name: &str| -> BTreeSet<IpAddr> {
            let of_service = |slice: &&EndpointSlice| {
                slice.meta.namespace() == namespace && slice.service.as_deref() == Some(name)
            };
            slices().filter(of_service).flat_map(|slice| slice.addresses.iter().copied()).collect()
        };
        let apiserver = backends("default", "kubernetes");
        for addr in &apiserver {
            let world = if addr.is_ipv4() { Identity::WORLD_IPV4 } else { Identity::WORLD_IPV6 };
            let labels = with(&reserved_labels(world), ["kube-apiserver"]);
            facts.addresses.insert(*addr, (Scope::Fixed(Identity::KUBE_APISERVER), labels));
        }
        for object in objects {
            facts.policies.extend(object.policy().map(|policy| (policy.key.clone(), policy)));
            match object {
                Object::Node(node) => facts.add_node(node, &apiserver),
                Object::Pod(pod) if is_endpoint(pod) => {
                    let labels = pod_labels(pod, &namespaces[pod.meta.namespace()]);
                    facts.addresses.extend(pod.ips.iter().map(|ip| (*ip, (Scope::Cluster, labels.clone()))));
                }
                Object::Service(service) => {
                    let key = ServiceKey {
                        namespace: service.meta.namespace().to_owned(),
                        name: service.meta.name.clone(),
                    };
                    let known = ServiceFacts {
                        labels: service.meta.labels.clone(),
                        selector: service.selector.clone(),
                        addresses: backends(&key.namespace, &key.name),
                    };
                    facts.services.insert(key, known);
                }
                Object::CidrGroup(group) => {
                    let cidrs = group.cidrs.iter().copied().collect();
                    let labels =
                        group.meta.labels.iter().map(|(key, value)| Label::k8s(key, value)).collect();
                    facts.groups.insert(group.meta.name.clone(), (labels, cidrs));
                }
                _ => {}
            }
        }
        for object in objects {
            if let Object::Pod(pod) = object
                && pod.host_network
            {
                facts.add_node_of(pod, objects, &apiserver);
            }
        }
        facts
    }

    /// Addresses of nodes that are known by the pods on their networks only.
    fn add_node_of(&mut self, pod: &Pod, objects: &[Object], apiserver: &BTreeSet<IpAddr>) {
        if pod.ips.iter().all(|ip| self.addresses.contains_key(ip) && !apiserver.contains(ip)) {
            return;
        }
        let known = objects.iter().find_map(|object| match object {
            Object::Node(node) if Some(&node.meta.name) == pod.node_name.as_ref() => Some(node.clone()),
            _ => None,
        });
        let mut node = known.unwrap_or_else(|| {
            let name = pod.node_name.clone().unwrap_or_default();
            let meta = Meta { name, labels: BTreeMap::new(), ..pod.meta.clone() };
            Node { meta, pod_cidrs: Vec::new(), addresses: Vec::new(), created: None }
        });
        node.addresses.extend(&pod.ips);
        self.add_node(&node, apiserver);
    }

    fn add_node(&mut self, node: &Node, apiserver: &BTreeSet<IpAddr>) {
        let own = node.meta.name == OWN_NODE;
        let (scope, kind) = match own {
            true => (Scope::Fixed(Identity::HOST), Identity::HOST),
            false => (Scope::RemoteNode, Identity::REMOTE_NODE),
        };
        let mut labels = node_labels(node, kind);
        if node.addresses.iter().any(|addr| apiserver.contains(addr)) {
            labels = with(&labels, ["kube-apiserver"]);
        }
        self.addresses.extend(node.addresses.iter().map(|addr| (*addr, (scope, labels.clone()))));
    }
}

/// These labels, and reserved ones.
fn with<const N: usize>(labels: &LabelSet, reserved: [&str; N]) -> LabelSet {
    labels.iter().cloned().chain(reserved.map(Label::reserved)).collect()
}

/// An agent: a repository that lives long, and what it was told.
#[derive(Default)]
pub(crate) struct Agent {
    pub(crate) repository: Repository,
    told: Facts,
    cluster: Option<LocalIdentities>,
    nodes: Option<LocalIdentities>,
    knows_fixed: bool,
}

impl Agent {
    /// Tells the repository what is new, and nothing else.
    pub(crate) fn tell(&mut self, facts: &Facts) {
        let told = std::mem::replace(&mut self.told, facts.clone());
        if !std::mem::replace(&mut self.knows_fixed, true) {
            for identity in FIXED {
                self.repository.add_identity(identity, reserved_labels(identity));
            }
        }
        if facts.settings != told.settings {
            self.repository.set_settings(facts.settings);
        }
        for key in told.policies.keys().filter(|key| !facts.policies.contains_key(*key)) {
            self.repository.remove_policy(key);
        }
        let changed = facts.policies.iter().filter(|(key, policy)| told.policies.get(*key) != Some(*policy));
        self.repository.set_policies(changed.map(|(_, policy)| policy.clone()));
        for addr in told.addresses.keys().filter(|addr| !facts.addresses.contains_key(*addr)) {
            self.repository.remove_address(*addr);
        }
        for (addr, (scope, labels)) in &facts.addresses {
            if told.addresses.get(addr) != Some(&(*scope, labels.clone())) {
                let identity = self.identity(*scope, labels);
                self.repository.set_address(*addr, identity, labels.clone());
            }
        }
        for name in told.groups.keys().filter(|name| !facts.groups.contains_key(*name)) {
            self.repository.remove_cidr_group(name);
        }
        for (name, (labels, cidrs)) in
            facts.groups.iter().filter(|(name, group)| told.groups.get(*name) != Some(*group))
        {
            self.repository.set_cidr_group(name, labels.clone(), cidrs.clone());
        }
        for key in told.services.keys().filter(|key| !facts.services.contains_key(*key)) {
            self.repository.remove_service(key);
        }
        for (key, service) in
            facts.services.iter().filter(|(key, service)| told.services.get(*key) != Some(*service))
        {
            self.repository.set_service(key.clone(), service.clone());
        }
        for addr in told.names.keys().filter(|addr| !facts.names.contains_key(*addr)) {
            self.repository.set_names(*addr, BTreeSet::new());
        }
        for (addr, names) in facts.names.iter().filter(|(addr, names)| told.names.get(*addr) != Some(*names))
        {
            self.repository.set_names(*addr, names.clone());
        }
    }

    fn identity(&mut self, scope: Scope, labels: &LabelSet) -> Identity {
        let identities = match scope {
            Scope::Fixed(identity) => return identity,
            Scope::Cluster => self.cluster.get_or_insert_with(LocalIdentities::cluster),
            Scope::RemoteNode => self.nodes.get_or_insert_with(LocalIdentities::remote_nodes),
        };
        identities.allocate(labels).unwrap()
    }
}
