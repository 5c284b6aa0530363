//! Keeps an agent running on each node, as a kubelet does.

use std::fs::{self, OpenOptions};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use netcore::Netns;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::Context;
use crate::fabric::UPLINK;
use crate::plan::Node;
use crate::state::replace;

/// Before a dead agent is started again.
const PAUSE: Duration = Duration::from_millis(300);
/// The longest pause, after an agent has died again and again.
const LONG_PAUSE: Duration = Duration::from_secs(5);
/// An agent that lived this long was well.
const WELL: Duration = Duration::from_secs(5);
/// How long an agent may take to end.
const GRACE: Duration = Duration::from_secs(2);

/// The agents of all nodes.
pub(super) struct Agents {
    stop: watch::Sender<bool>,
    keepers: JoinSet<()>,
}

impl Agents {
    pub(super) fn start(context: &Arc<Context>) -> Result<Self> {
        let (stop, stopping) = watch::channel(false);
        let mut keepers = JoinSet::new();
        for node in context.state.nodes.clone() {
            let netns = Netns::open(&node.netns)?;
            keepers.spawn(keep(Arc::clone(context), node, netns, stopping.clone()));
        }
        Ok(Self { stop, keepers })
    }

    /// Ends all agents and waits for them.
    pub(super) async fn stop(mut self) {
        // Without a receiver there is no keeper left to tell.
        let _ = self.stop.send(true);
        while self.keepers.join_next().await.is_some() {}
    }
}

async fn keep(context: Arc<Context>, node: Node, netns: Netns, mut stopping: watch::Receiver<bool>) {
    let mut pause = PAUSE;
    loop {
        let started = Instant::now();
        match live(&context, &node, &netns, &mut stopping).await {
            Ok(()) => return,
            Err(error) => eprintln!("{}: {error:#}", node.name),
        }
        pause = if started.elapsed() > WELL { PAUSE } else { (pause * 2).min(LONG_PAUSE) };
        tokio::select! {
            () = sleep(pause) => {}
            _ = stopping.changed() => return,
        }
    }
}

/// Runs an agent; success means that it was told to end.
async fn live(
    context: &Context,
    node: &Node,
    netns: &Netns,
    stopping: &mut watch::Receiver<bool>,
) -> Result<()> {
    let mut command = tokio::process::Command::from(command(context, node, netns)?);
    let mut agent = command.kill_on_drop(true).spawn().context("cannot start netloom-agent")?;
    let pid = agent.id().map(|pid| Pid::from_raw(pid.cast_signed()));
    if let Some(pid) = pid {
        replace(&context.paths.node(&node.name).agent_pid(), format!("{pid}\n").as_bytes())?;
    }
    tokio::select! {
        status = agent.wait() => {
            anyhow::bail!("the agent ended: {}", status.context("cannot wait for the agent")?)
        }
        _ = stopping.changed() => {}
    }
    if let Some(pid) = pid {
        // It may have ended this very moment.
        let _ = kill(pid, Signal::SIGTERM);
    }
    if timeout(GRACE, agent.wait()).await.is_err() {
        agent.kill().await.context("cannot kill the agent")?;
    }
    Ok(())
}

fn command(context: &Context, node: &Node, netns: &Netns) -> Result<Command> {
    let paths = context.paths.node(&node.name);
    fs::create_dir_all(paths.state()).context("cannot make the agent's state directory")?;
    let log = OpenOptions::new().append(true).create(true).open(paths.agent_log());
    let log = log.with_context(|| format!("cannot open {}", paths.agent_log().display()))?;
    let mut command = Command::new(context.state.programs.join("netloom-agent"));
    command
        .args(["--node", &node.name, "--uplink", UPLINK])
        .arg("--manifests")
        .arg(context.store.directory())
        .arg("--state-dir")
        .arg(paths.state())
        .arg("--bpffs")
        .arg(paths.bpffs())
        .arg("--socket")
        .arg(paths.socket())
        .arg("--cni-queue")
        .arg(paths.queue())
        .args(&context.state.agent_arguments)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log);
    netcore::spawn::in_netns(&mut command, netns)?;
    Ok(command)
}
