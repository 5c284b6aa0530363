//! What went wrong at others, and cannot here: each with the number of its report. Those of planner, fleet and
//! handshake stand beside their tests.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::Duration,
};

use ipam::{
    Epoch, Family, Pool, Record, Refusal, State, Timestamp,
    eni::handshake::{
        Drain, Drained,
        agent::{self, Told, members},
        operator::{self, Known, MayUse, Sight, may_use},
    },
};
use ipnetwork::Ipv4Network;

const COOLDOWN: Duration = Duration::from_secs(30);

fn prefix(text: &str) -> Ipv4Network {
    text.parse().unwrap()
}

fn pool(state: State, prefixes: &[&str], now: u64) -> Pool {
    let mut pool = Pool::restore([], COOLDOWN, state, Timestamp(now)).unwrap();
    pool.set_prefixes(members(&prefixes.iter().map(|text| prefix(text)).collect())).unwrap();
    pool
}

fn give(pool: &mut Pool, owner: &str, now: u64) -> Option<IpAddr> {
    pool.allocate(owner, owner, &[Family::V4], Timestamp(now)).ok().map(|given| given[0])
}

/// vpc-cni #711, #1091: the address of a pod that was ending was another's already.
#[test]
fn an_address_rests_before_it_is_given_again_even_across_a_restart() {
    let mut before = pool(State::default(), &["10.0.0.0/31"], 0);
    let first = give(&mut before, "a", 0).unwrap();
    give(&mut before, "b", 0).unwrap();
    before.release("a", Timestamp(1000));
    // vpc-cni keeps the time of release in memory only.
    let mut after = pool(before.state().clone(), &["10.0.0.0/31"], 2000);
    assert_eq!(give(&mut after, "c", 30_999), None);
    assert_eq!(give(&mut after, "c", 31_000), Some(first));
}

/// vpc-cni #3876, #3887, #3019, #1967: after a restart with an incomplete list of prefixes, addresses in use were taken
/// for stale, forgotten, and given again.
#[test]
fn a_list_that_is_incomplete_makes_nobody_lose_an_address() {
    let mut before = pool(State::default(), &["10.0.0.0/31", "10.0.0.2/31"], 0);
    let given: Vec<_> = ["a", "b", "c"].map(|owner| give(&mut before, owner, 0).unwrap()).into();
    let mut after = pool(before.state().clone(), &["10.0.0.2/31"], 1);
    assert_eq!(after.quarantined().map(|(address, _)| address).collect::<Vec<_>>(), given[..2]);
    assert_eq!(
        given.iter().map(|address| after.owner_of(*address)).collect::<Option<Vec<_>>>(),
        Some(vec!["a", "b", "c"])
    );
    // Nor is the prefix given back, which the node is not told of.
    let asked = ["10.0.0.0/31".parse().unwrap()];
    let decision = after.decide_drain(Epoch(1), &asked, Timestamp(99_999));
    assert_eq!(decision.refused, [(asked[0], Refusal::InUse(2))]);
    after.set_prefixes(members(&[prefix("10.0.0.0/31"), prefix("10.0.0.2/31")].into())).unwrap();
    assert_eq!(after.quarantined().count(), 0);
    assert_eq!(give(&mut after, "a", 2), Some(given[0]));
}

/// vpc-cni #1939, cilium #10065: what ended late, or twice, freed the address of another pod.
#[test]
fn an_end_that_comes_late_frees_nobody_elses_address() {
    let mut pool = pool(State::default(), &["10.0.0.0/32"], 0);
    let address = give(&mut pool, "a", 0).unwrap();
    pool.release("a", Timestamp(0));
    assert_eq!(give(&mut pool, "b", 30_000), Some(address));
    pool.release("a", Timestamp(30_001));
    assert_eq!(pool.owner_of(address), Some("b"));
}

/// vpc-cni #3824: a /28 with a live pod was unassigned. Its cooldown was ignored, too.
#[test]
fn a_prefix_that_is_used_or_rests_is_not_given_back() {
    let mut pool = pool(State::default(), &["10.0.0.0/28"], 0);
    let asked = ["10.0.0.0/28".parse().unwrap()];
    give(&mut pool, "a", 0).unwrap();
    assert_eq!(pool.decide_drain(Epoch(1), &asked, Timestamp(9)).refused, [(asked[0], Refusal::InUse(1))]);
    pool.release("a", Timestamp(10));
    assert_eq!(
        pool.decide_drain(Epoch(2), &asked, Timestamp(30_009)).refused,
        [(asked[0], Refusal::Cooling(1))]
    );
    assert_eq!(pool.decide_drain(Epoch(3), &asked, Timestamp(30_010)).drained, asked);
}

/// cilium #13412, #20026, #32531: an address was given while it was being taken away.
#[test]
fn nothing_is_given_of_what_is_promised() {
    let mut pool = pool(State::default(), &["10.0.0.0/28"], 0);
    let drain = Drain { epoch: Epoch(1), prefixes: [prefix("10.0.0.0/28")].into(), ..Drain::default() };
    let drained = Drained::default();
    let told = Told { drain: &drain, drained: Some(&drained), listed: &drain.prefixes };
    // It is journalled before it is answered, and from then on nothing is given.
    let agent::Step::Journal(record) = agent::next(&pool, told, Timestamp(0)) else { panic!() };
    pool.apply(&record).unwrap();
    let agent::Step::Answer(answer) = agent::next(&pool, told, Timestamp(0)) else { panic!() };
    assert_eq!(answer, Drained { epoch: Epoch(1), prefixes: drain.prefixes.clone(), ..Drained::default() });
    assert_eq!(give(&mut pool, "a", 1), None);
    // A restart changes nothing about it, nor does an old object.
    let mut pool = self::pool(pool.state().clone(), &["10.0.0.0/28"], 1);
    assert_eq!(give(&mut pool, "a", 1), None);
    let old = Told { drain: &Drain::default(), ..told };
    assert!(!matches!(agent::next(&pool, old, Timestamp(1)), agent::Step::Journal(_) | agent::Step::Use(_)));
    assert_eq!(give(&mut pool, "a", 1), None);
}

/// cilium #39981: a released address stayed in the pool, as released, for ever.
#[test]
fn what_was_released_can_come_back() {
    let mut pool = pool(State::default(), &["10.0.0.0/28"], 0);
    let prefixes: BTreeSet<_> = [prefix("10.0.0.0/28")].into();
    let promise =
        Record::Drained { epoch: Epoch(1), prefixes: vec!["10.0.0.0/28".parse().unwrap()], at: Timestamp(0) };
    pool.apply(&promise).unwrap();
    let drained = Drained { epoch: Epoch(1), prefixes: prefixes.clone(), ..Drained::default() };
    let drain = Drain { epoch: Epoch(1), prefixes: prefixes.clone(), ..Drain::default() };
    // EC2 has it no more and it is listed no more: the epoch is over.
    let known = Known {
        drain: &drain,
        drained: Some(&drained),
        listed: &BTreeSet::new(),
        attached: &BTreeMap::new(),
        excess: &BTreeSet::new(),
    };
    let operator::Step::Write(drain) = operator::next(known, Timestamp(0)) else { panic!() };
    assert_eq!(drain.epoch, Epoch(2));
    // It is assigned again; from a look that is late enough it is listed, and the agent takes it as new.
    let of = |at| {
        let sight = Sight { listed: false, seen: Timestamp(at), now: Timestamp(at) };
        may_use(prefix("10.0.0.0/28"), &drain, Some(&drained), sight)
    };
    assert_eq!((of(119_999), of(120_000)), (MayUse::Later(Timestamp(120_000)), MayUse::Yes));
    let told = Told { drain: &drain, drained: Some(&drained), listed: &prefixes };
    let agent::Step::Journal(over) = agent::next(&pool, told, Timestamp(120_000)) else { panic!() };
    pool.apply(&over).unwrap();
    assert_eq!(agent::next(&pool, told, Timestamp(120_000)), agent::Step::Nothing);
    assert!(give(&mut pool, "a", 120_000).is_some());
}
