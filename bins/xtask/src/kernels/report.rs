//! What the kernels said: per kernel, as a table, as JSON and in the docs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use crate::bpf;
use crate::kernels::guest::Run;
use crate::kernels::image::Series;
use crate::stamp;

/// The page that has the table, relative to the clone.
pub(crate) const DOCS: &str = "docs/kernels.md";
/// The table in [`DOCS`] stands between these; the first goes on with the stamp and ` -->`.
const BEGIN: &str = "<!-- kernels:begin ";
const END: &str = "<!-- kernels:end -->";

/// More verified instructions than this are worth a warning…
const MANY: u64 = 25_000;
/// …and this many are an error: a quarter of what the kernel allows.
const TOO_MANY: u64 = 250_000;

/// What to print on stdout.
#[derive(Clone, Copy, clap::ValueEnum)]
pub(crate) enum Format {
    /// A Markdown table
    Text,
    /// One JSON document
    Json,
}

/// What came of one kernel.
pub(crate) struct Outcome {
    series: Series,
    release: String,
    seconds: f64,
    checks: Vec<Check>,
    /// Verified instructions of each program.
    programs: BTreeMap<String, u64>,
    /// What fails the kernel, besides failed checks.
    trouble: Vec<String>,
}

struct Check {
    name: String,
    verdict: Verdict,
}

enum Verdict {
    Passed,
    Failed(String),
    Skipped(String),
}

impl Outcome {
    /// Reads a guest's messages (`ebpf/kerneltest` says what they look like).
    pub(crate) fn judge(series: Series, release: &str, run: Run) -> Self {
        let mut outcome = Self {
            series,
            release: release.to_owned(),
            seconds: run.elapsed.as_secs_f64(),
            checks: Vec::new(),
            programs: BTreeMap::new(),
            trouble: run.trouble,
        };
        let mut done = None;
        for message in run.messages {
            let text = |key: &str| message[key].as_str().unwrap_or_default().to_owned();
            if message["done"] == true {
                done = Some((message["passed"].as_u64(), message["failed"].as_u64()));
            } else if message["check"].is_string() {
                let verdict = match message["result"].as_str() {
                    Some("passed") => Verdict::Passed,
                    Some("skipped") => Verdict::Skipped(text("why")),
                    _ => Verdict::Failed(text("why")),
                };
                outcome.checks.push(Check { name: text("check"), verdict });
            } else if let (Some(name), Some(instructions)) =
                (message["program"].as_str(), message["verified_insns"].as_u64())
            {
                outcome.programs.insert(name.to_owned(), instructions);
            } else if message["kernel"].as_str() == Some(release) {
                // What booted is what was meant to.
            } else if message["trouble"].is_string() {
                outcome.trouble.push(text("trouble"));
            } else {
                outcome.trouble.push(format!("unexpected: {message}"));
            }
        }
        let counted = (
            Some(outcome.count(|verdict| matches!(verdict, Verdict::Passed))),
            Some(outcome.count(|verdict| matches!(verdict, Verdict::Failed(_)))),
        );
        match done {
            None => {
                outcome.trouble.push("the guest ended before its checks were done".to_owned());
            }
            Some(said) if said != counted => {
                outcome.trouble.push(format!("results got lost: counted {counted:?}, the guest {said:?}"));
            }
            Some((Some(0), _)) => outcome.trouble.push("no check passed".to_owned()),
            Some(_) => {}
        }
        for (name, &instructions) in &outcome.programs {
            if instructions > TOO_MANY {
                outcome
                    .trouble
                    .push(format!("{name}: {instructions} verified instructions, more than {TOO_MANY}"));
            }
        }
        outcome
    }

    fn count(&self, which: impl Fn(&Verdict) -> bool) -> u64 {
        self.checks.iter().map(|check| u64::from(which(&check.verdict))).sum()
    }

    pub(crate) fn series(&self) -> Series {
        self.series
    }

    pub(crate) fn passed(&self) -> bool {
        self.trouble.is_empty() && self.count(|verdict| matches!(verdict, Verdict::Failed(_))) == 0
    }

    /// Prints the outcome on stderr.
    pub(crate) fn print(&self) {
        for check in &self.checks {
            match &check.verdict {
                Verdict::Passed => eprintln!("  {} ... ok", check.name),
                Verdict::Failed(why) => eprintln!("  {} ... FAILED: {why}", check.name),
                Verdict::Skipped(why) => eprintln!("  {} ... skipped: {why}", check.name),
            }
        }
        for trouble in &self.trouble {
            eprintln!("  FAILED: {trouble}");
        }
        for (name, &instructions) in &self.programs {
            if instructions > MANY {
                eprintln!("  warning: {name}: {instructions} verified instructions");
            }
        }
        eprintln!(
            "{} ({}): {}, {:.1} s",
            self.series.name(),
            self.release,
            if self.passed() { "passed" } else { "FAILED" },
            self.seconds
        );
    }

    fn json(&self) -> Value {
        let checks: Vec<Value> = self
            .checks
            .iter()
            .map(|check| match &check.verdict {
                Verdict::Passed => json!({"check": check.name, "result": "passed"}),
                Verdict::Failed(why) => {
                    json!({"check": check.name, "result": "failed", "why": why})
                }
                Verdict::Skipped(why) => {
                    json!({"check": check.name, "result": "skipped", "why": why})
                }
            })
            .collect();
        json!({
            "kernel": self.series.name(),
            "release": self.release,
            "passed": self.passed(),
            "seconds": self.seconds,
            "checks": checks,
            "programs": self.programs,
            "trouble": self.trouble,
        })
    }
}

/// Prints all outcomes on stdout.
pub(crate) fn print(outcomes: &[Outcome], stamp: &str, format: Format) -> Result<()> {
    match format {
        Format::Text => print!("{}", table(outcomes)),
        Format::Json => {
            let kernels: Vec<Value> = outcomes.iter().map(Outcome::json).collect();
            let document = json!({"objects": stamp, "kernels": kernels});
            println!("{}", serde_json::to_string_pretty(&document)?);
        }
    }
    Ok(())
}

/// Verified instructions per program and kernel, in Markdown.
fn table(outcomes: &[Outcome]) -> String {
    let row = |first: &str, cells: &dyn Fn(&Outcome) -> String| {
        let cells: Vec<String> = outcomes.iter().map(cells).collect();
        format!("| {first} | {} |\n", cells.join(" | "))
    };
    let programs: BTreeSet<&String> = outcomes.iter().flat_map(|outcome| outcome.programs.keys()).collect();
    let mut text = row("program", &|outcome| outcome.release.clone());
    text.push_str(&row("---", &|_| "---:".to_owned()));
    for program in programs {
        text.push_str(&row(&format!("`{program}`"), &|outcome| {
            outcome.programs.get(program).map_or_else(|| "-".to_owned(), u64::to_string)
        }));
    }
    text.push_str(&row("checks passed", &|outcome| {
        outcome.count(|verdict| matches!(verdict, Verdict::Passed)).to_string()
    }));
    text
}

/// A hash of what decides how a kernel takes the datapath: the objects, their loader and the checks.
pub(crate) fn stamp(root: &Path) -> Result<String> {
    let mut files = bpf::object_files(&root.join(bpf::PREBUILT))?;
    for directory in ["ebpf/datapath/src", "ebpf/abi/src", "ebpf/kerneltest"] {
        stamp::collect(&root.join(directory), &mut files)?;
    }
    files.sort();
    stamp::of(root, &files, "")
}

/// The stamp of the table in the docs, where there is one.
pub(crate) fn documented_stamp(root: &Path) -> Result<Option<String>> {
    stamp::read(&root.join(DOCS), BEGIN)
}

/// Replaces the table in the docs.
pub(crate) fn write_docs(root: &Path, outcomes: &[Outcome], stamp: &str) -> Result<()> {
    let path = root.join(DOCS);
    let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let text = replace(&text, stamp, &table(outcomes))
        .with_context(|| format!("{}: no `{BEGIN}…` before `{END}`", path.display()))?;
    fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
    eprintln!("wrote the table in {}", path.display());
    Ok(())
}

fn replace(text: &str, stamp: &str, table: &str) -> Result<String> {
    let (Some(begin), Some(end)) = (text.find(BEGIN), text.find(END)) else {
        bail!("a mark is missing");
    };
    if end < begin {
        bail!("the marks are in the wrong order");
    }
    Ok(format!("{}{BEGIN}{stamp} -->\n{table}{}", &text[..begin], &text[end..]))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn judge(messages: &[Value]) -> Outcome {
        let run = Run { messages: messages.to_vec(), trouble: Vec::new(), elapsed: Duration::from_secs(7) };
        Outcome::judge(Series::V6_1, "6.1.0-50", run)
    }

    #[test]
    fn a_kernel_passes_when_all_checks_did_and_none_is_missing() {
        let check = |name: &str, result: &str| json!({"check": name, "result": result, "why": "w"});
        let done = |passed: u64, failed: u64| json!({"done": true, "passed": passed, "failed": failed});
        let kernel = json!({"kernel": "6.1.0-50"});
        let passes = [
            kernel.clone(),
            check("a", "passed"),
            check("b", "skipped"),
            json!({"program": "from_pod", "verified_insns": 1234}),
            done(1, 0),
        ];
        let outcome = judge(&passes);
        assert!(outcome.passed(), "{:?}", outcome.trouble);
        assert_eq!(
            table(&[outcome]),
            "| program | 6.1.0-50 |\n| --- | ---: |\n| `from_pod` | 1234 |\n| checks passed | 1 |\n"
        );

        for (what, messages) in [
            ("nothing said", vec![]),
            ("nothing done", vec![done(0, 0)]),
            ("never done", vec![check("a", "passed")]),
            ("one lost", vec![check("a", "passed"), done(2, 0)]),
            ("one failed", vec![check("a", "passed"), check("b", "failed"), done(1, 1)]),
            ("another kernel", vec![json!({"kernel": "6.2"}), check("a", "passed"), done(1, 0)]),
            ("a panic", vec![check("a", "passed"), json!({"trouble": "panicked"}), done(1, 0)]),
            (
                "too many instructions",
                vec![check("a", "passed"), json!({"program": "p", "verified_insns": 250_001}), done(1, 0)],
            ),
        ] {
            assert!(!judge(&messages).passed(), "{what}");
        }
    }

    #[test]
    fn the_table_in_the_docs_is_replaced_between_its_marks() {
        let text = "# Kernels\n<!-- kernels:begin old -->\n| x |\n<!-- kernels:end -->\nrest\n";
        let got = replace(text, "new", "| y |\n").expect("both marks");
        assert_eq!(got, "# Kernels\n<!-- kernels:begin new -->\n| y |\n<!-- kernels:end -->\nrest\n");
        assert!(replace("# Kernels\n", "new", "").is_err());
    }
}
