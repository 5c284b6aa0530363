//! The meaning of policies, spelled out: slow and obviously right.
//!
//! It reads objects as their authors wrote them and shares nothing with rules, selectors, resolution or tables. Tests
//! compare the two; it is of use wherever one question is worth a thousand lines that need not be trusted.
//!
//! ```
//! use abi::{Direction, proto};
//! use netloom_policy::manifest::{self, Object};
//! use netloom_policy::oracle::{Oracle, Party};
//! use netloom_policy::{Settings, Verdict};
//!
//! let text = "
//! apiVersion: v1
//! kind: Pod
//! metadata: {name: db-0, namespace: shop, labels: {app: db}}
//! ---
//! apiVersion: networking.k8s.io/v1
//! kind: NetworkPolicy
//! metadata: {name: db, namespace: shop}
//! spec:
//!   podSelector: {matchLabels: {app: db}}
//!   ingress: [{ports: [{port: 5432}]}]
//! ";
//! let objects: Vec<_> = manifest::parse(text, "shop.yaml", 1).into_iter().collect::<Result<_, _>>()?;
//! let oracle = Oracle::new(&objects, Settings::default(), Default::default());
//! let Object::Pod(db) = &objects[0] else { unreachable!() };
//! let addr = "192.0.2.1".parse()?;
//! let judge = |port| {
//!     oracle.pod(db).verdict(Direction::Ingress, Party::outside(addr), Some(addr), proto::TCP, port)
//! };
//! assert_eq!(judge(5432).verdict, Verdict::Allow);
//! assert_eq!(judge(22).closed_by[0].to_string(), "NetworkPolicy shop/db spec (shop.yaml:9)");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod cilium;
mod cluster_network_policy;
mod labels;
mod network_policy;
mod packet;
mod peer;
mod pod;
mod subject;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

pub use peer::Party;
pub use subject::{Judgement, Subject};

use crate::manifest::{
    CidrGroup, CiliumPolicy, ClusterNetworkPolicy, EndpointSlice, Meta, NetworkPolicy, Node, Object, Pod,
    Service,
};
use crate::settings::Settings;
use pod::PodLabels;

/// The objects of a cluster that bear on policy.
#[derive(Clone, Debug, Default)]
pub struct Oracle {
    settings: Settings,
    names: BTreeMap<IpAddr, BTreeSet<String>>,
    namespaces: BTreeMap<String, BTreeMap<String, String>>,
    pods: BTreeMap<(String, String), Arc<PodLabels>>,
    nodes: BTreeMap<String, Node>,
    services: Vec<Service>,
    slices: Vec<EndpointSlice>,
    /// The addresses of the Kubernetes API server.
    apiserver: BTreeSet<IpAddr>,
    groups: Vec<CidrGroup>,
    network_policies: Vec<NetworkPolicy>,
    cilium_policies: Vec<CiliumPolicy>,
    /// In the order in which they are asked, save for the tier.
    cluster_policies: Vec<ClusterNetworkPolicy>,
}

impl Oracle {
    /// Takes what bears on policy from a cluster's objects. `names` has the DNS names that addresses outside the
    /// cluster are known by.
    #[must_use]
    pub fn new<'a>(
        objects: impl IntoIterator<Item = &'a Object>,
        settings: Settings,
        names: BTreeMap<IpAddr, BTreeSet<String>>,
    ) -> Self {
        let mut oracle = Self { settings, names, ..Self::default() };
        let mut pods = Vec::new();
        for object in objects {
            match object.clone() {
                Object::Namespace(namespace) => {
                    oracle.namespaces.insert(namespace.meta.name, namespace.meta.labels);
                }
                Object::Node(node) => {
                    oracle.nodes.insert(node.meta.name.clone(), node);
                }
                Object::Pod(pod) => pods.push(pod),
                Object::Service(service) => oracle.services.push(service),
                Object::EndpointSlice(slice) => oracle.slices.push(slice),
                Object::CidrGroup(group) => oracle.groups.push(group),
                Object::NetworkPolicy(policy) => oracle.network_policies.push(policy),
                Object::CiliumPolicy(policy) => oracle.cilium_policies.push(policy),
                Object::ClusterNetworkPolicy(policy) => oracle.cluster_policies.push(policy),
                Object::Other(_) => {}
            }
        }
        oracle.cluster_policies.sort_by(|a, b| (a.tier, &a.meta.name).cmp(&(b.tier, &b.meta.name)));
        for pod in &pods {
            oracle.pods.insert(key(pod), Arc::new(PodLabels::of(pod, &oracle.namespaces)));
        }
        oracle.apiserver = oracle
            .slices
            .iter()
            .filter(|slice| is_of(slice, "default", "kubernetes"))
            .flat_map(|slice| slice.addresses.iter().copied())
            .collect();
        oracle
    }

    /// A pod, to be asked about its connections; its node, where it is on the host's network.
    #[must_use]
    pub fn pod<'a>(&'a self, pod: &'a Pod) -> Subject<'a> {
        Subject::pod(self, pod)
    }

    /// A node, to be asked about its own connections.
    #[must_use]
    pub fn node<'a>(&'a self, node: &'a Node) -> Subject<'a> {
        Subject::node(self, Some(&node.meta.name), Some(node))
    }

    /// What is known of a pod. It need not be among the objects.
    fn pod_labels(&self, pod: &Pod) -> Arc<PodLabels> {
        match self.pods.get(&key(pod)) {
            Some(known) => Arc::clone(known),
            None => Arc::new(PodLabels::of(pod, &self.namespaces)),
        }
    }

    /// The addresses of a service's backends.
    fn backends_of(&self, service: &Meta) -> impl Iterator<Item = IpAddr> {
        let slices = self.slices.iter().filter(|slice| is_of(slice, service.namespace(), &service.name));
        slices.flat_map(|slice| slice.addresses.iter().copied())
    }
}

fn key(pod: &Pod) -> (String, String) {
    (pod.meta.namespace().to_owned(), pod.meta.name.clone())
}

fn is_of(slice: &EndpointSlice, namespace: &str, service: &str) -> bool {
    slice.meta.namespace() == namespace && slice.service.as_deref() == Some(service)
}
