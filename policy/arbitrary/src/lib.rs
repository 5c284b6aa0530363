//! Random small clusters, as manifests, for property tests and fuzzing, and the comparison of the engine with the oracle on
//! them ([`check`]). Domains are small, so that what policies name is often there, and every field of the policy language
//! is used.
//!
//! ```
//! use proptest::strategy::{Strategy, ValueTree};
//! use proptest::test_runner::TestRunner;
//!
//! let case = policy_arbitrary::case().new_tree(&mut TestRunner::deterministic()).unwrap().current();
//! for object in &case.objects {
//!     assert!(policy::manifest::parse(&object.to_string(), "case.json", 1)[0].is_ok());
//! }
//! ```

pub mod check;
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
/// Never: what is JSON can be written as YAML.
#[must_use]
pub fn yaml(value: &serde_json::Value) -> String {
    serde_saphyr::to_string(value).expect("JSON can be written as YAML")
}
