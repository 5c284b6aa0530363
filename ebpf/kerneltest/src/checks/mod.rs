//! The checks: each is a function, and the list says in which order they run.

mod bpf;
mod datapath;
mod links;
mod scenarios;
mod topology;

use std::panic::catch_unwind;

use anyhow::{Error, Result};
use serde_json::json;

use crate::message;

/// What a check that did not fail has to say.
#[expect(dead_code, reason = "no check has a kernel yet that it can't run on")]
pub(crate) enum Outcome {
    Passed,
    /// This kernel lacks what the check is about, and Netloom can do without it; says what.
    Skipped(String),
}

type Check = fn() -> Result<Outcome>;

/// Name and function of every check. The first ones tell what the later ones rely on.
const CHECKS: &[(&str, Check)] = &[
    ("bpf-program-types", bpf::program_types),
    ("bpf-map-types", bpf::map_types),
    ("veth-pair", links::veth_pair),
    ("clsact-on-veth", links::clsact_on_veth),
    ("datapath-load", datapath::load),
    ("datapath-scenarios", scenarios::test_run),
    ("pod-to-pod-policy", topology::policy),
];

/// Runs all checks and reports each; says whether none failed.
pub(crate) fn run() -> bool {
    match nix::sys::utsname::uname() {
        Ok(name) => message::send(&json!({"kernel": name.release().to_string_lossy()})),
        Err(error) => message::trouble(&format!("uname: {error}")),
    }
    let mut passed = 0_u64;
    let mut failed = 0_u64;
    for (name, check) in CHECKS {
        // A panic has printed its message and place by itself.
        let result = catch_unwind(check).unwrap_or_else(|_| Err(Error::msg("it panicked")));
        let message = match result {
            Ok(Outcome::Passed) => {
                passed += 1;
                json!({"check": name, "result": "passed"})
            }
            Ok(Outcome::Skipped(why)) => json!({"check": name, "result": "skipped", "why": why}),
            Err(error) => {
                failed += 1;
                json!({"check": name, "result": "failed", "why": format!("{error:#}")})
            }
        };
        message::send(&message);
    }
    message::send(&json!({"done": true, "passed": passed, "failed": failed}));
    failed == 0
}
