//! What an API server is told about the kinds of `cilium.io`: names, versions, columns and validation.

mod common;
mod egress_gateway;
mod endpoint;
mod envoy;
mod group;
mod identity;
mod kind;
mod load_balancer;
mod local_redirect;
mod node;
mod node_cloud;
mod node_config;
mod policy;
mod pool;
mod rule;
mod schema;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;

/// The definitions of all kinds that Netloom reads, sorted by name.
///
/// ClusterNetworkPolicy is not among them: it belongs to `policy.networking.k8s.io`, and whoever wants it installs it.
#[must_use]
pub fn definitions() -> Vec<CustomResourceDefinition> {
    vec![
        group::cidr_group(),
        envoy::clusterwide_config(),
        policy::clusterwide_network_policy(),
        egress_gateway::egress_gateway_policy(),
        endpoint::endpoint(),
        endpoint::endpoint_slice(),
        envoy::config(),
        identity::identity(),
        load_balancer::l2_announcement_policy(),
        load_balancer::ip_pool(),
        local_redirect::local_redirect_policy(),
        policy::network_policy(),
        node_config::node_config(),
        node::node(),
        pool::pod_ip_pool(),
    ]
}
