//! The cases that the datapath is tested with on the host, on this kernel.

use anyhow::{Context, Result, bail};
use scenarios::{KernelEngine, all, run};

use crate::checks::Outcome;

/// Every case gives what is expected of it.
pub(crate) fn test_run() -> Result<Outcome> {
    let mut failures = Vec::new();
    let mut engine = KernelEngine::load().context("loading the datapath")?;
    for case in all() {
        if let Err(mismatch) = run(&case, &mut engine) {
            failures.push(mismatch.to_string());
        }
    }
    if !failures.is_empty() {
        bail!("{} cases failed:\n{}", failures.len(), failures.join("\n"));
    }
    Ok(Outcome::Passed)
}
