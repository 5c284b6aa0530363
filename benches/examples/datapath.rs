//! Prints the benchmark of the datapath: `datapath [--quick] [--output json]`.

use std::process::ExitCode;

use clap::Parser;
use netloom_benches::cli::{BenchArgs, run};

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    bench: BenchArgs,
}

fn main() -> ExitCode {
    match run(&Cli::parse().bench) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
