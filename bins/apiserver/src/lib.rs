//! A small Kubernetes API server in memory, for labs and tests.
//!
//! It speaks to `kubectl` and to clients made with the `kube` crate as the real one does, in what it serves: common
//! built-in kinds and custom ones, with list and watch, optimistic locking, merge patch, strategic merge patch and
//! server-side apply. `docs/apiserver.md` lists it all.
//!
//! ```no_run
//! # async fn example() -> Result<(), apiserver::StartError> {
//! let server = apiserver::Server::builder().start().await?;
//! println!("{}", server.kubeconfig());
//! server.stop().await;
//! # Ok(())
//! # }
//! ```
//!
//! It asks nobody who he is: whoever reaches its sockets may do everything. It has no admission, evaluates no CEL, and
//! runs no controllers but those without which objects would stay for ever (owners, namespaces, definitions).

mod action;
mod api;
pub mod audit;
mod boot;
pub mod cli;
mod collect;
mod convert;
mod error;
mod http;
mod meta;
mod patch;
mod resource;
mod schema;
mod selector;
mod server;
mod store;
mod tls;

pub use server::{Builder, Server, StartError};
pub use store::JournalError;
