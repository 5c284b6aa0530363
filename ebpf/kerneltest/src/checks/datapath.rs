//! Whether the verifier accepts the datapath, and what it costs it.

use anyhow::{Result, ensure};
use datapath::{Datapath, Options};
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
    for program in programs {
        let (name, instructions) = (program.name, program.verified_insns);
        ensure!(
            instructions < LIMIT,
            "{name}: the verifier walked {instructions} instructions, {LIMIT} are the limit"
        );
        message::send(&json!({"program": name, "verified_insns": instructions}));
    }
    Ok(Outcome::Passed)
}
