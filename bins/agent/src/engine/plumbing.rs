//! The node's own plumbing: forwarding, routes to the other nodes' pods, routes to this node's, masquerade.

use std::net::IpAddr;

use abi::IfIndex;
use anyhow::{Context, Result, anyhow};
use ipnetwork::IpNetwork;
use netcore::masquerade::{Mark, Masquerade};
use netcore::{Family, Net, Owned, Plan, Route, State, Sysctl};

use super::Engine;

/// Packets that answer somebody whose packets went past the stack.
const ANSWER: Mark = Mark { value: abi::mark::ANSWER, mask: abi::mark::MASK };

/// The link that leads to the other nodes.
#[derive(Clone, Debug)]
pub(super) struct Uplink {
    pub(super) name: String,
    pub(super) index: IfIndex,
    pub(super) mtu: u32,
}

impl Uplink {
    pub(super) async fn find(net: &Net, name: &str) -> Result<Self> {
        let link = net.link(name).await.with_context(|| format!("looking for the uplink {name}"))?;
        Ok(Self { name: link.name, index: IfIndex(link.index.0), mtu: link.mtu })
    }

    fn device(&self) -> netcore::IfIndex {
        netcore::IfIndex(self.index.0)
    }
}

/// The node's addresses: all that its links have, but loopback's and link-local ones.
pub(super) async fn own_addresses(net: &Net) -> Result<Vec<IpAddr>> {
    let addresses = net.addresses().await.context("listing the node's addresses")?;
    let is_ours = |address: &IpAddr| match address {
        IpAddr::V4(address) => !address.is_loopback() && !address.is_link_local(),
        IpAddr::V6(address) => !address.is_loopback() && !address.is_unicast_link_local(),
    };
    Ok(addresses.into_iter().map(|address| address.network.ip()).filter(is_ours).collect())
}

/// What was plumbed last.
#[derive(Debug)]
pub(super) struct Plumbed {
    /// The addresses of this node.
    own: Vec<IpAddr>,
    /// Routes to the pods of other nodes.
    routes: State,
}

impl Engine {
    /// Brings routes, kernel parameters and masquerade in line with what is known. What was plumbed before is compared
    /// with what is to be; where that is not known, with what the kernel has.
    pub(super) async fn plumb(&mut self) -> Result<()> {
        let own = self.cluster.own_addresses();
        let routes = self.routes_to_nodes();
        match self.plumbed.take() {
            Some(before) if before.own == own => {
                let plan = netcore::plan(&Owned::default(), &routes, &before.routes);
                tell(&plan);
                self.net.apply(&plan).await.map_err(|errors| failed(&errors))?;
            }
            _ => self.plumb_anew(&own, &routes).await?,
        }
        self.plumb_interfaces().await?;
        self.plumbed = Some(Plumbed { own, routes });
        self.plumb_masquerade()
    }

    async fn plumb_anew(&mut self, own: &[IpAddr], routes: &State) -> Result<()> {
        // For a pod that went without a word nothing can be plumbed any more, which would hold up all others.
        self.collect_gone().await;
        let mut desired = routes.clone();
        desired.sysctls.insert(Sysctl::forwarding(Family::V4), "1".into());
        if netcore::has_ipv6() {
            desired.sysctls.insert(Sysctl::forwarding(Family::V6), "1".into());
        }
        for endpoint in self.endpoints.iter() {
            let state = endpoint.wiring(own).host_state(netcore::IfIndex(endpoint.ifindex));
            desired.routes.extend(state.routes);
            desired.neighbours.extend(state.neighbours);
        }
        let (owned, interfaces) = self.desired_interfaces_anew()?;
        let mut all = desired;
        all.merge(interfaces.clone());
        let plan = self.net.reconcile(&owned, &all).await.map_err(|errors| failed(&errors))?;
        tell(&plan);
        if self.eni.is_some() && !plan.is_empty() {
            // The kernel forgets routes without a word with the last address of an interface, and links may have
            // been down until now.
            tell(&self.net.reconcile(&owned, &all).await.map_err(|errors| failed(&errors))?);
        }
        self.interfaces_plumbed((owned, interfaces), !plan.is_empty());
        Ok(())
    }

    /// Routes to the pods of other nodes.
    fn routes_to_nodes(&self) -> State {
        let mut state = State::default();
        for node in self.cluster.other_nodes() {
            for cidr in &node.pod_cidrs {
                let gateway = node.addresses.iter().find(|address| address.is_ipv4() == cidr.is_ipv4());
                match gateway {
                    Some(gateway) => {
                        state.routes.insert(Route::to(*cidr).via(*gateway).dev(self.uplink.device()));
                    }
                    None => {
                        tracing::warn!(node = node.name, %cidr, "no address of the node leads to its pods");
                    }
                }
            }
        }
        state
    }

    fn plumb_masquerade(&mut self) -> Result<()> {
        if self.args.no_masquerade {
            return Ok(());
        }
        if self.eni.is_some() {
            return self.plumb_eni_masquerade();
        }
        let nodes = self.cluster.other_nodes().flat_map(|node| node.addresses.clone());
        let native =
            nodes.chain(self.cluster.own_addresses()).map(IpNetwork::from).chain(self.cluster.pod_cidrs());
        let pods = self.cluster.own_node().map(|node| node.pod_cidrs.clone()).unwrap_or_default();
        let wanted = Masquerade {
            uplinks: self.args.masquerade_links(),
            pods: pods.into_iter().filter(|cidr| cidr.is_ipv6() || self.args.masquerades_v4()).collect(),
            native: native.collect(),
            except: Some(ANSWER),
            mark_answers: false,
        };
        self.masquerade(wanted)
    }

    /// What leaves the VPC bears the node's address.
    fn plumb_eni_masquerade(&mut self) -> Result<()> {
        let (Some(mode), true) = (&self.eni, self.args.masquerades_v4()) else { return Ok(()) };
        let held = self.endpoints.iter().flat_map(|endpoint| endpoint.addresses.iter().copied());
        let listed = self.addresses.iter().flat_map(|book| book.pool().cidrs());
        let wanted = Masquerade {
            uplinks: self.args.masquerade_links(),
            pods: listed.chain(held.map(IpNetwork::from)).collect(),
            native: mode.native().into_iter().map(IpNetwork::V4).collect(),
            except: Some(ANSWER),
            mark_answers: true,
        };
        self.masquerade(wanted)
    }

    fn masquerade(&mut self, wanted: Masquerade) -> Result<()> {
        if self.masquerade.as_ref() != Some(&wanted) {
            wanted.apply(&self.netns).context("setting up masquerade")?;
            self.masquerade = Some(wanted);
        }
        Ok(())
    }
}

fn tell(plan: &Plan) {
    match plan.steps().len() {
        0 => {}
        // Of a large cluster the first list would fill pages.
        1..=100 => tracing::info!(plan = %plan.to_string().trim_end(), "plumbing"),
        steps => tracing::info!(steps, "plumbing"),
    }
}

pub(super) fn failed(errors: &[netcore::Error]) -> anyhow::Error {
    let all: Vec<String> = errors.iter().map(ToString::to_string).collect();
    anyhow!("bringing the node's plumbing up to date: {}", all.join("; "))
}
