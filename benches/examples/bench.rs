//! Prints a benchmark: `bench datapath|policy [--quick] [--output json]`.

use std::process::ExitCode;

use clap::Parser;
use netloom_benches::cli::{BenchArgs, run};

#[global_allocator]
static ALLOCATOR: netloom_benches::policy::heap::Counting = netloom_benches::policy::heap::Counting;

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
