//! The first level: the reference evaluator, over the objects.

use abi::Direction;
use policy::Verdict;
use policy::oracle::{Oracle as Evaluator, Party};

use super::{Answer, Circumstances, Halt, Judgement, Level, rule_name};
use crate::error::Error;
use crate::expect::{Got, Packet};
use crate::objects::Objects;
use crate::place::{End, Kind};
use crate::suite::LevelName;

/// The reference evaluator.
#[derive(Debug, Default)]
pub struct Oracle {
    circumstances: Circumstances,
    evaluator: Evaluator,
}

impl Level for Oracle {
    fn name(&self) -> LevelName {
        LevelName::Oracle
    }

    fn begin(&mut self, circumstances: &Circumstances) -> Result<(), Halt> {
        *self = Self { circumstances: circumstances.clone(), ..Self::default() };
        Ok(())
    }

    fn enforce(&mut self, objects: &mut Objects) -> Result<(), Halt> {
        objects.place_pods()?;
        self.evaluator = Evaluator::new(
            objects.iter().map(|(_, thing)| &thing.object),
            self.circumstances.settings,
            self.circumstances.names.clone(),
        );
        Ok(())
    }

    fn judge(&mut self, objects: &Objects, packets: &[&Packet]) -> Result<Vec<Answer>, Error> {
        Ok(packets.iter().map(|packet| Answer::Judged(self.judge_one(objects, packet))).collect())
    }
}

impl Oracle {
    /// Asks both ends; of nodes and outsiders nothing is asked.
    fn judge_one(&self, objects: &Objects, packet: &Packet) -> Judgement {
        let ends =
            [(Direction::Egress, &packet.from, &packet.to), (Direction::Ingress, &packet.to, &packet.from)];
        let mut worst = (Verdict::Allow, Judgement { got: Got::Allow, rules: Vec::new(), detail: None });
        for (direction, subject, peer) in ends {
            let Kind::Pod(name) = &subject.kind else { continue };
            let Some(pod) = objects.pod(name) else { continue };
            let party = party(peer, objects);
            let said = self.evaluator.pod(pod).verdict(
                direction,
                party,
                Some(peer.address),
                packet.proto(),
                packet.port,
            );
            if said.verdict > worst.0 || direction == Direction::Egress {
                let side = if direction == Direction::Egress { "egress" } else { "ingress" };
                let rules = said.rules.iter().chain(&said.closed_by).map(rule_name).collect();
                let denied = said.verdict != Verdict::Allow;
                let detail = denied.then(|| format!("{side} of {name}"));
                worst = (said.verdict, Judgement { got: said.verdict.into(), rules, detail });
            }
        }
        worst.1
    }
}

/// The other end, as a pod's policies see it.
fn party<'a>(peer: &End, objects: &'a Objects) -> Party<'a> {
    let found = match &peer.kind {
        Kind::Pod(name) => objects.pod(name).map(Party::Pod),
        Kind::Node(name) => objects.node(name).map(Party::Node),
        Kind::Outside => None,
    };
    found.unwrap_or_else(|| Party::outside(peer.address))
}
