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

use crate::diagnostic::Diagnostic;
use crate::policy_key::PolicyKey;
use crate::rule::Policy;
use reader::{Field, Report};
use tree::Value;

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

    /// The rules of a policy object; none for other objects.
    #[must_use]
    pub fn policy(&self) -> Option<Policy> {
        match self {
            Self::NetworkPolicy(policy) => Some(policy.normalise()),
            Self::CiliumPolicy(policy) => Some(policy.normalise()),
            Self::ClusterNetworkPolicy(policy) => Some(policy.normalise()),
            _ => None,
        }
    }
}

/// A document that is not a valid object.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{}", lines(diagnostics))]
pub struct Rejected {
    /// Which object it is, where that can be told.
    pub object: Option<ObjectKey>,
    /// All that is wrong; never empty.
    pub diagnostics: Vec<Diagnostic>,
    /// For a policy whose subject selector is valid: the policy that puts its subjects in default deny for the
    /// directions that it names. To be enforced where no valid revision of it is in force, so that a mistake
    /// never opens what was meant to be closed.
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
        let line_offset = (first_line + document.line).saturating_sub(2);
        let report = Report::new(Arc::clone(&file), line_offset);
        match tree::parse(document.text) {
            Err(error) => {
                report.add((error.line, error.column), "", error.message, None);
                objects.push(Err(rejected(None, report, None)));
            }
            Ok(root) if matches!(root.value, Value::Null) => {}
            Ok(root) => read(&Field::root(&report, &root), &mut objects),
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

/// Reads the object at `root`, or those of the list that it is.
fn read(root: &Field<'_>, objects: &mut Vec<Result<Object, Rejected>>) {
    let is_list =
        root.node.get("kind").and_then(tree::Node::as_str).is_some_and(|kind| kind.ends_with("List"));
    let items = root.node.get("items").filter(|_| is_list).map(|items| &items.value);
    let mut read = |node| {
        let report = Report::new(Arc::clone(&root.report.file), root.report.line_offset);
        let outcome = object(&Field::root(&report, node));
        objects.push(outcome.map_err(|invalid| rejected(invalid.object, report, invalid.fail_closed)));
    };
    match items {
        Some(Value::List(items)) => items.iter().for_each(read),
        // Something else that happens to be called a list.
        _ => read(root.node),
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

fn object(root: &Field<'_>) -> Result<Object, Box<Invalid>> {
    let Some(mut fields) = root.object() else { return Err(Box::default()) };
    let api_version = fields.require("apiVersion", "such as v1").and_then(|field| field.string());
    let kind = fields.require("kind", "such as Pod").and_then(|field| field.string());
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
