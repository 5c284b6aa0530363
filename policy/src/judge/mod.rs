//! Questions about connections, and their answers.
//!
//! A [`Judge`] takes the facts of a [`Cluster`] and its policies, finds out who the two ends
//! of a connection are to each other, and asks an [`Engine`] about each end that has policies.

mod account;
mod answer;
mod engine;
mod matrix;
mod oracle;
mod place;
mod probe;
mod suggestion;
mod tables;
mod trouble;

use std::net::IpAddr;

use abi::{Direction, Identity};
use serde_json::{Map, Value};

pub(crate) use account::cidrs;
pub use account::{Account, EndAccount, PathAccount, Reason, SideAccount};
pub use answer::{Answer, Deciding, Open, Path, Side, direction_name};
pub use engine::{Endpoint, Engine, Other, Question};
pub use matrix::Matrix;
pub use oracle::OracleEngine;
pub use place::Place;
pub(crate) use place::outsider;
pub use probe::{Probe, Wanted, WantedPort};
pub use tables::{Explaining, Peers, TablesEngine};
pub use trouble::Trouble;

use crate::cluster::{Cluster, End, Party};
use crate::manifest::{CiliumSubject, Object};
use crate::port::Protocol;

/// Answers questions about connections.
pub struct Judge<'a> {
    cluster: &'a Cluster,
    engine: Box<dyn Engine + 'a>,
    /// Whether nodes have policies: whether any policy is about nodes.
    nodes_are_endpoints: bool,
}

impl<'a> Judge<'a> {
    /// Judges by an engine that was made from the same cluster.
    #[must_use]
    pub fn new(cluster: &'a Cluster, engine: impl Engine + 'a) -> Self {
        let is_about_nodes = |object: &Object| match object {
            Object::CiliumPolicy(policy) => {
                policy.specs.iter().any(|spec| matches!(spec.subject, CiliumSubject::Nodes(_)))
            }
            _ => false,
        };
        Self {
            cluster,
            engine: Box::new(engine),
            nodes_are_endpoints: cluster.objects().iter().any(is_about_nodes),
        }
    }

    /// The cluster.
    #[must_use]
    pub const fn cluster(&self) -> &'a Cluster {
        self.cluster
    }

    /// Answers a probe.
    ///
    /// # Errors
    /// When it cannot be judged.
    pub fn ask(&mut self, probe: &Probe) -> Result<Answer, Trouble> {
        let from = Place::parse(&probe.from, self.cluster)?;
        let to = Place::parse(&probe.to, self.cluster)?;
        self.between(&from, &to, &probe.service)
    }

    /// Answers for a connection between two places.
    ///
    /// # Errors
    /// When it cannot be judged.
    pub fn between(&mut self, from: &Place, to: &Place, wanted: &Wanted) -> Result<Answer, Trouble> {
        let mut paths = Vec::new();
        let targets = to.targets(self.cluster, wanted)?;
        for source in from.parties() {
            for (target, port) in &targets {
                let (egress, ingress) = self.connect(source, target, wanted.proto, *port)?;
                paths.push(Path { from: source.clone(), to: target.clone(), port: *port, egress, ingress });
            }
        }
        let missing = || Trouble::Unknown { text: to.text().to_owned() };
        Answer::of(paths, to.has_backends()).ok_or_else(missing)
    }

    /// Answers a probe as JSON: the probe with the answer, or with `error`, added.
    #[must_use]
    pub fn answer(&mut self, probe: &Value) -> Value {
        let Value::Object(given) = probe else {
            let mut fields = Map::new();
            fields.insert("probe".into(), probe.clone());
            fields.insert("error".into(), Trouble::Shape.to_string().into());
            return Value::Object(fields);
        };
        let mut fields = given.clone();
        match Probe::read(given).and_then(|probe| self.ask(&probe)) {
            Ok(answer) => self.write(&answer, &mut fields),
            Err(trouble) => {
                fields.insert("error".into(), trouble.to_string().into());
            }
        }
        Value::Object(fields)
    }

    /// Adds an answer to a probe.
    pub fn write(&self, answer: &Answer, fields: &mut Map<String, Value>) {
        answer.write(fields, |party| self.cluster.describe(party.end));
    }

    /// What both ends say of a connection.
    fn connect(&mut self, from: &Party, to: &Party, proto: u8, port: u16) -> Result<(Side, Side), Trouble> {
        if from.end == to.end && matches!(from.end, End::Pod(_) | End::Node(_)) {
            return Ok((Side::Open(Open::Itself), Side::Open(Open::Itself)));
        }
        let family = family(from, to, proto);
        let egress = self.side(from, Direction::Egress, to, to.address(family), (proto, port))?;
        let ingress = self.side(to, Direction::Ingress, from, from.address(family), (proto, port))?;
        Ok((egress, ingress))
    }

    /// What one end says.
    fn side(
        &mut self,
        own: &Party,
        direction: Direction,
        other: &Party,
        addr: Option<IpAddr>,
        (proto, port): (u8, u16),
    ) -> Result<Side, Trouble> {
        let subject = match own.end {
            End::Pod(pod) => Endpoint::Pod(pod),
            End::Node(node) if self.nodes_are_endpoints => Endpoint::Node(node),
            End::Node(_) | End::Outside | End::Fixed(_) => return Ok(Side::Open(Open::NoEndpoint)),
        };
        let node = self.cluster.node_of(own.end);
        let peer = match other.end {
            End::Pod(pod) => Other::Pod(pod),
            End::Node(other) if node == Some(other) => Other::OwnNode(other),
            End::Node(other) => Other::OtherNode(other),
            End::Outside => Other::Outside,
            End::Fixed(identity) => Other::Fixed(identity),
        };
        let is_own_node = matches!(peer, Other::OwnNode(_) | Other::Fixed(Identity::HOST));
        if direction == Direction::Ingress && is_own_node && matches!(subject, Endpoint::Pod(_)) {
            return Ok(Side::Open(Open::OwnNode));
        }
        let question = Question { subject, direction, peer, addr, proto, port };
        self.engine.ask(&question).map(Side::Judged)
    }
}

/// Which address family two ends use: the one of the protocol, else the first of the target's that the sender has
/// too. None where they have none in common: then each is judged with the address that it has.
fn family(from: &Party, to: &Party, proto: u8) -> Option<bool> {
    match Protocol::from_number(proto) {
        Some(Protocol::Icmp) => return Some(true),
        Some(Protocol::Icmpv6) => return Some(false),
        _ => {}
    }
    to.addresses.iter().map(IpAddr::is_ipv4).find(|ipv4| from.has_family(*ipv4))
}
