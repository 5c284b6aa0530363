//! What can happen to a node next. Whatever decides, agent or operator, is the code of the library. A step is given
//! one node and nothing else: no step reads or changes another node's part of the world.

use crate::{
    library::{Act, Broken, End, Library, meet},
    world::{ADDRESSES, Answer, Ask, Mask, Node, Object, Scope, prefixes},
};

/// A step, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    AgentCrashes,
    /// It reads the object, or an older version of it.
    Reads {
        object: Object,
        end: Option<End>,
    },
    Answers(Answer),
    /// Who makes objects hears it.
    Says(Option<Answer>),
    Gives(usize),
    Ends(usize),
    Assigned(usize),
    Unassigned(usize),
    Lists(Mask),
    Writes(Ask),
    Sends(Mask),
    MadeAnew(Option<Answer>),
    TimePasses,
}

/// What follows from a step.
#[derive(Clone, Copy, Debug)]
pub struct Next {
    pub event: Event,
    pub node: Result<Node, Broken>,
}

/// All that can happen to a node, but that time passes: EC2 may assign it the prefixes of `unassigned`. The order
/// depends on nothing else.
pub fn steps(node: &Node, unassigned: Mask, library: &mut Library, scope: Scope, next: &mut Vec<Next>) {
    next.clear();
    let mut steps = Steps { node, library, scope, next };
    steps.agent();
    steps.pods();
    steps.ec2(unassigned);
    steps.operators();
    if scope.remade {
        steps.says();
        steps.made_anew();
    }
}

struct Steps<'a> {
    node: &'a Node,
    library: &'a mut Library,
    scope: Scope,
    next: &'a mut Vec<Next>,
}

impl Steps<'_> {
    fn then(&mut self, event: Event, change: impl FnOnce(&mut Node)) {
        let mut node = *self.node;
        change(&mut node);
        self.next.push(Next { event, node: Ok(node) });
        if node.object.as_read() != self.node.object.as_read() {
            // What the object was stays readable.
            node.older = Some((self.node.object, self.node.incarnation));
            self.next.push(Next { event, node: Ok(node) });
        }
    }

    fn breaks(&mut self, event: Event, property: Broken) {
        self.next.push(Next { event, node: Err(property) });
    }

    fn agent(&mut self) {
        let agent = self.node.agent;
        if agent.seen != 0 {
            let said = self.library.said(agent.journal);
            self.then(Event::AgentCrashes, |node| restart(node, said));
        }
        self.reads(self.node.object, self.node.incarnation);
        if let Some((older, incarnation)) = self.node.older
            && agent.seen != 0
            && incarnation >= agent.seen
        {
            self.reads(older, incarnation);
        }
        if let Some(answer) = agent.answer {
            let said = self.library.said(agent.journal);
            self.then(Event::Answers(answer), |node| {
                node.agent.answer = None;
                node.agent.said = said;
                node.object.answer = Some(answer);
            });
        }
    }

    /// An agent reads an object and does what the library says, to the end or until it crashes.
    fn reads(&mut self, told: Object, incarnation: u8) {
        for read in self.library.reads(self.node.agent.journal, self.node.agent.uses, told).iter() {
            let (journal, uses, end) = match *read {
                Ok(read) => read,
                Err(broken) => {
                    self.breaks(Event::Reads { object: told, end: None }, broken);
                    continue;
                }
            };
            let said = self.library.said(journal);
            let event = Event::Reads { object: told, end: Some(end) };
            self.then(event, |node| {
                let agent = &mut node.agent;
                (agent.journal, agent.uses, agent.seen, agent.answer) = (journal, uses, incarnation, None);
                match end {
                    End::Crashes => restart(node, said),
                    // An answer for an object that is gone fails.
                    End::Answers(answer) if incarnation == node.incarnation => {
                        node.agent.answer = Some(answer);
                    }
                    End::Answers(_) | End::Nothing => {}
                }
            });
        }
    }

    fn pods(&mut self) {
        let agent = self.node.agent;
        if self.node.pods.count_ones() < self.scope.pods {
            for journal in self.library.gives(agent.journal, agent.uses).iter() {
                let address = (journal.held & !agent.journal.held).trailing_zeros() as usize;
                let event = Event::Gives(address);
                // P10: nobody had it a short time ago.
                if self.node.freed[address].0 < self.scope.grain {
                    self.breaks(event, "P10: an address is given again too early");
                } else {
                    self.then(event, |node| {
                        node.agent.journal = *journal;
                        node.pods |= 1 << address;
                    });
                }
            }
        }
        for address in (0..ADDRESSES).filter(|address| self.node.pods & 1 << address != 0) {
            let journal = self.library.ends(agent.journal, address);
            self.then(Event::Ends(address), |node| {
                node.agent.journal = journal;
                node.pods &= !(1 << address);
                node.freed[address] = crate::world::Age::NOW;
            });
        }
    }

    /// EC2 assigns what it likes; requests to unassign arrive, once or more often, or never.
    fn ec2(&mut self, unassigned: Mask) {
        for index in prefixes(unassigned) {
            self.then(Event::Assigned(index), |node| node.assign(node.ec2 | 1 << index));
        }
        for index in prefixes(self.node.underway(self.scope) & self.node.ec2) {
            if self.may_be_used(index) {
                self.breaks(Event::Unassigned(index), "P3: a prefix was taken that may be used");
            } else {
                self.then(Event::Unassigned(index), |node| node.assign(node.ec2 & !(1 << index)));
            }
        }
    }

    /// P3, P12: a prefix is taken only while no pod has an address of it, none had lately, and none can get one.
    fn may_be_used(&self, index: usize) -> bool {
        let Node { pods, freed, agent, .. } = self.node;
        let rests = self.scope.of(index).any(|address| freed[address].0 < self.scope.grain);
        let given = agent.uses & 1 << index != 0 && agent.journal.drains[index] == 0;
        meet(self.scope, *pods, index) || rests || given
    }

    fn operators(&mut self) {
        let object = self.node.object;
        let mut all = 0;
        for (age, looks) in (0..self.scope.grain).zip(self.node.looks) {
            all |= looks;
            for shown in sets(looks) {
                let listed = self.library.lists(object, shown, age);
                if listed != object.listed {
                    self.then(Event::Lists(listed), |node| node.object.listed = listed);
                }
            }
        }
        for shown in sets(all) {
            for excess in (0..=shown).filter(|excess| excess & !shown == 0) {
                match self.library.acts(object, shown, excess) {
                    Act::Writes(ask) => self.then(Event::Writes(ask), |node| node.object.ask = ask),
                    Act::Sends(prefixes) if self.node.underway[0] & prefixes != prefixes => {
                        self.then(Event::Sends(prefixes), |node| node.underway[0] |= prefixes);
                    }
                    Act::Sends(_) | Act::Nothing => {}
                }
            }
        }
    }

    /// Who makes objects hears what the agent says some time after it journalled, but before it hears the answer.
    fn says(&mut self) {
        let said = self.library.said(self.node.agent.journal);
        if said != self.node.agent.said {
            self.then(Event::Says(said), |node| node.agent.said = said);
        }
    }

    /// The object is deleted, and made by somebody or by the agent.
    fn made_anew(&mut self) {
        let by_agent = self.node.agent.said.map(Some);
        for answer in [None].into_iter().chain(by_agent) {
            self.then(Event::MadeAnew(answer), |node| {
                node.incarnation += 1;
                node.object = Object { answer, ..Object::default() };
                // It is for an object of another uid.
                node.agent.answer = None;
            });
        }
    }
}

/// The masks of a set of them.
fn sets(looks: u8) -> impl Iterator<Item = Mask> {
    (0..8).filter(move |mask| looks & 1 << mask != 0)
}

fn restart(node: &mut Node, said: Option<Answer>) {
    let agent = &mut node.agent;
    (agent.uses, agent.seen, agent.answer, agent.said) = (0, 0, None, said);
}
