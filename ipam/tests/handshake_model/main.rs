//! An exhaustive search of the release handshake in a small world: every order of steps, every crash, every lost or
//! repeated request, every reading of something old, within bounds. Pool, journal records and both halves of the
//! handshake are the library's own.
//!
//! What the search found while the protocol was made, and what holds it off now:
//! - An object that is deleted and made anew loses the epoch, and an epoch that counts from 1 again ended promises that
//!   were still being carried out: nothing is asked back or listed before the agent told its epoch.
//! - An answer to the old object, written into the new one, was followed by a look at the old one: answers carry a uid.
//! - The new object had forgotten which prefixes were released, and one was listed while a request to unassign it was
//!   still on its way: adoption quarantines everything.
//! - An agent made the object anew with a promise whose epoch it had meanwhile read the end of, and the new object's
//!   operator took the prefix: an object is made with an introduction only while nothing is promised.

#![expect(unreachable_pub, reason = "the modules of a test are its own")]

mod mutation;
mod search;
mod steps;
mod world;

use mutation::Mutation;
use search::{search, walk};
use steps::Bounds;

const ONE_PREFIX: Bounds = Bounds { epochs: 3, ticks: 3, nodes: 1, prefixes: 1, pods: 1, recreated: 0 };
const ALL: Bounds = Bounds { epochs: 9, ticks: 9, nodes: 2, prefixes: 2, pods: 3, recreated: 2 };

/// All there is of one prefix on one node: it is assigned, listed, drained, released, comes back, is drained again.
#[test]
fn one_prefix_to_the_end() {
    let found = search(ONE_PREFIX, Mutation::None, usize::MAX);
    assert_eq!(found.broken, None);
    assert_eq!(found.stuck, 0, "P7");
    assert!(found.states > 100_000, "{} states: too few to have seen much", found.states);
    eprintln!("{} states, {} steps", found.states, found.steps);
}

/// Two nodes that want the one prefix, to the end of one drain.
#[test]
fn one_prefix_for_two_nodes() {
    let bounds = Bounds { epochs: 1, ticks: 2, nodes: 2, pods: 2, ..ONE_PREFIX };
    let found = search(bounds, Mutation::None, 120_000);
    assert_eq!(found.broken, None);
    eprintln!("{} states, {} steps", found.states, found.steps);
}

/// The whole world, as far as the time of a test goes, and then far into it on ways chosen by lot.
#[test]
fn two_nodes_two_prefixes_three_pods() {
    let found = search(ALL, Mutation::None, 60_000);
    assert_eq!(found.broken, None);
    for seed in 0..600 {
        assert_eq!(walk(ALL, Mutation::None, seed, 150), None, "seed {seed}");
    }
}

/// The object is deleted and made anew once.
#[test]
fn an_object_made_anew() {
    let found = search(Bounds { recreated: 1, ..ONE_PREFIX }, Mutation::None, 150_000);
    assert_eq!(found.broken, None);
}

#[test]
fn mistakes_are_found() {
    let two_ticks = Bounds { ticks: 2, ..ONE_PREFIX };
    for (mutation, bounds) in [
        (Mutation::AnswersBeforeItJournals, two_ticks),
        (Mutation::ForgetsWhatIsNotListed, two_ticks),
        (Mutation::IgnoresEpochs, two_ticks),
        (Mutation::RequestsOutliveTheirLeader, ONE_PREFIX),
        (Mutation::NoQuarantine, two_ticks),
        (Mutation::AdvancesTooEarly, two_ticks),
        (Mutation::IntroducesPromises, Bounds { recreated: 1, epochs: 2, ticks: 1, ..ONE_PREFIX }),
    ] {
        let found = search(bounds, mutation, 400_000);
        let (broken, path) = found.broken.unwrap_or_else(|| panic!("{mutation:?} was not found"));
        eprintln!("{mutation:?}: {broken}, after {} steps", path.len());
    }
    let found = search(Bounds { epochs: 2, ticks: 2, ..ONE_PREFIX }, Mutation::NeverAdvances, usize::MAX);
    assert!(found.broken.is_none() && found.stuck > 0, "it goes on");
}
