//! The built-in kinds.

use std::sync::Arc;

use super::{Resource, Scale};
use crate::schema::builtin::named;
use crate::store::TableId;

/// Plural name of namespaces.
pub(crate) const NAMESPACES: &str = "namespaces";
/// Plural name of definitions of custom kinds.
pub(crate) const CRDS: &str = "customresourcedefinitions";

struct Row {
    group: &'static str,
    plural: &'static str,
    kind: &'static str,
    /// Name of its type in the table of types.
    of: &'static str,
    short: &'static [&'static str],
    namespaced: bool,
    status: bool,
    scale: bool,
    generation: bool,
    /// In `kubectl get all`.
    all: bool,
    selectable: &'static [&'static str],
}

const ROW: Row = Row {
    group: "",
    plural: "",
    kind: "",
    of: "",
    short: &[],
    namespaced: true,
    status: false,
    scale: false,
    generation: false,
    all: false,
    selectable: &[],
};

const EVENT_FIELDS: &[&str] = &[
    "involvedObject.kind",
    "involvedObject.namespace",
    "involvedObject.name",
    "involvedObject.uid",
    "involvedObject.apiVersion",
    "involvedObject.resourceVersion",
    "involvedObject.fieldPath",
    "reason",
    "reportingComponent",
    "source",
    "type",
];
const POD_FIELDS: &[&str] = &[
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.schedulerName",
    "spec.serviceAccountName",
    "spec.hostNetwork",
    "status.phase",
    "status.podIP",
    "status.nominatedNodeName",
];
const APPS: Row = Row { group: "apps", status: true, generation: true, all: true, ..ROW };
const RBAC: Row = Row { group: "rbac.authorization.k8s.io", ..ROW };

const ROWS: &[Row] = &[
    Row { plural: "configmaps", kind: "ConfigMap", of: "ConfigMap", short: &["cm"], ..ROW },
    Row { plural: "endpoints", kind: "Endpoints", of: "Endpoints", short: &["ep"], ..ROW },
    Row { plural: "events", kind: "Event", of: "Event", short: &["ev"], selectable: EVENT_FIELDS, ..ROW },
    Row {
        plural: NAMESPACES,
        kind: "Namespace",
        of: "Namespace",
        short: &["ns"],
        namespaced: false,
        status: true,
        selectable: &["status.phase"],
        ..ROW
    },
    Row {
        plural: "nodes",
        kind: "Node",
        of: "Node",
        short: &["no"],
        namespaced: false,
        status: true,
        selectable: &["spec.unschedulable"],
        ..ROW
    },
    Row {
        plural: "pods",
        kind: "Pod",
        of: "Pod",
        short: &["po"],
        status: true,
        generation: true,
        all: true,
        selectable: POD_FIELDS,
        ..ROW
    },
    Row { plural: "secrets", kind: "Secret", of: "Secret", selectable: &["type"], ..ROW },
    Row { plural: "serviceaccounts", kind: "ServiceAccount", of: "ServiceAccount", short: &["sa"], ..ROW },
    Row {
        plural: "services",
        kind: "Service",
        of: "Service",
        short: &["svc"],
        status: true,
        all: true,
        selectable: &["spec.clusterIP", "spec.type"],
        ..ROW
    },
    Row {
        plural: CRDS,
        group: "apiextensions.k8s.io",
        kind: "CustomResourceDefinition",
        of: "apiextensions.CustomResourceDefinition",
        short: &["crd", "crds"],
        namespaced: false,
        status: true,
        generation: true,
        ..ROW
    },
    Row { plural: "daemonsets", kind: "DaemonSet", of: "apps.DaemonSet", short: &["ds"], ..APPS },
    Row {
        plural: "deployments",
        kind: "Deployment",
        of: "apps.Deployment",
        short: &["deploy"],
        scale: true,
        ..APPS
    },
    Row {
        plural: "replicasets",
        kind: "ReplicaSet",
        of: "apps.ReplicaSet",
        short: &["rs"],
        scale: true,
        selectable: &["status.replicas"],
        ..APPS
    },
    Row {
        plural: "statefulsets",
        kind: "StatefulSet",
        of: "apps.StatefulSet",
        short: &["sts"],
        scale: true,
        ..APPS
    },
    Row {
        plural: "jobs",
        group: "batch",
        kind: "Job",
        of: "batch.Job",
        status: true,
        generation: true,
        all: true,
        selectable: &["status.successful"],
        ..ROW
    },
    Row { plural: "leases", group: "coordination.k8s.io", kind: "Lease", of: "coordination.Lease", ..ROW },
    Row {
        plural: "endpointslices",
        group: "discovery.k8s.io",
        kind: "EndpointSlice",
        of: "discovery.EndpointSlice",
        generation: true,
        ..ROW
    },
    Row {
        plural: "events",
        group: "events.k8s.io",
        kind: "Event",
        of: "events.Event",
        short: &["ev"],
        selectable: EVENT_FIELDS,
        ..ROW
    },
    Row {
        plural: "ingresses",
        group: "networking.k8s.io",
        kind: "Ingress",
        of: "networking.Ingress",
        short: &["ing"],
        status: true,
        generation: true,
        ..ROW
    },
    Row {
        plural: "networkpolicies",
        group: "networking.k8s.io",
        kind: "NetworkPolicy",
        of: "networking.NetworkPolicy",
        short: &["netpol"],
        generation: true,
        ..ROW
    },
    Row {
        plural: "poddisruptionbudgets",
        group: "policy",
        kind: "PodDisruptionBudget",
        of: "policy.PodDisruptionBudget",
        short: &["pdb"],
        status: true,
        generation: true,
        ..ROW
    },
    Row { plural: "roles", kind: "Role", of: "rbac.Role", ..RBAC },
    Row { plural: "rolebindings", kind: "RoleBinding", of: "rbac.RoleBinding", ..RBAC },
    Row { plural: "clusterroles", kind: "ClusterRole", of: "rbac.ClusterRole", namespaced: false, ..RBAC },
    Row {
        plural: "clusterrolebindings",
        kind: "ClusterRoleBinding",
        of: "rbac.ClusterRoleBinding",
        namespaced: false,
        ..RBAC
    },
];

/// The built-in kinds.
pub(super) fn resources() -> impl Iterator<Item = Resource> {
    let version: Arc<str> = "v1".into();
    ROWS.iter().map(move |row| Resource {
        group: row.group.into(),
        version: version.clone(),
        plural: row.plural.into(),
        singular: row.kind.to_lowercase(),
        kind: row.kind.to_owned(),
        namespaced: row.namespaced,
        list_kind: format!("{}List", row.kind),
        short_names: row.short.iter().map(|name| (*name).to_owned()).collect(),
        categories: if row.all { vec!["all".to_owned()] } else { Vec::new() },
        // Both groups of events show the same objects.
        table: TableId::new(if row.plural == "events" { "" } else { row.group }, row.plural),
        storage: version.clone(),
        custom: false,
        status: row.status,
        scale: row.scale.then(|| Scale {
            spec: "spec.replicas".into(),
            status: "status.replicas".into(),
            selector: None,
        }),
        generation: row.generation,
        schema: named(row.of).clone(),
        columns: Vec::new(),
        selectable: row.selectable.iter().map(|path| (*path).to_owned()).collect(),
        deprecated: None,
    })
}
