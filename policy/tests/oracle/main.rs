//! Compiled tables and explanations agree with the oracle on random small clusters, for every subject, peer and port.
//!
//! `NETLOOM_POLICY_CASES` is the number of clusters where the usual one is too few. A failure is cut down to a small
//! cluster and printed as YAML, with the packet and both answers.

mod cases;

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

use proptest::test_runner::{Config, TestCaseError, TestError, TestRunner};

use policy_arbitrary::check::Tally;
use policy_arbitrary::check::fresh::{check, report};

/// Clusters, where nobody asks for more.
const CLUSTERS: u32 = 600;

#[test]
fn tables_and_explanations_agree_with_the_oracle() {
    let clusters = std::env::var("NETLOOM_POLICY_CASES").ok().map_or(CLUSTERS, |text| text.parse().unwrap());
    let tally = RefCell::new(Tally::default());
    let distinct = RefCell::new(BTreeSet::new());
    let repeated = Cell::new(0);
    // Cases are cut down by ourselves.
    let config =
        Config { cases: clusters, max_shrink_iters: 0, failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new(config).run(&policy_arbitrary::case(), |case| {
        if !distinct.borrow_mut().insert(format!("{case:?}")) {
            repeated.set(repeated.get() + 1);
            return Ok(());
        }
        check(&case, &mut tally.borrow_mut()).map_err(|failure| {
            TestCaseError::fail(report(&case, failure, |case| check(case, &mut Tally::default())))
        })
    });
    match outcome {
        Ok(()) => {}
        // What it printed itself would be the case before it was cut down.
        Err(TestError::Fail(words, _)) => panic!("{}", words.message()),
        Err(error) => panic!("{error}"),
    }
    let tally = tally.into_inner();
    eprintln!("{} clusters ({} repeated), {tally}", distinct.borrow().len(), repeated.get());
    if clusters >= CLUSTERS {
        // Each pair is another packet, or the same for another set of policies.
        assert!(tally.pairs >= 100_000, "only {} pairs", tally.pairs);
        tally.assert_varied();
    }
}
