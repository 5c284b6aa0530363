//! What is asked of the API.

use std::collections::BTreeSet;
use std::net::IpAddr;

use abi::Identity;
use api::PodRef;
use crds::types::{EndpointStatus, HEARTBEAT_ANNOTATION};
use crds::{CiliumEndpoint, CiliumIdentity, CiliumNode};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Api, Client};
use kubernetes::refusal::is_missing;
use policy::LabelSet;
use policy::pod::NAMESPACE;
use serde_json::{Value, json};

/// In whose name fields are written.
const MANAGER: &str = "netloom-agent";

/// A request, or two of them that belong together.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) enum Call {
    /// Makes a number stand for labels.
    CreateIdentity(Identity, LabelSet),
    /// Takes the mark of the unused from a number's object of this version.
    UnmarkIdentity(Identity, String),
    /// Writes an endpoint. Where it is not known to be of this node, which has these addresses, it is not taken from a
    /// newer pod of another node.
    ApplyEndpoint { object: Box<CiliumEndpoint>, nodes: BTreeSet<IpAddr>, is_own: bool },
    /// Removes a pod's endpoint if it is of a node with one of these addresses, and of this attachment.
    DeleteEndpoint { pod: PodRef, nodes: BTreeSet<IpAddr>, attachment: Option<String> },
    /// Makes this node's object.
    CreateNode(Box<CiliumNode>),
    /// Changes this node's object.
    PatchNode(String, Value),
}

impl Call {
    /// Carries it out.
    pub(in super::super) async fn run(&self, client: Client) -> kube::Result<()> {
        match self {
            Self::CreateIdentity(number, labels) => {
                let api = Api::<CiliumIdentity>::all(client);
                let written = PostParams { field_manager: Some(MANAGER.into()), ..PostParams::default() };
                api.create(&written, &identity(*number, labels)).await.map(drop)
            }
            Self::UnmarkIdentity(number, version) => {
                let patch = json!({
                    "metadata": {"resourceVersion": version, "annotations": {HEARTBEAT_ANNOTATION: null}},
                });
                let api = Api::<CiliumIdentity>::all(client);
                api.patch(&number.0.to_string(), &written(), &Patch::Merge(patch)).await.map(drop)
            }
            Self::ApplyEndpoint { object, nodes, is_own } => {
                let mut object = object.clone();
                let namespace = object.metadata.namespace.clone().unwrap_or_default();
                let name = object.metadata.name.clone().unwrap_or_default();
                let api = Api::<CiliumEndpoint>::namespaced(client.clone(), &namespace);
                if !is_own && let Some(there) = api.get_opt(&name).await? {
                    if is_anothers(&there, &object, nodes) && !is_current(client, &object).await? {
                        tracing::debug!(namespace, name, "the endpoint is a newer pod's, of another node");
                        return Ok(());
                    }
                    // Who writes to it from now on is looked at anew.
                    object.metadata.resource_version = there.metadata.resource_version;
                }
                // Nobody else's word counts for these fields.
                api.patch(&name, &PatchParams::apply(MANAGER).force(), &Patch::Apply(&object)).await.map(drop)
            }
            Self::DeleteEndpoint { pod, nodes, attachment } => {
                let api = Api::<CiliumEndpoint>::namespaced(client, &pod.namespace);
                let found = api.get_opt(&pod.name).await?;
                let Some(object) = found.filter(|object| is_of(object, nodes, attachment.as_deref())) else {
                    return Ok(());
                };
                // Who wrote to it since has made it his own.
                let preconditions = Preconditions {
                    uid: object.metadata.uid,
                    resource_version: object.metadata.resource_version,
                };
                let only = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
                match api.delete(&pod.name, &only).await {
                    Err(error) if is_missing(&error) => Ok(()),
                    other => other.map(drop),
                }
            }
            Self::CreateNode(object) => {
                let written = PostParams { field_manager: Some(MANAGER.into()), ..PostParams::default() };
                Api::<CiliumNode>::all(client).create(&written, object).await.map(drop)
            }
            Self::PatchNode(name, patch) => {
                let api = Api::<CiliumNode>::all(client);
                api.patch(name, &written(), &Patch::Merge(patch)).await.map(drop)
            }
        }
    }
}

fn written() -> PatchParams {
    PatchParams { field_manager: Some(MANAGER.into()), ..PatchParams::default() }
}

/// The object that makes a number stand for labels.
fn identity(number: Identity, labels: &LabelSet) -> CiliumIdentity {
    let mut object = CiliumIdentity::default();
    object.metadata.name = Some(number.0.to_string());
    // For people who list; it decides nothing.
    let namespace = labels.namespace();
    object.metadata.labels = namespace.map(|namespace| [(NAMESPACE.to_owned(), namespace.to_owned())].into());
    object.security_labels =
        labels.iter().map(|label| (format!("{}:{}", label.source, label.key), label.value.clone())).collect();
    object
}

fn node_of(object: &CiliumEndpoint) -> Option<IpAddr> {
    object.status.as_ref()?.networking.as_ref()?.node.as_ref()?.parse().ok()
}

fn pod_uid(object: &CiliumEndpoint) -> Option<&str> {
    let owner = object.metadata.owner_references.iter().flatten().find(|owner| owner.kind == "Pod")?;
    Some(&owner.uid)
}

/// Whether what is there is of another node's pod, and not of the pod that is to be written.
fn is_anothers(there: &CiliumEndpoint, wanted: &CiliumEndpoint, nodes: &BTreeSet<IpAddr>) -> bool {
    node_of(there).is_some_and(|node| !nodes.contains(&node)) && pod_uid(there) != pod_uid(wanted)
}

/// Whether the pod of an endpoint is the one that the API has by this name.
async fn is_current(client: Client, object: &CiliumEndpoint) -> kube::Result<bool> {
    let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
    let name = object.metadata.name.as_deref().unwrap_or_default();
    let named = ListParams::default().fields(&format!("metadata.name={name}"));
    let pods = Api::<Pod>::namespaced(client, namespace).list(&named).await?;
    Ok(pods.items.iter().any(|pod| pod.metadata.uid.as_deref() == pod_uid(object)))
}

fn is_of(object: &CiliumEndpoint, nodes: &BTreeSet<IpAddr>, attachment: Option<&str>) -> bool {
    let Some(EndpointStatus { external_identifiers, .. }) = &object.status else { return false };
    let of = external_identifiers.as_ref().and_then(|names| names.cni_attachment_id.as_deref());
    node_of(object).is_some_and(|node| nodes.contains(&node))
        && attachment.is_none_or(|wanted| of == Some(wanted))
}

#[cfg(test)]
mod tests {
    use policy::Label;

    use super::*;

    #[test]
    fn an_identity_says_its_labels_with_their_sources() {
        let labels = [Label::k8s(NAMESPACE, "shop"), Label::k8s("app", "web"), Label::reserved("host")];
        let object = serde_json::to_value(identity(Identity(300), &labels.into_iter().collect())).unwrap();
        assert_eq!(
            object,
            json!({
                "apiVersion": "cilium.io/v2", "kind": "CiliumIdentity",
                "metadata": {"name": "300", "labels": {NAMESPACE: "shop"}},
                "security-labels": {
                    "k8s:app": "web", "k8s:io.kubernetes.pod.namespace": "shop", "reserved:host": "",
                },
            })
        );
    }

    #[test]
    fn only_an_endpoint_of_this_node_and_attachment_is_removed() {
        let object: CiliumEndpoint = serde_json::from_value(json!({
            "metadata": {"name": "web", "namespace": "shop"},
            "status": {
                "networking": {"node": "192.0.2.1", "addressing": []},
                "external-identifiers": {"cni-attachment-id": "c1:eth0"},
            },
        }))
        .unwrap();
        let (own, other) = (["192.0.2.1".parse().unwrap()].into(), ["192.0.2.2".parse().unwrap()].into());
        assert!(is_of(&object, &own, None) && is_of(&object, &own, Some("c1:eth0")));
        assert!(!is_of(&object, &own, Some("c2:eth0")));
        assert!(!is_of(&object, &other, None) && !is_of(&CiliumEndpoint::default(), &own, None));
    }
}
