//! The server alone, for trying it out.

use clap::Parser;

#[derive(Debug, Parser)]
struct Cli {
    #[command(flatten)]
    args: apiserver::cli::ApiserverArgs,
}

fn main() -> anyhow::Result<()> {
    apiserver::cli::run(&Cli::parse().args)
}
