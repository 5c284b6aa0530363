//! A real kube-apiserver with its etcd, as labs and tests start it.
//!
//! A lab keeps the two programs running itself and only wants to know what to tell them ([`Etcd`], [`ApiServer`],
//! [`Files`]); a test wants a server that is there and goes with a value ([`Server`]). Old versions lack what
//! Netloom needs: [`definitions::missing`] says what stands in for it.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let Some(programs) = reference::Programs::find() else { return Ok(()) };
//! let server = reference::Server::start(&programs, "/tmp/server".as_ref()).await?;
//! println!("{} {}", server.version(), server.kubeconfig().display());
//! # Ok(())
//! # }
//! ```
//!
//! What it does not do: run controllers, a scheduler or kubelets, or keep what it stores safe from a crash of the
//! machine.

mod arguments;
pub mod definitions;
mod error;
mod files;
mod kubeconfig;
mod ports;
mod process;
mod programs;
mod server;
mod version;

pub use arguments::{ApiServer, Etcd};
pub use error::Error;
pub use files::Files;
pub use kubeconfig::kubeconfig;
pub use programs::{Programs, find};
pub use server::Server;
pub use version::Version;
