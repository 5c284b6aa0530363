//! Netloom's CNI plugin: it hands a pod's network namespace to the agent and prints what the agent made.
//!
//! The plugin implements the [CNI specification](https://www.cni.dev/docs/spec/) 0.3.1, 0.4.0, 1.0.0 and
//! 1.1.0: ADD, DEL, CHECK, STATUS, GC and VERSION. It has no state, no threads and no runtime; a call is one
//! request on the agent's unix socket (see `netloom-api`), with the namespace's descriptor beside it.
//!
//! | the agent is away | what happens |
//! |---|---|
//! | ADD | tried again for five seconds, then error 11 (try again later) |
//! | DEL | after 1.5 s left in the queue of disconnections ([`api::DelQueue`]) and done |
//! | CHECK, GC | error 11 |
//! | STATUS | error 50 (plugin not available) |
//!
//! The network configuration is that of `cilium-cni`, with two keys of our own: `socket` and `queue-dir`.
//! See [`NetConf`].
//!
//! # Trying it by hand
//!
//! `cnitool` of the CNI project runs a plugin as a runtime does. In a lab, each node has a directory of
//! network configurations:
//!
//! ```text
//! ip netns add try
//! CNI_PATH=target/release NETCONFPATH=/run/netloom/lab/default/nodes/node1/net.d \
//!   CNI_ARGS='IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=try' \
//!   ip netns exec netloom-default-node1 cnitool add cilium /run/netns/try
//! ```
//!
//! # Example
//!
//! ```
//! use netloom_cni::{Environment, run};
//!
//! let environment = Environment { command: Some("VERSION".into()), ..Environment::default() };
//! let output = run(&environment, Ok(br#"{"cniVersion": "1.0.0"}"#.to_vec()));
//! assert!(output.success);
//! assert!(String::from_utf8(output.stdout).unwrap().contains(r#""1.1.0""#));
//! ```
//!
//! # What it does not do
//!
//! It makes no link, chooses no address and runs no other plugin: the agent does the first two, the runtime
//! the third. It is never chained behind a plugin that makes the interface.

mod agent;
mod args;
mod command;
mod config;
mod environment;
mod error;
mod log;
mod namespace;
mod outcome;
mod version;

pub use args::PodArgs;
pub use command::{Output, run};
pub use config::{NetConf, ValidAttachment};
pub use environment::{Command, Environment};
pub use error::{CniError, ErrorCode};
pub use outcome::outcome;
pub use version::CniVersion;
