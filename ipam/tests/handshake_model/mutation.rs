//! Mistakes that the search has to find: a search that finds none of them proves nothing.

use std::collections::BTreeSet;

use ipam::{
    Pool, Record,
    eni::handshake::{
        Drain, Drained,
        agent::{self, Told},
        operator::{self, Known},
    },
};
use ipnetwork::IpNetwork;

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
    pub fn agent_step(self, step: agent::Step, pool: &Pool, told: Told<'_>) -> agent::Step {
        match (self, step) {
            (Self::AnswersBeforeItJournals, agent::Step::Journal(Record::Drained { epoch, .. }))
                if told.drained.is_some_and(|drained| drained.epoch < epoch) =>
            {
                let (prefixes, refused) = (told.drain.prefixes.clone(), Default::default());
                agent::Step::Answer(Drained { epoch, prefixes, refused })
            }
            (Self::ForgetsWhatIsNotListed, step) => {
                let listed = |prefix| told.listed.iter().any(|listed| IpNetwork::from(*listed) == prefix);
                let gone = pool.draining().any(|(prefix, _)| !listed(prefix));
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

    pub fn operator_step(self, step: operator::Step, known: Known<'_>) -> operator::Step {
        let Known { drain, drained, attached, .. } = known;
        match self {
            Self::IgnoresEpochs => {
                let told = drained.into_iter().flat_map(|drained| &drained.prefixes);
                let told: BTreeSet<_> =
                    told.filter(|prefix| attached.contains_key(prefix)).copied().collect();
                match told.is_empty() {
                    true => step,
                    false => operator::Step::Release([(String::new(), told)].into()),
                }
            }
            // Two steps at once: the epoch ends while the prefix is assigned, and the request follows.
            Self::AdvancesTooEarly => match step {
                operator::Step::Unlist(_) => {
                    let (epoch, prefixes) = (drain.epoch.next(), BTreeSet::new());
                    operator::Step::Write(Drain { epoch, prefixes, ..drain.clone() })
                }
                step => step,
            },
            Self::NeverAdvances => {
                let told = drained.is_some_and(|drained| drained.epoch == drain.epoch);
                let answered = told && !drain.prefixes.is_empty();
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

    /// What was answered in earlier epochs matters.
    pub fn reads_old_answers(self) -> bool {
        self == Self::IgnoresEpochs
    }
}
