//! An exhaustive search of the release handshake in a small world: every order of steps, every crash, every lost or
//! repeated request, every reading of something old, without any bound of time or epochs. Pool, journal records and both
//! halves of the handshake are the library's own.
//!
//! What is searched is one node whose surroundings may do anything: EC2 may at any moment assign it any prefix that it does
//! not have. Nodes share nothing but that EC2 assigns a prefix to one of them and that time passes for all ([`steps`] is
//! given one node), so what a node does among others it does alone, too. Where no node breaks P2, no two pods of
//! different nodes have an address, since its prefix is assigned to one node (P1); where none breaks P3, no address rests
//! when its prefix comes to another node (P10).
//!
//! What the search found, and what holds it off now:
//! - An object that is deleted and made anew loses the epoch, and an epoch that counts from 1 again ended promises that
//!   were still being carried out: nothing is asked back or listed before the agent told its epoch.
//! - An answer to the old object, written into the new one, was followed by a look at the old one: answers carry a uid.
//! - The new object had forgotten which prefixes were released, and one was listed while a request to unassign it was
//!   still on its way: adoption quarantines everything.
//! - An agent made the object anew with a promise whose epoch it had meanwhile read the end of, and the new object's
//!   operator took the prefix: an object is made with an introduction only while nothing is promised.
//! - The new object came to the epoch of a promise that it did not show, and no pod got an address of what it listed: the
//!   agent tells such promises again, and the operator adopts what it did not ask for.
//! - An answer about another prefix in that epoch took such a promise back: answers show all that is promised.

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
use worlds::{pairs, shake, walk};

/// One prefix of one address.
const ONE: Scope = Scope { prefixes: 1, size: 1, pods: 3, grain: 1, remade: false, mutation: Mutation::None };
/// Two of them.
const TWO: Scope = Scope { prefixes: 2, ..ONE };

/// Whether all is asked for that takes minutes, of optimised code.
fn whole() -> bool {
    std::env::var_os("NETLOOM_SEARCH").is_some_and(|value| value == "whole")
}

/// Searches to the end, and tries the normal forms on what was found: nodes that differ only in what a form does not
/// show, and ways through a world of two nodes, each of which has to be one that the search reached.
fn exhaust(scope: Scope) -> (Reached, Library) {
    let begin = std::time::Instant::now();
    let mut library = Library::new(scope);
    let reached = search(scope, &mut library).unwrap_or_else(|broken| panic!("{scope:?}: {broken:#?}"));
    assert_eq!(restless(&reached, &mut library, scope), None, "P7");
    let (nodes, steps, time) = (reached.nodes().len(), reached.steps, begin.elapsed());
    let tries = if whole() { 1_000_000 } else { 30_000 };
    let shaken = shake(&reached, &mut library, scope, tries);
    assert!(shaken > tries / 100, "{shaken}: too few to tell anything");
    for seed in 0..if whole() { 1_000 } else { 50 } {
        walk(scope, Some(&reached), &mut library, seed, 150);
    }
    eprintln!("{scope:?}: {nodes} nodes, {steps} steps, {time:.0?}; {shaken} differ from their form");
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
    exhaust(Scope { remade: true, ..ONE });
}

/// The world of two nodes, two prefixes and three pods, as each of the nodes can come to see it. A prefix has one
/// address, so that no more than two pods get one; in the whole search it has two.
#[test]
fn two_prefixes() {
    exhaust(TWO);
    if whole() {
        for scope in [
            Scope { size: 2, ..TWO },
            Scope { remade: true, ..TWO },
            Scope { grain: 2, ..TWO },
            Scope { remade: true, grain: 2, size: 2, ..ONE },
        ] {
            exhaust(scope);
        }
    }
}

/// Two nodes at once that want the one prefix.
#[test]
fn two_nodes() {
    let (reached, mut library) = exhaust(ONE);
    let worlds = pairs(&reached, &mut library, ONE).unwrap();
    assert!(worlds > 1_000_000, "{worlds}: too few to have met");
    eprintln!("{worlds} worlds of two nodes");
}

/// The largest worlds, in no normal form, on ways chosen by lot.
#[test]
fn ways_through_large_worlds() {
    for scope in [Scope { size: 2, grain: 2, ..TWO }, Scope { size: 2, grain: 2, remade: true, ..TWO }] {
        let mut library = Library::new(scope);
        for seed in 0..if whole() { 2_000 } else { 50 } {
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
        let scope = Scope { mutation, ..scope };
        let found = search(scope, &mut Library::new(scope)).err();
        let found = found.unwrap_or_else(|| panic!("{mutation:?} was not found"));
        eprintln!("{mutation:?}: {}, after {} steps", found.property, found.path.len());
    }
    let scope = Scope { mutation: Mutation::NeverAdvances, ..ONE };
    let mut library = Library::new(scope);
    let reached = search(scope, &mut library).expect("nothing is lost");
    assert!(restless(&reached, &mut library, scope).is_some(), "it goes on");
}
