//! Probes: attempts to reach a place, and what the agents say about them.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::thread::sleep;
use std::time::Duration;

use anyhow::Result;
use api::{FlowRecord, RuleRef, Verdict};
use serde::Serialize;

use crate::attempt::{Attempt, Outcome, Protocol, Reached};
use crate::flows;
use crate::place::{Family, Place};
use crate::plan;
use crate::state::State;

/// How many kept flows are looked through, of each agent.
const LOOK_BACK: usize = 8192;
/// Flows are reported a little after the packets.
const REPORT_DELAY: Duration = Duration::from_millis(50);
/// How often they are looked for.
const LOOKS: usize = 6;

/// `PORT[/PROTOCOL]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target {
    /// The port.
    pub port: u16,
    /// The protocol, TCP unless told otherwise.
    pub protocol: Protocol,
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (port, protocol) = text.split_once('/').unwrap_or((text, "TCP"));
        match port.parse() {
            Ok(0) | Err(_) => Err(format!("{port:?} is no port")),
            Ok(port) => Ok(Self { port, protocol: protocol.parse()? }),
        }
    }
}

/// What to probe.
#[derive(Clone, Debug)]
pub struct Probe {
    /// Where it starts.
    pub from: Place,
    /// Where it should get.
    pub to: Place,
    /// On which port.
    pub target: Target,
    /// Over which family; missing means the destination's first.
    pub family: Option<Family>,
    /// How long to try.
    pub timeout: Duration,
}

/// What policy said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Judgement {
    /// It was let through.
    Allow,
    /// The datapath dropped it.
    Deny,
    /// Neither is known.
    Unknown,
}

/// Why the datapath dropped a probe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Drop {
    /// The reason, as a sentence.
    pub reason: String,
    /// `ingress` or `egress`, as the pod that it was dropped at sees it.
    pub direction: String,
    /// The node.
    pub node: String,
    /// The rules that decided.
    pub rules: Vec<RuleRef>,
}

/// What came of a probe.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Where it started.
    pub from: String,
    /// Where it should get.
    pub to: String,
    /// The address.
    pub address: IpAddr,
    /// The port.
    pub port: u16,
    /// The protocol.
    pub protocol: Protocol,
    /// How it ended.
    pub outcome: Outcome,
    /// Who answered.
    pub answer: Option<String>,
    /// What policy said.
    pub verdict: Judgement,
    /// Why it was dropped.
    pub drop: Option<Drop>,
    /// What went wrong, where the outcome does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// How long it took, in milliseconds.
    pub elapsed_ms: u64,
}

impl Probe {
    /// Makes the attempt and asks the agents about it.
    ///
    /// # Errors
    /// When a place does not exist.
    pub fn run(&self, state: &State) -> Result<Report> {
        let attempt = self.attempt(state)?;
        let reached = attempt.run()?;
        let mut report = self.report(&attempt, &reached, &[]);
        for _ in 0..LOOKS {
            if report.outcome == Outcome::Connected || report.drop.is_some() {
                break;
            }
            sleep(REPORT_DELAY);
            report = self.report(&attempt, &reached, &flows::kept(state, LOOK_BACK));
        }
        Ok(report)
    }

    fn attempt(&self, state: &State) -> Result<Attempt> {
        let to = SocketAddr::new(self.to.address(state, self.family)?, self.target.port);
        let source = match self.from {
            // The fabric has addresses on the nodes' link too; the world is what lies beyond.
            Place::World => plan::world().into_iter().find(|address| address.is_ipv4() == to.is_ipv4()),
            _ => None,
        };
        let from = self.from.netns(state)?;
        Ok(Attempt { from, source, to, protocol: self.target.protocol, timeout: self.timeout })
    }

    fn report(&self, attempt: &Attempt, reached: &Reached, flows: &[FlowRecord]) -> Report {
        let (verdict, drop) = judge(attempt, reached, flows);
        Report {
            from: self.from.to_string(),
            to: self.to.to_string(),
            address: attempt.to.ip(),
            port: attempt.to.port(),
            protocol: attempt.protocol,
            outcome: reached.outcome,
            answer: reached.answer.clone(),
            verdict,
            drop,
            message: reached.message.clone(),
            elapsed_ms: u64::try_from(reached.elapsed.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

/// Makes all probes at once, and asks the agents about all of them once. Reports are in the order of the
/// probes.
///
/// # Errors
/// When a place does not exist.
pub fn run_all(state: &State, probes: &[Probe]) -> Result<Vec<Report>> {
    let attempts = probes.iter().map(|probe| probe.attempt(state)).collect::<Result<Vec<_>>>()?;
    let mut made = Vec::with_capacity(probes.len());
    std::thread::scope(|scope| {
        let threads: Vec<_> = attempts.iter().map(|attempt| scope.spawn(|| attempt.run())).collect();
        for thread in threads {
            match thread.join() {
                Ok(reached) => made.push(reached?),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        Ok::<_, anyhow::Error>(())
    })?;
    let explained = |flows: &[FlowRecord]| -> Vec<Report> {
        let made = attempts.iter().zip(&made);
        probes
            .iter()
            .zip(made)
            .map(|(probe, (attempt, reached))| probe.report(attempt, reached, flows))
            .collect()
    };
    let mut reports = explained(&[]);
    for _ in 0..LOOKS {
        if reports.iter().all(|report| report.outcome != Outcome::Timeout || report.drop.is_some()) {
            break;
        }
        sleep(REPORT_DELAY);
        reports = explained(&flows::kept(state, LOOK_BACK));
    }
    Ok(reports)
}

/// What the datapath did with an attempt, by its outcome and the agents' records of it.
fn judge(attempt: &Attempt, reached: &Reached, flows: &[FlowRecord]) -> (Judgement, Option<Drop>) {
    if matches!(reached.outcome, Outcome::Connected | Outcome::Refused) {
        return (Judgement::Allow, None);
    }
    let of_ours = |flow: &&FlowRecord| {
        flow.time_ns >= reached.began_ns.saturating_sub(1_000_000)
            && flow.protocol == attempt.protocol.to_string()
            && flow.destination.address == attempt.to.ip()
            && flow.destination.port == attempt.to.port()
            && flow.source.port == reached.local.port()
    };
    let dropped = flows.iter().filter(of_ours).find(|flow| flow.verdict == Verdict::Dropped);
    if let Some(flow) = dropped {
        let drop = Drop {
            reason: flow.reason.clone().unwrap_or_else(|| "no reason given".into()),
            direction: flow.direction.clone(),
            node: flow.node.clone(),
            rules: flow.rules.clone(),
        };
        return (Judgement::Deny, Some(drop));
    }
    // Both ends must have let it in, and a record of the second end implies the first.
    let let_in = |flow: &&FlowRecord| flow.verdict != Verdict::Dropped && flow.direction == "ingress";
    match flows.iter().filter(of_ours).find(let_in) {
        Some(_) => (Judgement::Allow, None),
        None => (Judgement::Unknown, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets() {
        assert_eq!("53/udp".parse::<Target>().unwrap(), Target { port: 53, protocol: Protocol::Udp });
        assert_eq!("80".parse::<Target>().unwrap().protocol, Protocol::Tcp);
        for bad in ["0", "65536", "80/icmp", "http"] {
            assert!(bad.parse::<Target>().is_err(), "{bad}");
        }
    }
}
