//! Time of single operations. `cargo bench -p netloom-benches --bench time`.

use benches::micro::{Addresses, Events, Interfaces, Policies};
use divan::Bencher;
use netloom_benches as benches;

fn main() {
    divan::main();
}

/// Policies and identities.
const SIZES: [(u32, u32); 2] = [(100, 1_000), (1_000, 10_000)];

#[divan::bench(args = SIZES, sample_count = 10)]
fn policies_compiled_cold(bencher: Bencher<'_, '_>, (policies, identities): (u32, u32)) {
    let scene = Policies::new(policies, identities);
    bencher.bench_local(|| scene.stage());
}

#[divan::bench(args = SIZES)]
fn policies_with_an_identity_more(bencher: Bencher<'_, '_>, (policies, identities): (u32, u32)) {
    let mut staged = Policies::new(policies, identities).stage();
    bencher.bench_local(|| staged.add_identity());
}

#[divan::bench]
fn addresses_given_and_taken_back(bencher: Bencher<'_, '_>) {
    let addresses = Addresses::new(110).expect("a /24 has room for 110");
    bencher.bench_local(|| addresses.turn_over());
}

#[divan::bench]
fn journal_replayed(bencher: Bencher<'_, '_>) {
    let addresses = Addresses::new(110).expect("a /24 has room for 110");
    bencher.bench_local(|| addresses.replay());
}

#[divan::bench(args = [3, 100])]
fn interfaces_planned(bencher: Bencher<'_, '_>, subnets: u8) {
    let interfaces = Interfaces::new(subnets, 30).expect("the subnets are within 10.0.0.0/8");
    bencher.bench_local(|| interfaces.plan());
}

#[divan::bench]
fn events_decoded(bencher: Bencher<'_, '_>) {
    let events = Events::new(1_000);
    bencher.counter(divan::counter::ItemsCount::new(1_000_u32)).bench_local(|| events.decode());
}
