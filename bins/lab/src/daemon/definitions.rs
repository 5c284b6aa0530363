//! Custom resources that the lab brings itself: those that a cluster's administrator installs beside netloom, and
//! what an old kube-apiserver lacks.

use anyhow::{Context as _, Result};
use reference::Version;
use reference::definitions::{Kind, definition, missing};

use super::Context;
use crate::state::Server;

/// What is there in every lab. Its schema accepts anything: what is wrong with a policy is said by who reads it.
const CLUSTER_POLICIES: Kind<'_> = Kind {
    group: "policy.networking.k8s.io",
    version: "v1alpha2",
    kind: "ClusterNetworkPolicy",
    plural: "clusternetworkpolicies",
    short: &[],
    namespaced: false,
    status: true,
};

/// Makes the definitions that are not there.
pub(super) async fn install(context: &Context) -> Result<()> {
    let mut definitions = vec![definition(&CLUSTER_POLICIES)];
    if let Server::Reference { kube_apiserver, .. } = &context.state.server {
        definitions.extend(missing(Version::of_program(kube_apiserver)?));
    }
    let installed = kubernetes::install::install(&context.client, &definitions).await;
    installed.map(drop).context("the lab's own definitions")
}
