//! What Netloom's programs share as clients of the Kubernetes API.
//!
//! - [`client`]: how to reach the API server. Every request is bounded in time, counted, limited in rate and tried
//!   again where that is safe; a leader's writes are checked against its lease the moment they are sent.
//! - [`backoff`]: how long to wait after a failure.
//! - [`watch`]: one kind of object, followed for ever: what is there, what is gone, and when all of it was told.
//! - [`lease`]: leader election on a `coordination.k8s.io/v1` Lease.
//! - [`install`]: custom resource definitions, brought into a cluster.
//! - [`refusal`]: what it means that the server refused a request.
//! - [`rbac`]: what agent and operator may do.
//! - [`render`]: objects as text.
//!
//! It knows no object of its own: the custom resources are in `crds`.

pub mod backoff;
pub mod client;
pub mod install;
pub mod lease;
pub mod rbac;
pub mod refusal;
pub mod render;
pub mod watch;
