//! The wiring of one pod: a veth pair between the node's namespace and the pod's.
//!
//! The pod has host addresses (/32 and /128) only and sends everything to [`GATEWAY_V4`] and
//! [`GATEWAY_V6`], which no packet is ever asked for: permanent neighbour entries name the MAC address of
//! the host's end. The node has a route to each of the pod's addresses, with its own address as the source,
//! and a permanent entry for the pod's MAC address. So neither ARP nor NDP is needed in either direction.
//!
//! The node forwards only if it was told to ([`Netns::enable_forwarding`]).

use std::{
    collections::BTreeSet,
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use ipnetwork::IpNetwork;
use serde::Serialize;

use crate::{
    address::Address,
    error::{Error, InvalidWiring, Result},
    link::{self, Link, VethEnd},
    mac::{IfIndex, MacAddr},
    neighbour::Neighbour,
    net::{Net, Request},
    netns::Netns,
    plan::{Step, plan},
    route::Route,
    state::{Owned, State},
    sysctl::Sysctl,
};

/// The pod's IPv4 gateway. No interface has it.
pub const GATEWAY_V4: Ipv4Addr = Ipv4Addr::new(169, 254, 1, 1);
/// The pod's IPv6 gateway: an address of the host's end.
pub const GATEWAY_V6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);

/// How a pod is to be wired. The same value wires, verifies and, by [`unwire`], is undone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wiring {
    /// Name of the interface in the node's namespace.
    pub host_interface: String,
    /// Name of the interface in the pod, `eth0` as a rule.
    pub pod_interface: String,
    /// MAC address of the pod's interface.
    pub pod_mac: MacAddr,
    /// MAC address of the host's interface: the gateway's.
    pub gateway_mac: MacAddr,
    /// The pod's addresses.
    pub addresses: Vec<IpAddr>,
    /// Largest packet, in bytes, on both ends.
    pub mtu: u32,
    /// The node's own addresses: what it talks to the pod from, the first of each family.
    pub node_addresses: Vec<IpAddr>,
}

/// A wired pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wired {
    /// The interface in the node's namespace.
    pub host: Link,
    /// The number of the pod's interface in the pod's namespace.
    pub pod_index: IfIndex,
}

impl Wiring {
    /// Wires the pod. What an earlier, perhaps interrupted, attempt made under the same host interface name
    /// is removed first. On failure nothing is left.
    ///
    /// `node` is a client of the node's namespace.
    ///
    /// # Errors
    /// [`Error::InvalidWiring`]; [`Error::Exists`] if the pod has an interface of this name already that
    /// is not ours; else that of the step that failed.
    pub async fn wire(&self, node: &Net, pod: &Netns) -> Result<Wired> {
        if self.addresses.is_empty() {
            let reason = InvalidWiring::NoAddress;
            return Err(Error::InvalidWiring { interface: self.host_interface.clone(), reason });
        }
        let has_v6 = self.addresses.iter().any(IpAddr::is_ipv6);
        let inside = Net::in_netns_after(pod, || if has_v6 { prepare_ipv6() } else { Ok(()) })?;
        let host = self.create_links(node, pod).await?;
        match self.configure(node, &inside, &host).await {
            Ok(wired) => Ok(wired),
            Err(error) => {
                // The first failure is the one to tell.
                let _ = node.delete_link(host.index).await;
                Err(error)
            }
        }
    }

    async fn create_links(&self, node: &Net, pod: &Netns) -> Result<Link> {
        let host = VethEnd::named(&self.host_interface).mac(self.gateway_mac);
        let peer = VethEnd::named(&self.pod_interface).mac(self.pod_mac).netns(pod);
        match node.create_veth(&host, &peer, self.mtu).await {
            Err(Error::Exists { .. }) => {
                // What is in the way may be going already.
                node.delete_link_named(&self.host_interface).await?;
                node.create_veth(&host, &peer, self.mtu).await
            }
            made => made,
        }
    }

    async fn configure(&self, node: &Net, pod: &Net, host: &Link) -> Result<Wired> {
        let pod_index = host.peer.ok_or_else(|| Error::Incomplete {
            operation: "wire pod interface",
            subject: self.host_interface.clone(),
            missing: "peer",
        })?;
        let mut requests = vec![link::set_up(IfIndex::LOOPBACK), link::set_up(pod_index)];
        requests.extend(replacements(&self.pod_state(pod_index)));
        pod.submit_all(requests).await?;

        let mut requests = Vec::new();
        if self.addresses.iter().any(IpAddr::is_ipv6) {
            // Would be refused where the kernel has no IPv6, and then is not needed.
            requests.push(link::no_link_local(host.index));
        }
        requests.push(link::set_up(host.index));
        requests.extend(replacements(&self.host_state(host.index)));
        node.submit_all(requests).await?;

        // The end that is up second works at once. That the first has a carrier by now, and its IPv6
        // addresses, the kernel notices later; the pod's first packets must not be lost.
        pod.wait_operational(pod_index).await?;
        for ip in &self.addresses {
            pod.wait_local(*ip).await?;
        }
        Ok(Wired { host: Link { up: true, operational: true, ..host.clone() }, pod_index })
    }

    /// What belongs to the host's interface.
    #[must_use]
    pub fn host_state(&self, index: IfIndex) -> State {
        let mut state = State::default();
        if self.addresses.iter().any(IpAddr::is_ipv6) {
            state.addresses.insert(Address::new(index, network(GATEWAY_V6.into(), 64)));
        }
        for &ip in &self.addresses {
            let mut route = Route::to(IpNetwork::from(ip)).dev(index);
            route.source = self.node_addresses.iter().copied().find(|node| node.is_ipv4() == ip.is_ipv4());
            state.routes.insert(route);
            state.neighbours.insert(Neighbour::new(index, ip, self.pod_mac));
        }
        state
    }

    /// What belongs to the pod's interface.
    #[must_use]
    pub fn pod_state(&self, index: IfIndex) -> State {
        let mut state = State::default();
        for &ip in &self.addresses {
            state.addresses.insert(Address::new(index, IpNetwork::from(ip)));
            let (gateway, everything) = match ip {
                IpAddr::V4(_) => (IpAddr::from(GATEWAY_V4), network([0; 4].into(), 0)),
                IpAddr::V6(_) => (IpAddr::from(GATEWAY_V6), network([0; 16].into(), 0)),
            };
            if gateway.is_ipv4() {
                state.routes.insert(Route::to(IpNetwork::from(gateway)).dev(index));
            }
            state.routes.insert(Route::to(everything).via(gateway).dev(index));
            state.neighbours.insert(Neighbour::new(index, gateway, self.gateway_mac));
        }
        state
    }

    /// What is not as [`Wiring::wire`] left it. What others added to the pod is not looked at.
    ///
    /// # Errors
    /// Those of reading the state. A missing interface is a difference and no error.
    pub async fn verify(&self, node: &Net, pod: &Netns) -> Result<Vec<Difference>> {
        let inside = Net::in_netns(pod)?;
        let mut found = Vec::new();
        let host = present(node.link(&self.host_interface).await)?;
        let peer = present(inside.link(&self.pod_interface).await)?;
        let pairs = [
            (Side::Node, &self.host_interface, &host, &peer, self.gateway_mac),
            (Side::Pod, &self.pod_interface, &peer, &host, self.pod_mac),
        ];
        for (side, name, link, other, mac) in pairs {
            match link {
                None => found.push(Difference::MissingInterface { side, interface: name.clone() }),
                Some(link) => self.compare(side, link, other.as_ref(), mac, &mut found),
            }
        }
        if let Some(host) = host {
            missing(Side::Node, node, host.index, self.host_state(host.index), &mut found).await?;
        }
        if let Some(peer) = peer {
            missing(Side::Pod, &inside, peer.index, self.pod_state(peer.index), &mut found).await?;
        }
        Ok(found)
    }

    fn compare(
        &self,
        side: Side,
        link: &Link,
        other: Option<&Link>,
        mac: MacAddr,
        found: &mut Vec<Difference>,
    ) {
        let mut check = |attribute, expected: String, actual: String| {
            if expected != actual {
                let interface = link.name.clone();
                found.push(Difference::Attribute { side, interface, attribute, expected, found: actual });
            }
        };
        let or_none = |text: Option<String>| text.unwrap_or_else(|| "none".to_owned());
        check("kind", "veth".to_owned(), link.kind.clone());
        check("mac", mac.to_string(), or_none(link.mac.map(|mac| mac.to_string())));
        check("mtu", self.mtu.to_string(), link.mtu.to_string());
        check("up", true.to_string(), link.up.to_string());
        if let Some(other) = other {
            check("peer", other.index.to_string(), or_none(link.peer.map(|peer| peer.to_string())));
        }
    }
}

/// Undoes a wiring; tells whether there was one. The pod's end goes with the host's, and routes and
/// neighbours with their interface.
///
/// # Errors
/// [`Error::Refused`] if the kernel does not let go of the interface.
pub async fn unwire(node: &Net, host_interface: &str) -> Result<bool> {
    node.delete_link_named(host_interface).await
}

/// Where a difference is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// In the node's namespace.
    Node,
    /// In the pod's namespace.
    Pod,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Node => "node",
            Self::Pod => "pod",
        })
    }
}

/// Something that is not as it was wired.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "difference", rename_all = "kebab-case")]
pub enum Difference {
    /// The interface is not there.
    MissingInterface {
        /// Where.
        side: Side,
        /// Its name.
        interface: String,
    },
    /// A property of the interface.
    Attribute {
        /// Where.
        side: Side,
        /// Its name.
        interface: String,
        /// Which property: kind, mac, mtu, up or peer.
        attribute: &'static str,
        /// What it was wired with.
        expected: String,
        /// What it is now.
        found: String,
    },
    /// A missing or changed address, route or neighbour entry.
    Missing {
        /// Where.
        side: Side,
        /// What would put it right.
        remedy: Step,
    },
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MissingInterface { side, interface } => {
                write!(f, "{side}: interface {interface} is missing")
            }
            Self::Attribute { side, interface, attribute, expected, found } => {
                write!(f, "{side}: {attribute} of interface {interface} is {found}, not {expected}")
            }
            Self::Missing { side, remedy } => write!(f, "{side}: missing: {remedy}"),
        }
    }
}

async fn missing(
    side: Side,
    net: &Net,
    index: IfIndex,
    desired: State,
    found: &mut Vec<Difference>,
) -> Result<()> {
    let owned = Owned { addresses_of: BTreeSet::new(), ..Owned::interface(index) };
    let observed = net.observe(&owned, &desired).await?;
    let remedies = plan(&owned, &desired, &observed).into_steps();
    let missing = remedies.into_iter().filter(|step| !step.removes());
    found.extend(missing.map(|remedy| Difference::Missing { side, remedy }));
    Ok(())
}

/// Requests that bring the whole state about, whatever is in its place: the address manager is right about
/// who has an address, a route left by somebody else is not.
fn replacements(state: &State) -> impl Iterator<Item = Request> {
    let (direct, through): (Vec<_>, Vec<_>) = state.routes.iter().partition(|route| route.via.is_none());
    let addresses = state.addresses.iter().map(Address::replace);
    let neighbours = state.neighbours.iter().map(Neighbour::replace);
    let routes = direct.into_iter().chain(through).map(Route::replace);
    addresses.chain(neighbours).chain(routes)
}

/// Nothing for an interface that is not there.
fn present(link: Result<Link>) -> Result<Option<Link>> {
    match link {
        Ok(link) => Ok(Some(link)),
        Err(Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// On a thread in the pod's namespace, before the interface is made, which takes these as its defaults.
fn prepare_ipv6() -> Result<()> {
    let parameters = [
        (Sysctl::disable_ipv6("all"), "0"),
        (Sysctl::disable_ipv6("default"), "0"),
        // The link-local address too is used at once: nobody else is on the link.
        (Sysctl::accept_dad("default"), "0"),
        // The routes are ours.
        (Sysctl::accept_ra("default"), "0"),
    ];
    for (parameter, value) in parameters {
        if parameter.read_here()? != value {
            parameter.write_here(value)?;
        }
    }
    Ok(())
}

fn network(ip: IpAddr, prefix: u8) -> IpNetwork {
    IpNetwork::new(ip, prefix).expect("the prefixes of this module's constants are within their families")
}
