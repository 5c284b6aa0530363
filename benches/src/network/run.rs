//! The measurement from the beginning to the end.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use netcore::Netns;

use super::machine::Machine;
use super::plan::{Case, Options};
use super::pods::Position;
use super::progress::{Progress, Rough};
use super::proof::{self, Proof};
use super::report::{Conditions, CrossCheck, Metric, Report, RuleSet, Samples};
use super::setup::{self, Setup, SetupName};
use super::tools::Tool;
use super::traffic::{self, Path, Work};
use super::{Error, Stop, change, findings, offloads, rules};

/// Over which setups our generator is compared with others.
const CHECKED: [SetupName; 2] = [SetupName::Veth, SetupName::Netloom];
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
    // What is measured, as it came out: `veth` may not have been asked for.
    let options = &Options { setups: names.clone(), ..options.clone() };
    let over = names.iter().filter(|name| CHECKED.contains(name)).count();
    let tools = Tool::ALL.iter().filter(|tool| tool.is_here()).count();
    let planned = options.expected(tools, over);
    let mut progress = Progress::begin(planned);
    let mut machine = Machine::here();
    progress.tell(&format!("{} setups, {} rounds, about {}", names.len(), options.rounds, Rough(planned)));
    progress.tell("what the generator can do without a network");
    let limits = limits(options)?;
    progress.tell("building the setups");
    let setups = setup::build(&names)?;
    progress.done(options.beginning());
    let mut run = Run {
        options,
        stop,
        progress,
        setups,
        samples: Samples::default(),
        rules: Vec::new(),
        proofs: Vec::new(),
        cross_checks: Vec::new(),
        troubles: Vec::new(),
    };
    let offloads = offloads::of(&run.setups);
    machine.offloads = offloads.told;
    run.prove_open()?;
    for &peers in &options.sizes {
        run.at(peers)?;
    }
    let Run { samples, rules, proofs, cross_checks, troubles, .. } = run;
    let mut report = Report {
        machine,
        rules,
        limits,
        cross_checks,
        probes: proof::table(&proofs),
        notes: Vec::new(),
        results: samples.summaries(),
    };
    report.notes = findings::notes(&report);
    report.notes.extend(offloads.differences);
    report.notes.extend(troubles);
    Ok(report)
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

struct Run<'a> {
    options: &'a Options,
    stop: &'a Stop,
    progress: Progress,
    setups: Vec<Box<dyn Setup>>,
    samples: Samples,
    rules: Vec<RuleSet>,
    proofs: Vec<Proof>,
    cross_checks: Vec<CrossCheck>,
    /// What other generators could not do.
    troubles: Vec<String>,
}

impl Run<'_> {
    /// Holds that without policies all probes are let through in all setups: what is dropped later is dropped by them, and
    /// not for want of a route or of somebody who answers.
    fn prove_open(&mut self) -> Result<(), Error> {
        if self.options.sizes.first() == Some(&0) {
            return Ok(());
        }
        self.progress.tell("proving that all let everything through without policies");
        for setup in &mut self.setups {
            self.stop.check()?;
            setup.load(0)?;
        }
        self.proofs.push(proof::prove(&self.setups, 0)?);
        Ok(())
    }

    /// All that is measured at one size.
    fn at(&mut self, peers: usize) -> Result<(), Error> {
        self.load(peers)?;
        self.progress.tell(&format!("{peers} peers: proving that all judge alike"));
        self.proofs.push(proof::prove(&self.setups, peers)?);
        self.progress.done(self.options.loading(peers));
        for (mtu, cases) in self.options.cases(peers) {
            for setup in &mut self.setups {
                setup.set_mtu(mtu)?;
            }
            for round in 0..self.options.rounds {
                let round_of = format!("round {} of {}", round + 1, self.options.rounds);
                self.progress.tell(&format!("{peers} peers, MTU {mtu}: {round_of}"));
                for case in &cases {
                    self.sample(*case, round)?;
                }
            }
        }
        // What came in the way meanwhile, as a full table of connections, makes the figures worthless.
        self.setups.iter().try_for_each(|setup| setup.inspect(peers))?;
        if self.options.cross_checks > 0 && self.options.sizes.first() == Some(&peers) {
            self.cross_check(peers)?;
        }
        if peers > 0 {
            self.changes(peers)?;
        }
        // All that was measured was measured under what was proved before.
        proof::prove(&self.setups, peers).map(drop)
    }

    fn load(&mut self, peers: usize) -> Result<(), Error> {
        let conditions = Conditions { peers, ..Conditions::default() };
        for setup in &mut self.setups {
            let name = setup.name();
            self.stop.check()?;
            self.progress.tell(&format!("{peers} peers: loading {name}"));
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
            self.progress.done(self.options.sampling());
        }
        Ok(())
    }

    /// Our generator and the others in pairs, over the same paths. Who is first changes from pair to pair.
    fn cross_check(&mut self, peers: usize) -> Result<(), Error> {
        for tool in Tool::ALL.into_iter().filter(|tool| tool.is_here()) {
            self.progress.tell(&format!("{peers} peers: beside {}", tool.program()));
            for index in 0..self.setups.len() {
                if CHECKED.contains(&self.setups[index].name()) {
                    let pairs = self.pairs(tool, index)?;
                    let (setup, metric) = (self.setups[index].name(), tool.like().1);
                    self.cross_checks.extend(CrossCheck::of(tool.program(), setup, metric, &pairs));
                }
            }
        }
        Ok(())
    }

    /// What ours found, and right before or after it the other. A pair of which the other failed is left out and said.
    fn pairs(&mut self, tool: Tool, index: usize) -> Result<Vec<(f64, f64)>, Error> {
        let (setup, (work, metric)) = (&self.setups[index], tool.like());
        let (path, window) = (path(setup.as_ref(), Position::Last), self.options.beside());
        let ours = || {
            let measured = traffic::send(path, work, window)?;
            Ok::<_, Error>(measured.into_iter().find(|(what, _)| *what == metric).map(|(_, value)| value))
        };
        let mut pairs = Vec::new();
        for round in 0..self.options.cross_checks {
            self.stop.check()?;
            let (own, other) = if round.is_multiple_of(2) {
                let own = ours()?;
                (own, tool.measure(path, window))
            } else {
                let other = tool.measure(path, window);
                (ours()?, other)
            };
            match other {
                Ok(other) => pairs.extend(own.map(|own| (own, other))),
                // Its trouble, and not that of what is measured: but it is said.
                Err(error) => self.troubles.push(format!("Over {}: {error}.", setup.name())),
            }
            self.progress.done(self.options.pairing());
        }
        Ok(pairs)
    }

    fn changes(&mut self, peers: usize) -> Result<(), Error> {
        let conditions = Conditions { peers, ..Conditions::default() };
        for round in 0..self.options.rounds {
            let round_of = format!("round {} of {}", round + 1, self.options.rounds);
            self.progress.tell(&format!("{peers} peers: changes, {round_of}"));
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
            self.progress.done(self.options.changing());
        }
        Ok(())
    }
}

fn path(setup: &dyn Setup, client: Position) -> Path<'_> {
    let pods = setup.pods();
    Path { from: &pods.client(client).netns, to: &pods.server.netns, address: pods.server.address }
}
