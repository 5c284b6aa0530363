//! The host's programs inside a pod's network namespace.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, Result};

use crate::place::Place;
use crate::state::State;

/// Becomes the program, inside the place's network namespace: exit code, signals and terminal are its own.
/// Returns only if that fails.
///
/// # Errors
/// When there is no such place or program.
pub fn exec(state: &State, place: &Place, program: &[OsString]) -> Result<()> {
    let netns = place.netns(state)?;
    let (name, arguments) = program.split_first().context("no program to run")?;
    let mut command = Command::new(name);
    command.args(arguments);
    netcore::spawn::in_netns(&mut command, &netns)?;
    let error = command.exec();
    Err(error).with_context(|| format!("cannot run {}", name.to_string_lossy()))
}
