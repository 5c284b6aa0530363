//! Agents killed under traffic.

use std::net::SocketAddr;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use api::{Client, Reply, Request};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::Serialize;

use super::traffic::{Tally, Traffic};
use crate::attempt::{Outcome, Protocol};
use crate::cluster::Cluster;
use crate::paths::Paths;
use crate::place::{Family, Place};
use crate::probe::{Probe, Report, Target, run_all};
use crate::state::State;
use crate::wait::{self, Wanted};

/// How long traffic flows before and after.
const AROUND: Duration = Duration::from_millis(700);
/// How long a new agent may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// For connections that are made while no agent runs: short, since a new agent is started soon.
const PROBE: Duration = Duration::from_millis(250);
/// The port of the demo's own TCP traffic, which the database's policy allows.
const PORT: u16 = 15432;

/// What happened when agents were killed.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Restart {
    /// The agents.
    pub(super) agents: Vec<Killed>,
    /// The TCP connection that was established before.
    pub(super) tcp: Tally,
    /// The exchange of datagrams that was under way before.
    pub(super) udp: Tally,
    /// A new connection that policy allows, made while no agent ran.
    pub(super) allowed: Report,
    /// A new connection that policy denies, made while no agent ran.
    pub(super) denied: Report,
}

/// An agent that was killed.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Killed {
    /// Its node.
    pub(super) node: String,
    /// Its process.
    pub(super) old_pid: u32,
    /// The process of the agent that took over.
    pub(super) new_pid: u32,
    /// How long until that enforced policy again, in milliseconds.
    pub(super) away_ms: u64,
}

impl Restart {
    /// Whether nothing was lost, and policy was enforced all the time.
    pub(super) fn is_harmless(&self) -> bool {
        self.tcp.is_whole()
            && self.udp.is_whole()
            && self.allowed.outcome == Outcome::Connected
            && self.denied.outcome == Outcome::Timeout
            && self.agents.iter().all(|agent| agent.old_pid != agent.new_pid)
    }
}

/// Kills the agents of all nodes under traffic from one node to another, which policy allows.
pub(super) fn restart(state: &State) -> Result<Restart> {
    let place = |text: &str| match text.parse::<Place>() {
        Ok(place) => place,
        Err(never) => match never {},
    };
    let (api, db, dns, web) = (place("back/api"), place("back/db"), place("ops/dns"), place("front/web"));
    let from = api.netns(state)?;
    let at = |place: &Place, port| {
        Ok::<_, anyhow::Error>(SocketAddr::new(place.address(state, Some(Family::V4))?, port))
    };
    let tcp = Traffic::tcp(&from, &db.netns(state)?, at(&db, PORT)?)?;
    let udp = Traffic::udp(&from, at(&dns, 53)?)?;
    sleep(AROUND);

    let before = state.nodes.iter().map(|node| pid(state, &node.name)).collect::<Result<Vec<_>>>()?;
    let start = Instant::now();
    for pid in &before {
        kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL).context("cannot kill an agent")?;
    }
    let probe = |from: &Place, to: &Place, port| Probe {
        from: from.clone(),
        to: to.clone(),
        target: Target { port, protocol: Protocol::Tcp },
        family: Some(Family::V4),
        timeout: PROBE,
    };
    let mut reports = run_all(state, &[probe(&web, &api, 8080), probe(&web, &db, 5432)])?.into_iter();
    let (allowed, denied) =
        (reports.next().context("a probe is lost")?, reports.next().context("a probe is lost")?);

    let mut agents = Vec::new();
    for (node, old_pid) in state.nodes.iter().zip(before) {
        let new_pid = another(state, &node.name, old_pid)?;
        let away_ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
        agents.push(Killed { node: node.name.clone(), old_pid, new_pid, away_ms });
    }
    wait::until(state, &Cluster::of(&state.name)?, &Wanted::default(), Instant::now() + PATIENCE)?;
    sleep(AROUND);
    Ok(Restart { agents, tcp: tcp.finish(), udp: udp.finish(), allowed, denied })
}

/// The process of a node's agent.
fn pid(state: &State, node: &str) -> Result<u32> {
    let socket = Paths::new(&state.name).node(node).socket();
    match Client::connect(&socket, PATIENCE)?.call(&Request::Status, None)? {
        Reply::Status(status) => Ok(status.pid),
        other => anyhow::bail!("{node} answered with something else: {other:?}"),
    }
}

/// Waits for the node's next agent.
fn another(state: &State, node: &str, old: u32) -> Result<u32> {
    let start = Instant::now();
    loop {
        match pid(state, node) {
            Ok(new) if new != old => return Ok(new),
            Err(error) if start.elapsed() > PATIENCE => {
                return Err(error).with_context(|| format!("{node} has no new agent"));
            }
            Ok(_) if start.elapsed() > PATIENCE => anyhow::bail!("the agent of {node} was not killed"),
            _ => sleep(Duration::from_millis(10)),
        }
    }
}
