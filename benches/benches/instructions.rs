//! Instructions of single operations, counted by Valgrind's Callgrind: the same on a busy machine.
//! `cargo bench -p netloom-benches --bench instructions`; it needs `valgrind` and `gungraun-runner`.

#![expect(missing_docs, reason = "the macros of the harness make items that cannot have any")]

use std::hint::black_box;

use benches::micro::{Addresses, Events, Interfaces, Policies};
use benches::policy::Staged;
use gungraun::prelude::*;
use netloom_benches as benches;

fn policies() -> Policies {
    Policies::new(100, 1_000)
}

fn staged() -> Staged {
    policies().stage()
}

fn addresses() -> Addresses {
    Addresses::new(110).expect("a /24 has room for 110")
}

fn interfaces() -> Interfaces {
    Interfaces::new(3, 30).expect("the subnets are within 10.0.0.0/8")
}

fn events() -> Events {
    Events::new(1_000)
}

#[library_benchmark]
#[bench::small(policies())]
fn policies_compiled_cold(scene: Policies) -> usize {
    black_box(scene.stage()).tables()
}

#[library_benchmark]
#[bench::small(staged())]
fn policies_with_an_identity_more(mut staged: Staged) -> (usize, Staged) {
    (black_box(staged.add_identity()), staged)
}

#[library_benchmark]
#[bench::node(addresses())]
fn addresses_given_and_taken_back(addresses: Addresses) -> usize {
    black_box(addresses.turn_over())
}

#[library_benchmark]
#[bench::node(addresses())]
fn journal_replayed(addresses: Addresses) -> usize {
    black_box(addresses.replay())
}

#[library_benchmark]
#[bench::node(interfaces())]
fn interfaces_planned(interfaces: Interfaces) -> usize {
    black_box(interfaces.plan())
}

#[library_benchmark]
#[bench::thousand(events())]
fn events_decoded(events: Events) -> usize {
    black_box(events.decode())
}

library_benchmark_group!(
    name = operations,
    benchmarks = [
        policies_compiled_cold,
        policies_with_an_identity_more,
        addresses_given_and_taken_back,
        journal_replayed,
        interfaces_planned,
        events_decoded
    ]
);

main!(library_benchmark_groups = operations);
