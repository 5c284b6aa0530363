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

mod drive;
mod library;
mod mutation;
mod normal;
mod packed;
mod properties;
mod search;
mod steps;
mod world;
mod worlds;

use drive::restless;
use library::Library;
use mutation::Mutation;
use search::{Reached, search};
use world::Scope;
use worlds::{pairs, walk};

/// One prefix of one address.
const ONE: Scope = Scope { prefixes: 1, size: 1, pods: 3, grain: 1, remade: false, mutation: Mutation::None };
/// Two of them.
const TWO: Scope = Scope { prefixes: 2, ..ONE };

/// Whether all is asked for that takes minutes, of optimised code.
fn whole() -> bool {
    std::env::var_os("NETLOOM_SEARCH").is_some_and(|value| value == "whole")
}

/// Searches to the end.
fn exhaust(scope: Scope) -> (Reached, Library) {
    let begin = std::time::Instant::now();
    let mut library = Library::new(scope);
    let reached = search(scope, &mut library).unwrap_or_else(|broken| panic!("{scope:?}: {broken:#?}"));
    if std::env::var_os("NOREST").is_none() { assert_eq!(restless(&reached, &mut library, scope), None, "P7"); }
    let (nodes, steps, time) = (reached.nodes().len(), reached.steps, begin.elapsed());
    eprintln!("{scope:?}: {nodes} nodes, {steps} steps, {time:.0?}");
    (reached, library)
}

/// All there is of one prefix: it is assigned, listed, drained, released, comes back, is drained again.
#[test]
fn one_prefix() {
    for scope in [ONE, Scope { size: 2, ..ONE }, Scope { grain: 2, ..ONE }] {
        let (reached, _) = exhaust(scope);
        assert!(reached.nodes().len() > 5_000, "too few to have seen much");
    }
}

/// Its object is deleted and made anew, as often as one likes.
#[test]
fn one_prefix_of_an_object_made_anew() {
    let scope = Scope { remade: true, ..ONE };
    let (reached, mut library) = exhaust(scope);
    for seed in 0..300 {
        walk(scope, Some(&reached), &mut library, seed, 150);
    }
    if whole() {
        exhaust(Scope { remade: true, size: 2, ..ONE });
        exhaust(Scope { remade: true, grain: 2, ..ONE });
    }
}

/// The world of two nodes, two prefixes and three pods, as each of the nodes can come to see it.
#[test]
fn two_prefixes() {
    let scope = if whole() { Scope { size: 2, ..TWO } } else { TWO };
    let (reached, mut library) = exhaust(scope);
    for seed in 0..100 {
        walk(scope, Some(&reached), &mut library, seed, 150);
    }
}

/// Two nodes at once that want the one prefix.
#[test]
fn two_nodes() {
    let (reached, mut library) = exhaust(ONE);
    for seed in 0..100 {
        walk(ONE, Some(&reached), &mut library, seed, 150);
    }
    let begin = std::time::Instant::now();
    let worlds = pairs(&reached, &mut library, ONE);
    eprintln!("{worlds:?} worlds, {:.0?}", begin.elapsed());
}

/// The largest world, in no normal form, on ways chosen by lot.
#[test]
fn normal_forms_lead_to_the_same() {
    for scope in [
        Scope { size: 2, grain: 2, ..TWO },
        Scope { size: 2, remade: true, ..TWO },
        Scope { size: 2, grain: 2, remade: true, ..TWO },
    ] {
        let mut library = Library::new(scope);
        for seed in 0..if whole() { 2_000 } else { 100 } {
            walk(scope, None, &mut library, seed, 150);
        }
    }
}

#[test]
fn mistakes_are_found() {
    let remade = Scope { remade: true, ..ONE };
    for (mutation, scope) in [
        (Mutation::AnswersBeforeItJournals, ONE),
        (Mutation::ForgetsWhatIsNotListed, ONE),
        (Mutation::IgnoresEpochs, ONE),
        (Mutation::RequestsOutliveTheirLeader, ONE),
        (Mutation::NoQuarantine, ONE),
        (Mutation::AdvancesTooEarly, ONE),
        (Mutation::IntroducesPromises, remade),
    ] {
        for prefixes in [1, 2] {
            let scope = Scope { mutation, prefixes, ..scope };
            let found = search(scope, &mut Library::new(scope)).err();
            let found = found.unwrap_or_else(|| panic!("{mutation:?} was not found"));
            eprintln!("{mutation:?}: {}, after {} steps", found.property, found.path.len());
        }
    }
    let scope = Scope { mutation: Mutation::NeverAdvances, ..ONE };
    let mut library = Library::new(scope);
    let reached = search(scope, &mut library).expect("nothing is lost");
    assert!(restless(&reached, &mut library, scope).is_some(), "it goes on");
}
