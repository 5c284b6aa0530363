//! Policy routing rules.

use std::fmt;

use ipnetwork::IpNetwork;
use rtnetlink::packet_route::{
    AddressFamily, RouteNetlinkMessage,
    rule::{RuleAction, RuleAttribute, RuleMessage},
};
use serde::{Deserialize, Serialize};

use crate::{
    error::Result,
    net::{Mode, Net, Request},
    route::{Protocol, RouteTable, canonical},
};

/// An address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Of this network.
    #[must_use]
    pub fn of(network: IpNetwork) -> Self {
        if network.is_ipv4() { Self::V4 } else { Self::V6 }
    }
}

/// A rule that sends packets to a routing table.
///
/// ```
/// use netcore::{Family, RouteTable, Rule};
///
/// let rule = Rule::new(Family::V4, 111, RouteTable(12)).from("10.0.1.7/32".parse()?);
/// assert_eq!(rule.to_string(), "111: from 10.0.1.7/32 lookup 12 proto 110");
/// # Ok::<(), ipnetwork::IpNetworkError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Rule {
    /// Whose packets.
    pub family: Family,
    /// Rules are tried in the order of their priorities, least first.
    pub priority: u32,
    /// Packets from these addresses.
    pub from: Option<IpNetwork>,
    /// Packets to these addresses.
    pub to: Option<IpNetwork>,
    /// Packets that came by the interface of this name.
    pub input: Option<String>,
    /// Packets with these mark bits: value and mask.
    pub mark: Option<(u32, u32)>,
    /// The table where they are looked up.
    pub table: RouteTable,
    /// Who made it.
    pub protocol: Protocol,
}

impl Rule {
    /// A rule of ours for all packets of the family.
    #[must_use]
    pub fn new(family: Family, priority: u32, table: RouteTable) -> Self {
        let protocol = Protocol::NETLOOM;
        Self { family, priority, from: None, to: None, input: None, mark: None, table, protocol }
    }

    /// For packets from these addresses.
    #[must_use]
    pub fn from(mut self, network: IpNetwork) -> Self {
        self.from = Some(canonical(network)).filter(|network| network.prefix() != 0);
        self
    }

    /// For packets to these addresses.
    #[must_use]
    pub fn to(mut self, network: IpNetwork) -> Self {
        self.to = Some(canonical(network)).filter(|network| network.prefix() != 0);
        self
    }

    /// For packets that came by the interface of this name.
    #[must_use]
    pub fn input(mut self, name: &str) -> Self {
        self.input = Some(name.to_owned());
        self
    }

    /// For packets whose mark, seen through the mask, has this value.
    #[must_use]
    pub fn mark(mut self, value: u32, mask: u32) -> Self {
        self.mark = Some((value & mask, mask));
        self
    }

    fn message(&self) -> RuleMessage {
        let mut message = RuleMessage::default();
        message.header.family = match self.family {
            Family::V4 => AddressFamily::Inet,
            Family::V6 => AddressFamily::Inet6,
        };
        message.header.action = RuleAction::ToTable;
        let attributes = &mut message.attributes;
        attributes.push(RuleAttribute::Table(self.table.0));
        attributes.push(RuleAttribute::Priority(self.priority));
        attributes.push(RuleAttribute::Protocol(self.protocol.0.into()));
        if let Some(network) = self.from {
            message.header.src_len = network.prefix();
            attributes.push(RuleAttribute::Source(network.ip()));
        }
        if let Some(network) = self.to {
            message.header.dst_len = network.prefix();
            attributes.push(RuleAttribute::Destination(network.ip()));
        }
        if let Some(name) = &self.input {
            attributes.push(RuleAttribute::Iifname(name.clone()));
        }
        if let Some((value, mask)) = self.mark {
            attributes.push(RuleAttribute::FwMark(value));
            attributes.push(RuleAttribute::FwMask(mask));
        }
        message
    }

    /// Whether a request for `self` meets `other` in the kernel, which compares only what a request names:
    /// `from a lookup 11` is said to exist where `from a to b lookup 11` does.
    pub(crate) fn is_taken_for(&self, other: &Self) -> bool {
        fn names<T: PartialEq>(ours: &Option<T>, theirs: &Option<T>) -> bool {
            ours.is_none() || ours == theirs
        }
        (self.priority, self.table, self.family) == (other.priority, other.table, other.family)
            && names(&self.from, &other.from)
            && names(&self.to, &other.to)
            && names(&self.input, &other.input)
            && names(&self.mark, &other.mark)
    }

    pub(crate) fn add(&self) -> Request {
        self.request("add rule", Mode::Create, RouteNetlinkMessage::NewRule(self.message()))
    }

    pub(crate) fn delete(&self) -> Request {
        self.request("delete rule", Mode::Existing, RouteNetlinkMessage::DelRule(self.message()))
    }

    fn request(&self, operation: &'static str, mode: Mode, message: RouteNetlinkMessage) -> Request {
        Request { operation, subject: self.to_string(), mode, message }
    }

    /// Nothing for rules that do something else than look into a table.
    pub(crate) fn parse(message: RuleMessage) -> Option<Self> {
        let header = message.header;
        let family = match header.family {
            AddressFamily::Inet => Family::V4,
            AddressFamily::Inet6 => Family::V6,
            _ => return None,
        };
        if header.action != RuleAction::ToTable {
            return None;
        }
        let mut rule = Self::new(family, 0, RouteTable(header.table.into()));
        rule.protocol = Protocol(0);
        let (mut value, mut mask) = (None, u32::MAX);
        for attribute in message.attributes {
            match attribute {
                RuleAttribute::Table(table) => rule.table = RouteTable(table),
                RuleAttribute::Priority(priority) => rule.priority = priority,
                RuleAttribute::Protocol(protocol) => rule.protocol = Protocol(protocol.into()),
                RuleAttribute::Source(ip) => rule.from = IpNetwork::new(ip, header.src_len).ok(),
                RuleAttribute::Destination(ip) => rule.to = IpNetwork::new(ip, header.dst_len).ok(),
                RuleAttribute::Iifname(name) => rule.input = Some(name),
                RuleAttribute::FwMark(mark) => value = Some(mark),
                RuleAttribute::FwMask(bits) => mask = bits,
                _ => {}
            }
        }
        rule.mark = value.map(|value| (value, mask));
        Some(rule)
    }
}

impl fmt::Display for Rule {
    /// As `ip rule` shows it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: from ", self.priority)?;
        match self.from {
            Some(network) => write!(f, "{network}")?,
            None => f.write_str("all")?,
        }
        if let Some(network) = self.to {
            write!(f, " to {network}")?;
        }
        if let Some((value, mask)) = self.mark {
            write!(f, " fwmark {value:#x}/{mask:#x}")?;
        }
        if let Some(name) = &self.input {
            write!(f, " iif {name}")?;
        }
        write!(f, " lookup {} proto {}", self.table, self.protocol)
    }
}

impl Net {
    /// Adds a rule.
    ///
    /// # Errors
    /// [`Error::Exists`](crate::Error::Exists) if an equal one is there.
    pub async fn add_rule(&self, rule: &Rule) -> Result<()> {
        self.submit(rule.add()).await
    }

    /// Removes a rule.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound) if it is not there.
    pub async fn delete_rule(&self, rule: &Rule) -> Result<()> {
        self.submit(rule.delete()).await
    }

    /// All rules that look into a table.
    ///
    /// # Errors
    /// [`Error::Unstable`](crate::Error::Unstable), [`Error::Closed`](crate::Error::Closed).
    pub async fn rules(&self) -> Result<Vec<Rule>> {
        let mut rules = Vec::new();
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            let mut query = RuleMessage::default();
            query.header.family = family;
            let objects = self.dump("list rules", RouteNetlinkMessage::GetRule(query)).await?;
            rules.extend(objects.into_iter().filter_map(|object| match object {
                RouteNetlinkMessage::NewRule(message) => Rule::parse(message),
                _ => None,
            }));
        }
        Ok(rules)
    }
}
