//! The pods of this node, as they are remembered across restarts.

use std::collections::BTreeMap;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use abi::{EndpointId, IfIndex};
use anyhow::{Context, Result, bail};
use api::{Attachment, PodRef};
use netcore::MacAddr;
use netcore::eni::Number;
use netcore::pod::Wiring;
use serde::{Deserialize, Serialize};

use crate::state_file;

/// A pod of this node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Its number.
    pub id: u16,
    /// The container's interface.
    pub attachment: Attachment,
    /// The pod, where the runtime named it.
    pub pod: Option<PodRef>,
    /// Its addresses, one a family at most.
    pub addresses: Vec<IpAddr>,
    /// The host's end of its link.
    pub host_ifname: String,
    /// The pod's MAC address.
    pub mac: MacAddr,
    /// The MTU of its link in bytes.
    pub mtu: u32,
    /// The path of its network namespace, as the runtime gave it.
    pub netns: String,
    /// Device index of the ENI that has its IPv4 address, in ENI mode. It outlives what the operator says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eni: Option<Number>,
    /// The index of the host's end; found anew after a restart.
    #[serde(skip)]
    pub ifindex: u32,
}

impl Endpoint {
    /// Its address of a family.
    #[must_use]
    pub fn address(&self, v4: bool) -> Option<IpAddr> {
        self.addresses.iter().copied().find(|address| address.is_ipv4() == v4)
    }

    /// Its number, as the datapath has it.
    #[must_use]
    pub const fn number(&self) -> EndpointId {
        EndpointId(self.id)
    }

    /// The index of the host's end, as the datapath has it.
    #[must_use]
    pub const fn link(&self) -> IfIndex {
        IfIndex(self.ifindex)
    }

    /// How it is wired.
    #[must_use]
    pub fn wiring(&self, node_addresses: &[IpAddr]) -> Wiring {
        Wiring {
            host_interface: self.host_ifname.clone(),
            pod_interface: self.attachment.ifname.clone(),
            pod_mac: self.mac,
            gateway_mac: MacAddr(abi::Config::GATEWAY_MAC),
            addresses: self.addresses.clone(),
            mtu: self.mtu,
            node_addresses: node_addresses.to_vec(),
        }
    }
}

/// The name of the host's end of an attachment's link: always the same, so that what a crash left behind is
/// found again.
#[must_use]
pub fn host_ifname(attachment: &Attachment) -> String {
    format!("{HOST_PREFIX}{:012x}", stable_hash(&attachment.to_string()) >> 16)
}

/// FNV-1a, 64 bits: stable across versions of the compiler and of this program.
pub(crate) fn stable_hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// What the names of the hosts' ends begin with.
pub const HOST_PREFIX: &str = "nl-";

/// A MAC address for a pod: locally administered, and no other pod's of this node as long as addresses differ.
#[must_use]
pub fn pod_mac(addresses: &[IpAddr]) -> MacAddr {
    let last = match addresses.first() {
        Some(IpAddr::V4(address)) => address.octets(),
        Some(IpAddr::V6(address)) => {
            let [.., a, b, c, d] = address.octets();
            [a, b, c, d]
        }
        None => [0; 4],
    };
    let [a, b, c, d] = last;
    MacAddr([0x0a, 0x6c, a, b, c, d])
}

/// The endpoints, each in a file of its own.
#[derive(Debug)]
pub struct Endpoints {
    directory: PathBuf,
    by_attachment: BTreeMap<Attachment, Endpoint>,
    last_id: u16,
}

impl Endpoints {
    /// Reads the endpoints that an earlier agent left. A file that cannot be read is an error: what is unknown
    /// is not gone.
    ///
    /// # Errors
    /// When the directory or a file cannot be read.
    pub fn open(directory: &Path) -> Result<Self> {
        fs::create_dir_all(directory).with_context(|| format!("creating {}", directory.display()))?;
        let mut by_attachment = BTreeMap::new();
        for entry in fs::read_dir(directory).with_context(|| format!("reading {}", directory.display()))? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "json")
                && let Some(endpoint) = state_file::read::<Endpoint>(&path)?
            {
                by_attachment.insert(endpoint.attachment.clone(), endpoint);
            }
        }
        let last_id = by_attachment.values().map(|endpoint| endpoint.id).max().unwrap_or(0);
        Ok(Self { directory: directory.into(), by_attachment, last_id })
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Endpoint> {
        self.by_attachment.values()
    }

    /// All of them, to find their links again.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Endpoint> {
        self.by_attachment.values_mut()
    }

    /// The endpoint of an attachment.
    #[must_use]
    pub fn get(&self, attachment: &Attachment) -> Option<&Endpoint> {
        self.by_attachment.get(attachment)
    }

    /// A number that no endpoint has, and that was not used for as long as possible.
    ///
    /// # Errors
    /// When all are taken.
    pub fn next_id(&mut self) -> Result<u16> {
        for _ in 0..u16::MAX {
            self.last_id = self.last_id.checked_add(1).unwrap_or(1);
            if self.iter().all(|endpoint| endpoint.id != self.last_id) {
                return Ok(self.last_id);
            }
        }
        bail!("all endpoint numbers are taken");
    }

    /// Remembers an endpoint; it is on disk when this returns.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn insert(&mut self, endpoint: Endpoint) -> Result<()> {
        state_file::write(&self.path(endpoint.id), &endpoint)?;
        self.by_attachment.insert(endpoint.attachment.clone(), endpoint);
        Ok(())
    }

    /// Forgets an endpoint.
    ///
    /// # Errors
    /// When the file cannot be removed.
    pub fn remove(&mut self, attachment: &Attachment) -> Result<Option<Endpoint>> {
        let Some(endpoint) = self.by_attachment.remove(attachment) else { return Ok(None) };
        let path = self.path(endpoint.id);
        fs::remove_file(&path).with_context(|| format!("removing {}", path.display()))?;
        Ok(Some(endpoint))
    }

    fn path(&self, id: u16) -> PathBuf {
        self.directory.join(format!("{id}.json"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attachment(id: &str) -> Attachment {
        Attachment { container_id: id.into(), ifname: "eth0".into() }
    }

    fn endpoint(id: u16, container: &str) -> Endpoint {
        let addresses = vec!["10.0.0.7".parse().unwrap()];
        Endpoint {
            id,
            attachment: attachment(container),
            pod: None,
            mac: pod_mac(&addresses),
            addresses,
            host_ifname: host_ifname(&attachment(container)),
            mtu: 1500,
            eni: None,
            netns: String::new(),
            ifindex: 0,
        }
    }

    #[test]
    fn names_fit_a_link_and_differ() {
        let (one, other) = (host_ifname(&attachment("a")), host_ifname(&attachment("b")));
        assert!(one.len() <= 15 && one != other);
        assert_eq!(one, host_ifname(&attachment("a")));
    }

    #[test]
    fn endpoints_survive_and_numbers_are_not_used_again_soon() {
        let directory = tempfile::tempdir().unwrap();
        let mut endpoints = Endpoints::open(directory.path()).unwrap();
        let id = endpoints.next_id().unwrap();
        endpoints.insert(endpoint(id, "a")).unwrap();
        let other = endpoints.next_id().unwrap();
        endpoints.insert(endpoint(other, "b")).unwrap();
        assert!(endpoints.remove(&attachment("a")).unwrap().is_some());
        assert!(endpoints.remove(&attachment("a")).unwrap().is_none());

        let mut again = Endpoints::open(directory.path()).unwrap();
        assert_eq!(again.iter().map(|endpoint| endpoint.id).collect::<Vec<_>>(), [other]);
        assert!(![id, other].contains(&again.next_id().unwrap()));

        fs::write(directory.path().join("9.json"), "{").unwrap();
        assert!(Endpoints::open(directory.path()).unwrap_err().to_string().contains("9.json"));
    }
}
