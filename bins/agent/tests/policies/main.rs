//! Random clusters and packets: the oracle, the tables that the agent has compiled from what it was told, the datapath's
//! decisions on the host and the committed programs in the kernel all say the same.
//!
//! `NETLOOM_PAIRS` is the number of pairs of a policy set and a packet where the usual one is too few. A failure is cut
//! down to a small cluster and one packet, and printed as YAML with what everybody says.

mod node;
mod packet;
mod tally;

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use nix::unistd::Uid;
use policy_arbitrary::{Case, case, minimise, yaml};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestError, TestRunner};
use scenarios::{Engine, HostEngine, KernelEngine};

use node::Node;
use packet::Question;
use tally::Tally;

/// Pairs that are judged where nobody asks for more.
const PAIRS: usize = 100_000;
/// Clusters between two looks at how many pairs there were.
const ROUND: u32 = 25;

/// Judges random packets of random clusters until there were enough.
fn compare(engine: &mut dyn Engine) {
    let asked = std::env::var("NETLOOM_PAIRS").ok();
    let wanted = asked.map_or(PAIRS, |text| text.parse().unwrap());
    let (engine, tally) = (RefCell::new(engine), RefCell::new(Tally::default()));
    let started = Instant::now();
    let scene = (case(), prop::bool::weighted(0.2), vec(packet::question(), 600)).prop_map(
        |(mut case, audit, questions)| {
            case.settings.audit = audit;
            (case, questions)
        },
    );
    // Cases are cut down by ourselves.
    let config = Config { cases: ROUND, max_shrink_iters: 0, failure_persistence: None, ..Config::default() };
    let mut clusters = 0;
    while tally.borrow().pairs < wanted {
        let outcome = TestRunner::new(config.clone()).run(&scene, |(case, questions)| {
            let judged = judge(&case, &questions, &mut **engine.borrow_mut());
            let judged = judged.map_err(|_| report(case, &questions, &mut **engine.borrow_mut()));
            tally.borrow_mut().add(&judged.map_err(TestCaseError::fail)?);
            Ok(())
        });
        match outcome {
            Ok(()) => {}
            Err(TestError::Fail(why, _)) => panic!("{why}"),
            Err(TestError::Abort(why)) => panic!("{why}"),
        }
        clusters += ROUND;
    }
    let tally = tally.into_inner();
    eprintln!("{clusters} clusters, {tally:?} in {:?}", started.elapsed());
    tally.assert_varied();
}

/// Asks all questions about a case; the first that is answered in different ways is told in words.
fn judge(case: &Case, questions: &[Question], engine: &mut dyn Engine) -> Result<Tally, String> {
    let mut node = Node::new(case)?;
    let judged = catch_unwind(AssertUnwindSafe(|| node.judge(questions, engine)));
    judged.unwrap_or_else(|_| Err("a panic, of which the message is above".to_owned()))
}

/// The smallest case, and one question about it, that fails likewise.
fn report(case: Case, questions: &[Question], engine: &mut dyn Engine) -> String {
    let engine = RefCell::new(engine);
    let wrong =
        |case: &Case, questions: &[Question]| judge(case, questions, &mut **engine.borrow_mut()).err();
    let one = questions.iter().position(|question| wrong(&case, std::slice::from_ref(question)).is_some());
    let questions = one.map_or(questions, |at| &questions[at..=at]);
    // Another failure is not a smaller one.
    let kind = |words: &str| words.split(' ').next().unwrap_or_default().to_owned();
    let first = wrong(&case, questions).map(|words| kind(&words));
    let small = minimise(case, |case| wrong(case, questions).map(|words| kind(&words)) == first);
    let words = wrong(&small, questions).unwrap_or_else(|| "it comes and goes".to_owned());
    let objects: Vec<String> = small.objects.iter().map(yaml).collect();
    format!("{words}\n{:?}\nnames: {:?}\n{}", small.settings, small.names, objects.join("---\n"))
}

#[test]
fn the_host_decides_as_the_oracle_says() {
    compare(&mut HostEngine::default());
}

#[test]
fn the_kernel_decides_as_the_oracle_says() {
    if !Uid::effective().is_root() {
        eprintln!("skipped: loading programs needs root");
        return;
    }
    compare(&mut KernelEngine::load().unwrap());
}
