//! What Netloom's long-running programs share: configuration, health, metrics and logs.
//!
//! - [`config`]: a mounted ConfigMap, the environment and flags become one command line for clap.
//! - [`clock`]: what time it is, whatever is done to the wall clock.
//! - [`health`]: what is well and what is not, for probes.
//! - [`metrics`]: a registry with the process's own metrics, served to Prometheus.
//! - [`listen`]: addresses to serve on, as Cilium's keys write them, and the HTTP server.
//! - [`requests`]: requests to the API server, counted, and what they say about its health.
//! - [`watchdog`]: whether what a program has to do still moves.
//! - [`logs`]: text or JSON on standard error.
//!
//! ```
//! use clap::Parser;
//! use daemon::config::{self, Sources};
//!
//! /// A program.
//! #[derive(Parser)]
//! struct Args {
//!     /// How many pods a node has at most
//!     #[arg(long, default_value_t = 110)]
//!     max_pods: u32,
//! }
//!
//! let mut sources = Sources::of_flags(["program"]);
//! sources.environment.push(("CILIUM_MAX_PODS".into(), "42".into()));
//! let parsed = config::parse::<Args>(&sources)?;
//! assert_eq!(parsed.arguments.max_pods, 42);
//! # Ok::<(), config::ConfigError>(())
//! ```
//!
//! What it does not do: it has no key of its own but those of logs, and defines no program's metrics.

pub mod book;
pub mod clock;
pub mod config;
pub mod health;
pub mod listen;
pub mod logs;
pub mod metrics;
pub mod requests;
pub mod watchdog;
