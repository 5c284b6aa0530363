//! A sequence of changes, and what is asked after each.

use std::fmt::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};

use abi::Direction;
use policy::{Compiled, Verdict};

use super::change::Change;
use super::cluster::Cluster;
use super::compare::{Failure, PROBES, compare};
use super::facts::Agent;
use super::tally::Tally;
use crate::{Case, minimise, yaml};

/// A cluster, and what becomes of it.
#[derive(Clone, Debug)]
pub struct Sequence {
    /// What it begins with.
    pub start: Case,
    /// Each with whether the repository is asked before the next.
    pub changes: Vec<(Change, bool)>,
}

/// Makes the changes one by one. Where it is asked, the repository that lived through them is compared with the oracle and
/// with a fresh one.
///
/// # Errors
/// What differs, in words.
pub fn check(sequence: &Sequence, tally: &mut Tally) -> Result<(), Failure> {
    let mut agent = Agent::default();
    let mut case = sequence.start.clone();
    for step in 0..=sequence.changes.len() {
        let change = step.checked_sub(1).and_then(|number| sequence.changes.get(number));
        if let Some((change, _)) = change {
            change.apply(&mut case);
        }
        let asked = step == sequence.changes.len() || change.is_none_or(|(_, asked)| *asked);
        let cluster = Cluster::new(&case).map_err(Failure::Rejected)?;
        let compared = catch_unwind(AssertUnwindSafe(|| {
            check_step(&mut agent, &case, &cluster, asked.then_some(&mut *tally))
        }));
        let words = compared.unwrap_or_else(|_| Err("a panic, of which the message is above".to_owned()));
        words.map_err(|words| Failure::Differs(format!("after {step} changes: {words}")))?;
    }
    Ok(())
}

fn check_step(
    agent: &mut Agent,
    case: &Case,
    cluster: &Cluster,
    asked: Option<&mut Tally>,
) -> Result<(), String> {
    let revision = agent.repository.revision();
    agent.tell(&cluster.facts(case));
    if agent.repository.revision() < revision {
        return Err("the revision went back".to_owned());
    }
    let Some(tally) = asked else { return Ok(()) };
    compare(cluster, agent, tally)?;
    let mut fresh = Agent::default();
    fresh.tell(&cluster.facts(case));
    for asked in cluster.asked() {
        for direction in [Direction::Ingress, Direction::Egress] {
            let [old, new] =
                [&mut *agent, &mut fresh].map(|agent| agent.repository.compile(&asked.labels, direction));
            compare_size(&old, &new).map_err(|words| format!("{direction:?} of {asked}: {words}"))?;
            for other in cluster.others() {
                let [here, there] = [other.peer(agent), other.peer(&fresh)];
                for (proto, port) in PROBES {
                    let [kept, compiled] = [(&old, here), (&new, there)].map(|(compiled, peer)| {
                        Answer::of(compiled, compiled.tables.lookup(peer, proto, port).0)
                    });
                    if kept != compiled {
                        let packet =
                            format!("{direction:?} of {asked}, peer {other}, protocol {proto} port {port}");
                        return Err(format!("{packet}\n  kept: {kept:?}\n  from scratch: {compiled:?}"));
                    }
                }
            }
        }
    }
    Ok(())
}

/// What a cell says, whatever numbers its table gave to proxies and logs.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    verdict: Verdict,
    action: u8,
    authentication: u8,
    proxy: Option<String>,
    log: Option<String>,
}

impl Answer {
    fn of(compiled: &Compiled, cell: abi::Cell) -> Self {
        let tables = &compiled.tables;
        let proxy = usize::from(cell.proxy_port).checked_sub(1).map(|at| format!("{:?}", tables.proxies[at]));
        let log = (cell.cookie as usize).checked_sub(1).map(|at| tables.logs[at].to_string());
        let verdict = Verdict::of_cell(cell);
        Self { verdict, action: cell.action, authentication: cell.auth, proxy, log }
    }
}

/// At most 1.25 times the classes that it takes, of peers and of ports.
fn compare_size(old: &Compiled, new: &Compiled) -> Result<(), String> {
    let classes = |compiled: &Compiled| {
        let tables = &compiled.tables;
        let rows = tables.cells.len().checked_div(tables.stride as usize).unwrap_or_default();
        [rows.max(tables.peer_classes() as usize), tables.stride as usize]
    };
    for (what, kept, needed) in
        [("peers", 0), ("ports", 1)].map(|(what, at)| (what, classes(old)[at], classes(new)[at]))
    {
        if 4 * kept > 5 * needed {
            return Err(format!("{kept} classes of {what} where {needed} are enough"));
        }
    }
    if old.tables.audit != new.tables.audit || old.tables.allow_all != new.tables.allow_all {
        return Err("audit mode, or that all is allowed, is not what it is from scratch".to_owned());
    }
    Ok(())
}

/// The smallest sequence that fails, with what differs in it.
pub fn report(sequence: &Sequence, failure: Failure) -> String {
    let mut text = match failure {
        Failure::Rejected(words) => return words,
        Failure::Differs(words) => words,
    };
    let check = |sequence: &Sequence| check(sequence, &mut Tally::default());
    let mut small = sequence.clone();
    loop {
        let before = small.changes.len();
        for number in (0..small.changes.len()).rev() {
            let mut smaller = small.clone();
            smaller.changes.remove(number);
            if matches!(check(&smaller), Err(Failure::Differs(_))) {
                small = smaller;
            }
        }
        let changes = small.changes.clone();
        small.start = minimise(small.start, |start| {
            let smaller = Sequence { start: start.clone(), changes: changes.clone() };
            matches!(check(&smaller), Err(Failure::Differs(_)))
        });
        if small.changes.len() == before {
            break;
        }
    }
    if let Err(Failure::Differs(words)) = check(&small) {
        text = words;
    }
    let Case { settings, names, objects } = &small.start;
    let objects: Vec<String> = objects.iter().map(yaml).collect();
    let _ = write!(text, "\n  {settings:?}\n  names: {names:?}\n{}", objects.join("---\n"));
    for (change, _) in &small.changes {
        let _ = match change {
            Change::Set(objects) => {
                let objects: Vec<String> = objects.iter().map(yaml).collect();
                write!(text, "\n# set\n{}", objects.join("---\n"))
            }
            other => write!(text, "\n# {other:?}"),
        };
    }
    text
}
