//! What tests of cases share.

use std::path::{Path, PathBuf};

use conformance::report::{CaseReport, Report, Status, Tally};
use conformance::{Error, Level, SuiteFile, check, choose, run};

/// The case files of a folder of `cases`.
pub(crate) fn files(folder: &str) -> Vec<SuiteFile> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases").join(folder);
    SuiteFile::read_all(&[path]).unwrap()
}

/// Runs all cases, of which none may fail; says the numbers.
pub(crate) fn pass(files: &[SuiteFile], level: &mut dyn Level) -> Tally {
    let report = report(files, level).unwrap();
    assert!(report.ok, "\n{report}");
    for case in report.cases.iter().filter(|case| case.result.status == Status::Skip) {
        let why = case.result.message.as_deref().unwrap_or("nobody says why");
        eprintln!("skipped: {} at the {} level: {why}", case.name, case.result.level);
    }
    report.summary.into_values().next().unwrap()
}

/// What comes of all cases.
pub(crate) fn report(files: &[SuiteFile], level: &mut dyn Level) -> Result<Report, Error> {
    let cases = choose(files, &[])?;
    check(&cases)?;
    Ok(Report::new(run(&cases, level, |_| ())?))
}

/// A case file in a directory of its own.
pub(crate) struct Written {
    directory: tempfile::TempDir,
}

impl Written {
    /// Writes it.
    pub(crate) fn new(text: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("case.json"), text).unwrap();
        Self { directory }
    }

    /// Another file beside it.
    pub(crate) fn beside(self, name: &str, text: &str) -> Self {
        std::fs::write(self.directory.path().join(name), text).unwrap();
        self
    }

    /// Where it is.
    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("case.json")
    }

    /// What comes of its first case.
    pub(crate) fn run(&self, level: &mut dyn Level) -> CaseReport {
        let files = SuiteFile::read_all(&[self.path()]).unwrap();
        report(&files, level).unwrap().cases.remove(0)
    }

    /// What is wrong with it, without where it is.
    pub(crate) fn mistake(&self) -> String {
        let read = SuiteFile::read_all(&[self.path()]);
        let error = match read.map(|files| report(&files, &mut conformance::level::Oracle::default())) {
            Err(error) | Ok(Err(error)) => error,
            Ok(Ok(report)) => panic!("it is not refused:\n{report}"),
        };
        let mut text = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(error) = source {
            text = format!("{text}: {error}");
            source = error.source();
        }
        text.replace(&format!("{}/", self.directory.path().display()), "")
    }
}
