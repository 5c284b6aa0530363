//! Permanent neighbour entries: which Ethernet address a link's IP address has.

use std::{fmt, net::IpAddr};

use rtnetlink::packet_route::{
    AddressFamily, RouteNetlinkMessage,
    neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState},
    route::RouteType,
};
use serde::{Deserialize, Serialize};

use crate::{
    address::family,
    error::Result,
    mac::{IfIndex, MacAddr},
    net::{Mode, Net, Request},
    route::Protocol,
};

/// A permanent entry of the neighbour table (ARP and NDP), which the kernel neither asks for nor forgets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Neighbour {
    /// The interface whose link it is on.
    pub device: IfIndex,
    /// Its address.
    pub ip: IpAddr,
    /// Its Ethernet address.
    pub mac: MacAddr,
    /// Who made the entry.
    pub protocol: Protocol,
}

impl Neighbour {
    /// An entry of ours.
    #[must_use]
    pub fn new(device: IfIndex, ip: IpAddr, mac: MacAddr) -> Self {
        Self { device, ip, mac, protocol: Protocol::NETLOOM }
    }

    fn message(&self) -> NeighbourMessage {
        let mut message = NeighbourMessage::default();
        message.header.family = family(self.ip);
        message.header.ifindex = self.device.0;
        message.header.state = NeighbourState::Permanent;
        message.header.kind = RouteType::Unicast;
        message.attributes = vec![
            NeighbourAttribute::Destination(match self.ip {
                IpAddr::V4(ip) => NeighbourAddress::Inet(ip),
                IpAddr::V6(ip) => NeighbourAddress::Inet6(ip),
            }),
            NeighbourAttribute::LinkLayerAddress(self.mac.0.to_vec()),
            NeighbourAttribute::Protocol(self.protocol.0.into()),
        ];
        message
    }

    pub(crate) fn replace(&self) -> Request {
        self.request("replace neighbour", Mode::Replace, RouteNetlinkMessage::NewNeighbour(self.message()))
    }

    pub(crate) fn delete(&self) -> Request {
        self.request("delete neighbour", Mode::Existing, RouteNetlinkMessage::DelNeighbour(self.message()))
    }

    fn request(&self, operation: &'static str, mode: Mode, message: RouteNetlinkMessage) -> Request {
        Request { operation, subject: self.to_string(), mode, message }
    }

    /// Nothing for entries that are not permanent.
    fn parse(message: NeighbourMessage) -> Option<Self> {
        if message.header.state != NeighbourState::Permanent {
            return None;
        }
        let (mut ip, mut mac, mut protocol) = (None, None, Protocol(0));
        for attribute in message.attributes {
            match attribute {
                NeighbourAttribute::Destination(NeighbourAddress::Inet(v4)) => ip = Some(IpAddr::V4(v4)),
                NeighbourAttribute::Destination(NeighbourAddress::Inet6(v6)) => ip = Some(IpAddr::V6(v6)),
                NeighbourAttribute::LinkLayerAddress(bytes) => {
                    mac = <[u8; 6]>::try_from(bytes).ok().map(MacAddr);
                }
                NeighbourAttribute::Protocol(number) => protocol = Protocol(number.into()),
                _ => {}
            }
        }
        Some(Self { device: IfIndex(message.header.ifindex), ip: ip?, mac: mac?, protocol })
    }
}

impl fmt::Display for Neighbour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} dev {} lladdr {} permanent proto {}", self.ip, self.device, self.mac, self.protocol)
    }
}

impl Net {
    /// Makes the entry, in place of any for the same address of the same interface.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound) if there is no such interface.
    pub async fn replace_neighbour(&self, neighbour: &Neighbour) -> Result<()> {
        self.submit(neighbour.replace()).await
    }

    /// Removes the entry.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound) if it is not there.
    pub async fn delete_neighbour(&self, neighbour: &Neighbour) -> Result<()> {
        self.submit(neighbour.delete()).await
    }

    /// All permanent entries.
    ///
    /// # Errors
    /// [`Error::Unstable`](crate::Error::Unstable), [`Error::Closed`](crate::Error::Closed).
    pub async fn neighbours(&self) -> Result<Vec<Neighbour>> {
        let mut neighbours = Vec::new();
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            let mut query = NeighbourMessage::default();
            query.header.family = family;
            let objects = self.dump("list neighbours", RouteNetlinkMessage::GetNeighbour(query)).await?;
            neighbours.extend(objects.into_iter().filter_map(|object| match object {
                RouteNetlinkMessage::NewNeighbour(message) => Neighbour::parse(message),
                _ => None,
            }));
        }
        Ok(neighbours)
    }
}
