//! The measurement from the beginning to the end.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use netcore::Netns;

use super::machine::Machine;
use super::plan::{Case, Options};
use super::pods::Position;
use super::proof::{self, Proof};
use super::report::{Conditions, CrossCheck, Metric, Report, RuleSet, Samples};
use super::setup::{self, Setup, SetupName};
use super::stats::median;
use super::tools::Tool;
use super::traffic::{self, Path, Window, Work};
use super::{Error, Stop, change, findings, offloads, rules};

/// Over which setups our generator is compared with others.
const CHECKED: [SetupName; 2] = [SetupName::Veth, SetupName::Netloom];
/// How far two generators may be apart, as a share of the other's figure.
const AGREEMENT: f64 = 0.1;
/// Of so many peers the rules are shown.
const SHOWN: usize = 10;

/// Builds the setups, proves that they judge alike, measures them in turn, and removes them.
///
/// # Errors
/// [`Error::Peers`] and [`Error::Missing`], before anything is made; [`Error::Stopped`]; what cannot be made; a setup that
/// judges otherwise than the policies say.
pub fn run(options: &Options, stop: &Stop) -> Result<Report, Error> {
    if !nix::unistd::geteuid().is_root() {
        return Err(Error::NotRoot);
    }
    options.sizes.iter().try_for_each(|&peers| rules::hold_size(peers))?;
    let mut names = options.setups.clone();
    names.push(SetupName::Veth);
    names.sort_unstable();
    names.dedup();
    let missing = setup::missing(&names);
    if !missing.is_empty() {
        return Err(Error::Missing { missing });
    }
    let mut machine = Machine::here();
    tell("what the generator can do without a network");
    let limits = limits(options)?;
    tell("building the setups");
    let mut run = Run {
        options,
        stop,
        setups: setup::build(&names)?,
        samples: Samples::default(),
        rules: Vec::new(),
        proofs: Vec::new(),
        cross_checks: Vec::new(),
        troubles: Vec::new(),
    };
    let offloads = offloads::of(&run.setups);
    machine.offloads = offloads.told;
    for &peers in &options.sizes {
        run.at(peers)?;
    }
    let Run { samples, rules, proofs, cross_checks, troubles, .. } = run;
    let mut report = Report {
        machine,
        rules,
        limits,
        cross_checks,
        proof: proofs.iter().flat_map(told).collect(),
        notes: Vec::new(),
        results: samples.summaries(),
    };
    report.notes = findings::notes(&report);
    report.notes.extend(offloads.differences);
    report.notes.extend(troubles);
    Ok(report)
}

/// What is going on, for whoever waits.
fn tell(what: &str) {
    eprintln!("netloom bench network: {what}");
}

fn limits(options: &Options) -> Result<BTreeMap<String, f64>, Error> {
    let here = Netns::current().map_err(|source| Error::Loopback { source })?;
    let path = Path { from: &here, to: &here, address: Ipv4Addr::LOCALHOST };
    let works = [Work::Stream { streams: 1 }, Work::Exchange, Work::Connect, Work::Datagrams { bytes: 64 }];
    let mut limits = BTreeMap::new();
    for work in works {
        for (metric, value) in traffic::send(path, work, options.window())? {
            limits.insert(metric.name(), value);
        }
    }
    Ok(limits)
}

fn told(proof: &Proof) -> Vec<String> {
    let setups: Vec<&str> = proof.setups.iter().map(|setup| setup.as_str()).collect();
    let verdict = |allowed| if allowed { "let through" } else { "dropped" };
    let line = |probe: &proof::Probe| format!("{} peers: {probe}: {}", proof.peers, verdict(probe.allowed));
    let mut lines = vec![format!("{} peers: probed alike: {}", proof.peers, setups.join(", "))];
    lines.extend(proof.probes.iter().map(line));
    lines
}

struct Run<'a> {
    options: &'a Options,
    stop: &'a Stop,
    setups: Vec<Box<dyn Setup>>,
    samples: Samples,
    rules: Vec<RuleSet>,
    proofs: Vec<Proof>,
    cross_checks: Vec<CrossCheck>,
    /// What other generators could not do.
    troubles: Vec<String>,
}

impl Run<'_> {
    /// All that is measured at one size.
    fn at(&mut self, peers: usize) -> Result<(), Error> {
        self.load(peers)?;
        tell(&format!("{peers} peers: proving that all judge alike"));
        self.proofs.push(proof::prove(&self.setups, peers)?);
        for (mtu, cases) in self.options.cases(peers) {
            for setup in &mut self.setups {
                setup.set_mtu(mtu)?;
            }
            for round in 0..self.options.rounds {
                tell(&format!("{peers} peers, MTU {mtu}: round {} of {}", round + 1, self.options.rounds));
                for case in &cases {
                    self.sample(*case, round)?;
                }
            }
        }
        // What came in the way meanwhile, as a full table of connections, makes the figures worthless.
        self.setups.iter().try_for_each(|setup| setup.inspect(peers))?;
        if self.options.cross_checks > 0 && self.cross_checks.is_empty() {
            self.cross_check(peers)?;
        }
        if peers > 0 {
            self.changes(peers)?;
        }
        Ok(())
    }

    fn load(&mut self, peers: usize) -> Result<(), Error> {
        let conditions = Conditions { peers, ..Conditions::default() };
        for setup in &mut self.setups {
            let name = setup.name();
            self.stop.check()?;
            tell(&format!("{peers} peers: loading {name}"));
            let loaded = setup.load(peers)?;
            if !setup.enforces() || peers == 0 {
                continue;
            }
            self.samples.add(name, Metric::Load, conditions, loaded.took.as_secs_f64() * 1e3);
            if let Some(memory) = &loaded.memory {
                self.samples.add(name, Metric::Memory, conditions, memory.bytes as f64 / 1024.0);
            }
            self.rules.push(RuleSet {
                setup: name,
                peers,
                entries: loaded.entries,
                memory_told_by: loaded.memory.map(|memory| memory.source.to_owned()),
                text: if peers == SHOWN { Some(setup.rules()?) } else { None },
            });
        }
        Ok(())
    }

    /// One sample of each setup, one right after the other. Who is first changes from round to round.
    fn sample(&mut self, case: Case, round: usize) -> Result<(), Error> {
        let (first, count) = (round % self.setups.len(), self.setups.len());
        for index in (first..count).chain(0..first) {
            self.stop.check()?;
            let setup = &self.setups[index];
            let measured = traffic::send(path(setup.as_ref(), case.client), case.work, self.options.window())
                .map_err(|source| source.within(setup.name(), case.conditions.peers))?;
            for (metric, value) in measured {
                self.samples.add(setup.name(), metric, case.conditions, value);
            }
        }
        Ok(())
    }

    /// Our generator and the others in turn, over the same paths.
    fn cross_check(&mut self, peers: usize) -> Result<(), Error> {
        let rounds = self.options.cross_checks;
        let window = Window {
            time: self.options.time.max(std::time::Duration::from_secs(1)),
            ..self.options.window()
        };
        for tool in Tool::ALL.into_iter().filter(|tool| tool.is_here()) {
            tell(&format!("{peers} peers: beside {}", tool.program()));
            let (work, metric) = tool.like();
            for setup in self.setups.iter().filter(|setup| CHECKED.contains(&setup.name())) {
                let path = path(setup.as_ref(), Position::Last);
                let (mut ours, mut theirs) = (Vec::new(), Vec::new());
                for _ in 0..rounds {
                    self.stop.check()?;
                    let measured = traffic::send(path, work, window)?;
                    ours.extend(measured.iter().filter(|(what, _)| *what == metric).map(|(_, value)| *value));
                    match tool.measure(path, window) {
                        Ok(figure) => theirs.push(figure),
                        // Its trouble, and not that of what is measured: but it is said.
                        Err(error) => self.troubles.push(format!("Over {}: {error}.", setup.name())),
                    }
                }
                if theirs.is_empty() {
                    continue;
                }
                let (ours, theirs) = (median(&ours), median(&theirs));
                let ratio = ours / theirs;
                self.cross_checks.push(CrossCheck {
                    tool: tool.program().to_owned(),
                    setup: setup.name(),
                    metric,
                    ours,
                    theirs,
                    ratio,
                    agree: (ratio - 1.0).abs() <= AGREEMENT,
                });
            }
        }
        Ok(())
    }

    fn changes(&mut self, peers: usize) -> Result<(), Error> {
        let conditions = Conditions { peers, ..Conditions::default() };
        for round in 0..self.options.rounds {
            tell(&format!("{peers} peers: changes, round {} of {}", round + 1, self.options.rounds));
            for setup in self.setups.iter_mut().filter(|setup| setup.enforces()) {
                self.stop.check()?;
                let name = setup.name();
                let peer = change::add_peer(setup.as_mut())?;
                let policy = change::add_policy(setup.as_mut())?;
                for (metric, time) in [
                    (Metric::PeerAdded, peer.update),
                    (Metric::PeerAddedCpu, peer.cpu),
                    (Metric::PolicyAdded, policy.update),
                    (Metric::PolicyAddedCpu, policy.cpu),
                ] {
                    self.samples.add(name, metric, conditions, time.as_secs_f64() * 1e3);
                }
            }
        }
        Ok(())
    }
}

fn path(setup: &dyn Setup, client: Position) -> Path<'_> {
    let pods = setup.pods();
    Path { from: &pods.client(client).netns, to: &pods.server.netns, address: pods.server.address }
}
