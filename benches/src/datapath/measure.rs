//! Rounds.

use abi::bench::Course;

use super::case::{Case, FLOWS, Way};
use super::report::{CaseTime, Kind, Layout, Order, Report, VerdictTime};
use super::stage::Stage;
use super::world::{MOST_PEERS, World};
use super::{Error, Options};

/// Measures everything.
pub(crate) fn run(options: &Options) -> Result<Report, Error> {
    let mut sizes = options.peers.clone();
    sizes.sort_unstable();
    sizes.dedup();
    if let Some(&peers) = sizes.iter().find(|peers| !(2..=MOST_PEERS).contains(*peers)) {
        return Err(Error::Peers { peers, most: MOST_PEERS });
    }
    let mut stage = Stage::load()?;
    let mut world = World::new();
    let mut report = Report {
        empty_ns: 0,
        cases: Vec::new(),
        programs: stage.sizes()?,
        verdicts: Vec::new(),
        wire_to_pod: Vec::new(),
        pod_to_pod: Vec::new(),
        many_flows: Vec::new(),
        tables: Vec::new(),
        repeat: options.repeat,
        rounds: options.rounds,
    };
    report.empty_ns = empty(&mut stage, options)?;
    for peers in sizes {
        report.tables.extend(world.grow(&mut stage, peers)?);
        for case in Case::all() {
            report.cases.extend(times(&mut stage, &world, case, options)?);
        }
        let established = |way, flows| Case { kind: Kind::Established, way, flows };
        report.wire_to_pod.extend(times(&mut stage, &world, established(Way::Wire, 1), options)?);
        report.pod_to_pod.extend(times(&mut stage, &world, established(Way::Pods, 1), options)?);
        for way in [Way::In, Way::Out] {
            report.many_flows.extend(times(&mut stage, &world, established(way, FLOWS), options)?);
        }
        for order in [Order::Same, Order::InTurn] {
            report.verdicts.extend(verdicts(&mut stage, &world, order, options)?);
        }
    }
    Ok(report)
}

/// Runs in a round. The first one only fills tables and caches.
fn repeat(options: &Options, round: usize) -> u32 {
    if round == 0 { options.repeat.min(abi::maps::capacity::CT_UNCONFIRMED as u32) } else { options.repeat }
}

/// The quickest and the median of some rounds.
fn summary(mut rounds: Vec<u64>) -> [u64; 2] {
    rounds.sort_unstable();
    [rounds.first(), rounds.get(rounds.len() / 2)].map(|round| round.copied().unwrap_or_default())
}

/// What a round takes beyond one that does nothing.
fn net(rounds: Vec<u64>, nothing: &[u64]) -> [u64; 2] {
    let ([min, median], [no_min, no_median]) = (summary(rounds), summary(nothing.to_vec()));
    [min.saturating_sub(no_min), median.saturating_sub(no_median)]
}

fn empty(stage: &mut Stage, options: &Options) -> Result<u64, Error> {
    let frame = Case { kind: Kind::Established, way: Way::Out, flows: 1 }.frame()?;
    let rounds: Result<Vec<u64>, Error> =
        (0..options.rounds).map(|_| Ok(stage.run("empty", &frame, options.repeat)?.nanoseconds)).collect();
    Ok(summary(rounds?)[0])
}

/// Proves a case in both layouts, then measures it in turns.
fn times(stage: &mut Stage, world: &World, case: Case, options: &Options) -> Result<[CaseTime; 2], Error> {
    for layout in Layout::BOTH {
        case.prove(stage, world, layout)?;
    }
    case.prepare(stage, world)?;
    stage.set_course(case.course(world))?;
    let (frame, wrapper) = (case.frame()?, case.wrapper().name());
    let [mut nothing, mut ours, mut theirs] = [const { Vec::new() }; 3];
    for round in 0..=options.rounds {
        let repeat = repeat(options, round);
        for (target, rounds) in [
            (None, &mut nothing),
            (Some((Layout::Netloom, case.program())), &mut ours),
            (Some((Layout::TwoLpm, case.program())), &mut theirs),
        ] {
            stage.aim(target)?;
            let run = stage.run(wrapper, &frame, repeat)?;
            if round > 0 {
                rounds.push(run.nanoseconds);
            }
        }
    }
    Ok([(Layout::Netloom, ours), (Layout::TwoLpm, theirs)].map(|(layout, rounds)| {
        let [ns_min, ns_median] = net(rounds, &nothing);
        CaseTime {
            layout,
            case: case.kind,
            direction: case.direction(),
            peers: world.peers(),
            ns_min,
            ns_median,
        }
    }))
}

/// Measures bare verdicts in turns.
fn verdicts(
    stage: &mut Stage,
    world: &World,
    order: Order,
    options: &Options,
) -> Result<[VerdictTime; 2], Error> {
    /// `CellAction::Allow`, as the programs return it.
    const ALLOWED: i32 = abi::CellAction::Allow as i32;
    let turns = if order == Order::Same { 1 } else { 0 };
    let frame = Case { kind: Kind::Established, way: Way::Out, flows: 1 }.frame()?;
    stage.set_course(Course { next: 0, turns, peers: world.peers(), slot: world.slot() })?;
    let [mut nothing, mut ours, mut theirs] = [const { Vec::new() }; 3];
    for round in 0..=options.rounds {
        let repeat = repeat(options, round);
        for (program, layout, rounds) in [
            ("verdict_none", None, &mut nothing),
            ("verdict_netloom", Some(Layout::Netloom), &mut ours),
            ("verdict_two_lpm", Some(Layout::TwoLpm), &mut theirs),
        ] {
            let run = stage.run(program, &frame, repeat)?;
            if let Some(layout) = layout
                && run.verdict != ALLOWED
            {
                let (found, expected) = (run.verdict.into(), ALLOWED.into());
                return Err(Error::Untrue {
                    case: "bare verdict".into(),
                    layout,
                    what: "the verdict",
                    found,
                    expected,
                });
            }
            if round > 0 {
                rounds.push(run.nanoseconds);
            }
        }
    }
    Ok([(Layout::Netloom, ours), (Layout::TwoLpm, theirs)].map(|(layout, rounds)| {
        let [ns_min, ns_median] = net(rounds, &nothing);
        VerdictTime { layout, order, peers: world.peers(), ns_min, ns_median }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_is_the_minimum_and_the_median() {
        assert_eq!(summary(vec![9, 1, 5]), [1, 5]);
        assert_eq!(summary(vec![7]), [7, 7]);
    }

    #[test]
    fn what_does_nothing_is_subtracted_and_never_gives_less_than_nothing() {
        assert_eq!(net(vec![130, 110, 120], &[12, 10, 11]), [100, 109]);
        assert_eq!(net(vec![9], &[10]), [0, 0]);
    }
}
