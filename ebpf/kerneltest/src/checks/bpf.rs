//! Whether the kernel has the kinds of programs and maps that the datapath is made of.

use anyhow::{Context, Result, bail};
use aya::maps::MapType;
use aya::programs::ProgramType;
use aya::sys::{is_map_supported, is_program_supported};

use crate::checks::Outcome;

/// A trivial program of each kind passes the verifier.
pub(crate) fn program_types() -> Result<Outcome> {
    let kind = ProgramType::SchedClassifier;
    let supported = is_program_supported(kind).with_context(|| format!("loading a program: {kind:?}"))?;
    if !supported {
        bail!("the kernel refuses programs of type {kind:?}");
    }
    Ok(Outcome::Passed)
}

/// A map of each kind can be made.
pub(crate) fn map_types() -> Result<Outcome> {
    for kind in [
        MapType::Array,
        MapType::PerCpuArray,
        MapType::ProgramArray,
        MapType::Hash,
        MapType::LruHash,
        MapType::LpmTrie,
        MapType::RingBuf,
    ] {
        let supported = is_map_supported(kind).with_context(|| format!("making a map: {kind:?}"))?;
        if !supported {
            bail!("the kernel refuses maps of type {kind:?}");
        }
    }
    Ok(Outcome::Passed)
}
