//! What an agent says, and what the kernel keeps for its maps.

use std::fs;
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;
use std::time::Duration;

use api::{Client, Known, Reply, Request, Status};
use aya::maps::MapData;

use super::{ANSWER, refused};
use crate::network::Error;
use crate::network::setup::Memory;

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

/// What the kernel keeps for the maps that are pinned on a node.
pub(super) fn memory(bpffs: &Path) -> Result<Memory, Error> {
    let mut bytes = 0;
    for map in pinned(bpffs).map_err(|source| Error::Reading { what: bpffs.display().to_string(), source })? {
        let fd = map.fd().as_fd().as_raw_fd();
        let what = format!("/proc/self/fdinfo/{fd}");
        let text = fs::read_to_string(&what).map_err(|source| Error::Reading { what, source })?;
        let of_map = text.lines().find_map(|line| line.strip_prefix("memlock:")?.trim().parse::<u64>().ok());
        bytes += of_map.unwrap_or_default();
    }
    Ok(Memory {
        bytes,
        source: "memlock of all maps pinned on the node: most have their full size from the beginning",
    })
}

/// All maps that are pinned under a directory.
fn pinned(directory: &Path) -> std::io::Result<Vec<MapData>> {
    let mut maps = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            maps.extend(pinned(&path)?);
        } else {
            // Programs and links are pinned there, too.
            maps.extend(MapData::from_pin(&path));
        }
    }
    Ok(maps)
}
