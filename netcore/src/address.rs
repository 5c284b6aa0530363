//! Addresses of interfaces.

use std::{
    fmt,
    net::IpAddr,
    time::{Duration, Instant},
};

use ipnetwork::IpNetwork;
use nix::errno::Errno;
use rtnetlink::packet_route::{
    AddressFamily, RouteNetlinkMessage,
    address::{AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage, AddressScope},
    route::{RouteAttribute, RouteMessage, RouteType},
};
use serde::{Deserialize, Serialize};

use crate::{
    error::{Error, Result},
    mac::IfIndex,
    net::{Mode, Net, Request},
};

/// How long the kernel may take to make an address one of its own.
const LOCAL_WITHIN: Duration = Duration::from_secs(1);

/// An address of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Address {
    /// The interface.
    pub device: IfIndex,
    /// The address and the prefix that is on its link. Unlike elsewhere, host bits matter.
    pub network: IpNetwork,
    /// IPv6: used at once, without looking whether another host has it. Always false for IPv4.
    pub nodad: bool,
}

impl Address {
    /// An address of `device`; an IPv6 one is used at once, without duplicate address detection.
    #[must_use]
    pub fn new(device: IfIndex, network: IpNetwork) -> Self {
        Self { device, network, nodad: network.is_ipv6() }
    }

    /// With duplicate address detection, where the family has it.
    #[must_use]
    pub fn with_dad(mut self) -> Self {
        self.nodad = false;
        self
    }

    /// Whether the kernel may have given the address to its interface by itself.
    pub(crate) fn is_link_local_v6(&self) -> bool {
        matches!(self.network.ip(), IpAddr::V6(ip) if ip.is_unicast_link_local())
    }

    fn message(&self) -> AddressMessage {
        let ip = self.network.ip();
        let mut message = AddressMessage::default();
        message.header.index = self.device.0;
        message.header.prefix_len = self.network.prefix();
        message.header.family = family(ip);
        // The kernel finds out IPv6 scopes by itself.
        message.header.scope =
            if ip.is_ipv4() && ip.is_loopback() { AddressScope::Host } else { AddressScope::Universe };
        message.attributes.push(AddressAttribute::Local(ip));
        message.attributes.push(AddressAttribute::Address(ip));
        if self.nodad {
            message.header.flags |= AddressHeaderFlags::Nodad;
            message.attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
        }
        message
    }

    pub(crate) fn add(&self) -> Request {
        self.request("add address", Mode::Create, RouteNetlinkMessage::NewAddress(self.message()))
    }

    pub(crate) fn replace(&self) -> Request {
        self.request("replace address", Mode::Replace, RouteNetlinkMessage::NewAddress(self.message()))
    }

    pub(crate) fn delete(&self) -> Request {
        self.request("delete address", Mode::Existing, RouteNetlinkMessage::DelAddress(self.message()))
    }

    fn request(&self, operation: &'static str, mode: Mode, message: RouteNetlinkMessage) -> Request {
        Request { operation, subject: self.to_string(), mode, message }
    }

    pub(crate) fn parse(message: AddressMessage) -> Option<Self> {
        let (mut local, mut address) = (None, None);
        let mut nodad = message.header.flags.contains(AddressHeaderFlags::Nodad);
        for attribute in message.attributes {
            match attribute {
                // Where both are there, `Address` is the other end of a point-to-point link.
                AddressAttribute::Local(ip) => local = Some(ip),
                AddressAttribute::Address(ip) => address = Some(ip),
                AddressAttribute::Flags(flags) => nodad |= flags.contains(AddressFlags::Nodad),
                _ => {}
            }
        }
        let network = IpNetwork::new(local.or(address)?, message.header.prefix_len).ok()?;
        let device = IfIndex(message.header.index);
        Some(Self { device, network, nodad: nodad && network.is_ipv6() })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} dev {}{}", self.network, self.device, if self.nodad { " nodad" } else { "" })
    }
}

impl Net {
    /// Gives an address to an interface.
    ///
    /// # Errors
    /// [`Error::Exists`](crate::Error::Exists); [`Error::NotFound`](crate::Error::NotFound) without the
    /// interface; refused with EACCES where IPv6 is disabled.
    pub async fn add_address(&self, address: &Address) -> Result<()> {
        self.submit(address.add()).await
    }

    /// As [`Net::add_address`], content if the address is there already.
    ///
    /// # Errors
    /// As [`Net::add_address`], but for `Exists`.
    pub async fn replace_address(&self, address: &Address) -> Result<()> {
        self.submit(address.replace()).await
    }

    /// Takes an address away.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound) if it is not there.
    pub async fn delete_address(&self, address: &Address) -> Result<()> {
        self.submit(address.delete()).await
    }

    /// Waits until packets to an address of this namespace are taken. The kernel gives an IPv6 address to
    /// its interface at once and the route that makes it one of its own some moments later, even without
    /// duplicate address detection.
    ///
    /// # Errors
    /// [`Error::NotLocal`] after a second.
    pub async fn wait_local(&self, address: IpAddr) -> Result<()> {
        let deadline = Instant::now() + LOCAL_WITHIN;
        while address.is_ipv6() && !self.is_local(address).await? {
            if Instant::now() >= deadline {
                return Err(Error::NotLocal { address });
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    }

    async fn is_local(&self, address: IpAddr) -> Result<bool> {
        let mut query = RouteMessage::default();
        query.header.address_family = family(address);
        query.header.destination_prefix_length = if address.is_ipv4() { 32 } else { 128 };
        query.attributes.push(RouteAttribute::Destination(address.into()));
        let query = RouteNetlinkMessage::GetRoute(query);
        match self.submit_and_get(None, "look up", &address.to_string(), query).await {
            Ok(RouteNetlinkMessage::NewRoute(route)) => Ok(route.header.kind == RouteType::Local),
            Ok(_) | Err(Error::Refused { errno: Errno::ENETUNREACH | Errno::EHOSTUNREACH, .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// All addresses of all interfaces.
    ///
    /// # Errors
    /// [`Error::Unstable`](crate::Error::Unstable), [`Error::Closed`](crate::Error::Closed).
    pub async fn addresses(&self) -> Result<Vec<Address>> {
        let query = RouteNetlinkMessage::GetAddress(AddressMessage::default());
        let objects = self.dump("list addresses", query).await?;
        Ok(objects
            .into_iter()
            .filter_map(|object| match object {
                RouteNetlinkMessage::NewAddress(message) => Address::parse(message),
                _ => None,
            })
            .collect())
    }
}

/// The family number of an address.
pub(crate) fn family(ip: IpAddr) -> AddressFamily {
    if ip.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 }
}
