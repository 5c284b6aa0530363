//! Oracle, tables and explanations side by side.

use std::collections::BTreeSet;
use std::fmt;

use abi::{CellAction, Direction, proto};
use policy::oracle::{Judgement, Subject};
use policy::{Authentication, Compiled, Explanation, RuleRef, Verdict};

use super::cluster::{Asked, Cluster, Other, Owner};
use super::facts::Agent;
use super::tally::Tally;

/// Protocols and ports: those that policies name, and their neighbours.
pub(crate) const PROBES: [(u8, u16); 21] = [
    (proto::TCP, 1),
    (proto::TCP, 53),
    (proto::TCP, 79),
    (proto::TCP, 80),
    (proto::TCP, 81),
    (proto::TCP, 90),
    (proto::TCP, 443),
    (proto::TCP, 8080),
    (proto::TCP, 65535),
    (proto::UDP, 53),
    (proto::UDP, 80),
    (proto::UDP, 8080),
    (proto::SCTP, 80),
    (proto::SCTP, 9),
    (proto::ICMP, 0),
    (proto::ICMP, 3),
    (proto::ICMP, 8),
    (proto::ICMPV6, 128),
    (proto::ICMPV6, 135),
    (112, 0),
    (47, 0),
];

/// What is wrong with a case.
#[derive(Debug)]
pub enum Failure {
    /// It is not valid: the generator's mistake, or the parser's.
    Rejected(String),
    /// Two answers differ, or somebody panicked.
    Differs(String),
}

/// An answer, whoever gave it.
#[derive(Debug, PartialEq, Eq)]
struct Answer<'a> {
    verdict: Verdict,
    proxy: Option<policy::l7::Proxy>,
    authentication: Option<Authentication>,
    /// None where the one who answers does not know.
    reasons: Option<[BTreeSet<&'a RuleRef>; 2]>,
}

impl<'a> Answer<'a> {
    fn of_oracle(judged: &'a Judgement) -> Self {
        Self {
            verdict: judged.verdict,
            proxy: judged.proxy,
            authentication: judged.authentication,
            reasons: Some([judged.rules.iter().collect(), judged.closed_by.iter().collect()]),
        }
    }

    fn of_explanation(explained: &'a Explanation) -> Self {
        Self {
            verdict: explained.verdict,
            proxy: explained.proxy,
            authentication: explained.authentication,
            reasons: Some([explained.rules.iter().collect(), explained.closed_by.iter().collect()]),
        }
    }

    fn of_tables(compiled: &Compiled, cell: abi::Cell) -> Self {
        let redirects = cell.action == CellAction::Redirect as u8;
        let modes = [Authentication::Required, Authentication::TestAlwaysFail];
        Self {
            verdict: Verdict::of_cell(cell),
            proxy: redirects.then(|| compiled.tables.proxies[usize::from(cell.proxy_port) - 1]),
            authentication: modes.into_iter().find(|mode| *mode as u8 == cell.auth),
            reasons: None,
        }
    }
}

impl fmt::Display for Answer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.verdict)?;
        if let Some(proxy) = self.proxy {
            write!(f, " by {proxy:?}")?;
        }
        if let Some(authentication) = self.authentication {
            write!(f, " authentication {authentication:?}")?;
        }
        for (title, places) in ["rules", "closed by"].iter().zip(self.reasons.iter().flatten()) {
            for place in places {
                write!(f, "\n      {title}: {} {}", place.policy, place.path)?;
            }
        }
        Ok(())
    }
}

/// Compares every probe of a cluster; the first that differs is told in words.
pub(crate) fn compare(cluster: &Cluster, agent: &mut Agent, tally: &mut Tally) -> Result<(), String> {
    let others = cluster.others();
    for (number, asked) in cluster.asked().iter().enumerate() {
        let subject = match asked.owner {
            Owner::Pod(pod) => cluster.oracle.pod(pod),
            Owner::Node(node) => cluster.oracle.node(node),
        };
        for direction in [Direction::Ingress, Direction::Egress] {
            let compiled = agent.repository.compile(&asked.labels, direction);
            for (place, other) in others.iter().enumerate() {
                // Explanations are slow: every one for some peers of each subject.
                let explain = (number + place) % 3 == 0;
                compare_peer(agent, &compiled, (asked, &subject), direction, (other, explain), tally)?;
            }
        }
    }
    Ok(())
}

fn compare_peer(
    agent: &Agent,
    compiled: &Compiled,
    (asked, subject): (&Asked<'_>, &Subject<'_>),
    direction: Direction,
    (other, explain): (&Other<'_>, bool),
    tally: &mut Tally,
) -> Result<(), String> {
    let peer = other.peer(agent);
    for (proto, port) in PROBES {
        let judged = subject.by_policies(direction, other.party, other.addr, proto, port);
        tally.add(&judged);
        let expected = Answer::of_oracle(&judged);
        let (cell, peer_class, port_class) = compiled.tables.lookup(peer, proto, port);
        let found = Answer::of_tables(compiled, cell);
        let differ = |who: &str, found: &Answer<'_>| {
            let packet = format!("{direction:?} of {asked}, peer {other}, protocol {proto} port {port}");
            Err(format!("{packet}\n  oracle: {expected}\n  {who}: {found}"))
        };
        let same = found.verdict == expected.verdict
            && found.authentication == expected.authentication
            && (found.verdict != Verdict::Redirect || found.proxy == expected.proxy);
        if !same {
            return differ("tables", &found);
        }
        if !explain {
            continue;
        }
        let explained = agent.repository.explain(&asked.labels, direction, peer, proto, port);
        let found = Answer::of_explanation(&explained);
        if found != expected || explained.action as u8 != cell.action {
            return differ("explanation", &found);
        }
        // A class tells the rules of all that are in it; class 0 those for everyone.
        let reasons: BTreeSet<_> = compiled.reasons(peer_class, port_class).into_iter().collect();
        if peer_class.0 != 0 && !judged.rules.iter().all(|rule| reasons.contains(rule)) {
            return differ(&format!("reasons of the class: {reasons:?}"), &found);
        }
    }
    Ok(())
}
