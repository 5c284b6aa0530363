//! The node's plumbing: network namespaces, links, addresses, routes, rules, neighbours and kernel
//! parameters, over netlink.
//!
//! - [`Netns`] is a namespace: made, named, opened, entered by a throw-away thread; [`spawn`] starts
//!   programs inside.
//! - [`Net`] is a client of one namespace. Its socket is opened there and keeps its namespace, so one
//!   process can look after many.
//! - [`State`], [`plan()`] and [`Net::apply`] bring about what is desired: the plan is pure, can be printed
//!   and compared, and touches only what is ours ([`Owned`]).
//! - [`Monitor`] tells what others change, and [`Pace`] how soon and how often to answer that.
//! - [`eni`] says which of a node's interfaces on AWS a pod's packets take.
//! - [`pod`] wires a pod to its node; [`masquerade`] gives packets that leave the cluster the node's
//!   address.
//!
//! ```
//! use netcore::{Net, Netns, Owned, Route, State, VethEnd};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # if Netns::anonymous().is_err() { return Ok(()) } // not root
//! let netns = Netns::anonymous()?;
//! let net = Net::in_netns(&netns)?;
//! let uplink = net.create_veth(&VethEnd::named("eth0").up(), &VethEnd::named("far").up(), 1500).await?;
//!
//! let route = Route::to("10.0.1.0/24".parse()?).dev(uplink.index);
//! let desired = State { routes: [route].into(), ..State::default() };
//! let done = net.reconcile(&Owned::default(), &desired).await.map_err(|mut all| all.remove(0))?;
//! assert_eq!(done.to_string(), format!("+ route 10.0.1.0/24 dev {} proto 110\n", uplink.index));
//!
//! let again = net.reconcile(&Owned::default(), &desired).await.map_err(|mut all| all.remove(0))?;
//! assert!(again.is_empty());
//! # Ok(()) }
//! ```
//!
//! It knows neither Kubernetes nor BPF, and holds no multipath routes.

mod address;
pub mod eni;
mod error;
mod link;
mod link_settings;
mod mac;
pub mod masquerade;
mod monitor;
mod neighbour;
mod net;
mod netns;
pub mod nft;
mod pace;
mod plan;
pub mod pod;
mod route;
mod rule;
pub mod spawn;
mod state;
mod sysctl;

pub use address::Address;
pub use error::{Error, InvalidWiring, Result};
pub use link::{Link, VethEnd};
pub use link_settings::LinkSettings;
pub use mac::{IfIndex, InvalidMac, MacAddr};
pub use monitor::{Change, Monitor};
pub use neighbour::Neighbour;
pub use net::Net;
pub use netns::Netns;
pub use pace::Pace;
pub use plan::{Failure, Plan, Step, plan};
pub use route::{Protocol, Route, RouteKind, RouteTable};
pub use rule::{Family, Rule};
pub use state::{Owned, State};
pub use sysctl::{Sysctl, has_ipv6};
