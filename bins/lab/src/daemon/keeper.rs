//! Keeps programs running: one that ends is started again.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use netcore::Netns;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::ended::Ended;
use crate::process;
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
    /// Variables of its environment, beside the daemon's.
    pub(super) environment: Vec<(&'static str, String)>,
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
    let (mut pause, mut failed) = (PAUSE, 0);
    if let Err(error) = program.end_left_over().await {
        eprintln!("{}: {error:#}", program.name);
    }
    loop {
        let started = Instant::now();
        if program.unattended.as_ref().is_none_or(|file| !file.exists()) {
            match live(&program, &mut stopping).await {
                Ok(None) => return,
                Ok(Some(status)) => {
                    eprintln!("{}: it ended: {status}", program.name);
                    failed = if is_failure(status, started.elapsed()) { failed + 1 } else { 0 };
                    program.note(status, failed);
                }
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

/// Whether a program that ended by itself was never well. Who is killed may have been.
fn is_failure(status: ExitStatus, lived: Duration) -> bool {
    let killed = [Signal::SIGKILL, Signal::SIGTERM, Signal::SIGINT].map(|signal| Some(signal as i32));
    !status.success() && lived < WELL && !killed.contains(&status.signal())
}

/// Runs a program; says how it ended, unless it was told to.
async fn live(program: &Program, stopping: &mut watch::Receiver<bool>) -> Result<Option<ExitStatus>> {
    let mut command = tokio::process::Command::from(program.command()?);
    let mut child = command
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("cannot start {}", program.path.display()))?;
    let pid = child.id().map(|pid| Pid::from_raw(pid.cast_signed()));
    if let Some(pid) = pid {
        replace(&program.pid, format!("{pid}\n").as_bytes())?;
    }
    let mut well = std::pin::pin!(sleep(WELL));
    let mut told = false;
    while !told {
        tokio::select! {
            status = child.wait() => return status.map(Some).context("cannot wait for it"),
            _ = stopping.changed() => told = true,
            () = &mut well, if !well.is_elapsed() => program.noted(Ended::forget(&program.pid)),
        }
    }
    if let Some(pid) = pid {
        // It may have ended this very moment. One that is stopped could not end otherwise.
        let _ = kill(pid, Signal::SIGTERM);
        let _ = kill(pid, Signal::SIGCONT);
    }
    if timeout(GRACE, child.wait()).await.is_err() {
        child.kill().await.context("cannot kill it")?;
    }
    Ok(None)
}

impl Program {
    /// Notes that it ended as it should not have, as often as this one after another; or forgets that it did.
    fn note(&self, status: ExitStatus, times: u32) {
        self.noted(match times {
            0 => Ended::forget(&self.pid),
            times => {
                let (name, status, log) = (self.name.clone(), status.to_string(), self.log.clone());
                Ended { name, status, times, log }.note(&self.pid)
            }
        });
    }

    fn noted(&self, noted: Result<()>) {
        if let Err(error) = noted {
            eprintln!("{}: {error:#}", self.name);
        }
    }

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
        inside().unwrap_or(false) && process::is_of(pid, &self.path)
    }

    fn command(&self) -> Result<Command> {
        let log = OpenOptions::new().append(true).create(true).open(&self.log);
        let log = log.with_context(|| format!("cannot open {}", self.log.display()))?;
        let mut command = Command::new(&self.path);
        command
            .args(&self.arguments)
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        netcore::spawn::in_netns(&mut command, &Netns::open(&self.netns)?)?;
        Ok(command)
    }
}
