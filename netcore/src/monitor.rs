//! What others change in a namespace, as the kernel tells it.

use std::{fmt, io};

use futures_util::{Stream, StreamExt};
use rtnetlink::{
    packet_core::{NetlinkMessage, NetlinkPayload},
    packet_route::RouteNetlinkMessage,
    proto::{ConnectionHandle, NetlinkCodec, from_socket_with_codec},
    sys::{AsyncSocket, SocketAddr, TokioSocket, protocols::NETLINK_ROUTE},
};

use crate::{
    address::Address,
    error::{Error, Result},
    link::{self, Link},
    mac::IfIndex,
    netns::Netns,
    route::Route,
    rule::Rule,
};

/// The groups that are listened to (`RTNLGRP_…` of the kernel's `rtnetlink.h`): links, IPv4 addresses, IPv4
/// routes, IPv4 rules.
const GROUPS: [u32; 4] = [1, 5, 7, 8];

type Message = NetlinkMessage<RouteNetlinkMessage>;

/// Something that happened in a namespace, whoever did it. Of IPv4: what has no form of ours (multicast
/// routes, say) is left out.
///
/// The kernel does not tell of IPv4 routes that go with their interface or with an address: it tells of those.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A link is there or is another now.
    Link(Link),
    /// A link is gone.
    LinkGone(IfIndex),
    /// An address is there.
    Address(Address),
    /// An address is gone.
    AddressGone(Address),
    /// A route is there, perhaps in the place of another.
    Route(Route),
    /// A route is gone.
    RouteGone(Route),
    /// A rule is gone.
    RuleGone(Rule),
    /// There was more than the socket could hold: anything may have happened.
    Overrun,
}

/// Listens to the changes of one namespace, from when it was made.
///
/// ```no_run
/// # async fn watch() -> netcore::Result<()> {
/// let mut monitor = netcore::Monitor::new(&netcore::Netns::current()?)?;
/// while let Some(change) = monitor.next().await {
///     println!("{change:?}");
/// }
/// # Ok(()) }
/// ```
pub struct Monitor {
    messages: Box<dyn Stream<Item = Message> + Send + Unpin>,
    /// Keeps the socket open.
    _handle: ConnectionHandle<RouteNetlinkMessage>,
}

impl fmt::Debug for Monitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Monitor")
    }
}

impl Monitor {
    /// Begins to listen.
    ///
    /// # Errors
    /// [`Error::NoRuntime`] outside of a Tokio runtime; [`Error::Netns`], [`Error::Socket`].
    pub fn new(netns: &Netns) -> Result<Self> {
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| Error::NoRuntime)?;
        let open = || -> io::Result<TokioSocket> {
            let _entered = runtime.enter();
            let mut socket = TokioSocket::new(NETLINK_ROUTE)?;
            // The kernel tells nothing of itself to a socket without an address of its own.
            socket.socket_mut().bind_auto()?;
            for group in GROUPS {
                socket.socket_mut().add_membership(group)?;
            }
            Ok(socket)
        };
        let socket =
            netns.run_in(open)?.map_err(|source| Error::Socket { netns: netns.to_string(), source })?;
        let (connection, handle, messages) =
            from_socket_with_codec::<RouteNetlinkMessage, _, NetlinkCodec>(socket);
        runtime.spawn(connection);
        let messages = messages.map(|(message, _): (Message, SocketAddr)| message);
        Ok(Self { messages: Box::new(messages), _handle: handle })
    }

    /// The next change; nothing once the socket is broken, and then whoever needs to know opens another.
    ///
    /// May be given up at any time: no change is lost.
    pub async fn next(&mut self) -> Option<Change> {
        loop {
            let message = self.messages.next().await?;
            match message.payload {
                NetlinkPayload::Overrun(_) => return Some(Change::Overrun),
                NetlinkPayload::InnerMessage(object) => {
                    if let Some(change) = parse(object) {
                        return Some(change);
                    }
                }
                _ => {}
            }
        }
    }
}

fn parse(object: RouteNetlinkMessage) -> Option<Change> {
    use RouteNetlinkMessage as Object;
    match object {
        Object::NewLink(_) => link::parse(object, "a changed link").ok().map(Change::Link),
        Object::DelLink(message) => Some(Change::LinkGone(IfIndex(message.header.index))),
        Object::NewAddress(message) => Address::parse(message).map(Change::Address),
        Object::DelAddress(message) => Address::parse(message).map(Change::AddressGone),
        Object::NewRoute(message) => Route::parse(message).map(Change::Route),
        Object::DelRoute(message) => Route::parse(message).map(Change::RouteGone),
        Object::DelRule(message) => Rule::parse(message).map(Change::RuleGone),
        _ => None,
    }
}
