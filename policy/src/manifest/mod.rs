//! Kubernetes manifests: texts in, typed objects or diagnostics out.

mod cidr_group;
mod cilium;
mod cluster;
mod cluster_network_policy;
mod document;
mod endpoint_slice;
mod label_selector;
mod log_value;
mod meta;
mod network_policy;
mod reader;
mod regex;
mod tree;

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use cidr_group::CidrGroup;
pub use cilium::{
    CidrRule, CidrSource, CiliumPolicy, CiliumRule, CiliumService, CiliumServices, CiliumSpec, CiliumSubject,
    Entity, L3, PortRule,
};
pub use cluster::{ContainerPort, Namespace, Node, Other, Pod, Service, ServicePort, ServiceType};
pub use cluster_network_policy::{
    ClusterNetworkPolicy, ClusterPeer, ClusterProtocol, ClusterRule, NamespacedPods,
};
pub use document::{Document, Origin, documents};
pub use endpoint_slice::EndpointSlice;
pub use label_selector::{Expression, LabelSelector, Operator};
pub use meta::Meta;
pub use network_policy::{NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicyRule};

use crate::cluster_name::ClusterName;
use crate::diagnostic::Diagnostic;
use crate::policy_key::{PolicyKey, PolicyKind};
use crate::rule::Policy;
use reader::{Field, Report, Source};
use tree::{Tree, Value};

/// An object of a manifest.
#[derive(Clone, Debug, PartialEq)]
pub enum Object {
    /// `v1` Namespace.
    Namespace(Namespace),
    /// `v1` Node.
    Node(Node),
    /// `v1` Pod.
    Pod(Pod),
    /// `v1` Service.
    Service(Service),
    /// `networking.k8s.io/v1` NetworkPolicy.
    NetworkPolicy(NetworkPolicy),
    /// `cilium.io/v2` CiliumNetworkPolicy or CiliumClusterwideNetworkPolicy.
    CiliumPolicy(CiliumPolicy),
    /// `policy.networking.k8s.io/v1alpha2` ClusterNetworkPolicy.
    ClusterNetworkPolicy(ClusterNetworkPolicy),
    /// `cilium.io/v2` CiliumCIDRGroup.
    CidrGroup(CidrGroup),
    /// `discovery.k8s.io/v1` EndpointSlice, or `v1` Endpoints.
    EndpointSlice(EndpointSlice),
    /// Anything else.
    Other(Other),
}

/// Names an object. Displayed as `Pod default/web`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ObjectKey {
    /// Its kind.
    pub kind: String,
    /// Its namespace; none for cluster-scoped kinds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.kind)?;
        if let Some(namespace) = &self.namespace {
            write!(f, "{namespace}/")?;
        }
        f.write_str(&self.name)
    }
}

impl From<&PolicyKey> for ObjectKey {
    fn from(key: &PolicyKey) -> Self {
        Self { kind: key.kind.as_str().into(), namespace: key.namespace.clone(), name: key.name.clone() }
    }
}

impl ObjectKey {
    /// The name among policies; none for objects of other kinds.
    #[must_use]
    pub fn policy(&self) -> Option<PolicyKey> {
        let kind = PolicyKind::from_name(&self.kind)?;
        Some(PolicyKey { kind, namespace: self.namespace.clone(), name: self.name.clone() })
    }
}

impl Object {
    /// What all objects have.
    #[must_use]
    pub const fn meta(&self) -> &Meta {
        match self {
            Self::Namespace(object) => &object.meta,
            Self::Node(object) => &object.meta,
            Self::Pod(object) => &object.meta,
            Self::Service(object) => &object.meta,
            Self::NetworkPolicy(object) => &object.meta,
            Self::CiliumPolicy(object) => &object.meta,
            Self::ClusterNetworkPolicy(object) => &object.meta,
            Self::CidrGroup(object) => &object.meta,
            Self::EndpointSlice(object) => &object.meta,
            Self::Other(object) => &object.meta,
        }
    }

    /// The kind, as manifests write it.
    #[must_use]
    pub fn kind(&self) -> &str {
        match self {
            Self::Namespace(_) => "Namespace",
            Self::Node(_) => "Node",
            Self::Pod(_) => "Pod",
            Self::Service(_) => "Service",
            Self::NetworkPolicy(_) => "NetworkPolicy",
            Self::CiliumPolicy(policy) => policy.kind().as_str(),
            Self::ClusterNetworkPolicy(_) => "ClusterNetworkPolicy",
            Self::CidrGroup(_) => "CiliumCIDRGroup",
            Self::EndpointSlice(_) => "EndpointSlice",
            Self::Other(other) => &other.kind,
        }
    }

    /// Its name among all objects.
    #[must_use]
    pub fn key(&self) -> ObjectKey {
        let meta = self.meta();
        ObjectKey { kind: self.kind().into(), namespace: meta.namespace.clone(), name: meta.name.clone() }
    }

    /// The rules of a policy object, in a cluster that nobody named; none for other objects.
    #[must_use]
    pub fn policy(&self) -> Option<Policy> {
        self.policy_in(&ClusterName::default())
    }

    /// The rules of a policy object in a cluster; none for other objects. Peers that Cilium's policies select by
    /// labels are of that cluster unless they name another.
    #[must_use]
    pub fn policy_in(&self, cluster: &ClusterName) -> Option<Policy> {
        match self {
            Self::NetworkPolicy(policy) => Some(policy.normalise()),
            Self::CiliumPolicy(policy) => Some(policy.normalise(cluster)),
            Self::ClusterNetworkPolicy(policy) => Some(policy.normalise()),
            _ => None,
        }
    }
}

/// A document that is not a valid object.
///
/// For machines: `object` and `diagnostics`.
#[derive(Clone, Debug, PartialEq, Serialize, thiserror::Error)]
#[error("{}", lines(diagnostics))]
pub struct Rejected {
    /// Which object it is, where that can be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<ObjectKey>,
    /// All that is wrong; never empty.
    pub diagnostics: Vec<Diagnostic>,
    /// For a policy whose subject selector is valid: the policy that puts its subjects in default deny for the
    /// directions that it names. To be enforced where no valid revision of it is in force, so that a mistake
    /// never opens what was meant to be closed.
    #[serde(skip)]
    pub fail_closed: Option<Box<Policy>>,
}

fn lines(diagnostics: &[Diagnostic]) -> String {
    diagnostics.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// Parses YAML or JSON of one or many documents, with objects or `List`s of them. A bad document does not lose
/// the others; documents without content are passed over.
///
/// `file` is the name of the user's file and `first_line` the number of the text's first line in it (1 for a
/// whole file), for diagnostics and rule references.
///
/// ```
/// let text = "
/// apiVersion: networking.k8s.io/v1
/// kind: NetworkPolicy
/// metadata: {name: web}
/// spec:
///   podSelector: {}
///   ingres: []
/// ";
/// let rejected = netloom_policy::manifest::parse(text, "web.yaml", 1).remove(0).unwrap_err();
/// assert_eq!(rejected.to_string(), "web.yaml:7:3: spec: unknown field \"ingres\" (did you mean \"ingress\"?)");
/// ```
#[must_use]
pub fn parse(text: &str, file: &str, first_line: u32) -> Vec<Result<Object, Rejected>> {
    let file: Arc<str> = file.into();
    let mut objects = Vec::new();
    for document in documents(text) {
        let lines = (first_line + document.line).saturating_sub(2);
        let source = Source { file: Arc::clone(&file), lines, columns: document.column - 1 };
        match tree::parse(document.text) {
            Err(error) => {
                let report = Report::new(source);
                let place = (error.line, error.column);
                report.add((place, place), String::new(), error.message, None);
                objects.push(Err(rejected(None, report, None)));
            }
            Ok(tree) if *tree.value(tree.root()) == Value::Null => {}
            Ok(tree) => read(&tree, &source, &mut objects),
        }
    }
    objects
}

/// Parses the text of a stored object, which may begin with an [`Origin`]'s comment: then places are those of
/// the user's file. `stored_in` names the file that the text was read from.
#[must_use]
pub fn parse_stored(text: &str, stored_in: &str) -> Vec<Result<Object, Rejected>> {
    match Origin::of(text) {
        // The comment is a line of its own, before the document's first.
        Some(origin) => {
            let body = text.split_once('\n').map_or("", |(_, body)| body);
            parse(body, &origin.file, origin.line)
        }
        None => parse(text, stored_in, 1),
    }
}

fn rejected(object: Option<ObjectKey>, report: Report, fail_closed: Option<Policy>) -> Rejected {
    Rejected { object, diagnostics: report.into_diagnostics(), fail_closed: fail_closed.map(Box::new) }
}

/// Reads the object that a document is, or those of the list that it is.
fn read(tree: &Tree<'_>, source: &Source, objects: &mut Vec<Result<Object, Rejected>>) {
    let text = |key| tree.get(tree.root(), key).and_then(|id| tree.value(id).as_str());
    let mut read = |id, of_list| {
        let report = Report::new(source.clone());
        let outcome = object(&Field::root(&report, tree, id), of_list);
        objects.push(outcome.map_err(|invalid| rejected(invalid.object, report, invalid.fail_closed)));
    };
    let item_kind = text("kind").and_then(|kind| kind.strip_suffix("List"));
    let items = tree.get(tree.root(), "items").filter(|items| matches!(tree.value(*items), Value::List(_)));
    match (item_kind, items) {
        // The items of a list of one kind may leave out what the list says.
        (Some(kind), Some(items)) => {
            let of_list = text("apiVersion").filter(|_| !kind.is_empty()).map(|version| (version, kind));
            tree.children(items).for_each(|id| read(id, of_list));
        }
        // Something else that happens to be called a list.
        _ => read(tree.root(), None),
    }
}

/// The kinds that are read strictly, with the API version that has them.
const VERSIONS: [(&str, &str); 5] = [
    ("NetworkPolicy", "networking.k8s.io/v1"),
    ("CiliumNetworkPolicy", "cilium.io/v2"),
    ("CiliumClusterwideNetworkPolicy", "cilium.io/v2"),
    ("CiliumCIDRGroup", "cilium.io/v2"),
    ("ClusterNetworkPolicy", "policy.networking.k8s.io/v1alpha2"),
];

/// Why there is no object; what is wrong is in the report.
#[derive(Default)]
struct Invalid {
    object: Option<ObjectKey>,
    fail_closed: Option<Policy>,
}

/// Reads an object; `of_list` are the API version and kind that it has where it does not say so.
fn object(root: &Field<'_>, of_list: Option<(&str, &str)>) -> Result<Object, Box<Invalid>> {
    let Some(mut fields) = root.object() else { return Err(Box::default()) };
    let mut named = |key, help, default: Option<&str>| match default {
        Some(default) => fields.get(key).map_or_else(|| Some(default.to_owned()), |field| field.string()),
        None => fields.require(key, help).and_then(|field| field.string()),
    };
    let api_version = named("apiVersion", "such as v1", of_list.map(|(version, _)| version));
    let kind = named("kind", "such as Pod", of_list.map(|(_, kind)| kind));
    let (Some(api_version), Some(kind)) = (api_version, kind) else { return Err(Box::default()) };
    let strict = VERSIONS.iter().any(|(known, _)| *known == kind);
    let meta = meta::read(&mut fields, &api_version, &kind, strict);
    let key = meta.as_ref().map(|meta| ObjectKey {
        kind: kind.clone(),
        namespace: meta.namespace.clone(),
        name: meta.name.clone(),
    });
    let invalid = |fail_closed| Box::new(Invalid { object: key, fail_closed });
    let Some(meta) = meta else { return Err(invalid(None)) };
    let (read, fail_closed) = match (api_version.as_str(), kind.as_str()) {
        ("v1", "Namespace") => (Some(Object::Namespace(Namespace { meta })), None),
        ("v1", "Node") => (cluster::node(meta, &mut fields).map(Object::Node), None),
        ("v1", "Pod") => (cluster::pod(meta, &mut fields).map(Object::Pod), None),
        ("v1", "Service") => (cluster::service(meta, &mut fields).map(Object::Service), None),
        ("networking.k8s.io/v1", "NetworkPolicy") => {
            let (policy, closed) = network_policy::read(meta, fields);
            (policy.map(Object::NetworkPolicy), closed)
        }
        ("cilium.io/v2", "CiliumNetworkPolicy" | "CiliumClusterwideNetworkPolicy") => {
            let (policy, closed) = cilium::read(meta, fields);
            (policy.map(Object::CiliumPolicy), closed)
        }
        ("cilium.io/v2" | "cilium.io/v2alpha1", "CiliumCIDRGroup") => {
            (cidr_group::read(meta, fields).map(Object::CidrGroup), None)
        }
        ("policy.networking.k8s.io/v1alpha2", "ClusterNetworkPolicy") => {
            let (policy, closed) = cluster_network_policy::read(meta, fields);
            (policy.map(Object::ClusterNetworkPolicy), closed)
        }
        ("discovery.k8s.io/v1" | "discovery.k8s.io/v1beta1", "EndpointSlice") => {
            (endpoint_slice::read(meta, &mut fields).map(Object::EndpointSlice), None)
        }
        ("v1", "Endpoints") => {
            (endpoint_slice::read_endpoints(meta, &mut fields).map(Object::EndpointSlice), None)
        }
        // Calico has a kind of the same name.
        (_, _)
            if strict
                && api_version != "crd.projectcalico.org/v1"
                && api_version != "projectcalico.org/v3" =>
        {
            let right = VERSIONS.iter().find(|(known, _)| *known == kind).map_or("", |(_, version)| version);
            root.error(format!("apiVersion {api_version:?} has no {kind}"), format!("apiVersion: {right}"));
            (None, None)
        }
        _ => (Some(Object::Other(Other { api_version, kind, meta })), None),
    };
    match read {
        Some(object) if root.report.count() == 0 => Ok(object),
        _ => Err(invalid(fail_closed)),
    }
}
