//! What an agent says.

use std::path::Path;
use std::time::Duration;

use api::{Client, Known, Reply, Request, Status};

use super::{ANSWER, refused};
use crate::network::Error;

fn ask(socket: &Path, request: &Request, patience: Duration) -> Result<Reply, Error> {
    let mut client = Client::connect(socket, patience).map_err(refused("asking an agent"))?;
    client.call(request, None).map_err(refused("asking an agent"))
}

fn another(reply: &Reply) -> Error {
    refused("asking an agent")(std::io::Error::other(format!("it answers something else: {reply:?}")))
}

/// What the agent knows.
pub(super) fn known(socket: &Path) -> Result<Known, Error> {
    match ask(socket, &Request::Known, ANSWER)? {
        Reply::Known(known) => Ok(*known),
        other => Err(another(&other)),
    }
}

/// How the agent is.
pub(super) fn status(socket: &Path) -> Result<Status, Error> {
    match ask(socket, &Request::Status, ANSWER)? {
        Reply::Status(status) => Ok(*status),
        other => Err(another(&other)),
    }
}

/// Waits until the tables of all pods are as the policies that the agent knows.
pub(super) fn realised(socket: &Path, patience: Duration) -> Result<(), Error> {
    let revision = status(socket)?.policy_revision;
    let timeout_ms = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX);
    ask(socket, &Request::WaitPolicy { revision, timeout_ms }, patience + ANSWER).map(drop)
}
