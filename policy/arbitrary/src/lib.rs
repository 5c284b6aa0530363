//! Random small clusters, as manifests, for tests. Domains are small, so that what policies name is often there.
//!
//! ```
//! use netloom_policy_arbitrary::{case, minimise, yaml};
//! use proptest::strategy::{Strategy, ValueTree};
//! use proptest::test_runner::TestRunner;
//!
//! let case = case().new_tree(&mut TestRunner::deterministic()).unwrap().current();
//! // A test that finds fault with a case cuts it down to what the fault needs.
//! let is_at_fault = |case: &netloom_policy_arbitrary::Case| case.objects.iter().any(|object| object["kind"] == "Node");
//! let small = minimise(case, is_at_fault);
//! assert_eq!(yaml(&small.objects[0]), "kind: Node\n");
//! ```
//!
//! What this crate does not do: compare anything.

mod cilium;
mod cilium_peers;
mod cilium_ports;
mod cluster;
mod cluster_network_policy;
mod field;
mod minimise;
mod network_policy;
mod selector;

pub use cluster::{Case, apiserver, case, group, names, namespace, node, pod, policy, service, settings};
pub use minimise::minimise;

/// A manifest as people write it.
///
/// # Panics
/// Never for a manifest.
#[must_use]
pub fn yaml(value: &serde_json::Value) -> String {
    serde_saphyr::to_string(value).expect("JSON is YAML")
}
