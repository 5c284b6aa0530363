//! What an agent says.

use std::path::Path;
use std::time::Duration;

use abi::maps;
use api::{Client, Known, Reply, Request, Status};

use super::judged::Judged;
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

/// What the agent's datapath did with packets.
pub(super) fn judged(socket: &Path) -> Result<Judged, Error> {
    Ok(Judged::of(&status(socket)?))
}

/// The maps by which a peer is found and judged. Connections come and go, and pods are the same at all sizes.
const JUDGING: [&str; 8] = [
    maps::ADDRESSES,
    maps::CIDRS,
    maps::POLICIES,
    maps::POLICY_PEERS,
    maps::POLICY_PORTS,
    maps::POLICY_RANGES,
    maps::POLICY_CELLS,
    maps::POLICY_SPARSE,
];

/// So many looks in a row must find as many entries, or some may still be under way: an agent removes what it replaced
/// only once nobody reads that any more.
const SETTLED: usize = 5;
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(50);
/// After so many looks their number is told as it is.
const LOOKS: usize = 40;

/// Entries of the datapath's maps by which peers are judged, once they have settled.
pub(super) fn entries(socket: &Path) -> Result<usize, Error> {
    let (mut found, mut same) = (counted(socket)?, 1);
    for _ in 1..LOOKS {
        if same == SETTLED {
            break;
        }
        std::thread::sleep(PAUSE);
        let now = counted(socket)?;
        same = if now == found { same + 1 } else { 1 };
        found = now;
    }
    Ok(found)
}

fn counted(socket: &Path) -> Result<usize, Error> {
    let status = status(socket)?;
    let judging = status.maps.iter().filter(|fill| JUDGING.contains(&fill.map.as_str()));
    Ok(judging.map(|fill| usize::try_from(fill.entries).unwrap_or(usize::MAX)).sum())
}

/// Waits until the tables of all pods are as the policies that the agent knows.
pub(super) fn realised(socket: &Path, patience: Duration) -> Result<(), Error> {
    let revision = status(socket)?.policy_revision;
    let timeout_ms = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX);
    ask(socket, &Request::WaitPolicy { revision, timeout_ms }, patience + ANSWER).map(drop)
}
