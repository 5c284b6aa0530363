//! The cluster as the agent knows it: who has which address, and which policies there are.
//!
//! It takes [`Change`]s and keeps the policy repository up to date with them. It does no I/O.

mod changed;
mod holders;
mod nodes;
mod numbers;
mod placing;
mod pods;
mod ranges;
mod services;
#[cfg(test)]
mod tests;
mod versions;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use abi::Identity;
use api::{Known, KnownPeer, PodRef, PolicyStatus};
use ipnetwork::IpNetwork;
use policy::manifest::{Object, ObjectKey, Rejected};
use policy::{
    CidrRegistry, Label, LabelSet, LocalIdentities, PodLabelling, PolicyKey, Repository, Settings,
    SharedLabels, reserved_labels,
};

use crate::limits;
use crate::source::Change;
pub use changed::Changed;
use holders::{Claim, Holders};
pub use nodes::KnownNode;
use nodes::Nodes;
pub use numbers::{Given, Numbering, Numbers};
use pods::{PodId, Pods};
pub use ranges::Contested;
use services::Services;
use versions::Versions;

/// Who has an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// A pod: its namespace and its name.
    Pod(Arc<str>, Box<str>),
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
    /// How labels are made of pods, and in which cluster.
    pub labelling: PodLabelling,
    /// Where the numbers of pods' label sets come from, and those that were given out.
    pub identities: Numbers,
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
    /// The numbers of pods' label sets.
    pub identities: Numbers,
    /// Numbers given to the label sets of other nodes; to be stored with them.
    pub node_identities: LocalIdentities,
    new_identities: bool,
    new_cidrs: bool,
    labelling: PodLabelling,
    namespaces: BTreeMap<String, BTreeMap<String, String>>,
    nodes: Nodes,
    pods: Pods,
    /// The pods whose objects are known, by their labels.
    by_labels: HashMap<LabelSet, BTreeSet<PodId>>,
    /// Labels that many pods and nodes have.
    shared: SharedLabels,
    services: Services,
    /// The addresses of the Kubernetes API server.
    api_server: BTreeSet<IpAddr>,
    holders: Holders,
    /// Addresses of this node's links.
    own_addresses: Vec<IpAddr>,
    versions: Versions,
    changed: Changed,
    rejected: BTreeMap<ObjectKey, String>,
    /// Policies in force in the place of one that never was valid.
    closing: BTreeSet<PolicyKey>,
}

impl Cluster {
    /// A cluster of which nothing is known yet, seen from `node`.
    #[must_use]
    pub fn new(node: &str, beginnings: Beginnings, own_addresses: Vec<IpAddr>) -> Self {
        let Beginnings { settings, labelling, identities, node_identities, cidrs } = beginnings;
        let mut cluster = Self {
            node: node.to_owned(),
            repository: Repository::new(settings, policy::Numbers { cidrs, ..policy::Numbers::default() }),
            identities,
            node_identities: node_identities.unwrap_or_else(LocalIdentities::remote_nodes),
            labelling,
            new_identities: false,
            new_cidrs: false,
            namespaces: BTreeMap::new(),
            nodes: Nodes::default(),
            pods: Pods::default(),
            by_labels: HashMap::new(),
            shared: SharedLabels::default(),
            services: Services::default(),
            api_server: BTreeSet::new(),
            holders: Holders::default(),
            own_addresses,
            versions: Versions::default(),
            changed: Changed::all(),
            rejected: BTreeMap::new(),
            closing: BTreeSet::new(),
        };
        cluster.place_own_node(&[]);
        cluster
    }

    /// Takes note of a change.
    pub fn apply(&mut self, change: Change) {
        match change {
            Change::Set(object) => self.set(*object),
            Change::Rejected(rejected) => self.reject(rejected),
            Change::Removed(key) => self.remove(&key),
            Change::Version(object, version) => self.versions.set(object, &version),
            Change::Endpoint(endpoint) => self.set_endpoint(&endpoint),
            Change::EndpointGone(pod) => self.remove_endpoint(&pod),
            Change::EndpointsBegin => self.pods.begin_list(),
            Change::EndpointsEnd => self.remove_unlisted_endpoints(),
            Change::Identity(number, labels) => self.set_identity(number, &labels),
            Change::IdentityGone(number) => self.remove_identity(number),
            // The engine's own affair.
            Change::Interfaces(_) | Change::Observed(_) => {}
        }
    }

    /// What may be otherwise than at the last call. Whoever cannot enforce it must begin anew with [`Changed::all`].
    pub fn take_changed(&mut self) -> Changed {
        let mut changed = std::mem::replace(&mut self.changed, Changed::nothing());
        let addresses = self.repository.take_changed_addresses();
        changed.add(Changed { addresses, ..Changed::nothing() });
        changed
    }

    /// The label sets of this node's pods that need a number, each said once.
    pub fn take_wanted(&mut self) -> Vec<LabelSet> {
        match &mut self.identities {
            Numbers::Own(_) => Vec::new(),
            Numbers::Given(given) => given.take_asked(),
        }
    }

    /// What is known, to be compared with what should be.
    #[must_use]
    pub fn known(&self) -> Known {
        let peer = |(address, peer): (IpAddr, abi::Peer)| {
            let labels = self.repository.labels(peer.identity);
            let labels = labels.into_iter().flatten().map(ToString::to_string).collect();
            (address, KnownPeer { identity: peer.identity.0, labels })
        };
        Known {
            pending: false,
            objects: self.versions.list(),
            peers: self.repository.addresses().map(peer).collect(),
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

    /// Forgets numbers from before a restart that nobody uses, once all policies and nodes are known.
    pub fn forget_unused(&mut self) {
        let changed = self.repository.forget_unused_cidrs();
        self.note_cidrs(changed);
        self.forget_unused_nodes();
    }

    fn note_cidrs(&mut self, changed: bool) {
        self.new_cidrs |= changed;
        self.changed.cidrs |= changed;
    }

    /// This node, where its object is known.
    #[must_use]
    pub fn own_node(&self) -> Option<&KnownNode> {
        self.nodes.own()
    }

    /// The other nodes.
    pub fn other_nodes(&self) -> impl Iterator<Item = &KnownNode> {
        self.nodes.iter().filter(|node| node.name != self.node)
    }

    /// Addresses of this node.
    #[must_use]
    pub fn own_addresses(&self) -> Vec<IpAddr> {
        self.addresses_of_node(Nodes::OWN)
    }

    /// The ranges of pod addresses of the whole cluster.
    pub fn pod_cidrs(&self) -> impl Iterator<Item = IpNetwork> + '_ {
        self.nodes.iter().flat_map(|node| node.pod_cidrs.iter().copied())
    }

    /// The pods of this node that have a network of their own and have not finished, with the addresses that the API
    /// says they have.
    pub fn own_pods(&self) -> impl Iterator<Item = (PodRef, &[IpAddr])> {
        let of_node = self.pods.with_object().filter(|(_, entry)| entry.is_of(&self.node));
        of_node.filter_map(|(_, entry)| {
            let object = entry.object.as_ref()?;
            (!object.gone && !object.pod.is_finished()).then(|| (entry.name(), object.pod.ips.as_slice()))
        })
    }

    /// Who has an address.
    #[must_use]
    pub fn holder(&self, address: IpAddr) -> Option<Holder> {
        Some(match self.holders.get(address)? {
            Claim::Pod(id) => self.pods.get(id)?.holder(),
            Claim::Nameless => Holder::Pod("".into(), "".into()),
            Claim::Node(id) => Holder::Node(self.nodes.get(id)?.name.clone()),
            Claim::ApiServer => Holder::ApiServer,
        })
    }

    /// Whether packets for an address that is not on this node leave it as they are: pods and nodes elsewhere.
    #[must_use]
    pub fn is_elsewhere(&self, address: IpAddr) -> bool {
        match self.holders.get(address) {
            Some(Claim::Node(id)) => id != Nodes::OWN,
            Some(Claim::Pod(_) | Claim::Nameless) => true,
            Some(Claim::ApiServer) | None => false,
        }
    }

    /// The labels by which policies select a pod; none where the pod is not known, or has no identity yet.
    #[must_use]
    pub fn labels(&self, pod: &PodRef) -> Option<LabelSet> {
        let entry = self.pods.get(self.pods.find(pod)?)?;
        match (&entry.local, &entry.object) {
            (Some(local), _) => local.who.as_ref().map(|(_, labels)| labels.clone()),
            (None, object) => object.as_ref().map(|object| object.labels.clone()),
        }
    }

    /// The identity of the pod that has an address; [`Identity::UNKNOWN`] where nobody is known to have it.
    #[must_use]
    pub fn identity(&self, address: IpAddr) -> Identity {
        if self.holders.get(address).is_some() {
            self.repository.peer(address).identity
        } else {
            Identity::UNKNOWN
        }
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
        let services = limits::untranslated(self.services.with_cluster_ips());
        let closing = self
            .closing
            .iter()
            .map(|key| format!("{key} is invalid: the pods that it selects are in default deny"));
        let limits = self.repository.policies().flat_map(limits::sentences);
        services.into_iter().chain(closing).chain(limits).collect()
    }

    fn set(&mut self, object: Object) {
        let key = object.key();
        if let Some(policy) = object.policy_in(&self.labelling.cluster) {
            self.rejected.remove(&key);
            self.closing.remove(&policy.key);
            let changed = self.repository.set_policy(policy);
            return self.note_cidrs(changed);
        }
        match object {
            Object::Namespace(namespace) => {
                self.set_namespace(&namespace.meta.name, Some(namespace.meta.labels));
            }
            Object::Node(node) => self.set_node(node),
            Object::Pod(pod) => self.set_pod(pod),
            Object::Service(service) => self.set_service(service),
            Object::EndpointSlice(slice) => self.set_slice(slice),
            Object::CidrGroup(group) => {
                let labels = group.meta.labels.iter().map(|(key, value)| Label::k8s(key, value)).collect();
                let cidrs = group.cidrs.into_iter().collect();
                let changed = self.repository.set_cidr_group(&group.meta.name, labels, cidrs);
                self.note_cidrs(changed);
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
            let changed = self.repository.set_policy(*closing);
            self.note_cidrs(changed);
        }
    }

    fn remove(&mut self, key: &ObjectKey) {
        self.rejected.remove(key);
        self.versions.remove(key);
        match key.kind.as_str() {
            "Namespace" => self.set_namespace(&key.name, None),
            "Node" => self.remove_node(&key.name),
            "Pod" => {
                let namespace = key.namespace.clone().unwrap_or_default();
                self.remove_pod(&PodRef { namespace, name: key.name.clone() });
            }
            "Service" => self.remove_service(key),
            "EndpointSlice" => self.remove_slice(key),
            "CiliumCIDRGroup" => {
                let changed = self.repository.remove_cidr_group(&key.name);
                self.note_cidrs(changed);
            }
            _ => {
                if let Some(policy) = key.policy() {
                    self.closing.remove(&policy);
                    let changed = self.repository.remove_policy(&policy);
                    self.note_cidrs(changed);
                }
            }
        }
    }

    /// Notes that somebody has an address. Where he has it already, who he is may have changed.
    fn claim(&mut self, address: IpAddr, claim: Claim) {
        let is_alone = self.holders.claim(address, claim);
        let is_another = !is_alone && self.elect(address);
        match self.holders.get(address) {
            Some(holder) if is_another || holder == claim => self.enter(address, holder),
            _ => {}
        }
    }

    /// Forgets that somebody has an address, unless it is somebody else's by now.
    fn release(&mut self, address: IpAddr, claim: Claim) {
        if !self.holders.release(address, claim) {
            return;
        }
        self.elect(address);
        match self.holders.get(address) {
            Some(next) => self.enter(address, next),
            None => {
                self.repository.remove_address(address);
                self.touch(&[address]);
                self.place_api_server(address);
            }
        }
    }

    fn enter(&mut self, address: IpAddr, holder: Claim) {
        let (identity, labels) = match holder {
            Claim::Pod(id) => self.who_is_pod(id),
            Claim::Nameless => (Identity::INIT, reserved_labels(Identity::INIT)),
            Claim::Node(id) => self.who_is_node(id),
            Claim::ApiServer => self.who_is_api_server(address),
        };
        self.repository.set_address(address, identity, labels);
        self.touch(&[address]);
    }

    /// Notes that what the datapath has for addresses may be another now.
    fn touch(&mut self, addresses: &[IpAddr]) {
        if let Some(changed) = &mut self.changed.addresses {
            changed.extend(addresses);
        }
    }
}
