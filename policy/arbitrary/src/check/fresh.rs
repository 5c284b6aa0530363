//! What is printed where answers differ.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::cluster::Cluster;
use super::compare::{Failure, compare};
use super::facts::Agent;
use super::tally::Tally;
use crate::{Case, minimise, yaml};

/// Compares all answers of a cluster that is built from scratch.
///
/// # Errors
/// What differs, in words.
pub fn check(case: &Case, tally: &mut Tally) -> Result<(), Failure> {
    let cluster = Cluster::new(case).map_err(Failure::Rejected)?;
    let compared = catch_unwind(AssertUnwindSafe(|| {
        let mut agent = Agent::default();
        agent.tell(&cluster.facts(case));
        compare(&cluster, &mut agent, tally)
    }));
    compared
        .unwrap_or_else(|_| Err("a panic, of which the message is above".to_owned()))
        .map_err(Failure::Differs)
}

/// The smallest case that fails likewise, with what differs in it.
pub fn report(case: &Case, failure: Failure, check: impl Fn(&Case) -> Result<(), Failure>) -> String {
    let mut words = match failure {
        Failure::Rejected(words) => return words,
        Failure::Differs(words) => words,
    };
    let small = minimise(case.clone(), |case| matches!(check(case), Err(Failure::Differs(_))));
    if let Err(Failure::Differs(of_small)) = check(&small) {
        words = of_small;
    }
    let objects: Vec<String> = small.objects.iter().map(yaml).collect();
    let Case { settings, names, .. } = &small;
    format!("{words}\n  {settings:?}\n  names: {names:?}\n{}", objects.join("---\n"))
}
