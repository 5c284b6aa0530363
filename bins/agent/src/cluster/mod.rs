//! The cluster as the agent knows it: who has which address, and which policies there are.
//!
//! It takes [`Change`]s and keeps the policy repository up to date with them. It does no I/O.

mod nodes;
mod services;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use abi::Identity;
use api::{PodRef, PolicyStatus};
use ipnetwork::IpNetwork;
use policy::manifest::{Node, Object, ObjectKey, Pod, Rejected};
use policy::pod::pod_labels_with;
use policy::{
    CidrRegistry, IdentityAllocator, Label, LabelFilter, LabelSet, LocalIdentities, Numbers, PolicyKey,
    Repository, Settings, reserved_labels,
};

use crate::limits;
use crate::source::Change;
use services::Services;

/// Who has an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// A pod.
    Pod(PodRef),
    /// A node, this one included.
    Node(String),
    /// The Kubernetes API server, where it is no node of the cluster.
    ApiServer,
}

/// What the agent was told of policy, and the numbers that it gave out before.
#[derive(Clone, Debug, Default)]
pub struct Beginnings {
    /// What holds for all policies.
    pub settings: Settings,
    /// Which labels of pods count.
    pub filter: LabelFilter,
    /// Numbers given to the label sets of pods.
    pub identities: LocalIdentities,
    /// Numbers given to the label sets of other nodes.
    pub node_identities: Option<LocalIdentities>,
    /// Numbers given to CIDRs.
    pub cidrs: CidrRegistry,
}

/// The cluster, seen from one node.
#[derive(Debug)]
pub struct Cluster {
    node: String,
    /// Policies, and what every known address is to them.
    pub repository: Repository,
    /// Numbers given to label sets; to be stored when [`Cluster::take_new_identities`] says so.
    pub identities: LocalIdentities,
    /// Numbers given to the label sets of other nodes; to be stored with them.
    pub node_identities: LocalIdentities,
    new_identities: bool,
    new_cidrs: bool,
    filter: LabelFilter,
    namespaces: BTreeMap<String, BTreeMap<String, String>>,
    nodes: BTreeMap<String, Node>,
    pods: BTreeMap<PodRef, Pod>,
    services: Services,
    holders: BTreeMap<IpAddr, Holder>,
    /// The addresses that each pod was last found to have.
    placed: BTreeMap<PodRef, Vec<IpAddr>>,
    /// Addresses of this node's pods, as they were handed out here: what manifests say of them comes later.
    local: BTreeMap<PodRef, Vec<IpAddr>>,
    /// Addresses of this node's links.
    own_addresses: Vec<IpAddr>,
    rejected: BTreeMap<ObjectKey, String>,
    /// Policies in force in the place of one that never was valid.
    closing: BTreeSet<PolicyKey>,
}

impl Cluster {
    /// A cluster of which nothing is known yet, seen from `node`.
    #[must_use]
    pub fn new(node: &str, beginnings: Beginnings, own_addresses: Vec<IpAddr>) -> Self {
        let Beginnings { settings, filter, identities, node_identities, cidrs } = beginnings;
        let mut cluster = Self {
            node: node.to_owned(),
            repository: Repository::new(settings, Numbers { cidrs, ..Numbers::default() }),
            identities,
            node_identities: node_identities.unwrap_or_else(LocalIdentities::remote_nodes),
            filter,
            new_identities: false,
            new_cidrs: false,
            namespaces: BTreeMap::new(),
            nodes: BTreeMap::new(),
            pods: BTreeMap::new(),
            services: Services::default(),
            holders: BTreeMap::new(),
            placed: BTreeMap::new(),
            local: BTreeMap::new(),
            own_addresses,
            rejected: BTreeMap::new(),
            closing: BTreeSet::new(),
        };
        cluster.place_nodes();
        cluster
    }

    /// Takes note of a change.
    pub fn apply(&mut self, change: Change) {
        match change {
            Change::Set(object) => self.set(*object),
            Change::Rejected(rejected) => self.reject(rejected),
            Change::Removed(key) => self.remove(&key),
            Change::Version(..)
            | Change::Endpoint(_)
            | Change::EndpointGone(_)
            | Change::Identity(..)
            | Change::IdentityGone(_)
            | Change::Observed(_) => {}
        }
    }

    /// Whether identities were given out since the last call, and want to be stored before they are used.
    pub const fn take_new_identities(&mut self) -> bool {
        std::mem::replace(&mut self.new_identities, false)
    }

    /// Whether other CIDRs are in use since the last call: their numbers want to be stored before they are used.
    pub const fn take_new_cidrs(&mut self) -> bool {
        std::mem::replace(&mut self.new_cidrs, false)
    }

    /// Forgets numbers of CIDRs from before a restart that no policy uses, once all policies are known.
    pub fn forget_unused_cidrs(&mut self) {
        self.new_cidrs |= self.repository.forget_unused_cidrs();
    }

    /// This node's object.
    #[must_use]
    pub fn own_node(&self) -> Option<&Node> {
        self.nodes.get(&self.node)
    }

    /// The other nodes.
    pub fn other_nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.values().filter(|node| node.meta.name != self.node)
    }

    /// Addresses of this node.
    #[must_use]
    pub fn own_addresses(&self) -> Vec<IpAddr> {
        let mut all: Vec<IpAddr> = self.own_node().map(|node| node.addresses.clone()).unwrap_or_default();
        all.extend(self.own_addresses.iter().filter(|address| !all.contains(address)).collect::<Vec<_>>());
        all
    }

    /// The ranges of pod addresses of the whole cluster.
    pub fn pod_cidrs(&self) -> impl Iterator<Item = IpNetwork> + '_ {
        self.nodes.values().flat_map(|node| node.pod_cidrs.iter().copied())
    }

    /// Who has an address.
    #[must_use]
    pub fn holder(&self, address: IpAddr) -> Option<&Holder> {
        self.holders.get(&address)
    }

    /// The labels of a pod; none where the pod is not known.
    #[must_use]
    pub fn labels(&self, pod: &PodRef) -> Option<LabelSet> {
        let pod = self.pods.get(pod)?;
        let of_namespace = self.namespaces.get(pod.meta.namespace());
        Some(pod_labels_with(pod, of_namespace.unwrap_or(&BTreeMap::new()), &self.filter))
    }

    /// The identity of the pod that has an address; [`Identity::UNKNOWN`] where nobody is known to have it.
    #[must_use]
    pub fn identity(&self, address: IpAddr) -> Identity {
        if self.holders.contains_key(&address) {
            self.repository.peer(address).identity
        } else {
            Identity::UNKNOWN
        }
    }

    /// Everyone that a packet may come from or go to, as policies see them.
    pub fn peers(&self) -> impl Iterator<Item = abi::Peer> + '_ {
        let inside = self.repository.addresses().map(|(_, peer)| peer);
        inside.chain(self.repository.cidrs().into_iter().map(|(_, peer)| peer))
    }

    /// The policies, and whether they are in force.
    #[must_use]
    pub fn policies(&self) -> Vec<PolicyStatus> {
        let valid = self.repository.policies().filter(|policy| !self.closing.contains(&policy.key));
        let mut all: BTreeMap<String, PolicyStatus> = valid
            .map(|policy| {
                let (name, warnings) = (policy.key.to_string(), limits::sentences(policy));
                (name.clone(), PolicyStatus { policy: name, valid: true, message: None, warnings })
            })
            .collect();
        for (key, message) in &self.rejected {
            let (policy, message) = (key.to_string(), Some(message.clone()));
            // What is in force in its place has limits too.
            let warnings = all.remove(&policy).map(|before| before.warnings).unwrap_or_default();
            all.insert(policy.clone(), PolicyStatus { policy, valid: false, message, warnings });
        }
        all.into_values().collect()
    }

    /// What a person should know of the cluster's objects.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let services = self.services.with_cluster_ips().map(|key| {
            format!("Service {key}: cluster IPs are not translated yet; under an egress policy they are judged as addresses outside")
        });
        let closing = self
            .closing
            .iter()
            .map(|key| format!("{key} is invalid: the pods that it selects are in default deny"));
        let limits = self.repository.policies().flat_map(limits::sentences);
        services.chain(closing).chain(limits).collect()
    }

    /// Notes that addresses were handed to a pod of this node.
    pub fn set_local(&mut self, pod: Option<&PodRef>, addresses: &[IpAddr]) {
        if let Some(pod) = pod {
            self.local.insert(pod.clone(), addresses.to_vec());
            if self.pods.contains_key(pod) {
                return self.place_pod(pod);
            }
        }
        // Nobody's policy can know it yet: it stays closed until its labels are known.
        for address in addresses {
            let holder = pod.cloned().unwrap_or_default();
            self.hold(*address, Holder::Pod(holder), Identity::INIT, reserved_labels(Identity::INIT));
        }
    }

    /// Notes that a pod of this node is gone.
    pub fn remove_local(&mut self, pod: Option<&PodRef>, addresses: &[IpAddr]) {
        if let Some(pod) = pod
            && self.local.get(pod).is_some_and(|held| held == addresses)
        {
            self.local.remove(pod);
        }
        for address in addresses {
            self.release(*address, &Holder::Pod(pod.cloned().unwrap_or_default()));
        }
    }

    /// Gives back identities that no pod has any more.
    pub fn collect_identities(&mut self) {
        let used: BTreeSet<LabelSet> = self.pods.keys().filter_map(|pod| self.labels(pod)).collect();
        self.identities.retain(|labels, _| used.contains(labels));
        self.new_identities = true;
    }

    fn set(&mut self, object: Object) {
        let key = object.key();
        if let Some(policy) = object.policy() {
            self.rejected.remove(&key);
            self.closing.remove(&policy.key);
            self.new_cidrs |= self.repository.set_policy(policy);
            return;
        }
        match object {
            Object::Namespace(namespace) => {
                let labels = namespace.meta.labels;
                if self.namespaces.insert(namespace.meta.name.clone(), labels.clone()).as_ref()
                    != Some(&labels)
                {
                    self.place_namespace(&namespace.meta.name);
                }
            }
            Object::Node(node) => self.set_node(node),
            Object::Pod(pod) => {
                let name = pod_ref(&pod);
                self.pods.insert(name.clone(), pod);
                self.place_pod(&name);
            }
            Object::Service(service) => self.set_service(service),
            Object::EndpointSlice(slice) => self.set_slice(slice),
            Object::CidrGroup(group) => {
                let labels = group.meta.labels.iter().map(|(key, value)| Label::k8s(key, value)).collect();
                let cidrs = group.cidrs.into_iter().collect();
                self.new_cidrs |= self.repository.set_cidr_group(&group.meta.name, labels, cidrs);
            }
            _ => {}
        }
    }

    fn reject(&mut self, rejected: Rejected) {
        let message = rejected.to_string();
        let Some(key) = rejected.object else {
            tracing::error!(%message, "a manifest is not valid");
            return;
        };
        tracing::error!(object = %key, %message, "an object is not valid");
        self.rejected.insert(key, message);
        if let Some(closing) = rejected.fail_closed
            && (self.repository.policy(&closing.key).is_none() || self.closing.contains(&closing.key))
        {
            self.closing.insert(closing.key.clone());
            self.new_cidrs |= self.repository.set_policy(*closing);
        }
    }

    fn remove(&mut self, key: &ObjectKey) {
        self.rejected.remove(key);
        match key.kind.as_str() {
            "Namespace" => {
                self.namespaces.remove(&key.name);
                self.place_namespace(&key.name);
            }
            "Node" => {
                if let Some(node) = self.nodes.remove(&key.name) {
                    for address in node.addresses {
                        self.release(address, &Holder::Node(key.name.clone()));
                    }
                    self.place_nodes();
                }
            }
            "Pod" => {
                let name =
                    PodRef { namespace: key.namespace.clone().unwrap_or_default(), name: key.name.clone() };
                self.pods.remove(&name);
                self.place_pod(&name);
            }
            "Service" => self.remove_service(key),
            "EndpointSlice" => self.remove_slice(key),
            "CiliumCIDRGroup" => self.new_cidrs |= self.repository.remove_cidr_group(&key.name),
            _ => {
                let policy = self
                    .repository
                    .policies()
                    .map(|policy| &policy.key)
                    .find(|known| ObjectKey::from(*known) == *key);
                if let Some(policy) = policy.cloned() {
                    self.closing.remove(&policy);
                    self.new_cidrs |= self.repository.remove_policy(&policy);
                }
            }
        }
    }

    fn place_namespace(&mut self, namespace: &str) {
        let pods: Vec<PodRef> = self.pods.keys().filter(|pod| pod.namespace == namespace).cloned().collect();
        for pod in pods {
            self.place_pod(&pod);
        }
    }

    /// Brings the addresses of a pod in line with what is known of it.
    fn place_pod(&mut self, name: &PodRef) {
        let holder = Holder::Pod(name.clone());
        let local = self.local.get(name);
        let addresses = match self.pods.get(name) {
            Some(pod) if pod.host_network => Vec::new(),
            // Of this node's pods the node itself knows best.
            Some(pod) if pod.node_name.as_deref() == Some(&self.node) => local.cloned().unwrap_or_default(),
            Some(pod) if pod.is_finished() => Vec::new(),
            Some(pod) => pod.ips.clone(),
            // Its object is gone; while it is still connected, it stays who it was.
            None if local.is_some() => return,
            None => Vec::new(),
        };
        let before = self.placed.remove(name).unwrap_or_default();
        for address in before.into_iter().filter(|address| !addresses.contains(address)) {
            self.release(address, &holder);
        }
        if addresses.is_empty() {
            return;
        }
        self.placed.insert(name.clone(), addresses.clone());
        let Some(labels) = self.labels(name) else { return };
        let known = self.identities.get(&labels);
        let identity = match known.map_or_else(|| self.identities.allocate(&labels), Ok) {
            Ok(identity) => identity,
            Err(error) => {
                tracing::error!(pod = %name, %error, "the pod stays without an identity");
                Identity::INIT
            }
        };
        self.new_identities |= known.is_none();
        for address in addresses {
            self.hold(address, holder.clone(), identity, labels.clone());
        }
    }

    fn hold(&mut self, address: IpAddr, holder: Holder, identity: Identity, labels: LabelSet) {
        self.holders.insert(address, holder);
        self.repository.set_address(address, identity, labels);
    }

    /// Forgets that somebody has an address, unless it is somebody else's by now.
    fn release(&mut self, address: IpAddr, holder: &Holder) {
        if self.holders.get(&address) == Some(holder) {
            self.holders.remove(&address);
            self.repository.remove_address(address);
            self.place_api_server(address);
        }
    }
}

fn pod_ref(pod: &Pod) -> PodRef {
    PodRef { namespace: pod.meta.namespace().to_owned(), name: pod.meta.name.clone() }
}
