//! Empties and removes namespaces that are to go, which the API leaves to a controller.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1 as core;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, PostParams};
use kube::discovery::{Discovery, Scope, verbs};
use kubernetes::refusal::{is_conflict, is_missing};
use serde_json::Value;

use super::Context;
use super::stores::Stores;

/// The namespaces that every cluster has.
const DEFAULT: [&str; 2] = ["default", "kube-system"];

/// Removes namespaces as they are deleted.
pub(super) async fn control(context: Arc<Context>, stores: Stores) {
    stores.control("namespaces", async || sync(&context, &stores).await).await;
}

/// Makes the namespaces that every cluster has, where the API server has not.
pub(super) async fn make(context: &Context) -> Result<()> {
    let api = Api::<core::Namespace>::all(context.client.clone());
    for name in DEFAULT {
        let mut namespace = core::Namespace::default();
        namespace.metadata.name = Some(name.to_owned());
        match api.create(&PostParams::default(), &namespace).await {
            Err(error) if is_conflict(&error) => {}
            made => drop(made.with_context(|| format!("namespace {name}"))?),
        }
    }
    Ok(())
}

async fn sync(context: &Context, stores: &Stores) -> Result<()> {
    for namespace in stores.namespaces.state() {
        if namespace.metadata.deletion_timestamp.is_some() {
            let name = namespace.name_any();
            remove(context, &namespace).await.with_context(|| format!("removing namespace {name}"))?;
        }
    }
    Ok(())
}

async fn remove(context: &Context, namespace: &core::Namespace) -> Result<()> {
    if !empty(context, &namespace.name_any()).await? {
        anyhow::bail!("something in it is still there");
    }
    let mut last = namespace.clone();
    if let Some(spec) = &mut last.spec {
        spec.finalizers = Some(Vec::new());
    }
    let body = serde_json::to_vec(&last)?;
    let path = format!("/api/v1/namespaces/{}/finalize", namespace.name_any());
    let request = http::Request::put(path).header("content-type", "application/json").body(body)?;
    match context.client.request::<Value>(request).await {
        Err(error) if is_missing(&error) || is_conflict(&error) => Ok(()),
        finalized => finalized.map(drop).context("finalizing it"),
    }
}

/// Deletes what is in a namespace; says whether nothing is left.
async fn empty(context: &Context, namespace: &str) -> Result<bool> {
    let known = Discovery::new(context.client.clone()).run().await.context("asking for all kinds")?;
    let mut left = false;
    for group in known.groups() {
        for (resource, capabilities) in group.recommended_resources() {
            let deletable = capabilities.supports_operation(verbs::DELETE)
                && capabilities.supports_operation(verbs::LIST);
            if capabilities.scope != Scope::Namespaced || !deletable {
                continue;
            }
            let api = Api::<DynamicObject>::namespaced_with(context.client.clone(), namespace, &resource);
            let found = match api.list(&ListParams::default()).await {
                Err(error) if is_missing(&error) => continue,
                found => found.with_context(|| format!("listing {}", resource.plural))?,
            };
            for object in found {
                left = true;
                if object.metadata.deletion_timestamp.is_none() {
                    match api.delete(&object.name_any(), &DeleteParams::background()).await {
                        Err(error) if is_missing(&error) => {}
                        deleted => {
                            let what = || format!("deleting {} {}", resource.kind, object.name_any());
                            deleted.with_context(what)?;
                        }
                    }
                }
            }
        }
    }
    Ok(!left)
}
