//! What is asked of a lab's cloud beside what EC2 answers: a line of JSON each way, on a socket in the lab's directory.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use ipnetwork::Ipv4Network;
use serde::{Deserialize, Serialize};

use super::rules::Dropped;

/// How long the cloud may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// What may be asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Request {
    /// How it is.
    Status,
    /// A pod of a node uses addresses from now on: taking them away is a violation.
    Uses(Use),
    /// It does not any more.
    Left(Use),
    /// From now on requests go wrong by chance, each way as often as this (0 to 1): lost requests and answers, 500, 503,
    /// throttles, reads of what was two seconds ago, metadata that leaves interfaces out; and new ids are unknown for two
    /// seconds. Zero is never.
    Trouble(f64),
}

/// A pod and its addresses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Use {
    /// Its node.
    pub node: String,
    /// Whom violations name.
    pub pod: String,
    /// What it uses; only IPv4 concerns EC2.
    pub addresses: Vec<IpAddr>,
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Reply {
    /// How it is.
    Status(Box<CloudStatus>),
    /// It is so.
    Done,
    /// It was not understood, or could not be done.
    Error(String),
}

/// How a lab's cloud is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CloudStatus {
    /// Its process.
    pub pid: u32,
    /// Where nodes reach EC2.
    pub endpoint: String,
    /// The VPC.
    pub vpc: String,
    /// What ids and chosen addresses follow from.
    pub seed: u64,
    /// Requests so far, by action.
    pub calls: BTreeMap<String, u64>,
    /// Those that were refused, by EC2's code.
    pub refused: BTreeMap<String, u64>,
    /// Those that got no answer.
    pub unanswered: u64,
    /// What must not be and was: none in a healthy cluster.
    pub violations: Vec<String>,
    /// What EC2 did and the lab could not do to links and routes: mistakes of the lab's own.
    #[serde(default)]
    pub unplugged: Vec<String>,
    /// Packets that the VPC dropped.
    pub dropped: Dropped,
    /// The subnets.
    pub subnets: Vec<SubnetStatus>,
    /// The instances.
    pub instances: Vec<InstanceStatus>,
    /// Interfaces that are attached to nothing.
    pub unattached: Vec<String>,
}

impl CloudStatus {
    /// Requests that were throttled.
    #[must_use]
    pub fn throttled(&self) -> u64 {
        self.refused.get("RequestLimitExceeded").copied().unwrap_or_default()
    }
}

/// A subnet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SubnetStatus {
    /// Its id.
    pub id: String,
    /// Its tag `Name`.
    pub name: String,
    /// Its zone.
    pub zone: String,
    /// Its CIDR.
    pub cidr: Ipv4Network,
    /// Addresses that nobody has.
    pub available: u32,
}

/// An instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InstanceStatus {
    /// Its node.
    pub node: String,
    /// Its id.
    pub id: String,
    /// What it is.
    pub instance_type: String,
    /// Its zone.
    pub zone: String,
    /// Its interfaces, by device index.
    pub interfaces: Vec<InterfaceStatus>,
}

/// An interface of an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InterfaceStatus {
    /// Its id.
    pub id: String,
    /// Where it is attached.
    pub device_index: u32,
    /// The node's link, once it is plugged in.
    pub link: Option<String>,
    /// Its MAC address.
    pub mac: String,
    /// Its subnet.
    pub subnet: String,
    /// Its first address.
    pub address: Ipv4Addr,
    /// Its other single addresses.
    pub addresses: Vec<Ipv4Addr>,
    /// Its prefixes.
    pub prefixes: Vec<Ipv4Network>,
}

/// Who asks.
#[derive(Clone, Debug)]
pub struct Client {
    socket: PathBuf,
}

impl Client {
    /// Asks at this socket.
    #[must_use]
    pub fn new(socket: &Path) -> Self {
        Self { socket: socket.to_owned() }
    }

    /// How the cloud is.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn status(&self) -> Result<CloudStatus> {
        match self.ask(&Request::Status)? {
            Reply::Status(status) => Ok(*status),
            other => bail!("the lab's cloud answers something else: {other:?}"),
        }
    }

    /// Has something noted.
    ///
    /// # Errors
    /// When the cloud does not answer or refuses.
    pub fn tell(&self, request: &Request) -> Result<()> {
        match self.ask(request)? {
            Reply::Done => Ok(()),
            Reply::Error(error) => bail!("the lab's cloud refuses: {error}"),
            other => bail!("the lab's cloud answers something else: {other:?}"),
        }
    }

    fn ask(&self, request: &Request) -> Result<Reply> {
        let exchange = || -> Result<Reply> {
            let stream = UnixStream::connect(&self.socket)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            let mut line = serde_json::to_string(request)?;
            line.push('\n');
            (&stream).write_all(line.as_bytes())?;
            let mut answer = String::new();
            BufReader::new(&stream).read_line(&mut answer)?;
            Ok(serde_json::from_str(&answer)?)
        };
        exchange().context("the lab's cloud does not answer")
    }
}
