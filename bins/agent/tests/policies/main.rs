//! Random policies and random packets: what compiled tables say, the datapath's decisions on the host and the
//! committed programs in the kernel say too.
//!
//! That tables say what the objects mean is for the policy crate's tests, over the same clusters.

mod node;
mod probe;

use std::time::Instant;

use nix::unistd::Uid;
use policy::{Enforcement, Settings};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestError, TestRunner};
use scenarios::{Engine, HostEngine, KernelEngine};
use serde_json::Value;

use node::Cluster;
use probe::Probe;

/// Pairs of a policy set and a packet, unless the environment's `NETLOOM_PAIRS` says otherwise.
const PAIRS: usize = 100_000;
/// Clusters between two looks at how many pairs there were.
const ROUND: u32 = 25;

/// A cluster, what its installation chose, and packets.
type Scene = (Vec<Value>, Settings, Vec<Probe>);

fn scene() -> impl Strategy<Value = Scene> {
    (policy_arbitrary::case().prop_map(|case| case.objects), settings(), vec(probe::probe(), 1..=600))
}

fn settings() -> impl Strategy<Value = Settings> {
    let enforcement = prop_oneof![8 => Just(Enforcement::Default), 1 => Just(Enforcement::Always)];
    (enforcement, any::<bool>(), prop::bool::weighted(0.2)).prop_map(
        |(enforcement, cidrs_match_nodes, audit)| Settings { enforcement, cidrs_match_nodes, audit },
    )
}

/// Judges scenes until there were enough pairs.
fn compare(engine: &mut dyn Engine) {
    let wanted = std::env::var("NETLOOM_PAIRS").ok().and_then(|pairs| pairs.parse().ok()).unwrap_or(PAIRS);
    let engine = std::cell::RefCell::new(engine);
    let counted = std::cell::Cell::new(node::Counts::default());
    let started = Instant::now();
    let mut clusters = 0;
    while counted.get().pairs < wanted {
        let config = Config { cases: ROUND, failure_persistence: None, ..Config::default() };
        let outcome = TestRunner::new(config).run(&scene(), |(objects, settings, probes)| {
            let mut cluster = Cluster::new(&objects, settings);
            let counts = cluster.judge(&mut **engine.borrow_mut(), &probes).map_err(TestCaseError::fail)?;
            counted.set(counted.get().plus(counts));
            Ok(())
        });
        match outcome {
            Ok(()) => clusters += ROUND,
            Err(TestError::Fail(why, (objects, settings, _))) => {
                let objects: Vec<String> =
                    objects.iter().map(|object| serde_json::to_string(object).unwrap()).collect();
                panic!("{why}\n{settings:?}\n{}", objects.join("\n"));
            }
            Err(error) => panic!("{error}"),
        }
    }
    let counts = counted.get();
    println!("{clusters} clusters, {counts:?} in {:?}", started.elapsed());
    counts.assert_worth();
}

#[test]
fn the_host_decides_as_compiled_tables_say() {
    compare(&mut HostEngine::default());
}

#[test]
fn the_kernel_decides_as_compiled_tables_say() {
    if !Uid::effective().is_root() {
        eprintln!("skipped: loading programs needs root");
        return;
    }
    compare(&mut KernelEngine::load().unwrap());
}
