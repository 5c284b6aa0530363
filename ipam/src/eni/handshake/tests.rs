//! What the search of the handshake (`tests/handshake_model`) found, one by one.

use std::collections::{BTreeMap, BTreeSet};

use ipnetwork::Ipv4Network;

use super::{
    Drain, Drained,
    agent::{self, Told, members},
    operator::{self, Known},
};
use crate::{Epoch, Pool, Record, Timestamp};

const NOW: Timestamp = Timestamp(1_000_000);

fn set() -> BTreeSet<Ipv4Network> {
    ["10.0.0.0/28".parse().unwrap()].into()
}

/// A pool that promised its prefix in epoch 2.
fn promised() -> Pool {
    let mut pool = Pool::new([], operator::QUARANTINE).unwrap();
    pool.set_prefixes(members(&set())).unwrap();
    let prefixes = set().into_iter().map(Into::into).collect();
    pool.apply(&Record::Drained { epoch: Epoch(2), prefixes, at: NOW }).unwrap();
    pool
}

/// An agent says that it promised nothing up to epoch 2, promises something in epoch 2, and its object is deleted and
/// made anew with what it had said; or with an older word, and the operator counted up to 2 meanwhile. The promise lasted
/// until somebody asked for something else: the prefix was listed, and no pod got an address of it.
#[test]
fn a_promise_that_an_object_made_anew_does_not_show_is_told_and_carried_out() {
    let pool = promised();
    for said in [0, 2] {
        let drain = Drain { epoch: Epoch(2), ..Drain::default() };
        let said = Drained { epoch: Epoch(said), ..Drained::default() };
        let told = Told { drain: &drain, drained: Some(&said), listed: &set() };
        let told_again = Drained { epoch: Epoch(2), prefixes: set(), refused: BTreeSet::new() };
        assert_eq!(agent::next(&pool, told, NOW), agent::Step::Answer(told_again.clone()));

        let attached: BTreeMap<_, _> = set().into_iter().map(|prefix| (prefix, "eni-1".to_owned())).collect();
        let excess = BTreeSet::new();
        let known = Known {
            drain: &drain,
            drained: Some(&told_again),
            listed: &set(),
            attached: &attached,
            excess: &excess,
        };
        let operator::Step::Write(adopted) = operator::next(known, NOW) else { panic!("it is left alone") };
        assert_eq!((adopted.epoch, &adopted.prefixes), (Epoch(2), &set()));
        let release = operator::Step::Release([("eni-1".to_owned(), set())].into());
        assert_eq!(operator::next(Known { drain: &adopted, ..known }, NOW), release);
        let told = Told { drain: &adopted, drained: Some(&told_again), listed: &set() };
        assert_eq!(agent::next(&pool, told, NOW), agent::Step::Nothing);
    }
}

/// The same, and the new object asks for another prefix in the epoch: an answer about that one, which did not show the
/// promise, ended it while the request to unassign it was on its way.
#[test]
fn an_answer_shows_all_that_is_promised_in_its_epoch() {
    let other: BTreeSet<Ipv4Network> = ["10.0.0.16/28".parse().unwrap()].into();
    let drain = Drain { epoch: Epoch(2), prefixes: other.clone(), ..Drain::default() };
    let told = Told { drain: &drain, drained: Some(&Drained::default()), listed: &set() };
    let answer = Drained { epoch: Epoch(2), prefixes: set(), refused: other };
    assert_eq!(agent::next(&promised(), told, NOW), agent::Step::Answer(answer));
}
