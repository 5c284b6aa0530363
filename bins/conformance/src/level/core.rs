//! The second level: policies compiled to tables, and packets as bytes through the datapath's code on the host.
//!
//! Each node of the cluster is one [`Node`]. A packet takes the way that it takes between real nodes: out of its
//! sender's node, over the wire, into its receiver's.

use std::collections::BTreeMap;

use abi::{Direction, DropReason, proto};
use scenarios::Packet as Frame;

use super::node::{Node, Way};
use super::{Answer, Circumstances, Halt, Judgement, Level};
use crate::error::Error;
use crate::expect::{Got, Packet};
use crate::objects::Objects;
use crate::place::{End, Kind};
use crate::suite::{Family, LevelName, Transport};

/// The first source port.
const FIRST_PORT: u16 = 32_768;

/// The nodes of a cluster, in memory.
#[derive(Debug)]
pub struct Core {
    nodes: BTreeMap<String, Node>,
    circumstances: Circumstances,
    /// What the nodes were last told.
    known: Objects,
    /// The next source port: no two packets are of one connection.
    port: u16,
}

impl Default for Core {
    fn default() -> Self {
        Self {
            nodes: BTreeMap::new(),
            circumstances: Circumstances::default(),
            known: Objects::default(),
            port: FIRST_PORT,
        }
    }
}

/// Where a frame's way ended.
enum Fate {
    /// It arrived.
    Arrived,
    /// It was dropped, and why.
    Dropped(DropReason, String),
}

impl Level for Core {
    fn name(&self) -> LevelName {
        LevelName::Core
    }

    fn begin(&mut self, circumstances: &Circumstances) -> Result<(), Halt> {
        *self = Self { port: self.port, circumstances: circumstances.clone(), ..Self::default() };
        Ok(())
    }

    fn enforce(&mut self, objects: &mut Objects) -> Result<(), Halt> {
        objects.place_pods()?;
        let names: Vec<String> = objects.nodes().map(ToOwned::to_owned).collect();
        self.nodes.retain(|name, _| names.contains(name));
        for name in names {
            let is_new = !self.nodes.contains_key(&name);
            let node = self
                .nodes
                .entry(name)
                .or_insert_with_key(|name| Node::new(name, self.circumstances.settings));
            let nothing = Objects::default();
            let (gone, changed) = objects.since(if is_new { &nothing } else { &self.known });
            node.take(&gone, &changed);
            node.know_names(&self.circumstances.names);
            node.enforce()?;
        }
        self.known = objects.clone();
        Ok(())
    }

    fn judge(&mut self, objects: &Objects, packets: &[&Packet]) -> Result<Vec<Answer>, Error> {
        packets.iter().map(|packet| self.judge_one(objects, packet)).collect()
    }

    /// What the policies of both ends name as decisive.
    fn why(&self, objects: &Objects, packet: &Packet) -> Vec<String> {
        let ends =
            [(Direction::Egress, &packet.from, &packet.to), (Direction::Ingress, &packet.to, &packet.from)];
        let mut rules = Vec::new();
        for (direction, subject, peer) in ends {
            let Kind::Pod(name) = &subject.kind else { continue };
            let node = objects.pod(name).and_then(|pod| pod.node_name.as_ref());
            if let Some(node) = node.and_then(|node| self.nodes.get(node)) {
                rules.extend(node.rules(name, direction, peer.address, packet));
            }
        }
        rules
    }
}

impl Core {
    fn judge_one(&mut self, objects: &Objects, packet: &Packet) -> Result<Answer, Error> {
        self.port = self.port.checked_add(1).unwrap_or(FIRST_PORT);
        let (question, answer) = frames(packet, self.port);
        let mut fate = self.send(objects, &packet.from, &packet.to, &question)?;
        if let (Fate::Arrived, Some(answer)) = (&fate, answer) {
            fate = self.send(objects, &packet.to, &packet.from, &answer)?;
            if let Fate::Dropped(_, why) = fate {
                let detail = Some(format!("it arrives, and its answer is dropped: {why}"));
                return Ok(Answer::Judged(Judgement { got: Got::Other, rules: Vec::new(), detail }));
            }
        }
        let (got, detail) = match fate {
            Fate::Arrived => (Got::Allow, None),
            Fate::Dropped(DropReason::PolicyDenied | DropReason::PolicyDeny, why) => (Got::Deny, Some(why)),
            Fate::Dropped(DropReason::RedirectUnsupported, why) => (Got::Redirect, Some(why)),
            Fate::Dropped(DropReason::AuthRequired, why) => return Ok(Answer::Skipped(why)),
            Fate::Dropped(_, why) => (Got::Other, Some(why)),
        };
        Ok(Answer::Judged(Judgement { got, rules: Vec::new(), detail }))
    }

    /// Sends a frame on its way from one end to the other.
    fn send(&mut self, objects: &Objects, from: &End, to: &End, frame: &Frame) -> Result<Fate, Error> {
        let node_of = |end: &End| match &end.kind {
            Kind::Pod(name) => objects.pod(name).and_then(|pod| pod.node_name.clone()),
            Kind::Node(name) => Some(name.clone()),
            Kind::Outside => None,
        };
        let (here, there) = (node_of(from), node_of(to));
        let mut bytes = frame.frame();
        let mut way = Way::Wire;
        if let (Some(name), Some(node)) = (&here, here.as_ref().and_then(|name| self.nodes.get_mut(name))) {
            way = match &from.kind {
                Kind::Pod(pod) => match node.pod_sends(pod, &mut bytes)? {
                    Err(reason) => return Ok(dropped(reason, "egress", name)),
                    // Its ingress policy was asked on the way.
                    Ok(Way::Pod) => return Ok(Fate::Arrived),
                    Ok(Way::IngressDropped(reason)) => return Ok(dropped(reason, "ingress", name)),
                    Ok(way) => way,
                },
                _ => Way::Stack,
            };
        }
        let (Some(name), Kind::Pod(pod)) = (&there, &to.kind) else { return Ok(Fate::Arrived) };
        let Some(node) = self.nodes.get_mut(name) else { return Ok(Fate::Arrived) };
        // What a node's stack has for a pod of the node never was on the wire.
        let arrived = if way == Way::Stack && here == there {
            node.stack_delivers(pod, &bytes)?
        } else {
            node.wire_delivers(pod, &bytes)?
        };
        Ok(match arrived {
            Ok(()) => Fate::Arrived,
            Err(reason) => dropped(reason, "ingress", name),
        })
    }
}

fn dropped(reason: DropReason, direction: &str, node: &str) -> Fate {
    Fate::Dropped(reason, format!("{direction} on {node}: {}", reason.sentence()))
}

/// The first packet of a connection, and the one that answers it. ICMP messages that ask nothing have no answer.
fn frames(packet: &Packet, port: u16) -> (Frame, Option<Frame>) {
    let (from, to) = (packet.from.address, packet.to.address);
    let (ports, back) = ((port, packet.port), (packet.port, port));
    let (question, answer) = match packet.transport {
        Transport::Tcp => (
            Frame::tcp(from, to, ports, proto::TCP_SYN),
            Frame::tcp(to, from, back, proto::TCP_SYN | proto::TCP_ACK),
        ),
        Transport::Udp => (Frame::udp(from, to, ports), Frame::udp(to, from, back)),
        Transport::Sctp => (Frame::sctp(from, to, ports), Frame::sctp(to, from, back)),
        Transport::Icmp if matches!((packet.family, packet.port), (Family::V4, 8) | (Family::V6, 128)) => {
            (Frame::echo_request(from, to, port), Frame::echo_reply(to, from, port))
        }
        Transport::Icmp => {
            let [kind, _] = packet.port.to_le_bytes();
            return (Frame::icmp(from, to, kind, 0, [0; 4], &[0x61; 56]), None);
        }
    };
    (question, Some(answer))
}
