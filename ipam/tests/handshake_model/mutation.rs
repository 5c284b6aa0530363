//! Mistakes that the search has to find: a search that finds none of them proves nothing.

use ipam::{
    Pool, Record,
    eni::handshake::{Drained, agent, operator},
};

use crate::world::{Mask, Object, mask, set};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {
    None,
    /// The agent answers before it journals.
    AnswersBeforeItJournals,
    /// The agent forgets a promise when the status does not list the prefix.
    ForgetsWhatIsNotListed,
    /// The operator takes an answer of any epoch.
    IgnoresEpochs,
    /// Requests of a leader arrive later than a quarantine after it led.
    RequestsOutliveTheirLeader,
    /// Released prefixes are offered at once.
    NoQuarantine,
    /// The operator goes on to the next epoch while the status lists the prefix.
    AdvancesTooEarly,
    /// The agent makes objects that say what it had promised a moment ago.
    IntroducesPromises,
    /// The operator never ends an epoch that was answered. Nothing is lost by it; nothing goes on, either.
    NeverAdvances,
}

impl Mutation {
    pub fn agent_step(self, step: agent::Step, pool: &Pool, told: &Object) -> agent::Step {
        match (self, step) {
            (Self::AnswersBeforeItJournals, agent::Step::Journal(Record::Drained { epoch, .. }))
                if told.drained.as_ref().is_some_and(|drained| drained.epoch < epoch) =>
            {
                let (prefixes, refused) = (told.drain.prefixes.clone(), Default::default());
                agent::Step::Answer(Drained { epoch, prefixes, refused })
            }
            (Self::ForgetsWhatIsNotListed, step) => {
                let gone = pool.draining().any(|(prefix, _)| mask_of(prefix) & told.listed == 0);
                match pool.decide_epoch(pool.state().epoch().next(), Default::default()) {
                    Some(record) if gone && told.drain.epoch >= pool.state().epoch() => {
                        agent::Step::Journal(record)
                    }
                    _ => step,
                }
            }
            (_, step) => step,
        }
    }

    pub fn operator_step(self, step: operator::Step, object: &Object, attached: Mask) -> operator::Step {
        match self {
            Self::IgnoresEpochs => {
                let told = object.drained.as_ref().map(|drained| mask(&drained.prefixes));
                match told.unwrap_or_default() & attached {
                    0 => step,
                    told => operator::Step::Release([(String::new(), set(told))].into()),
                }
            }
            // Two steps at once: the epoch ends while the prefix is assigned, and the request follows.
            Self::AdvancesTooEarly => match step {
                operator::Step::Unlist(_) => {
                    let mut drain = object.drain.clone();
                    (drain.epoch, drain.prefixes) = (drain.epoch.next(), Default::default());
                    operator::Step::Write(drain)
                }
                step => step,
            },
            Self::NeverAdvances => {
                let told = object.drained.as_ref().is_some_and(|drained| drained.epoch == object.drain.epoch);
                let answered = told && !object.drain.prefixes.is_empty();
                if answered && matches!(step, operator::Step::Write(_)) { operator::Step::Wait } else { step }
            }
            _ => step,
        }
    }

    /// What an object says that the agent makes.
    pub fn introduction(self, pool: &Pool) -> Option<Drained> {
        match self {
            Self::IntroducesPromises => Some(agent::introduce(pool)),
            _ => agent::introduce_anew(pool),
        }
    }

    pub fn requests_outlive_their_leader(self) -> bool {
        self == Self::RequestsOutliveTheirLeader
    }

    pub fn lists_what_it_may_not(self) -> bool {
        self == Self::NoQuarantine
    }
}

fn mask_of(prefix: ipnetwork::IpNetwork) -> Mask {
    (0..crate::world::PREFIXES)
        .filter(|index| prefix == crate::world::prefix(*index).into())
        .map(|index| 1 << index)
        .sum()
}
