//! Random small clusters, as manifests. Domains are small, so that what policies name is often there.

mod cilium;
mod cilium_peers;
mod cilium_ports;
mod cluster;
mod cluster_network_policy;
mod field;
mod network_policy;
mod selector;

pub(crate) use cluster::*;
