//! A whole cluster on one machine: nodes and pods are network namespaces, joined by a fabric namespace; each
//! node runs the real agent, and pods are made by calling the real CNI plugin.
//!
//! | who | what it does |
//! |---|---|
//! | [`up`] | makes the namespaces, starts the daemon, waits until all is enforced |
//! | [`daemon`] | keeps the API server, the operators and the agents running; scheduler, kubelet, container runtime and controllers |
//! | [`cloud`] | a VPC of EC2 that nodes are instances of, in `--mode eni` |
//! | [`cluster`] | the lab's Kubernetes API, as commands use it |
//! | [`probe`] | tries to reach a port, and asks the agents what became of it |
//! | [`down`] | removes everything, whatever state it is in |
//!
//! All names derive from the lab's, so that several labs can be up at a time; their addresses may be the
//! same, since nothing is changed in the machine's own network namespace. A lab's files are in
//! `/run/netloom/lab/<name>`.
//!
//! ```no_run
//! use std::time::Duration;
//! use netloom_lab::batch::Batch;
//! use netloom_lab::console::Progress;
//! use netloom_lab::probe::Probe;
//! use netloom_lab::up::Up;
//!
//! # fn main() -> anyhow::Result<()> {
//! let name = "mine".parse().map_err(anyhow::Error::msg)?;
//! let up = Up { manifests: Batch::read(&["manifests/"])?, ..Up::new(name, 2) };
//! let state = up.run(&Progress::silent())?;
//! let Ok(from) = "shop/web".parse();
//! let Ok(to) = "shop/db".parse();
//! let target = "5432".parse().map_err(anyhow::Error::msg)?;
//! let probe = Probe { from, to, target, family: None, timeout: Duration::from_secs(1) };
//! println!("{:?}", probe.run(&state)?.verdict);
//! netloom_lab::down::down(&state.name)?;
//! # Ok(())
//! # }
//! ```
//!
//! # What it does not do
//!
//! It runs no containers: a pod is a network namespace, whatever its image, and what answers on its ports is
//! the daemon. Nothing limits a pod's processes; whoever uses the lab is root.

pub mod attempt;
pub mod batch;
pub mod change;
mod checked;
pub mod cli;
pub mod cloud;
pub mod cluster;
pub mod config;
pub mod console;
pub mod daemon;
pub mod demo;
pub mod detach;
pub mod down;
mod ended;
pub mod exec;
pub mod fabric;
pub mod flows;
mod locations;
pub mod lock;
pub mod name;
pub mod namespaces;
pub mod operators;
pub mod paths;
pub mod place;
pub mod plan;
pub mod pod;
mod port;
pub mod probe;
pub mod process;
pub mod random;
pub mod state;
pub mod status;
pub mod up;
pub mod wait;
