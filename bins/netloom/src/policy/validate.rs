//! `netloom policy validate`.

use std::path::PathBuf;
use std::process::ExitCode;

use ::policy::Diagnostic;
use ::policy::cluster::Cluster;
use ::policy::manifest::{ObjectKey, Rejected};
use ::policy::review::{Review, review};
use anyhow::Result;
use clap::Args;
use serde::Serialize;

use super::{Output, files, say, say_json};

/// `netloom policy validate`.
#[derive(Debug, Args)]
pub(crate) struct ValidateArgs {
    /// Manifests: files, directories with all that is in them, or - for standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// How to print the result.
    #[arg(long, short, value_enum, default_value_t)]
    output: Output,
}

/// What was found, as it is printed.
#[derive(Serialize)]
struct Report<'a> {
    /// Whether everything is valid.
    valid: bool,
    /// How many files were read.
    files: usize,
    /// The valid objects, and what is worth saying of them.
    #[serde(flatten)]
    review: &'a Review,
    /// The objects that are invalid.
    invalid: Vec<Invalid<'a>>,
}

#[derive(Serialize)]
struct Invalid<'a> {
    /// Which it is, where that can be told.
    object: &'a Option<ObjectKey>,
    /// All that is wrong.
    diagnostics: &'a [Diagnostic],
}

pub(super) fn run(args: &ValidateArgs) -> Result<ExitCode> {
    let objects = files::objects(&args.files, &[])?;
    let cluster = Cluster::new(objects.valid.iter().cloned());
    let review = review(&cluster, &objects.valid);
    let valid = objects.rejected.is_empty();
    match args.output {
        Output::Json => say_json(&Report {
            valid,
            files: objects.texts.len(),
            review: &review,
            invalid: objects.rejected.iter().map(invalid).collect(),
        })?,
        Output::Text => {
            objects.report();
            for warning in &review.warnings {
                eprintln!("warning: {warning}");
            }
            say(&summary(&review, &objects.rejected))?;
        }
    }
    Ok(if valid { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn invalid(rejected: &Rejected) -> Invalid<'_> {
    Invalid { object: &rejected.object, diagnostics: &rejected.diagnostics }
}

/// `valid: 2 NetworkPolicy, 3 Pod; 1 invalid: NetworkPolicy shop/db`.
fn summary(review: &Review, rejected: &[Rejected]) -> String {
    let counts: Vec<String> = review.objects.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    let valid = if counts.is_empty() { "nothing".to_owned() } else { counts.join(", ") };
    let mut lines = vec![format!("valid: {valid}")];
    if !rejected.is_empty() {
        let mistakes: usize = rejected.iter().map(|rejected| rejected.diagnostics.len()).sum();
        let name = |rejected: &Rejected| {
            rejected.object.as_ref().map_or_else(|| "something".to_owned(), ToString::to_string)
        };
        let names: Vec<String> = rejected.iter().map(name).collect();
        let plural = if mistakes == 1 { "mistake" } else { "mistakes" };
        lines.push(format!("invalid: {} ({mistakes} {plural})", names.join(", ")));
    }
    lines.join("\n")
}
