//! Policies, from manifests to tables.

use proptest::arbitrary::any;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use policy_arbitrary::check::sequence::{Sequence, check, report};
use policy_arbitrary::check::{Tally, change};

/// Takes each eight bytes for chance: a small cluster comes of the first, and a change of it of each further one. At
/// each step, for every pod, peer and port, tables that lived through the changes, tables from scratch, explanations
/// and the oracle agree.
pub fn policies(input: &[u8]) {
    let mut chances = input.chunks(8);
    let start = chances.next().and_then(|chance| draw(policy_arbitrary::case(), chance));
    let Some(start) = start else { return };
    let changes = chances.take(6).filter_map(|chance| draw((change(), any::<bool>()), chance)).collect();
    let sequence = Sequence { start, changes };
    if let Err(failure) = check(&sequence, &mut Tally::default()) {
        panic!("{}", report(&sequence, failure));
    }
}

fn draw<S: Strategy>(strategy: S, chance: &[u8]) -> Option<S::Value> {
    // The generator takes 16 bytes, not all of them zero.
    let mut seed = [1u8; 16];
    seed[..chance.len()].copy_from_slice(chance);
    let chance = TestRng::from_seed(RngAlgorithm::XorShift, &seed);
    let tree = strategy.new_tree(&mut TestRunner::new_with_rng(Config::default(), chance)).ok()?;
    Some(tree.current())
}
