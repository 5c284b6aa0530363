//! Netloom's node agent.

use daemon::config::{self, Sources};
use netloom_agent::args::Args;

fn main() -> anyhow::Result<()> {
    let parsed = match config::parse::<Args>(&Sources::of_process()) {
        Ok(parsed) => parsed,
        Err(error) => error.exit("netloom-agent"),
    };
    parsed.arguments.logs.init()?;
    parsed.report();
    if !parsed.arguments.ignore_unsupported_protection
        && let Err(error) = parsed.refuse_unprotected()
    {
        error.exit("netloom-agent");
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(netloom_agent::run(parsed.arguments))
}
