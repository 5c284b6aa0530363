//! The protocol of the agent's unix socket, and a blocking client for it.
//!
//! A message is four bytes of length (big endian) and that much JSON. Every request carries
//! [`PROTOCOL_VERSION`]; the agent answers another version with an error that names both. A request is
//! answered by one [`Reply`], except [`Request::Flows`], which is answered by one reply per flow until
//! either end hangs up. The descriptor of a pod's network namespace travels beside the request
//! (`SCM_RIGHTS`), so that the agent need not see the runtime's paths.
//!
//! The socket is root's only: the agent asks for the caller's credentials (`SO_PEERCRED`) and the file is
//! mode 0600.
//!
//! ```no_run
//! use netloom_api::{Client, Reply, Request};
//! use std::time::Duration;
//!
//! let mut client = Client::connect("/run/netloom/agent.sock".as_ref(), Duration::from_secs(2))?;
//! if let Reply::Status(status) = client.call(&Request::Status, None)? {
//!     println!("{} is at revision {}", status.node, status.revision);
//! }
//! # Ok::<(), netloom_api::ClientError>(())
//! ```

mod client;
mod frame;
mod known;
mod message;
mod nearest;
pub mod netconf;
mod queue;

pub use client::{Client, ClientError};
pub use frame::{FrameError, MAX_FRAME, decode_length, encode};
pub use known::{Known, KnownObject, KnownPeer};
pub use message::{
    Attachment, ConntrackSummary, EndpointStatus, Envelope, ErrorCode, ErrorReply, FlowRecord, FlowSide,
    InterfaceReply, MapFill, PodRef, PolicyStatus, Reply, Request, RuleRef, Status, Traffic, Verdict,
};
pub use nearest::{did_you_mean, nearest};
pub use queue::{DEFAULT_QUEUE, DelQueue, Drained, QueueError};

/// The version of this protocol. The agent refuses others.
pub const PROTOCOL_VERSION: u32 = 1;

/// Where the agent listens unless it is told otherwise.
pub const DEFAULT_SOCKET: &str = "/run/netloom/agent.sock";
