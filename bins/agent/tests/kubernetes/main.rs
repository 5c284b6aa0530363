//! The agent and a Kubernetes API: the source by itself against API servers, with faults in between, and the whole agent
//! in a network namespace.
//!
//! The API server is the one of this repository; that of `NETLOOM_TEST_KUBECONFIG` and the real one of
//! `KUBEBUILDER_ASSETS` are asked as well.

mod agent;
mod eni;
mod faults;
mod foreign;
mod nodes;
mod proxy;
mod publishing;
mod support;
