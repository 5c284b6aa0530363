//! Netloom's node agent.

use std::process::ExitCode;

use anyhow::Result;
use daemon::config::{self, Parsed, Sources};
use netloom_agent::args::Args;

const NAME: &str = "netloom-agent";

fn main() -> ExitCode {
    let sources = Sources::of_process();
    let parsed = match config::parse::<Args>(&sources) {
        Ok(parsed) => parsed,
        Err(error) => error.exit(NAME),
    };
    if parsed.arguments.check_config && sources.only_checks() {
        return parsed.checked(NAME, netloom_agent::check, |args| args.ignore_unsupported_protection);
    }
    if let Err(error) = parsed.arguments.logs.init() {
        eprintln!("{NAME}: {error}");
        return ExitCode::FAILURE;
    }
    parsed.report();
    if !parsed.arguments.ignore_unsupported_protection
        && let Err(error) = parsed.refuse_unprotected()
    {
        error.exit(NAME);
    }
    match run(parsed) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // One line, so that the last line of the log is why it ended.
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(parsed: Parsed<Args>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(netloom_agent::run(parsed.arguments))
}
