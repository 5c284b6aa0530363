//! All cases on the host.

use scenarios::{HostEngine, all, run};

#[test]
fn every_case_holds_on_the_host() {
    let mut engine = HostEngine::default();
    let failures: Vec<String> = all()
        .iter()
        .filter_map(|case| run(case, &mut engine).err())
        .map(|mismatch| mismatch.to_string())
        .collect();
    assert!(failures.is_empty(), "{} cases:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn every_case_has_a_name_of_its_own() {
    let mut names: Vec<String> = all().into_iter().map(|case| case.name).collect();
    let count = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), count);
    println!("{count} cases");
}

#[test]
fn a_wrong_expectation_is_found() {
    let mut engine = HostEngine::default();
    for case in all() {
        let mut wrong = case.clone();
        let Some(scenarios::Step::Frame(_, _, expect)) =
            wrong.steps.iter_mut().rfind(|step| matches!(step, scenarios::Step::Frame(..)))
        else {
            continue;
        };
        expect.outcome = if expect.outcome == scenarios::Outcome::Arp {
            scenarios::Outcome::Pass
        } else {
            scenarios::Outcome::Arp
        };
        assert!(run(&wrong, &mut engine).is_err(), "{}", wrong.name);
    }
}
