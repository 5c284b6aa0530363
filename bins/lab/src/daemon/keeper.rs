//! Keeps programs running: one that ends is started again.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use netcore::Netns;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::state::replace;

/// Before a dead program is started again.
const PAUSE: Duration = Duration::from_millis(300);
/// The longest pause, after a program has died again and again.
const LONG_PAUSE: Duration = Duration::from_secs(5);
/// A program that lived this long was well.
const WELL: Duration = Duration::from_secs(5);
/// How long a program may take to end.
const GRACE: Duration = Duration::from_secs(2);
/// How often it is looked whether a program is the lab's again.
const LOOK: Duration = Duration::from_millis(200);

/// A program that is to run.
#[derive(Clone, Debug)]
pub(super) struct Program {
    /// What the daemon's log calls it.
    pub(super) name: String,
    /// The file.
    pub(super) path: PathBuf,
    /// What it is told.
    pub(super) arguments: Vec<String>,
    /// The network namespace that it runs in.
    pub(super) netns: String,
    /// Where what it says goes.
    pub(super) log: PathBuf,
    /// Where its process id is written.
    pub(super) pid: PathBuf,
    /// While this file is there, the program is somebody else's.
    pub(super) unattended: Option<PathBuf>,
}

/// Programs that are kept running.
pub(super) struct Keeper {
    stop: watch::Sender<bool>,
    kept: JoinSet<()>,
}

impl Keeper {
    pub(super) fn new() -> Self {
        Self { stop: watch::channel(false).0, kept: JoinSet::new() }
    }

    /// Starts a program, and starts it again whenever it ends.
    pub(super) fn keep(&mut self, program: Program) {
        self.kept.spawn(keep(program, self.stop.subscribe()));
    }

    /// Ends all programs and waits for them.
    pub(super) async fn stop(mut self) {
        self.stop.send_replace(true);
        while self.kept.join_next().await.is_some() {}
    }
}

async fn keep(program: Program, mut stopping: watch::Receiver<bool>) {
    let mut pause = PAUSE;
    if let Err(error) = program.end_left_over().await {
        eprintln!("{}: {error:#}", program.name);
    }
    loop {
        let started = Instant::now();
        if program.unattended.as_ref().is_none_or(|file| !file.exists()) {
            match live(&program, &mut stopping).await {
                Ok(()) => return,
                Err(error) => eprintln!("{}: {error:#}", program.name),
            }
            pause = if started.elapsed() > WELL { PAUSE } else { (pause * 2).min(LONG_PAUSE) };
        } else {
            pause = LOOK;
        }
        tokio::select! {
            () = sleep(pause) => {}
            _ = stopping.changed() => return,
        }
    }
}

/// Runs a program; success means that it was told to end.
async fn live(program: &Program, stopping: &mut watch::Receiver<bool>) -> Result<()> {
    let mut command = tokio::process::Command::from(program.command()?);
    let mut child = command
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("cannot start {}", program.path.display()))?;
    let pid = child.id().map(|pid| Pid::from_raw(pid.cast_signed()));
    if let Some(pid) = pid {
        replace(&program.pid, format!("{pid}\n").as_bytes())?;
    }
    tokio::select! {
        status = child.wait() => anyhow::bail!("it ended: {}", status.context("cannot wait for it")?),
        _ = stopping.changed() => {}
    }
    if let Some(pid) = pid {
        // It may have ended this very moment. One that is stopped could not end otherwise.
        let _ = kill(pid, Signal::SIGTERM);
        let _ = kill(pid, Signal::SIGCONT);
    }
    if timeout(GRACE, child.wait()).await.is_err() {
        child.kill().await.context("cannot kill it")?;
    }
    Ok(())
}

impl Program {
    /// Ends the process that an earlier daemon started and could not end.
    async fn end_left_over(&self) -> Result<()> {
        let Ok(text) = fs::read_to_string(&self.pid) else { return Ok(()) };
        let Some(pid) = text.trim().parse().ok().filter(|pid| self.is(*pid)) else { return Ok(()) };
        for signal in [Signal::SIGTERM, Signal::SIGKILL] {
            // It may have ended this very moment.
            let _ = kill(Pid::from_raw(pid), signal);
            let _ = kill(Pid::from_raw(pid), Signal::SIGCONT);
            let told = Instant::now();
            while self.is(pid) && told.elapsed() < GRACE {
                sleep(LOOK / 10).await;
            }
        }
        anyhow::ensure!(!self.is(pid), "process {pid} of an earlier daemon does not end");
        Ok(())
    }

    /// Whether a process is this program in its namespace, whoever had the number before.
    fn is(&self, pid: i32) -> bool {
        let inside = || -> Result<bool> {
            let of = fs::metadata(format!("/proc/{pid}/ns/net"))?;
            Ok(Netns::open(&self.netns)?.id()? == (of.dev(), of.ino()))
        };
        let program = || -> Result<bool> {
            let said = fs::read(format!("/proc/{pid}/cmdline"))?;
            let first = said.split(|byte| *byte == 0).next().unwrap_or_default();
            Ok(first == self.path.as_os_str().as_encoded_bytes())
        };
        inside().unwrap_or(false) && program().unwrap_or(false)
    }

    fn command(&self) -> Result<Command> {
        let log = OpenOptions::new().append(true).create(true).open(&self.log);
        let log = log.with_context(|| format!("cannot open {}", self.log.display()))?;
        let mut command = Command::new(&self.path);
        command.args(&self.arguments).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        netcore::spawn::in_netns(&mut command, &Netns::open(&self.netns)?)?;
        Ok(command)
    }
}
