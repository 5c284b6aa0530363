//! What all objects have: names and labels.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::label_selector::check_label;
use super::reader::Fields;

/// An object's metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meta {
    /// The namespace; none for cluster-scoped kinds.
    pub namespace: Option<String>,
    /// The name.
    pub name: String,
    /// The labels.
    pub labels: BTreeMap<String, String>,
    /// The user's file.
    pub file: Arc<str>,
    /// The line of the object's first line in that file, from 1.
    pub line: u32,
}

impl Meta {
    /// The namespace, `default` where there is none.
    #[must_use]
    pub fn namespace(&self) -> &str {
        self.namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE)
    }
}

const DEFAULT_NAMESPACE: &str = "default";

/// Kinds without a namespace that a cluster's manifests commonly hold.
const CLUSTER_SCOPED: [&str; 31] = [
    "APIService",
    "AdminNetworkPolicy",
    "BaselineAdminNetworkPolicy",
    "CSIDriver",
    "CertificateSigningRequest",
    "CiliumCIDRGroup",
    "CiliumClusterwideEnvoyConfig",
    "CiliumClusterwideNetworkPolicy",
    "CiliumEgressGatewayPolicy",
    "CiliumIdentity",
    "CiliumL2AnnouncementPolicy",
    "CiliumLoadBalancerIPPool",
    "CiliumNode",
    "CiliumPodIPPool",
    "ClusterNetworkPolicy",
    "ClusterRole",
    "ClusterRoleBinding",
    "CustomResourceDefinition",
    "FlowSchema",
    "GatewayClass",
    "IngressClass",
    "MutatingWebhookConfiguration",
    "Namespace",
    "Node",
    "PersistentVolume",
    "PriorityClass",
    "RuntimeClass",
    "StorageClass",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
    "ValidatingWebhookConfiguration",
];

/// Reads `metadata`. Where `strict`, unknown fields and malformed labels are mistakes.
pub(super) fn read(fields: &mut Fields<'_>, api_version: &str, kind: &str, strict: bool) -> Option<Meta> {
    let metadata = fields.require("metadata", "metadata: {name: …}")?;
    let mut inner = metadata.object()?;
    let name = inner.require("name", "every object has a name");
    let name = name.and_then(|field| {
        let name = field.string()?;
        // Other kinds have laxer rules; what they name becomes part of paths.
        let lax = !name.is_empty() && name.len() <= 253 && !name.contains(['/', ' ', '\n', '\0']);
        let fits = if strict { is_dns_subdomain(&name) } else { lax };
        if !fits {
            field.error(
                format!("{name:?} is not a name"),
                "lower-case letters, digits, '-' and '.', at most 253",
            );
        }
        fits.then_some(name)
    });
    let namespace = inner.get("namespace").and_then(|field| {
        let namespace = field.string()?;
        let fits = namespace.is_empty() || is_dns_label(&namespace);
        if !fits {
            field.error(
                format!("{namespace:?} is not a namespace"),
                "lower-case letters, digits and '-', at most 63",
            );
        }
        Some(namespace).filter(|namespace| fits && !namespace.is_empty())
    });
    let labels = inner.get("labels").and_then(|field| {
        if strict {
            for (key, field) in field.object()?.iter() {
                check_label(&field, key, field.value().as_str());
            }
        }
        field.string_map()
    });
    inner.ignore(&[
        "annotations",
        "creationTimestamp",
        "deletionGracePeriodSeconds",
        "deletionTimestamp",
        "finalizers",
        "generateName",
        "generation",
        "managedFields",
        "ownerReferences",
        "resourceVersion",
        "selfLink",
        "uid",
    ]);
    if strict {
        inner.finish();
    }
    // The same word can be a kind of another group: only these groups' kinds are known.
    let cluster_scoped = CLUSTER_SCOPED.contains(&kind) && !api_version.contains("cluster.x-k8s.io");
    Some(Meta {
        namespace: (!cluster_scoped).then(|| namespace.unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned())),
        name: name?,
        labels: labels.unwrap_or_default(),
        file: Arc::clone(&fields.field.report.source.file),
        line: fields.field.line(),
    })
}

/// Whether this is a label of DNS names as in RFC 1123, in lower case.
fn is_dns_label(text: &str) -> bool {
    let inside = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&text.len())
        && text.bytes().all(inside)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// Whether this is a subdomain as Kubernetes names most objects: lower-case labels with dots between them.
pub(super) fn is_dns_subdomain(text: &str) -> bool {
    let inside = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let label = |label: &str| {
        !label.is_empty() && label.bytes().all(inside) && !label.starts_with('-') && !label.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(label)
}
