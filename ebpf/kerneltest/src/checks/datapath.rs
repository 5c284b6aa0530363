//! Whether the verifier accepts the datapath, and what it costs it.

use anyhow::{Result, ensure};
use datapath::{Datapath, Options};
use serde_json::json;

use crate::checks::Outcome;
use crate::message;

/// The committed object loads: every program passes the verifier.
pub(crate) fn load() -> Result<Outcome> {
    let mut datapath = Datapath::load(&Options::default())?;
    let programs = datapath.programs()?;
    ensure!(!programs.is_empty(), "the object has no program");
    for program in programs {
        // Kernels before 5.16 don't tell.
        if let Some(instructions) = program.verified_insns {
            message::send(&json!({"program": program.name, "verified_insns": instructions}));
        }
    }
    Ok(Outcome::Passed)
}
