//! Whether the verifier accepts the datapath, and what it costs it.

use anyhow::{Result, ensure};
use datapath::{Datapath, Options, instructions_by_log};
use serde_json::json;

use crate::checks::Outcome;
use crate::message;

/// No program may cost the verifier more than this, on any kernel: a quarter of what it allows.
const LIMIT: u32 = 250_000;

/// The committed object loads: every program passes the verifier.
pub(crate) fn load() -> Result<Outcome> {
    let mut datapath = Datapath::load(&Options::default())?;
    let programs = datapath.programs()?;
    ensure!(!programs.is_empty(), "the object has no program");
    let counts: Vec<(String, u32)> = match programs.iter().map(|program| program.verified_insns).collect() {
        Some(counts) => {
            let counts: Vec<u32> = counts;
            programs.into_iter().map(|program| program.name).zip(counts).collect()
        }
        // Kernels before 5.16 tell only while they verify.
        None => instructions_by_log()?
            .into_iter()
            .map(|(program, count)| (program.name().into(), count))
            .collect(),
    };
    for (name, instructions) in counts {
        ensure!(
            instructions < LIMIT,
            "{name}: the verifier walked {instructions} instructions, {LIMIT} are the limit"
        );
        message::send(&json!({"program": name, "verified_insns": instructions}));
    }
    Ok(Outcome::Passed)
}
