//! `cargo xtask test`: every test of the workspace, and a count of those that could not run.
//!
//! A test that can't run on this machine prints `skipped: <why>` and passes. So that a suite can't
//! go quiet unnoticed, such lines are collected, and each must be expected by `skipped-tests.txt`.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader, IsTerminal as _, Read, Write as _};
use std::process::Stdio;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::command::CommandExt as _;
use crate::workspace::Workspace;
use crate::{dist, packages};

/// Where a skipped test must be listed, relative to the clone.
const EXPECTED: &str = "bins/xtask/skipped-tests.txt";

/// How long the tests' output must be silent, once cargo has ended, to be taken for complete.
const QUIET: Duration = Duration::from_secs(2);

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Report tests that were skipped unexpectedly, but don't fail because of them
    #[arg(long)]
    allow_skipped: bool,
    /// Passed on to `cargo test --workspace`
    #[arg(last = true)]
    args: Vec<String>,
}

pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let path = workspace.root().join(EXPECTED);
    let expected = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let expected = Expected::parse(&expected)?;
    if packages::is_root()? {
        packages::ensure(&[packages::RUNTIME, packages::TESTS])?;
    } else {
        eprintln!("not root: packages are not installed, and tests that need root are skipped");
    }
    let programs = dist::build(workspace, &dist::Options::default())?;

    let mut test = workspace.cargo();
    test.args(["test", "--locked", "--workspace", "--no-fail-fast"])
        .args(&options.args)
        // Without it libtest keeps what passing tests print.
        .args(["--", "--show-output"])
        .env("NETLOOM_BIN_DIR", programs)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    if std::io::stderr().is_terminal() {
        test.env("CARGO_TERM_COLOR", "always");
    }
    eprintln!("+ {}", test.line());
    let mut child = test.spawn().with_context(|| format!("starting `{}`", test.line()))?;

    let (lines, received) = mpsc::channel();
    if let Some(out) = child.stdout.take() {
        forward(out, false, lines.clone());
    }
    if let Some(err) = child.stderr.take() {
        forward(err, true, lines);
    }
    let mut tally = Tally::default();
    let mut left_behind = false;
    loop {
        match received.recv_timeout(QUIET) {
            Ok((true, line)) => {
                tally.stderr(&line);
                eprintln!("{line}");
            }
            Ok((false, line)) => {
                tally.stdout(&line);
                // Unlike `println!` this reports a closed pipe instead of panicking.
                writeln!(std::io::stdout(), "{line}").context("writing the tests' output")?;
            }
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                // Cargo has ended, but somebody could still write.
                if child.try_wait().context("waiting for cargo test")?.is_some() {
                    left_behind = true;
                    break;
                }
            }
        }
    }
    let status = child.wait().context("waiting for cargo test")?;

    let unexpected = report(&tally, &expected)?;
    if !status.success() {
        bail!("`{}` failed: {status}", test.line());
    }
    if left_behind {
        bail!("the tests have ended, but a process that they started still holds their output");
    }
    if unexpected > 0 && !options.allow_skipped {
        bail!("{unexpected} tests were skipped and {EXPECTED} does not expect it");
    }
    Ok(())
}

/// Sends each line of `from` on, lossily decoded, from a thread of its own.
fn forward(from: impl Read + Send + 'static, is_stderr: bool, to: mpsc::Sender<(bool, String)>) {
    thread::spawn(move || {
        for line in BufReader::new(from).split(b'\n') {
            let Ok(line) = line else { break };
            let line = String::from_utf8_lossy(&line).into_owned();
            if to.send((is_stderr, line)).is_err() {
                break;
            }
        }
    });
}

/// Prints what was skipped and why; returns how many of those are unexpected.
fn report(tally: &Tally, expected: &Expected) -> Result<usize> {
    let mut out = std::io::stdout();
    let mut unexpected = 0;
    writeln!(out, "\nskipped tests: {}", tally.skipped.len())?;
    for (test, reason) in &tally.skipped {
        match expected.why(test, reason) {
            Some(why) => writeln!(out, "  {test}: {reason} (expected: {why})")?,
            None => {
                unexpected += 1;
                writeln!(out, "  {test}: {reason} (NOT EXPECTED)")?;
            }
        }
    }
    Ok(unexpected)
}

/// What libtest's output says about skipped tests.
#[derive(Default)]
struct Tally {
    /// The test whose captured output is being printed.
    current: Option<String>,
    /// Test and reason; a test that gives one reason twice counts once.
    skipped: BTreeSet<(String, String)>,
}

impl Tally {
    fn stdout(&mut self, line: &str) {
        let heading = line.strip_prefix("---- ").and_then(|rest| rest.strip_suffix(" stdout ----"));
        if let Some(test) = heading {
            self.current = Some(test.to_owned());
        } else if line == "successes:" || line == "failures:" || line.starts_with("test result:") {
            self.current = None;
        } else {
            let test = self.current.clone().unwrap_or_else(|| "?".to_owned());
            self.line(test, line);
        }
    }

    /// Lines that bypass libtest's capture: from child processes and threads.
    fn stderr(&mut self, line: &str) {
        self.line("?".to_owned(), line);
    }

    fn line(&mut self, test: String, line: &str) {
        if let Some(reason) = line.trim_start().strip_prefix("skipped:") {
            self.skipped.insert((test, reason.trim().to_owned()));
        }
    }
}

/// The tests that may be skipped.
struct Expected(Vec<Expectation>);

struct Expectation {
    /// The test's name, or `*`.
    test: String,
    /// A part of what it prints.
    reason: String,
    /// Why that is all right.
    why: String,
}

impl Expected {
    fn parse(text: &str) -> Result<Self> {
        let mut all = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let fields: Vec<&str> = line.split('|').map(str::trim).collect();
            let [test, reason, why] = fields[..] else {
                bail!("{EXPECTED}:{}: expected `test | reason | why`", number + 1);
            };
            if test.is_empty() || reason.is_empty() || why.is_empty() {
                bail!("{EXPECTED}:{}: a field is empty", number + 1);
            }
            all.push(Expectation { test: test.to_owned(), reason: reason.to_owned(), why: why.to_owned() });
        }
        Ok(Self(all))
    }

    fn why(&self, test: &str, reason: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|entry| (entry.test == "*" || entry.test == test) && reason.contains(&entry.reason))
            .map(|entry| entry.why.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_skipped_line_belongs_to_the_test_whose_output_it_is_in() {
        let mut tally = Tally::default();
        for line in [
            "running 3 tests",
            "test a ... ok",
            "successes:",
            "",
            "---- net::a stdout ----",
            "skipped: no SCTP in this kernel",
            "skipped: no SCTP in this kernel",
            "",
            "---- net::b stdout ----",
            "was not skipped: all right",
            "test result: ok. 3 passed",
            "skipped: after a result",
        ] {
            tally.stdout(line);
        }
        tally.stderr("skipped: from a child");
        let got: Vec<(&str, &str)> =
            tally.skipped.iter().map(|(test, reason)| (test.as_str(), reason.as_str())).collect();
        assert_eq!(
            got,
            [("?", "after a result"), ("?", "from a child"), ("net::a", "no SCTP in this kernel"),]
        );
    }

    #[test]
    fn only_a_listed_test_with_the_listed_reason_is_expected() {
        let expected =
            Expected::parse("# why\n\na | no SCTP | CI lacks it\n* | qemu | slow\n").expect("a valid list");
        assert_eq!(expected.why("a", "there is no SCTP here"), Some("CI lacks it"));
        assert_eq!(expected.why("a", "not root"), None);
        assert_eq!(expected.why("b", "there is no SCTP here"), None);
        assert_eq!(expected.why("b", "no qemu"), Some("slow"));
    }

    #[test]
    fn a_line_without_a_reason_is_refused_with_its_number() {
        let error = Expected::parse("# x\na | b\n").err().expect("two fields only");
        assert!(error.to_string().contains("skipped-tests.txt:2"), "{error}");
        assert!(Expected::parse("a | | c\n").is_err());
    }
}
