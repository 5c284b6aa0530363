//! Running a setup's programs inside its namespaces.

use std::io::{self, Seek, Write};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use netcore::Netns;
use netcore::spawn::in_netns;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

use super::account::Account;
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
        let mut command = Command::new(self.path(program)?);
        command.args(arguments);
        self.wait(program, command, input)
    }

    /// As [`run`](Self::run), and says what the kernel keeps for what the program loaded, where that can be told.
    pub(super) fn load(
        &self,
        program: &str,
        arguments: &[&str],
        input: &str,
    ) -> Result<(Ran, Option<u64>), Error> {
        let Some(account) = Account::open() else {
            return Ok((self.run(program, arguments, input)?, None));
        };
        // A shell joins and becomes the program: all that it asks of the kernel is charged there.
        let mut command = Command::new("sh");
        command.args(["-c", "echo $$ > \"$0\" && exec \"$@\""]).arg(account.members());
        command.arg(self.path(program)?).args(arguments);
        let ran = self.wait(program, command, input)?;
        Ok((ran, account.bytes()))
    }

    fn path(&self, program: &str) -> Result<PathBuf, Error> {
        find(program).ok_or_else(|| self.failed(program)(io::ErrorKind::NotFound.into()))
    }

    fn failed(&self, program: &str) -> impl Fn(io::Error) -> Error {
        move |source| Error::Running { setup: self.setup, program: program.to_owned(), source }
    }

    fn wait(&self, program: &str, mut command: Command, input: &str) -> Result<Ran, Error> {
        let failed = self.failed(program);
        // A file and no pipe: the clock shall not see how fast we write.
        let mut file = tempfile::tempfile().map_err(&failed)?;
        file.write_all(input.as_bytes()).and_then(|()| file.rewind()).map_err(&failed)?;
        command.stdin(Stdio::from(file));
        in_netns(&mut command, &self.netns).map_err(Error::wiring(self.setup, "entering a namespace"))?;
        let (before, start) = (children()?, Instant::now());
        let output = command.output().map_err(&failed)?;
        let took = start.elapsed();
        let cost = Cost { took, children: children()?.saturating_sub(before) };
        self.accepted(&command, &output)?;
        Ok(Ran { output: String::from_utf8_lossy(&output.stdout).into_owned(), cost })
    }

    fn accepted(&self, command: &Command, output: &Output) -> Result<(), Error> {
        if output.status.success() {
            return Ok(());
        }
        let words = [command.get_program()].into_iter().chain(command.get_args());
        let words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
        Err(Error::Refused {
            setup: self.setup,
            program: words.join(" "),
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
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories = std::env::split_paths(&path).chain(SYSTEM.iter().map(PathBuf::from));
    directories.map(|directory| directory.join(program)).find(|file| file.is_file())
}
