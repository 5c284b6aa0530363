//! What the tests of cases share.

use std::path::{Path, PathBuf};

use conformance::report::{Report, Status, Tally};
use conformance::{Level, SuiteFile, check, choose, run};

/// The case files of a folder of `cases`.
pub(crate) fn files(folder: &str) -> Vec<SuiteFile> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases").join(folder);
    SuiteFile::read_all(&[path]).unwrap()
}

/// Runs all cases, of which none may fail; says the numbers.
pub(crate) fn pass(files: &[SuiteFile], level: &mut dyn Level) -> Tally {
    let report = report(files, level);
    eprint!("{report}");
    assert!(report.ok, "a case failed, see above");
    for case in report.cases.iter().filter(|case| case.result.status == Status::Skip) {
        let why = case.result.message.as_deref().unwrap_or("nobody says why");
        eprintln!("skipped: {} at the {} level: {why}", case.name, case.result.level);
    }
    report.summary.into_values().next().unwrap()
}

/// What comes of all cases.
pub(crate) fn report(files: &[SuiteFile], level: &mut dyn Level) -> Report {
    let cases = choose(files, &[]).unwrap();
    check(&cases).unwrap();
    Report::new(run(&cases, level, |_| ()).unwrap())
}

/// The directory of netloom's programs, which a lab needs; nothing where they were not built together.
pub(crate) fn programs() -> Option<PathBuf> {
    if let Some(directory) = std::env::var_os("NETLOOM_BIN_DIR") {
        return Some(directory.into());
    }
    // Tests are in `deps`, programs beside it.
    let own = std::env::current_exe().unwrap();
    let directory = own.parent().and_then(Path::parent)?.to_owned();
    ["netloom", "netloom-agent", "netloom-cni"]
        .iter()
        .all(|program| directory.join(program).is_file())
        .then_some(directory)
}
