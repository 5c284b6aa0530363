//! A repository that lives through random changes says what one says that is built from scratch, and the oracle.
//!
//! `NETLOOM_POLICY_CASES` is the number of sequences where the usual one is too few. A failure is cut down to few steps
//! and small objects.

use std::cell::RefCell;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestError, TestRunner};

use policy_arbitrary::check::sequence::{Sequence, check, report};
use policy_arbitrary::check::{Tally, change};

/// Sequences, where nobody asks for more.
const SEQUENCES: u32 = 100;

#[test]
fn changes_lead_where_a_fresh_start_leads() {
    let asked = std::env::var("NETLOOM_POLICY_CASES").ok();
    let sequences = asked.map_or(SEQUENCES, |text| text.parse().unwrap());
    let tally = RefCell::new(Tally::default());
    // Sequences are cut down by ourselves.
    let config =
        Config { cases: sequences, max_shrink_iters: 0, failure_persistence: None, ..Config::default() };
    let strategy = (policy_arbitrary::case(), vec((change(), any::<bool>()), 1..16))
        .prop_map(|(start, changes)| Sequence { start, changes });
    let outcome = TestRunner::new(config).run(&strategy, |sequence| {
        check(&sequence, &mut tally.borrow_mut())
            .map_err(|failure| TestCaseError::fail(report(&sequence, failure)))
    });
    match outcome {
        Ok(()) => {}
        // What it printed itself would be the case before it was cut down.
        Err(TestError::Fail(words, _)) => panic!("{}", words.message()),
        Err(error) => panic!("{error}"),
    }
    let tally = tally.into_inner();
    eprintln!("{sequences} sequences, {tally}");
    if sequences >= SEQUENCES {
        assert!(tally.pairs >= 100_000, "only {} pairs", tally.pairs);
        tally.assert_varied();
    }
}
