//! Kubernetes API servers for tests.
//!
//! Tests of what talks to Kubernetes run against the embedded server, and against the real kube-apiserver and etcd
//! where a machine has them: in the directory that `KUBEBUILDER_ASSETS` names, as controller tests everywhere have
//! it, or in `PATH`. Elsewhere they say `skipped:` and why. `NETLOOM_TEST_KUBECONFIG` names more servers to test
//! against (paths with `:` between). Such a server is written to, so it must be one that nobody needs.
//!
//! ```no_run
//! # async fn test() -> anyhow::Result<()> {
//! for server in envtest::servers("pods_are_listed").await? {
//!     let client = server.client().await?;
//!     // …
//! }
//! # Ok(())
//! # }
//! ```
//!
//! No server does everything: [`Ability`] is the list of what some do not, and a test leaves out the cases that need
//! it, not more ([`Server::lacks`]).
//!
//! What it does not do: run controllers, a scheduler or a kubelet.

mod ability;
mod server;

pub use ability::Ability;
pub use reference::Version;
pub use server::{Server, servers};
