//! Running a setup's programs inside its namespaces.

use std::io::{self, Seek, Write};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use netcore::Netns;
use netcore::spawn::in_netns;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

use super::{Cost, SetupName};
use crate::network::Error;

/// Where programs for root are, which not every `PATH` has.
const SYSTEM: [&str; 3] = ["/usr/sbin", "/sbin", "/usr/local/sbin"];

/// Programs of a setup in one of its namespaces.
#[derive(Clone, Debug)]
pub(super) struct Tool {
    pub(super) setup: SetupName,
    pub(super) netns: Netns,
}

/// A program that did what it was asked.
#[derive(Clone, Debug)]
pub(super) struct Ran {
    pub(super) output: String,
    pub(super) cost: Cost,
}

impl Tool {
    /// Runs a program with this input, and waits for it.
    pub(super) fn run(&self, program: &str, arguments: &[&str], input: &str) -> Result<Ran, Error> {
        let failed = |source| Error::Running { setup: self.setup, program: program.to_owned(), source };
        let path = find(program).ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
        // A file and no pipe: the clock shall not see how fast we write.
        let mut file = tempfile::tempfile().map_err(failed)?;
        file.write_all(input.as_bytes()).and_then(|()| file.rewind()).map_err(failed)?;
        let mut command = Command::new(path);
        command.args(arguments).stdin(Stdio::from(file));
        in_netns(&mut command, &self.netns).map_err(Error::wiring(self.setup, "entering a namespace"))?;
        let (before, start) = (children()?, Instant::now());
        let output = command.output().map_err(failed)?;
        let took = start.elapsed();
        let cost = Cost { took, children: children()?.saturating_sub(before) };
        self.accepted(program, arguments, &output)?;
        Ok(Ran { output: String::from_utf8_lossy(&output.stdout).into_owned(), cost })
    }

    fn accepted(&self, program: &str, arguments: &[&str], output: &Output) -> Result<(), Error> {
        if output.status.success() {
            return Ok(());
        }
        Err(Error::Refused {
            setup: self.setup,
            program: format!("{program} {}", arguments.join(" ")),
            status: output.status,
            said: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        })
    }
}

/// Processor time of all children that have ended, user and system.
fn children() -> Result<Duration, Error> {
    let failed =
        |source: nix::Error| Error::Reading { what: "the children's time".into(), source: source.into() };
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).map_err(failed)?;
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Ok(Duration::from_micros(micros.try_into().unwrap_or_default()))
}

/// Where a program is.
pub(super) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories = std::env::split_paths(&path).chain(SYSTEM.iter().map(PathBuf::from));
    directories.map(|directory| directory.join(program)).find(|file| file.is_file())
}
