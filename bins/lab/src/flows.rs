//! Flows of all nodes, merged.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result};
use api::{Client, ClientError, FlowRecord, FlowSide, Reply, Request, RuleRef, Verdict};

use crate::console::Colours;
use crate::locations::Locations;
use crate::name::LabName;
use crate::paths::Paths;
use crate::state::State;

/// How long an agent may take to send its kept flows.
const PATIENCE: Duration = Duration::from_secs(5);
/// A flow may be a long time coming. (A year.)
const FOREVER: Duration = Duration::from_secs(365 * 24 * 3600);
/// Before an agent that has gone is asked again.
const PAUSE: Duration = Duration::from_millis(200);

/// The newest `last` flows of each agent, in the order of time. An agent that does not answer has none.
#[must_use]
pub fn kept(state: &State, last: usize) -> Vec<FlowRecord> {
    let mut flows = Vec::new();
    for (_, socket) in sockets(state) {
        // What it sent before it went away is as true.
        let _ = kept_by(&socket, last, &mut flows);
    }
    flows.sort_by_key(|flow| flow.time_ns);
    let mut locations = Locations::of(&state.name);
    for flow in flows.iter_mut().filter(|flow| !flow.rules.is_empty()) {
        locations.tell(&mut flow.rules);
    }
    flows
}

/// Adds the kept flows of the agent on this socket.
///
/// # Errors
/// When it does not answer.
pub fn kept_by(
    socket: &std::path::Path,
    last: usize,
    flows: &mut Vec<FlowRecord>,
) -> Result<(), ClientError> {
    let mut client = Client::connect(socket, PATIENCE)?;
    let mut reply = client.call(&Request::Flows { last, follow: false }, None)?;
    while let Reply::Flow(flow) = reply {
        flows.push(*flow);
        reply = client.next_reply()?;
    }
    Ok(())
}

/// New flows of all nodes as they come, also from agents that are started again. Ends when the receiver is
/// dropped.
///
/// # Errors
/// When a thread cannot be made.
pub fn follow(state: &State, last: usize) -> Result<Receiver<FlowRecord>> {
    let (sender, receiver) = channel();
    for (node, socket) in sockets(state) {
        let (sender, lab) = (sender.clone(), state.name.clone());
        let thread = std::thread::Builder::new().name(format!("flows-{node}"));
        thread.spawn(move || follow_one(&lab, &socket, last, &sender)).context("cannot start a thread")?;
    }
    Ok(receiver)
}

fn follow_one(lab: &LabName, socket: &std::path::Path, mut last: usize, sender: &Sender<FlowRecord>) {
    let mut locations = Locations::of(lab);
    loop {
        let asked = Client::connect(socket, FOREVER).and_then(|mut client| {
            let mut reply = client.call(&Request::Flows { last, follow: true }, None)?;
            loop {
                if let Reply::Flow(mut flow) = reply {
                    if !flow.rules.is_empty() {
                        locations.tell(&mut flow.rules);
                    }
                    if sender.send(*flow).is_err() {
                        return Ok(());
                    }
                }
                // A new agent's old flows have been seen.
                last = 0;
                reply = client.next_reply()?;
            }
        });
        match asked {
            Ok(()) => return,
            Err(_) => sleep(PAUSE),
        }
    }
}

fn sockets(state: &State) -> Vec<(String, PathBuf)> {
    let paths = Paths::new(&state.name);
    state.nodes.iter().map(|node| (node.name.clone(), paths.node(&node.name).socket())).collect()
}

/// A flow as a line for a person.
#[must_use]
pub fn line(flow: &FlowRecord, colours: Colours) -> String {
    let seconds = flow.time_ns / 1_000_000_000;
    let time = format!(
        "{:02}:{:02}:{:02}.{:03}",
        seconds / 3600 % 24,
        seconds / 60 % 60,
        seconds % 60,
        flow.time_ns / 1_000_000 % 1000
    );
    let verdict = match flow.verdict {
        Verdict::Forwarded => colours.good("FORWARDED"),
        Verdict::Dropped => colours.bad("DROPPED  "),
        Verdict::Audit => colours.notable("AUDIT    "),
    };
    let mut line = format!(
        "{time} {:<6} {verdict} {:<7} {:<5} {} -> {}",
        flow.node,
        flow.direction,
        flow.protocol,
        side(&flow.source),
        side(&flow.destination),
    );
    if let Some(reason) = &flow.reason {
        // Writing to a String cannot fail.
        let _ = write!(line, "  {reason}");
    }
    if !flow.rules.is_empty() {
        let _ = write!(line, "  [{}]", rules(&flow.rules));
    }
    if let Some(log) = &flow.log {
        let _ = write!(line, "  log: {log}");
    }
    line
}

fn side(side: &FlowSide) -> String {
    let who = match (&side.pod, &side.entity) {
        (Some(pod), _) => pod.to_string(),
        (None, Some(entity)) => format!("{entity}({})", side.address),
        (None, None) => side.address.to_string(),
    };
    if side.port == 0 { who } else { format!("{who}:{}", side.port) }
}

/// Rules as a person finds them.
#[must_use]
pub fn rules(rules: &[RuleRef]) -> String {
    let one = |rule: &RuleRef| match &rule.location {
        Some(location) => format!("{} {} ({location})", rule.policy, rule.path),
        None => format!("{} {}", rule.policy, rule.path),
    };
    rules.iter().map(one).collect::<Vec<_>>().join(", ")
}
