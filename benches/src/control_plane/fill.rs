//! Objects are written to the API server, many at a time.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use k8s_openapi::api::core::v1::{Namespace, Node, Pod};
use kube::api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use kube::{Api, Client};
use serde_json::Value;

use super::cluster::{Cluster, MARK, NODE};
use super::server::Server;
use super::{Options, tell};
use crate::Error;
use crate::objects::{AT_ONCE, create, create_all, resource};

/// How long it may take to write a cluster.
pub(super) const PATIENCE: Duration = Duration::from_secs(1800);
/// Writes all objects but the policies' changes.
pub(super) async fn fill(server: &Server, cluster: &Cluster) -> Result<(), Error> {
    let client = &server.client;
    kubernetes::install::install(client, &crds::definitions())
        .await
        .map_err(|source| Error::doing("installing the custom resource definitions", source))?;
    write(client, "namespaces", (0..cluster.namespaces).map(|i| cluster.namespace(i))).await?;
    create(client, cluster.own_node()).await?;
    let nodes: Api<Node> = Api::all(client.clone());
    let status = Patch::Merge(Cluster::own_node_status());
    nodes
        .patch_status(NODE, &PatchParams::default(), &status)
        .await
        .map_err(|source| Error::doing("writing the node's addresses", source))?;
    write(client, "nodes", (1..cluster.nodes).map(|i| cluster.node(i))).await?;
    write(client, "identities", (0..cluster.identities).map(|i| cluster.identity(i))).await?;
    write(client, "policies", (0..cluster.policies).map(|i| cluster.policy(i, 80))).await?;
    write(client, "local pods", (0..cluster.local_pods).map(|i| cluster.local_pod(i))).await?;
    write(client, "endpoints", (0..cluster.pods).map(|i| cluster.endpoint(i, 0))).await
}

async fn write(
    client: &Client,
    what: &str,
    objects: impl Iterator<Item = Value> + Send,
) -> Result<(), Error> {
    tell(&format!("writing {what}"));
    create_all(client, objects).await
}

/// Removes what was written to an API server that goes on after the benchmark. What cannot be removed is told.
pub(super) async fn sweep(server: &Server, options: &Options) {
    if options.kubeconfig.is_none() {
        return;
    }
    tell("removing what was written");
    let client = &server.client;
    let cluster = Cluster::of(options);
    let all = |kind| Api::<DynamicObject>::all_with(client.clone(), &resource(kind));
    let now = DeleteParams::default().grace_period(0);
    for index in 0..cluster.namespaces {
        let name = cluster.namespace(index)["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let list = ListParams::default();
        for kind in ["CiliumEndpoint", "CiliumNetworkPolicy"] {
            let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), &name, &resource(kind));
            told(api.delete_collection(&now, &list).await);
        }
        let pods: Api<Pod> = Api::namespaced(client.clone(), &name);
        told(pods.delete_collection(&now, &list).await);
        told(Api::<Namespace>::all(client.clone()).delete(&name, &now).await);
    }
    let marked = ListParams::default().labels(&format!("{MARK}=true"));
    told(all("CiliumNode").delete_collection(&now, &marked).await);
    told(Api::<Node>::all(client.clone()).delete(NODE, &now).await);
    let identities = all("CiliumIdentity");
    stream::iter(0..cluster.identities)
        .for_each_concurrent(AT_ONCE, |index| {
            let (identities, now) = (&identities, &now);
            let name = cluster.identity_name(index);
            async move { told(identities.delete(&name, now).await) }
        })
        .await;
}

fn told<T>(done: kube::Result<T>) {
    match done {
        Err(kube::Error::Api(status)) if status.code == 404 => {}
        Err(error) => tell(&format!("something stays: {error}")),
        Ok(_) => {}
    }
}
