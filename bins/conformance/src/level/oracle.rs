//! The first level: the reference evaluator, over the objects.

use std::net::IpAddr;

use abi::{Direction, Identity};
use policy::Verdict;
use policy::oracle::{Oracle as Evaluator, Party};

use super::{Answer, Halt, Judgement, Level, rule_name};
use crate::error::Error;
use crate::expect::Packet;
use crate::objects::Objects;
use crate::place::{End, Kind};
use crate::suite::LevelName;

/// The reference evaluator.
#[derive(Debug, Default)]
pub struct Oracle {
    evaluator: Evaluator,
}

impl Level for Oracle {
    fn name(&self) -> LevelName {
        LevelName::Oracle
    }

    fn begin(&mut self) {
        *self = Self::default();
    }

    fn enforce(&mut self, objects: &mut Objects) -> Result<(), Halt> {
        objects.place_pods()?;
        self.evaluator = Evaluator::new(objects.iter().map(|(_, thing)| &thing.object));
        Ok(())
    }

    fn judge(&mut self, objects: &Objects, packets: &[&Packet]) -> Result<Vec<Answer>, Error> {
        Ok(packets.iter().map(|packet| Answer::Judged(self.judge_one(objects, packet))).collect())
    }
}

impl Oracle {
    /// Asks both ends; of nodes and outsiders nothing is asked.
    fn judge_one(&self, objects: &Objects, packet: &Packet) -> Judgement {
        let ends = [
            (Direction::Egress, &packet.from, &packet.to),
            (Direction::Ingress, &packet.to, &packet.from),
        ];
        let mut worst = (Verdict::Allow, Vec::new(), None);
        for (direction, subject, peer) in ends {
            let Kind::Pod(name) = &subject.kind else { continue };
            let Some(pod) = objects.pod(name) else { continue };
            let own_node = pod.node_name.as_deref();
            if direction == Direction::Ingress && matches!(&peer.kind, Kind::Node(node) if Some(node.as_str()) == own_node)
            {
                continue;
            }
            let party = party(peer, own_node, objects);
            let said =
                self.evaluator.verdict(pod, direction, party, peer.address, packet.proto(), packet.port);
            let verdict = if said.allowed { Verdict::Allow } else { Verdict::Deny };
            if verdict > worst.0 || direction == Direction::Egress {
                let side = if direction == Direction::Egress { "egress" } else { "ingress" };
                worst = (verdict, said.rules.iter().map(rule_name).collect(), Some(format!("{side} of {name}")));
            }
        }
        Judgement { got: worst.0.into(), rules: worst.1, detail: worst.2 }
    }
}

/// The other end, as a pod's policies see it.
fn party<'a>(peer: &End, own_node: Option<&str>, objects: &'a Objects) -> Party<'a> {
    let outside = |address: IpAddr| {
        Party::Reserved(if address.is_ipv4() { Identity::WORLD_IPV4 } else { Identity::WORLD_IPV6 })
    };
    match &peer.kind {
        Kind::Pod(name) => objects.pod(name).map_or_else(|| outside(peer.address), Party::Pod),
        Kind::Node(node) if Some(node.as_str()) == own_node => Party::Reserved(Identity::HOST),
        Kind::Node(_) => Party::Reserved(Identity::REMOTE_NODE),
        Kind::Outside => outside(peer.address),
    }
}
