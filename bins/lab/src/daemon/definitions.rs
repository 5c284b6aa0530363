//! Custom resources that the lab brings itself: those that a cluster's administrator installs beside netloom, and
//! what an old kube-apiserver lacks.

use anyhow::{Context as _, Result};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, PostParams};
use serde_json::{Value, json};

use super::{Context, reference};
use crate::cluster::is_conflict;
use crate::state::Server;

/// Makes the definitions that are not there. Their schemas accept anything: what is wrong with a policy is said by
/// who reads it.
pub(super) async fn install(context: &Context) -> Result<()> {
    let mut definitions = vec![definition(
        "policy.networking.k8s.io",
        "v1alpha2",
        "ClusterNetworkPolicy",
        "clusternetworkpolicies",
        false,
    )];
    if let Server::Reference { kube_apiserver, .. } = &context.state.server
        && reference::is_old(kube_apiserver)?
    {
        definitions.push(definition("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices", true));
        definitions.push(definition("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies", true));
    }
    let api = Api::<CustomResourceDefinition>::all(context.client.clone());
    for definition in definitions {
        let name = definition["metadata"]["name"].to_string();
        let definition =
            serde_json::from_value(definition).with_context(|| format!("definition of {name}"))?;
        match api.create(&PostParams::default(), &definition).await {
            Err(error) if is_conflict(&error) => {}
            made => drop(made.with_context(|| format!("definition of {name}"))?),
        }
    }
    Ok(())
}

fn definition(group: &str, version: &str, kind: &str, plural: &str, namespaced: bool) -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": format!("{plural}.{group}"),
            // Groups of Kubernetes want to hear whether they know of it.
            "annotations": {"api-approved.kubernetes.io": "unapproved, for a lab"},
        },
        "spec": {
            "group": group,
            "scope": if namespaced { "Namespaced" } else { "Cluster" },
            "names": {
                "kind": kind, "listKind": format!("{kind}List"), "plural": plural, "singular": kind.to_lowercase(),
            },
            "versions": [{
                "name": version,
                "served": true,
                "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
            }],
        },
    })
}
