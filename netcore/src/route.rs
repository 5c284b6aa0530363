//! Routes.

use std::{fmt, net::IpAddr};

use ipnetwork::IpNetwork;
use rtnetlink::packet_route::{
    AddressFamily, RouteNetlinkMessage,
    route::{RouteAddress, RouteAttribute, RouteFlags, RouteMessage, RouteMetric, RouteScope, RouteType},
};
use serde::{Deserialize, Serialize};

use crate::{
    address::family,
    error::Result,
    mac::IfIndex,
    net::{Mode, Net, Request},
    rule::Family,
};

/// The number of a routing table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RouteTable(pub u32);

impl RouteTable {
    /// The table that packets are looked up in unless a rule says otherwise.
    pub const MAIN: Self = Self(254);
}

impl fmt::Display for RouteTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::MAIN { f.write_str("main") } else { write!(f, "{}", self.0) }
    }
}

/// Who made a route, rule or neighbour entry (`RTPROT_…` of the kernel's `rtnetlink.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Protocol(pub u8);

impl Protocol {
    /// Netloom: what bears this number is ours to change and remove. No daemon known to iproute2's
    /// `rt_protos` has it.
    pub const NETLOOM: Self = Self(110);
    /// The kernel itself.
    pub const KERNEL: Self = Self(2);
    /// `ip route` without a protocol named.
    pub const BOOT: Self = Self(3);
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// What becomes of a packet that a route matches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RouteKind {
    /// It goes to the gateway, or to its destination on the device's link.
    #[default]
    Unicast,
    /// It is dropped silently.
    Blackhole,
    /// It is dropped and the sender is told "host unreachable".
    Unreachable,
    /// It is dropped and the sender is told "administratively prohibited".
    Prohibit,
}

/// A route with one next hop.
///
/// Built from [`Route::to`] in the form in which the kernel gives it back, so that equality means equality.
/// Scope is not part of it: it follows from the rest, as with `ip route`.
///
/// ```
/// use netcore::{IfIndex, Route};
///
/// let route = Route::to("10.0.1.77/24".parse()?).via("192.0.2.7".parse()?).dev(IfIndex(3));
/// assert_eq!(route.to_string(), "10.0.1.0/24 via 192.0.2.7 dev #3 proto 110");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Route {
    /// Where to, host bits zero.
    pub destination: IpNetwork,
    /// The table that it is in.
    pub table: RouteTable,
    /// Less is preferred. IPv6 has no zero: the kernel takes 1024 for it, and so does [`Route::metric`].
    pub metric: u32,
    /// What becomes of the packet.
    pub kind: RouteKind,
    /// The next hop's address; without one the destination is on the link.
    pub via: Option<IpAddr>,
    /// The interface that leads there.
    pub device: Option<IfIndex>,
    /// The gateway is taken to be on the link even if no route says so.
    pub onlink: bool,
    /// The source address of the host's own packets.
    pub source: Option<IpAddr>,
    /// Largest packet on this route, in bytes, if less than the device's.
    pub mtu: Option<u32>,
    /// Who made it.
    pub protocol: Protocol,
}

/// What the kernel keeps at most one route for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RouteKey {
    destination: IpNetwork,
    table: RouteTable,
    metric: u32,
}

/// What the kernel takes for a metric of zero in IPv6 (`IP6_RT_PRIO_USER`).
const IPV6_METRIC: u32 = 1024;

impl Route {
    /// A route of ours to `destination` in the main table.
    #[must_use]
    pub fn to(destination: IpNetwork) -> Self {
        Self {
            destination: canonical(destination),
            table: RouteTable::MAIN,
            metric: if destination.is_ipv6() { IPV6_METRIC } else { 0 },
            kind: RouteKind::Unicast,
            via: None,
            device: None,
            onlink: false,
            source: None,
            mtu: None,
            protocol: Protocol::NETLOOM,
        }
    }

    /// A route of ours to everything, in the main table.
    #[must_use]
    pub fn to_all(family: Family) -> Self {
        let unspecified: IpAddr = match family {
            Family::V4 => [0; 4].into(),
            Family::V6 => [0; 16].into(),
        };
        let mut route = Self::to(unspecified.into());
        route.destination = IpNetwork::new(unspecified, 0).unwrap_or(route.destination);
        route
    }

    /// Through this gateway.
    #[must_use]
    pub fn via(mut self, gateway: IpAddr) -> Self {
        self.via = Some(gateway);
        self
    }

    /// Out of this interface.
    #[must_use]
    pub fn dev(mut self, device: IfIndex) -> Self {
        self.device = Some(device);
        self
    }

    /// The gateway is on the link, whatever other routes say.
    #[must_use]
    pub fn onlink(mut self) -> Self {
        self.onlink = true;
        self
    }

    /// The host's own packets have this source address.
    #[must_use]
    pub fn src(mut self, source: IpAddr) -> Self {
        self.source = Some(source);
        self
    }

    /// In this table.
    #[must_use]
    pub fn table(mut self, table: RouteTable) -> Self {
        self.table = table;
        self
    }

    /// With this metric; zero is the family's default.
    #[must_use]
    pub fn metric(mut self, metric: u32) -> Self {
        self.metric = if metric == 0 && self.destination.is_ipv6() { IPV6_METRIC } else { metric };
        self
    }

    /// For packets up to so many bytes.
    #[must_use]
    pub fn mtu(mut self, bytes: u32) -> Self {
        self.mtu = Some(bytes);
        self
    }

    /// Made by another than us.
    #[must_use]
    pub fn protocol(mut self, protocol: Protocol) -> Self {
        self.protocol = protocol;
        self
    }

    /// Drops packets in this way. The kernel has IPv6 routes of these kinds out of the loopback.
    #[must_use]
    pub fn kind(mut self, kind: RouteKind) -> Self {
        self.kind = kind;
        if kind != RouteKind::Unicast && self.destination.is_ipv6() {
            self.device = Some(IfIndex::LOOPBACK);
        }
        self
    }

    pub(crate) fn key(&self) -> RouteKey {
        RouteKey { destination: self.destination, table: self.table, metric: self.metric }
    }

    /// Whether the kernel puts `self` in the place of `old`, which has the same key, in one step. It does
    /// not where an IPv6 route gains or loses its gateway: it would keep both.
    pub(crate) fn can_take_the_place_of(&self, old: &Self) -> bool {
        self.destination.is_ipv4() || self.via.is_some() == old.via.is_some()
    }

    fn message(&self) -> RouteMessage {
        let mut message = RouteMessage::default();
        let header = &mut message.header;
        header.address_family = family(self.destination.ip());
        header.destination_prefix_length = self.destination.prefix();
        header.protocol = self.protocol.0.into();
        header.kind = match self.kind {
            RouteKind::Unicast => RouteType::Unicast,
            RouteKind::Blackhole => RouteType::BlackHole,
            RouteKind::Unreachable => RouteType::Unreachable,
            RouteKind::Prohibit => RouteType::Prohibit,
        };
        let on_link = self.kind == RouteKind::Unicast && self.via.is_none() && self.destination.is_ipv4();
        header.scope = if on_link { RouteScope::Link } else { RouteScope::Universe };
        if self.onlink {
            header.flags |= RouteFlags::Onlink;
        }
        let attributes = &mut message.attributes;
        attributes.push(RouteAttribute::Table(self.table.0));
        if self.destination.prefix() != 0 {
            attributes.push(RouteAttribute::Destination(self.destination.ip().into()));
        }
        if let Some(device) = self.device {
            attributes.push(RouteAttribute::Oif(device.0));
        }
        if let Some(source) = self.source {
            attributes.push(RouteAttribute::PrefSource(source.into()));
        }
        if self.metric != 0 {
            attributes.push(RouteAttribute::Priority(self.metric));
        }
        if let Some(mtu) = self.mtu {
            attributes.push(RouteAttribute::Metrics(vec![RouteMetric::Mtu(mtu)]));
        }
        match (self.via, self.destination) {
            (Some(IpAddr::V6(gateway)), IpNetwork::V4(_)) => {
                attributes.push(RouteAttribute::Via(gateway.into()));
            }
            (Some(gateway), _) => attributes.push(RouteAttribute::Gateway(gateway.into())),
            (None, _) => {}
        }
        message
    }

    pub(crate) fn add(&self) -> Request {
        self.request("add route", Mode::Create, RouteNetlinkMessage::NewRoute(self.message()))
    }

    pub(crate) fn replace(&self) -> Request {
        self.request("replace route", Mode::Replace, RouteNetlinkMessage::NewRoute(self.message()))
    }

    pub(crate) fn delete(&self) -> Request {
        let mut message = self.message();
        // Whatever its scope.
        message.header.scope = RouteScope::NoWhere;
        self.request("delete route", Mode::Existing, RouteNetlinkMessage::DelRoute(message))
    }

    fn request(&self, operation: &'static str, mode: Mode, message: RouteNetlinkMessage) -> Request {
        Request { operation, subject: self.to_string(), mode, message }
    }

    /// Nothing for what this type cannot hold: multipath, local, broadcast and multicast routes.
    pub(crate) fn parse(message: RouteMessage) -> Option<Self> {
        let header = message.header;
        let unspecified = match header.address_family {
            AddressFamily::Inet => IpAddr::from([0; 4]),
            AddressFamily::Inet6 => IpAddr::from([0; 16]),
            _ => return None,
        };
        if header.flags.contains(RouteFlags::Cloned) || header.tos != 0 {
            return None;
        }
        let kind = match header.kind {
            RouteType::Unicast => RouteKind::Unicast,
            RouteType::BlackHole => RouteKind::Blackhole,
            RouteType::Unreachable => RouteKind::Unreachable,
            RouteType::Prohibit => RouteKind::Prohibit,
            _ => return None,
        };
        let mut route = Self::to(IpNetwork::new(unspecified, header.destination_prefix_length).ok()?);
        route.kind = kind;
        route.table = RouteTable(header.table.into());
        route.protocol = Protocol(header.protocol.into());
        route.onlink = header.flags.contains(RouteFlags::Onlink);
        route.metric = 0;
        for attribute in message.attributes {
            match attribute {
                RouteAttribute::Destination(ip) => {
                    route.destination = IpNetwork::new(ip_of(&ip)?, header.destination_prefix_length).ok()?;
                }
                RouteAttribute::Gateway(ip) => route.via = ip_of(&ip),
                RouteAttribute::Via(rtnetlink::packet_route::route::RouteVia::Inet6(ip)) => {
                    route.via = Some(ip.into());
                }
                RouteAttribute::PrefSource(ip) => route.source = ip_of(&ip),
                RouteAttribute::Oif(index) => route.device = Some(IfIndex(index)),
                RouteAttribute::Table(table) => route.table = RouteTable(table),
                RouteAttribute::Priority(metric) => route.metric = metric,
                RouteAttribute::Metrics(metrics) => {
                    for metric in metrics {
                        if let RouteMetric::Mtu(mtu) = metric {
                            route.mtu = Some(mtu);
                        }
                    }
                }
                RouteAttribute::MultiPath(_) => return None,
                _ => {}
            }
        }
        Some(route)
    }
}

impl fmt::Display for Route {
    /// As `ip route` shows it, interfaces by their numbers.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            RouteKind::Unicast => {}
            RouteKind::Blackhole => f.write_str("blackhole ")?,
            RouteKind::Unreachable => f.write_str("unreachable ")?,
            RouteKind::Prohibit => f.write_str("prohibit ")?,
        }
        write!(f, "{}", self.destination)?;
        if let Some(gateway) = self.via {
            write!(f, " via {gateway}")?;
        }
        if let Some(device) = self.device {
            write!(f, " dev {device}")?;
        }
        if self.onlink {
            f.write_str(" onlink")?;
        }
        if let Some(source) = self.source {
            write!(f, " src {source}")?;
        }
        if self.table != RouteTable::MAIN {
            write!(f, " table {}", self.table)?;
        }
        if self.metric != 0 && (self.destination.is_ipv4() || self.metric != IPV6_METRIC) {
            write!(f, " metric {}", self.metric)?;
        }
        if let Some(mtu) = self.mtu {
            write!(f, " mtu {mtu}")?;
        }
        write!(f, " proto {}", self.protocol)
    }
}

impl Net {
    /// Adds a route.
    ///
    /// # Errors
    /// [`Error::Exists`](crate::Error::Exists) if there is one with this destination, table and metric;
    /// [`Error::NotFound`](crate::Error::NotFound) without its interface; refused with ENETUNREACH where no
    /// route leads to the gateway.
    pub async fn add_route(&self, route: &Route) -> Result<()> {
        self.submit(route.add()).await
    }

    /// Adds a route, in place of any with the same destination, table and metric. (An IPv6 route with a
    /// gateway does not take the place of one without, nor the other way round: delete the old one first.)
    ///
    /// # Errors
    /// As [`Net::add_route`], but for `Exists`.
    pub async fn replace_route(&self, route: &Route) -> Result<()> {
        self.submit(route.replace()).await
    }

    /// Removes a route.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound) if it is not there.
    pub async fn delete_route(&self, route: &Route) -> Result<()> {
        self.submit(route.delete()).await
    }

    /// All routes that a [`Route`] can hold, of all tables: no multipath, local, broadcast and multicast
    /// routes, and none for a type of service.
    ///
    /// # Errors
    /// [`Error::Unstable`](crate::Error::Unstable), [`Error::Closed`](crate::Error::Closed).
    pub async fn routes(&self) -> Result<Vec<Route>> {
        let mut routes = Vec::new();
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            let mut query = RouteMessage::default();
            query.header.address_family = family;
            let objects = self.dump("list routes", RouteNetlinkMessage::GetRoute(query)).await?;
            routes.extend(objects.into_iter().filter_map(|object| match object {
                RouteNetlinkMessage::NewRoute(message) => Route::parse(message),
                _ => None,
            }));
        }
        Ok(routes)
    }
}

/// The network with its host bits cleared.
pub(crate) fn canonical(network: IpNetwork) -> IpNetwork {
    IpNetwork::new(network.network(), network.prefix()).unwrap_or(network)
}

fn ip_of(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(ip) => Some(IpAddr::V4(*ip)),
        RouteAddress::Inet6(ip) => Some(IpAddr::V6(*ip)),
        _ => None,
    }
}
