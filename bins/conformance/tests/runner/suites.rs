//! The suites of this crate, with the oracle and with the datapath's code on the host. In a lab they are run by
//! `bins/netloom/tests/lab/conformance.rs`, beside the programs that a lab needs.

use crate::support::{files, pass};
use conformance::level::{Core, Oracle};

/// Each suite, and how many cases it has: one that gets lost is missed.
const SUITES: [(&str, usize); 3] = [("kubernetes", 48), ("network-policy-api", 24), ("cyclonus", 217)];

#[test]
fn the_oracle_answers_every_case() {
    for (suite, cases) in SUITES {
        assert_eq!(pass(&files(suite), &mut Oracle::default()).pass, cases, "{suite}");
    }
}

#[test]
fn the_datapath_on_the_host_answers_every_case() {
    for (suite, cases) in SUITES {
        assert_eq!(pass(&files(suite), &mut Core::default()).pass, cases, "{suite}");
    }
}
