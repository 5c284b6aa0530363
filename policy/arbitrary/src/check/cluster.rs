//! A cluster, with everybody in it who may be asked, and whom to ask them about.

use std::fmt;
use std::net::IpAddr;

use abi::{Identity, Peer};
use policy::manifest::{Node, Object, Pod, parse};
use policy::oracle::{Oracle, Party};
use policy::{LabelSet, host_labels, pod_labels, reserved_labels};

use super::facts::{Agent, FIXED, Facts, OWN_NODE, is_endpoint, namespace_labels};
use crate::{Case, yaml};

/// Addresses that no pod and no node has.
const OUTSIDE: [&str; 4] = ["192.0.2.1", "192.0.2.200", "10.1.0.1", "2001:db8::1"];

/// The objects of a case.
pub(crate) struct Cluster {
    pub(crate) objects: Vec<Object>,
    pub(crate) oracle: Oracle,
}

/// A pod or node that is asked.
pub(crate) struct Asked<'a> {
    pub(crate) name: String,
    /// Its labels as an endpoint.
    pub(crate) labels: LabelSet,
    pub(crate) owner: Owner<'a>,
}

/// A pod or a node.
#[derive(Clone, Copy)]
pub(crate) enum Owner<'a> {
    Pod(&'a Pod),
    Node(&'a Node),
}

/// The other end.
pub(crate) struct Other<'a> {
    pub(crate) name: String,
    pub(crate) addr: Option<IpAddr>,
    pub(crate) party: Party<'a>,
    identity: Identity,
}

impl Cluster {
    /// Why it cannot be read, where it cannot.
    pub(crate) fn new(case: &Case) -> Result<Self, String> {
        let mut objects = Vec::new();
        for value in &case.objects {
            let text = yaml(value);
            for object in parse(&text, "cluster.yaml", 1) {
                objects.push(object.map_err(|rejected| format!("{rejected}\n{text}"))?);
            }
        }
        let oracle = Oracle::new(&objects, case.settings, case.names.clone());
        Ok(Self { objects, oracle })
    }

    pub(crate) fn facts(&self, case: &Case) -> Facts {
        Facts::of(case, &self.objects)
    }

    fn pods(&self) -> impl Iterator<Item = &Pod> {
        self.objects.iter().filter_map(|object| match object {
            Object::Pod(pod) => Some(pod),
            _ => None,
        })
    }

    fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.objects.iter().filter_map(|object| match object {
            Object::Node(node) => Some(node),
            _ => None,
        })
    }

    /// Those whose tables the agent has: its pods, and its node.
    pub(crate) fn asked(&self) -> Vec<Asked<'_>> {
        let namespaces = namespace_labels(&self.objects);
        let here = |pod: &&Pod| is_endpoint(pod) && pod.node_name.as_deref() == Some(OWN_NODE);
        let pods = self.pods().filter(here).map(|pod| Asked {
            name: format!("pod {}/{}", pod.meta.namespace(), pod.meta.name),
            labels: pod_labels(pod, &namespaces[pod.meta.namespace()]),
            owner: Owner::Pod(pod),
        });
        let nodes = self.nodes().filter(|node| node.meta.name == OWN_NODE).map(|node| Asked {
            name: format!("node {}", node.meta.name),
            labels: host_labels(node),
            owner: Owner::Node(node),
        });
        pods.chain(nodes).collect()
    }

    /// Everybody whom they may talk to.
    pub(crate) fn others(&self) -> Vec<Other<'_>> {
        let unknown = Identity::UNKNOWN;
        let pods = self.pods().flat_map(|pod| {
            pod.ips.iter().map(move |addr| Other {
                name: format!("pod {}/{} {addr}", pod.meta.namespace(), pod.meta.name),
                addr: Some(*addr),
                party: Party::Pod(pod),
                identity: unknown,
            })
        });
        let nodes = self.nodes().flat_map(|node| {
            node.addresses.iter().map(move |addr| Other {
                name: format!("node {} {addr}", node.meta.name),
                addr: Some(*addr),
                party: Party::Node(node),
                identity: unknown,
            })
        });
        let outside = OUTSIDE.iter().map(|addr| {
            let addr = addr.parse().unwrap();
            Other {
                name: format!("{addr}"),
                addr: Some(addr),
                party: Party::outside(addr),
                identity: unknown,
            }
        });
        let fixed = FIXED.iter().map(|identity| Other {
            name: reserved_labels(*identity).to_string(),
            addr: None,
            party: Party::Reserved(*identity),
            identity: *identity,
        });
        pods.chain(nodes).chain(outside).chain(fixed).collect()
    }
}

impl Other<'_> {
    /// What it is to tables.
    pub(crate) fn peer(&self, agent: &Agent) -> Peer {
        match self.addr {
            Some(addr) => agent.repository.peer(addr),
            None => Peer { identity: self.identity, ..Peer::default() },
        }
    }
}

impl fmt::Display for Asked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl fmt::Display for Other<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}
