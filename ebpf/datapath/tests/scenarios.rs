//! All scenarios on the committed programs in this kernel.

mod support;

use scenarios::{KernelEngine, all, run};

#[test]
fn every_case_holds_in_the_kernel() {
    if !support::can_run() {
        return;
    }
    let mut engine = KernelEngine::load().unwrap();
    let cases = all();
    let failures: Vec<String> = cases
        .iter()
        .filter_map(|case| run(case, &mut engine).err())
        .map(|mismatch| mismatch.to_string())
        .collect();
    assert!(failures.is_empty(), "{} of {} cases:\n{}", failures.len(), cases.len(), failures.join("\n"));
    println!("{} cases", cases.len());
}
