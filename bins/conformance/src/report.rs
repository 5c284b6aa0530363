//! What came of cases: data, which serialises to the JSON that `docs/conformance.md` describes.

use std::collections::BTreeMap;
use std::fmt;

use policy::Verdict;
use serde::Serialize;

use crate::expect::Got;
use crate::suite::{Family, LevelName, Transport};

/// What came of a case at a level, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// All that was judged is as expected.
    Pass,
    /// Something is not.
    Fail,
    /// Nothing was judged.
    Skip,
}

/// A case at a level.
#[derive(Clone, Debug, Serialize)]
pub struct CaseReport {
    /// The case's file.
    pub file: String,
    /// Its name.
    pub name: String,
    /// What came of it.
    #[serde(flatten)]
    pub result: LevelReport,
}

/// What came of a case at a level.
#[derive(Clone, Debug, Serialize)]
pub struct LevelReport {
    /// The level.
    pub level: LevelName,
    /// In one word.
    pub status: Status,
    /// How many packets were judged.
    pub probes: usize,
    /// Those that came out otherwise.
    pub wrong: Vec<Wrong>,
    /// How many could not be judged, and why.
    pub skipped: Vec<Skipped>,
    /// Why the case as a whole was skipped or failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// How long it took, in seconds.
    pub seconds: f64,
}

/// Packets that could not be judged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// Why.
    pub why: String,
    /// How many.
    pub probes: usize,
}

/// A packet of which something else became than was expected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Wrong {
    /// The step, from 1.
    pub step: usize,
    /// Who opened the connection.
    pub from: String,
    /// Whom with.
    pub to: String,
    /// The destination port, or the ICMP type.
    pub port: u16,
    /// By what.
    pub protocol: Transport,
    /// Over which family.
    pub family: Family,
    /// What should have become of it.
    pub expected: Verdict,
    /// What did.
    pub got: Got,
    /// The rules that decided, or the specs that closed the direction.
    pub rules: Vec<String>,
    /// What the level has to add.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// All cases at a level, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Tally {
    /// Cases that passed.
    pub pass: usize,
    /// Cases that failed.
    pub fail: usize,
    /// Cases that were skipped.
    pub skip: usize,
    /// Packets that were judged.
    pub probes: usize,
    /// Packets that came out otherwise.
    pub wrong: usize,
    /// Packets that could not be judged.
    pub skipped_probes: usize,
    /// How long it took, in seconds; without making and removing a lab.
    pub seconds: f64,
}

/// What came of a run.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Whether no case failed.
    pub ok: bool,
    /// By level.
    pub summary: BTreeMap<LevelName, Tally>,
    /// Each case at each level.
    pub cases: Vec<CaseReport>,
}

impl LevelReport {
    /// Nothing was judged yet.
    #[must_use]
    pub const fn new(level: LevelName) -> Self {
        Self {
            level,
            status: Status::Skip,
            probes: 0,
            wrong: Vec::new(),
            skipped: Vec::new(),
            message: None,
            seconds: 0.0,
        }
    }

    /// Nothing will be.
    #[must_use]
    pub fn skipped(level: LevelName, why: String) -> Self {
        Self { message: Some(why), ..Self::new(level) }
    }

    /// Says it in one word.
    pub(crate) fn close(&mut self) {
        self.status = match (self.wrong.is_empty(), self.probes) {
            (false, _) => Status::Fail,
            (true, 0) => Status::Skip,
            (true, _) => Status::Pass,
        };
        if self.status == Status::Skip && self.message.is_none() {
            self.message = self.skipped.first().map(|skipped| skipped.why.clone());
        }
    }
}

impl Report {
    /// Counts.
    #[must_use]
    pub fn new(cases: Vec<CaseReport>) -> Self {
        let mut summary: BTreeMap<LevelName, Tally> = BTreeMap::new();
        for CaseReport { result, .. } in &cases {
            let tally = summary.entry(result.level).or_default();
            match result.status {
                Status::Pass => tally.pass += 1,
                Status::Fail => tally.fail += 1,
                Status::Skip => tally.skip += 1,
            }
            tally.probes += result.probes;
            tally.wrong += result.wrong.len();
            tally.skipped_probes += result.skipped.iter().map(|skipped| skipped.probes).sum::<usize>();
            tally.seconds += result.seconds;
        }
        let ok = summary.values().all(|tally| tally.fail == 0);
        Self { ok, summary, cases }
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { step, from, to, port, protocol, family, expected, got, rules, detail } = self;
        let got = match got {
            Got::Allow => "ALLOW",
            Got::Redirect => "REDIRECT",
            Got::Deny => "DENY",
            Got::Other => "OTHER",
        };
        write!(
            f,
            "step {step}: {from} -> {to} {port}/{protocol} {family:?}: expected {expected}, got {got}"
        )?;
        if let Some(detail) = detail {
            write!(f, " ({detail})")?;
        }
        if !rules.is_empty() {
            write!(f, " [{}]", rules.join(", "))?;
        }
        Ok(())
    }
}

impl fmt::Display for CaseReport {
    /// A line for the case, and one for each wrong packet.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, name, result } = self;
        let status = match result.status {
            Status::Pass => "pass",
            Status::Fail => "FAIL",
            Status::Skip => "skip",
        };
        write!(f, "{status} {:<6} {file}: {name}", result.level.to_string())?;
        if let Some(message) = &result.message {
            write!(f, ": {message}")?;
        }
        result.wrong.iter().try_for_each(|wrong| write!(f, "\n    {wrong}"))
    }
}

impl fmt::Display for Report {
    /// The cases that did not pass, then the numbers.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for case in self.cases.iter().filter(|case| case.result.status != Status::Pass) {
            writeln!(f, "{case}")?;
        }
        for (level, tally) in &self.summary {
            let Tally { pass, fail, skip, probes, wrong, skipped_probes, seconds } = tally;
            write!(f, "{:<6}  {pass} passed, {fail} failed, {skip} skipped", level.to_string())?;
            writeln!(f, "; {probes} probes, {wrong} wrong, {skipped_probes} skipped; {seconds:.1} s")?;
        }
        Ok(())
    }
}
