//! The part of EC2 that a pod network needs, as data: requests, replies and errors.
//!
//! A planner returns [`Request`]s, somebody performs them through [`Ec2`], and the planner takes the
//! [`Reply`] or the [`Error`] into account. Names and meanings are those of the EC2 API, version 2016-11-15;
//! what nobody here asks for is left out.
//!
//! Nothing in here knows how a request travels: over the Query protocol, through Amazon's SDK, or to a VPC
//! in memory.

mod action;
mod error;
pub mod iam;
mod limits;
mod reply;
mod request;
mod resource;

pub use action::Action;
pub use error::{Error, ErrorKind};
pub use limits::InstanceType;
pub use reply::{Assigned, Reply};
pub use request::{Addresses, CreateInterface, DescribeInterfaces, Request};
pub use resource::{
    Attachment, AttachmentStatus, Interface, InterfaceStatus, SecurityGroup, Subnet, Tags, Vpc,
};

use std::future::Future;

/// What performs requests. Each is one request to EC2, never repeated: repeating is decided by who planned it,
/// since not all are idempotent.
pub trait Ec2: Send + Sync {
    /// Performs a request; of a long list, fetches one page.
    fn call(&self, request: Request) -> impl Future<Output = Result<Reply, Error>> + Send;
}
