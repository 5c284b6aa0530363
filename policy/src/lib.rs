//! Kubernetes network policy: labels, selectors, rules, resolution, compilation to tables, explanation.
pub mod cidr;
pub mod diagnostic;
pub mod identity;
pub mod label;
pub mod manifest;
pub mod pod;
pub mod rule;
pub mod selector;
