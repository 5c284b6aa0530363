//! Policies, from manifests to tables.

use proptest::collection::vec;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::change::change;
use crate::sequence::{Sequence, check, report};
use crate::tally::Tally;

/// Takes the input for chance: a small cluster comes of it, and what becomes of that. At each step, for every pod, peer
/// and port, tables that lived through the changes, tables from scratch, explanations and the oracle agree.
pub fn policies(input: &[u8]) {
    let mut seed = input.to_vec();
    // Without anything, there is no chance at all.
    seed.push(0);
    let chance = TestRng::from_seed(RngAlgorithm::PassThrough, &seed);
    let mut runner = TestRunner::new_with_rng(Config::default(), chance);
    let drawn = (policy_arbitrary::case(), vec(change(), 0..4)).new_tree(&mut runner);
    let Ok((start, changes)) = drawn.map(|tree| tree.current()) else { return };
    let sequence = Sequence { start, changes };
    if check(&sequence, &mut Tally::default()).is_err() {
        panic!("{}", report(&sequence));
    }
}
