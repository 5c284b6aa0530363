//! Interfaces: making, finding, changing and removing them.

use std::{
    collections::BTreeMap,
    fmt,
    time::{Duration, Instant},
};

use nix::errno::Errno;
use rtnetlink::packet_route::{
    RouteNetlinkMessage,
    link::{
        AfSpecInet6, AfSpecUnspec, In6AddrGenMode, InfoData, InfoKind, InfoVeth, LinkAttribute,
        LinkExtentMask, LinkFlags, LinkInfo, LinkMessage, State,
    },
};
use serde::Serialize;

use crate::{
    error::{Error, Result},
    mac::{IfIndex, MacAddr},
    net::{Mode, Net, Request},
    netns::Netns,
};

/// How long the kernel may take to notice that an interface has a carrier.
const READY_WITHIN: Duration = Duration::from_secs(1);

/// An interface as the kernel describes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Link {
    /// Its name.
    pub name: String,
    /// Its number.
    pub index: IfIndex,
    /// Its Ethernet address, if it has one.
    pub mac: Option<MacAddr>,
    /// Largest packet, in bytes.
    pub mtu: u32,
    /// Whether it is administratively up.
    pub up: bool,
    /// Whether packets get through: it is up, has a carrier, and the kernel has taken notice of that.
    pub operational: bool,
    /// The driver: `veth`, `bridge`, `dummy`…; empty for hardware and the loopback.
    pub kind: String,
    /// The interface that this one belongs to: the other end of a veth pair, numbered in its own namespace.
    pub peer: Option<IfIndex>,
    /// The namespace of `peer` where it is another one, by the number that this namespace has for it.
    pub peer_netnsid: Option<i32>,
    /// The bridge (or other device) that this interface is a port of.
    pub controller: Option<IfIndex>,
}

/// One end of a veth pair to be made.
#[derive(Clone, Debug)]
pub struct VethEnd<'a> {
    /// The interface's name, up to 15 bytes.
    pub name: &'a str,
    /// Its address; the kernel draws one if there is none.
    pub mac: Option<MacAddr>,
    /// Where it is put; the client's own namespace if there is none.
    pub netns: Option<&'a Netns>,
    /// Whether it is made up at once.
    pub up: bool,
}

impl<'a> VethEnd<'a> {
    /// An end in the client's own namespace, down, its MAC address drawn by the kernel.
    #[must_use]
    pub fn named(name: &'a str) -> Self {
        Self { name, mac: None, netns: None, up: false }
    }

    /// With this address.
    #[must_use]
    pub fn mac(mut self, mac: MacAddr) -> Self {
        self.mac = Some(mac);
        self
    }

    /// In this namespace.
    #[must_use]
    pub fn netns(mut self, netns: &'a Netns) -> Self {
        self.netns = Some(netns);
        self
    }

    /// Up from the beginning.
    #[must_use]
    pub fn up(mut self) -> Self {
        self.up = true;
        self
    }

    fn message(&self, mtu: u32) -> LinkMessage {
        let mut message = LinkMessage::default();
        message.attributes.push(LinkAttribute::IfName(self.name.to_owned()));
        message.attributes.push(LinkAttribute::Mtu(mtu));
        if let Some(mac) = self.mac {
            message.attributes.push(LinkAttribute::Address(mac.0.to_vec()));
        }
        if let Some(netns) = self.netns {
            message.attributes.push(LinkAttribute::NetNsFd(netns.raw()));
        }
        if self.up {
            set_up_flag(&mut message, true);
        }
        message
    }
}

impl fmt::Display for VethEnd<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)?;
        if let Some(netns) = self.netns {
            write!(f, " in {netns}")?;
        }
        Ok(())
    }
}

impl Net {
    /// Makes a veth pair in one step and tells what the first end has become; [`Link::peer`] is the
    /// other's index in its own namespace. (Setting up the second end takes a step more.)
    ///
    /// # Errors
    /// [`Error::Exists`] if either name is taken; [`Error::InvalidName`].
    pub async fn create_veth(&self, one: &VethEnd<'_>, other: &VethEnd<'_>, mtu: u32) -> Result<Link> {
        check_name(one.name)?;
        check_name(other.name)?;
        let mut message = one.message(mtu);
        // The kernel cannot set up an end whose peer is not there yet.
        let peer = VethEnd { up: false, ..other.clone() }.message(mtu);
        message.attributes.push(LinkAttribute::LinkInfo(vec![
            LinkInfo::Kind(InfoKind::Veth),
            LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(peer))),
        ]));
        let create = create("create veth pair", format!("{one} and {other}"), message);
        let link = match one.netns {
            None => self.create_and_get(create, one.name).await?,
            // The end is to be looked for elsewhere.
            Some(netns) => {
                self.submit(create).await?;
                Self::in_netns(netns)?.link(one.name).await?
            }
        };
        if let (true, Some(peer)) = (other.up, link.peer) {
            match other.netns {
                None => self.set_up(peer).await?,
                Some(netns) => Self::in_netns(netns)?.set_up(peer).await?,
            }
        }
        Ok(link)
    }

    /// Makes a bridge that forwards between its ports without spanning tree, and sets it up.
    ///
    /// # Errors
    /// [`Error::Exists`] if the name is taken; [`Error::InvalidName`].
    pub async fn create_bridge(&self, name: &str, mtu: u32) -> Result<Link> {
        check_name(name)?;
        let mut message = VethEnd::named(name).up().message(mtu);
        message.attributes.push(LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Bridge)]));
        self.create_and_get(create("create bridge", name.to_owned(), message), name).await
    }

    async fn create_and_get(&self, create: Request, name: &str) -> Result<Link> {
        let object = self.submit_and_get(Some(create), "get link", name, by_name(name)).await?;
        parse(object, name)
    }

    /// The interface called `name`.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is none.
    pub async fn link(&self, name: &str) -> Result<Link> {
        check_name(name)?;
        let object = self.submit_and_get(None, "get link", name, by_name(name)).await?;
        parse(object, name)
    }

    /// The interface with this number.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is none.
    pub async fn link_by_index(&self, index: IfIndex) -> Result<Link> {
        let mut message = query();
        message.header.index = index.0;
        let subject = index.to_string();
        let object =
            self.submit_and_get(None, "get link", &subject, RouteNetlinkMessage::GetLink(message)).await?;
        parse(object, &subject)
    }

    /// Waits until packets get through the interface, which it says of itself some time after both ends of
    /// a veth pair are up: until then the kernel silently drops what is sent. (Since Linux 6.8 asking is
    /// enough to make it so.)
    ///
    /// # Errors
    /// [`Error::NotReady`] after a second; [`Error::NotFound`] if there is no such interface.
    pub async fn wait_operational(&self, index: IfIndex) -> Result<Link> {
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            let link = self.link_by_index(index).await?;
            if link.operational {
                return Ok(link);
            }
            if Instant::now() >= deadline {
                return Err(Error::NotReady { interface: link.name });
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// All interfaces.
    ///
    /// # Errors
    /// [`Error::Unstable`], [`Error::Closed`].
    pub async fn links(&self) -> Result<Vec<Link>> {
        let objects = self.dump("list links", RouteNetlinkMessage::GetLink(query())).await?;
        objects.into_iter().map(|object| parse(object, "a listed link")).collect()
    }

    /// The names of all interfaces by their numbers.
    ///
    /// # Errors
    /// As [`Net::links`].
    pub async fn link_names(&self) -> Result<BTreeMap<IfIndex, String>> {
        Ok(self.links().await?.into_iter().map(|link| (link.index, link.name)).collect())
    }

    /// Sets the interface administratively up.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such interface.
    pub async fn set_up(&self, index: IfIndex) -> Result<()> {
        self.submit(set_up(index)).await
    }

    /// Sets the interface administratively down, upon which the kernel forgets its routes and neighbours.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such interface.
    pub async fn set_down(&self, index: IfIndex) -> Result<()> {
        let mut message = LinkMessage::default();
        set_up_flag(&mut message, false);
        self.submit(change("set down link", index, message)).await
    }

    /// Sets the largest packet, in bytes.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Refused`] outside of what the device can do.
    pub async fn set_mtu(&self, index: IfIndex, mtu: u32) -> Result<()> {
        self.submit(change("set mtu of link", index, with(LinkAttribute::Mtu(mtu)))).await
    }

    /// Renames the interface (before Linux 6.2 it must be down).
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Exists`] if the name is taken; [`Error::InvalidName`].
    pub async fn rename(&self, index: IfIndex, name: &str) -> Result<()> {
        check_name(name)?;
        self.submit(change("rename link", index, with(LinkAttribute::IfName(name.to_owned())))).await
    }

    /// Sets the Ethernet address.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such interface.
    pub async fn set_mac(&self, index: IfIndex, mac: MacAddr) -> Result<()> {
        self.submit(change("set mac address of link", index, with(LinkAttribute::Address(mac.0.to_vec()))))
            .await
    }

    /// Moves the interface into another namespace, where it is down and without addresses.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Exists`] if its name is taken there.
    pub async fn move_to(&self, index: IfIndex, netns: &Netns) -> Result<()> {
        let mut request = change("move link", index, with(LinkAttribute::NetNsFd(netns.raw())));
        request.subject = format!("{index} to {netns}");
        self.submit(request).await
    }

    /// Makes the interface a port of a bridge, or of none.
    ///
    /// # Errors
    /// [`Error::NotFound`] if either does not exist.
    pub async fn set_controller(&self, port: IfIndex, bridge: Option<IfIndex>) -> Result<()> {
        let attribute = LinkAttribute::Controller(bridge.map_or(0, |bridge| bridge.0));
        self.submit(change("set bridge of link", port, with(attribute))).await
    }

    /// Removes the interface, and with one end of a veth pair the other.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such interface.
    pub async fn delete_link(&self, index: IfIndex) -> Result<()> {
        let mut message = LinkMessage::default();
        message.header.index = index.0;
        self.submit(delete(index.to_string(), message)).await
    }

    /// Removes the interface called `name`; tells whether there was one.
    ///
    /// # Errors
    /// [`Error::Refused`] if the kernel does not let go of it.
    pub async fn delete_link_named(&self, name: &str) -> Result<bool> {
        check_name(name)?;
        let message = with(LinkAttribute::IfName(name.to_owned()));
        match self.submit(delete(name.to_owned(), message)).await {
            Ok(()) => Ok(true),
            Err(Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// Sets the interface up.
pub(crate) fn set_up(index: IfIndex) -> Request {
    let mut message = LinkMessage::default();
    set_up_flag(&mut message, true);
    change("set up link", index, message)
}

/// Keeps the kernel from giving the interface a link-local address of its own.
pub(crate) fn no_link_local(index: IfIndex) -> Request {
    let mode = AfSpecInet6::AddrGenMode(In6AddrGenMode::None);
    let message = with(LinkAttribute::AfSpecUnspec(vec![AfSpecUnspec::Inet6(vec![mode])]));
    change("set address generation of link", index, message)
}

pub(crate) fn set_up_flag(message: &mut LinkMessage, up: bool) {
    message.header.flags.set(LinkFlags::Up, up);
    message.header.change_mask |= LinkFlags::Up;
}

pub(crate) fn with(attribute: LinkAttribute) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.attributes.push(attribute);
    message
}

fn create(operation: &'static str, subject: String, message: LinkMessage) -> Request {
    Request { operation, subject, mode: Mode::Create, message: RouteNetlinkMessage::NewLink(message) }
}

pub(crate) fn change(operation: &'static str, index: IfIndex, mut message: LinkMessage) -> Request {
    message.header.index = index.0;
    let message = RouteNetlinkMessage::SetLink(message);
    Request { operation, subject: index.to_string(), mode: Mode::Existing, message }
}

fn delete(subject: String, message: LinkMessage) -> Request {
    let message = RouteNetlinkMessage::DelLink(message);
    Request { operation: "delete link", subject, mode: Mode::Existing, message }
}

/// A query that leaves out statistics.
fn query() -> LinkMessage {
    with(LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]))
}

fn by_name(name: &str) -> RouteNetlinkMessage {
    let mut message = query();
    message.attributes.push(LinkAttribute::IfName(name.to_owned()));
    RouteNetlinkMessage::GetLink(message)
}

/// The kernel cuts or mistakes some names instead of refusing them.
pub(crate) fn check_name(name: &str) -> Result<()> {
    let usable = (1..=15).contains(&name.len())
        && name != "."
        && name != ".."
        && !name
            .bytes()
            .any(|byte| byte.is_ascii_whitespace() || byte.is_ascii_control() || b"/:%\"".contains(&byte));
    if usable { Ok(()) } else { Err(Error::InvalidName { what: "an interface", name: name.to_owned() }) }
}

pub(crate) fn parse(object: RouteNetlinkMessage, subject: &str) -> Result<Link> {
    let RouteNetlinkMessage::NewLink(message) = object else {
        return Err(Error::from_errno("get link", subject.to_owned(), Errno::ENODEV, None));
    };
    let mut link = Link {
        name: String::new(),
        index: IfIndex(message.header.index),
        mac: None,
        mtu: 0,
        up: message.header.flags.contains(LinkFlags::Up),
        operational: false,
        kind: String::new(),
        peer: None,
        peer_netnsid: None,
        controller: None,
    };
    for attribute in message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => link.name = name,
            LinkAttribute::Address(bytes) => link.mac = <[u8; 6]>::try_from(bytes).ok().map(MacAddr),
            LinkAttribute::Mtu(mtu) => link.mtu = mtu,
            LinkAttribute::Link(index) => link.peer = (index != 0).then_some(IfIndex(index)),
            // Loopbacks and some virtual devices have no state to report.
            LinkAttribute::OperState(state) => {
                link.operational = link.up && matches!(state, State::Up | State::Unknown);
            }
            LinkAttribute::LinkNetNsId(id) => link.peer_netnsid = Some(id),
            LinkAttribute::Controller(index) => link.controller = Some(IfIndex(index)),
            LinkAttribute::LinkInfo(infos) => {
                for info in infos {
                    if let LinkInfo::Kind(kind) = info {
                        link.kind = kind.to_string();
                    }
                }
            }
            _ => {}
        }
    }
    if link.name.is_empty() {
        return Err(Error::Incomplete {
            operation: "get link",
            subject: subject.to_owned(),
            missing: "name",
        });
    }
    Ok(link)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_the_kernel_would_mistake_are_refused() {
        for name in ["eth0", "nlp0123456789ab", "a.b-c_d"] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        for name in ["", ".", "..", "sixteen-bytes-xx", "a b", "a/b", "a:b", "veth%d", "a\n", "a\"b"] {
            assert!(matches!(check_name(name), Err(Error::InvalidName { .. })), "{name:?}");
        }
    }
}
