//! What one agent says.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use api::{Client, FlowRecord, Reply, Request, Status};
use lab::cli::Output;
use lab::console::Colours;

/// How long the agent may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// A flow may be a long time coming. (A year.)
const FOREVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// Prints how the agent is.
pub(crate) fn status(socket: &Path, output: Output) -> Result<()> {
    let reply = Client::connect(socket, PATIENCE)?.call(&Request::Status, None)?;
    let Reply::Status(status) = reply else { bail!("the agent answered with something else: {reply:?}") };
    match output {
        Output::Text => say(&text(&status)),
        Output::Json | Output::Jsonl => say(&serde_json::to_string(&status)?),
    }
}

fn text(status: &Status) -> String {
    let mut lines = vec![
        format!("agent       {} (process {}), {}", status.version, status.pid, status.attach),
        format!("node        {}", status.node),
        format!("ready       {}", status.ready),
        format!("revision    {}", status.revision),
        format!(
            "policies    revision {}, enforcement {}{}",
            status.policy_revision,
            status.policy_enforcement,
            if status.policy_audit { ", audit mode: what they would drop passes" } else { "" }
        ),
        format!("pod ranges  {}", list(&status.pod_cidrs)),
        format!("addresses   {} in use", status.addresses_used),
        format!("packets     {} forwarded", status.forwarded),
        format!(
            "connections {} established, {} unconfirmed",
            status.conntrack.established, status.conntrack.unconfirmed
        ),
        format!("events      {} lost, {} limited", status.events_lost, status.events_limited),
    ];
    for (reason, direction, count) in &status.dropped {
        lines.push(format!("dropped     {count} {direction}: {reason}"));
    }
    for endpoint in &status.endpoints {
        let name = endpoint.pod.as_ref().map_or_else(|| endpoint.attachment.to_string(), ToString::to_string);
        let enforced = match (endpoint.ingress_enforced, endpoint.egress_enforced) {
            (true, true) => "ingress and egress enforced",
            (true, false) => "ingress enforced",
            (false, true) => "egress enforced",
            (false, false) => "open",
        };
        let (id, identity, addresses) = (endpoint.id, endpoint.identity, list(&endpoint.addresses));
        lines.push(format!("endpoint    {id} {name} identity {identity} {addresses} {enforced}"));
    }
    for policy in &status.policies {
        let valid = if policy.valid { "enforced" } else { "invalid" };
        lines.push(format!(
            "policy      {} {valid} {}",
            policy.policy,
            policy.message.as_deref().unwrap_or_default()
        ));
    }
    lines.extend(status.warnings.iter().map(|warning| format!("warning     {warning}")));
    lines.join("\n")
}

fn list<T: ToString>(items: &[T]) -> String {
    items.iter().map(T::to_string).collect::<Vec<_>>().join(", ")
}

/// Prints the agent's flows.
pub(crate) fn flows(socket: &Path, follow: bool, last: usize, output: Output) -> Result<()> {
    if follow && output == Output::Json {
        bail!("flows that go on are no single document: use --output jsonl");
    }
    let colours = Colours::of_stdout();
    let print = |flow: &FlowRecord| match output {
        Output::Text => say(&lab::flows::line(flow, colours)),
        Output::Json | Output::Jsonl => say(&serde_json::to_string(flow)?),
    };
    if !follow {
        let mut kept = Vec::new();
        lab::flows::kept_by(socket, last, &mut kept)?;
        return match output {
            Output::Json => say(&serde_json::to_string(&kept)?),
            Output::Text | Output::Jsonl => kept.iter().try_for_each(print),
        };
    }
    let mut client = Client::connect(socket, FOREVER)?;
    let mut reply = client.call(&Request::Flows { last, follow }, None)?;
    loop {
        if let Reply::Flow(flow) = &reply {
            print(flow)?;
        }
        reply = client.next_reply()?;
    }
}

/// Prints to standard output; a reader that has gone away is an error and no panic.
fn say(text: &str) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{text}").and_then(|()| stdout.flush()).context("cannot write to standard output")
}
