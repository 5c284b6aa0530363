//! The node's own plumbing: forwarding, routes to the other nodes' pods, routes to this node's, masquerade.

use std::net::IpAddr;
use std::time::Instant;

use abi::IfIndex;
use anyhow::{Context, Result, anyhow};
use ipnetwork::IpNetwork;
use netcore::masquerade::{Mark, Masquerade};
use netcore::{Failure, Family, Net, Owned, Plan, State, Step, Sysctl};

use super::Engine;
use super::elsewhere::{self, Ways};

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

    pub(super) fn device(&self) -> netcore::IfIndex {
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
    /// The routes to the pods of other nodes that are there.
    routes: State,
}

impl Engine {
    /// Brings routes, kernel parameters and masquerade in line with what is known. What was plumbed before is compared
    /// with what is to be; where that is not known, with what the kernel has. What is wrong with other nodes is told and
    /// tried again later, and is no failure: this node's pods do not wait for it.
    pub(super) async fn plumb(&mut self) -> Result<()> {
        let own = self.cluster.own_addresses();
        let Ways { mut routes, mut obstacles } = self.ways();
        let failures = match self.plumbed.take() {
            Some(before) if before.own == own => {
                let plan = netcore::plan(&Owned::default(), &routes, &before.routes);
                tell(&plan);
                self.net.apply_each(&plan).await
            }
            _ => self.plumb_anew(&own, &routes).await?,
        };
        for failure in failures {
            obstacles.insert(elsewhere::keep_what_is(&mut routes, failure));
        }
        self.plumb_interfaces().await?;
        self.plumbed = Some(Plumbed { own, routes });
        self.obstacles.note(obstacles, Instant::now());
        self.plumb_masquerade()
    }

    /// Returns what failed of the routes to other nodes.
    async fn plumb_anew(&mut self, own: &[IpAddr], elsewhere: &State) -> Result<Vec<Failure>> {
        // For a pod that went without a word nothing can be plumbed any more, which would hold up all others.
        self.collect_gone().await;
        let mut here = State::default();
        here.sysctls.insert(Sysctl::forwarding(Family::V4), "1".into());
        if netcore::has_ipv6() {
            here.sysctls.insert(Sysctl::forwarding(Family::V6), "1".into());
        }
        for endpoint in self.endpoints.iter() {
            let state = endpoint.wiring(own).host_state(netcore::IfIndex(endpoint.ifindex));
            here.routes.extend(state.routes);
            here.neighbours.extend(state.neighbours);
        }
        let (owned, interfaces) = self.desired_interfaces_anew()?;
        here.merge(interfaces.clone());
        let mut desired = here.clone();
        desired.routes.extend(elsewhere.routes.iter().cloned());
        let (repaired, mut failures) = self.bring_about(&owned, &desired).await?;
        if self.eni.is_some() && repaired {
            // The kernel forgets routes without a word with the last address of an interface, and links may have
            // been down until now.
            failures = self.bring_about(&owned, &desired).await?.1;
        }
        let is_here = |failure: &Failure| match &failure.step {
            Step::AddRoute(route) | Step::ReplaceRoute { to: route, .. } => here.routes.contains(route),
            Step::SetSysctl { .. }
            | Step::SetLink { .. }
            | Step::AddAddress(_)
            | Step::SetNeighbour(_)
            | Step::AddRule(_) => true,
            // What is too much hinders no pod of this node.
            Step::RemoveAddress(_)
            | Step::RemoveNeighbour(_)
            | Step::RemoveRoute(_)
            | Step::RemoveRule(_) => false,
        };
        let (here, elsewhere): (Vec<Failure>, _) = failures.into_iter().partition(is_here);
        if !here.is_empty() {
            return Err(failed(here.iter().map(|failure| &failure.error)));
        }
        self.interfaces_plumbed((owned, interfaces), repaired);
        Ok(elsewhere)
    }

    /// Compares what is with what is to be, and does what is missing. Returns whether anything was, and what failed.
    async fn bring_about(&self, owned: &Owned, desired: &State) -> Result<(bool, Vec<Failure>)> {
        let observed = self.net.observe(owned, desired).await.context("looking at the node's plumbing")?;
        let plan = netcore::plan(owned, desired, &observed);
        tell(&plan);
        Ok((!plan.is_empty(), self.net.apply_each(&plan).await))
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

pub(super) fn failed<'a>(errors: impl IntoIterator<Item = &'a netcore::Error>) -> anyhow::Error {
    let all: Vec<String> = errors.into_iter().map(ToString::to_string).collect();
    anyhow!("bringing the node's plumbing up to date: {}", all.join("; "))
}
