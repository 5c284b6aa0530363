//! The facts of a cluster, as its objects tell them: who has which address, where pods run, what is behind a service.
//!
//! What is missing is filled in: a namespace without an object has the one label that Kubernetes gives every
//! namespace, a node without an object has no labels and the addresses of its host-network pods. Nothing here
//! knows policies; the objects are kept for those who read them.

mod address;
mod end;
mod names;
mod node;
mod pod;
mod service;

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

pub use address::free_address;
pub use end::{End, Party};
pub use names::{InvalidNames, Names};
pub use node::NodeFacts;
pub use pod::PodFacts;
pub use service::{Backend, ServicePortWanted};

use crate::manifest::{EndpointSlice, Meta, Namespace, Object, Service};
use crate::pod::NAMESPACE_NAME;
use crate::rule::Policy;

/// The facts of a cluster.
#[derive(Clone, Debug, Default)]
pub struct Cluster {
    objects: Vec<Object>,
    namespaces: BTreeMap<String, BTreeMap<String, String>>,
    nodes: Vec<NodeFacts>,
    pods: Vec<PodFacts>,
    pods_by_name: HashMap<String, HashMap<String, usize>>,
    owners: HashMap<IpAddr, End>,
    apiservers: Vec<IpAddr>,
    services_by_address: HashMap<IpAddr, usize>,
    slices_by_service: HashMap<(String, String), Vec<usize>>,
    names: Names,
    closed: Vec<Policy>,
}

impl Cluster {
    /// Takes the facts from objects. Of objects of the same kind and name, the last one counts.
    #[must_use]
    pub fn new(objects: impl IntoIterator<Item = Object>) -> Self {
        let mut cluster = Self { objects: latest(objects), ..Self::default() };
        cluster.fill_in_namespaces();
        cluster.fill_in_nodes();
        for (index, object) in cluster.objects.iter().enumerate() {
            match object {
                Object::Service(service) => {
                    let owned = service.cluster_ips.iter().map(|addr| (*addr, index));
                    cluster.services_by_address.extend(owned);
                }
                Object::EndpointSlice(slice) => {
                    let Some(service) = &slice.service else { continue };
                    let key = (slice.meta.namespace().to_owned(), service.clone());
                    if key == ("default".to_owned(), "kubernetes".to_owned()) {
                        cluster.apiservers.extend(&slice.addresses);
                    }
                    cluster.slices_by_service.entry(key).or_default().push(index);
                }
                _ => {}
            }
        }
        cluster.nodes = node::facts(&cluster.objects, &cluster.apiservers);
        for (index, node) in cluster.nodes.iter().enumerate() {
            for addr in &node.addresses {
                cluster.owners.entry(*addr).or_insert(End::Node(index));
            }
        }
        cluster.pods = pod::facts(&cluster.objects, &cluster.namespaces, &cluster.nodes);
        for (index, facts) in cluster.pods.iter().enumerate() {
            let Object::Pod(pod) = &cluster.objects[facts.object] else { continue };
            let of_namespace = cluster.pods_by_name.entry(pod.meta.namespace().to_owned()).or_default();
            of_namespace.insert(pod.meta.name.clone(), index);
            for addr in &facts.addresses {
                cluster.owners.entry(*addr).or_insert(End::Pod(index));
            }
        }
        cluster
    }

    /// With the addresses that DNS names stand for.
    #[must_use]
    pub fn with_names(mut self, names: Names) -> Self {
        self.names = names;
        self
    }

    /// With policies that close what others, which are invalid, are about.
    #[must_use]
    pub fn with_closed(mut self, closed: impl IntoIterator<Item = Policy>) -> Self {
        self.closed = closed.into_iter().collect();
        self
    }

    /// The policies that close what others, which are invalid, are about.
    #[must_use]
    pub fn closed(&self) -> &[Policy] {
        &self.closed
    }

    /// The policies, valid ones and those that close.
    pub fn policies(&self) -> impl Iterator<Item = Policy> {
        self.objects.iter().filter_map(Object::policy).chain(self.closed.iter().cloned())
    }

    /// Every namespace that is there or that an object is in, with its labels.
    fn fill_in_namespaces(&mut self) {
        let mut missing: BTreeMap<String, Meta> = BTreeMap::new();
        for object in &mut self.objects {
            match object {
                Object::Namespace(Namespace { meta }) => {
                    meta.labels.insert(NAMESPACE_NAME.to_owned(), meta.name.clone());
                    self.namespaces.insert(meta.name.clone(), meta.labels.clone());
                }
                Object::Pod(pod) => {
                    let name = pod.meta.namespace();
                    if !missing.contains_key(name) {
                        missing.insert(name.to_owned(), pod.meta.clone());
                    }
                }
                _ => {}
            }
        }
        for (name, like) in missing {
            if self.namespaces.contains_key(&name) {
                continue;
            }
            let labels = BTreeMap::from([(NAMESPACE_NAME.to_owned(), name.clone())]);
            self.namespaces.insert(name.clone(), labels.clone());
            let meta = Meta { namespace: None, name, labels, ..like };
            self.objects.push(Object::Namespace(Namespace { meta }));
        }
    }

    /// Every node that a pod says it is on, with the addresses of its host-network pods.
    fn fill_in_nodes(&mut self) {
        node::place(&mut self.objects);
        let missing = node::missing(&self.objects);
        self.objects.extend(missing.into_iter().map(Object::Node));
    }

    /// All objects: those given, with the label that every namespace has, and those that were missing.
    #[must_use]
    pub fn objects(&self) -> &[Object] {
        &self.objects
    }

    /// The pods.
    #[must_use]
    pub fn pods(&self) -> &[PodFacts] {
        &self.pods
    }

    /// The nodes.
    #[must_use]
    pub fn nodes(&self) -> &[NodeFacts] {
        &self.nodes
    }

    /// What DNS names stand for.
    #[must_use]
    pub const fn names(&self) -> &Names {
        &self.names
    }

    /// The addresses where the API server listens, of nodes or outside.
    #[must_use]
    pub fn apiservers(&self) -> &[IpAddr] {
        &self.apiservers
    }

    /// The labels of a namespace; empty where no object is in it.
    #[must_use]
    pub fn namespace_labels(&self, name: &str) -> Option<&BTreeMap<String, String>> {
        self.namespaces.get(name)
    }

    /// A pod by namespace and name.
    #[must_use]
    pub fn pod(&self, namespace: &str, name: &str) -> Option<usize> {
        self.pods_by_name.get(namespace)?.get(name).copied()
    }

    /// Who has an address. What nobody has lies outside.
    #[must_use]
    pub fn owner(&self, addr: IpAddr) -> End {
        self.owners.get(&addr).copied().unwrap_or(End::Outside)
    }

    /// The addresses that pods and nodes have.
    pub fn owned(&self) -> impl Iterator<Item = (IpAddr, End)> + '_ {
        self.owners.iter().map(|(addr, end)| (*addr, *end))
    }

    /// The service with this virtual address.
    #[must_use]
    pub fn service_at(&self, addr: IpAddr) -> Option<&Service> {
        match self.objects.get(*self.services_by_address.get(&addr)?) {
            Some(Object::Service(service)) => Some(service),
            _ => None,
        }
    }

    /// The services.
    pub fn services(&self) -> impl Iterator<Item = &Service> {
        self.objects.iter().filter_map(|object| match object {
            Object::Service(service) => Some(service),
            _ => None,
        })
    }

    /// The slices of a service.
    pub fn slices(&self, namespace: &str, service: &str) -> impl Iterator<Item = &EndpointSlice> {
        let key = (namespace.to_owned(), service.to_owned());
        let indexes = self.slices_by_service.get(&key).map(Vec::as_slice).unwrap_or_default();
        indexes.iter().filter_map(|index| match &self.objects[*index] {
            Object::EndpointSlice(slice) => Some(slice),
            _ => None,
        })
    }
}

/// The last object of each kind and name, in their order.
fn latest(objects: impl IntoIterator<Item = Object>) -> Vec<Object> {
    let mut kept: Vec<Option<Object>> = Vec::new();
    let mut places = HashMap::new();
    for object in objects {
        let mut key = object.key();
        if !is_cluster_scoped(&object) {
            key.namespace.get_or_insert_with(|| object.meta().namespace().to_owned());
        }
        if let Some(old) = places.insert(key, kept.len()) {
            kept[old] = None;
        }
        kept.push(Some(object));
    }
    kept.into_iter().flatten().collect()
}

const fn is_cluster_scoped(object: &Object) -> bool {
    matches!(
        object,
        Object::Namespace(_) | Object::Node(_) | Object::ClusterNetworkPolicy(_) | Object::CidrGroup(_)
    )
}

/// What an object that nobody wrote says of itself.
fn made_up(name: &str, file: &Arc<str>) -> Meta {
    Meta { namespace: None, name: name.to_owned(), labels: BTreeMap::new(), file: Arc::clone(file), line: 1 }
}
