//! The clock that addresses rest by: one for all agents of a boot.

use std::path::Path;

use anyhow::{Context, Result};
use daemon::clock::{Beginning, Clock, boot_id};

use crate::state_file;

/// The file that holds how the clock of this boot began.
const CLOCK: &str = "clock.json";

/// The clock of this boot: where an earlier agent began one, it goes on, so that what is done to the wall clock while
/// no agent runs neither ends an address's rest nor lengthens it. After a reboot there is a new one.
///
/// # Errors
/// When the state cannot be read or written.
pub(crate) fn of_boot(state_dir: &Path) -> Result<Clock> {
    kept(state_dir, &boot_id().context("reading the boot's id")?, Clock::start())
}

fn kept(state_dir: &Path, boot_id: &str, new: Clock) -> Result<Clock> {
    let file = state_dir.join(CLOCK);
    let before: Option<Beginning> = state_file::read(&file)?;
    if let Some(before) = before.filter(|before| before.boot_id == boot_id) {
        return Ok(Clock::goes_on(&before));
    }
    state_file::write(&file, &new.beginning(boot_id))?;
    Ok(new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boot_has_one_clock() {
        let state = tempfile::tempdir().unwrap();
        let first = Clock::goes_on(&Beginning { boot_id: "a".into(), wall_ms: 1_000, up_ms: 0 });
        let years = Clock::goes_on(&Beginning { boot_id: "a".into(), wall_ms: 2_000_000_000_000, up_ms: 0 });
        kept(state.path(), "a", first).unwrap();
        // The wall clock was set meanwhile; that shows after the next boot.
        assert_eq!(kept(state.path(), "a", years).unwrap().beginning("a"), first.beginning("a"));
        assert_eq!(kept(state.path(), "b", years).unwrap().beginning("a"), years.beginning("a"));
        assert_eq!(kept(state.path(), "b", first).unwrap().beginning("a"), years.beginning("a"));
    }
}
