//! The project's own tooling, run as `cargo xtask …`: demo, tests, prebuilt eBPF objects, kernels, Amazon's SDK.
//!
//! It needs nothing but a stable Rust toolchain to start. What a subcommand wants beyond that
//! (Debian packages, the pinned nightly, QEMU) it gets itself, and says so on stderr.

mod bpf;
mod command;
mod dist;
mod instance_types;
mod kernels;
mod packages;
mod sdk;
mod stamp;
mod testing;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::workspace::Workspace;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Netloom's own tooling", version)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build the programs and run `netloom lab demo` with ARGS (needs root)
    Demo {
        /// Passed on to `netloom lab demo`
        #[arg(last = true)]
        args: Vec<String>,
    },
    /// Build the programs in release, put them into one directory and print it
    Dist(dist::Options),
    /// Install what the tests need, build the programs, run every test, count the skipped ones
    Test(testing::Options),
    /// The prebuilt eBPF objects (needs the pinned nightly and bpf-linker; installs them)
    #[command(subcommand)]
    Bpf(bpf::Task),
    /// The VPC emulator's table of EC2's instance types (needs python3 with pip)
    InstanceTypes,
    /// Boot other kernels in QEMU and run `ebpf/kerneltest` there
    Kernels(kernels::Options),
    /// Lint and test what goes through Amazon's SDK (minutes, and 8 GB of memory, where it is not compiled yet)
    Sdk(sdk::Options),
}

fn main() -> ExitCode {
    match run(Cli::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<()> {
    let workspace = Workspace::find()?;
    match task {
        Task::Demo { args } => dist::demo(&workspace, &args),
        Task::Dist(options) => {
            println!("{}", dist::build(&workspace, &options)?.display());
            Ok(())
        }
        Task::Test(options) => testing::run(&workspace, &options),
        Task::Bpf(task) => bpf::run(&workspace, &task),
        Task::InstanceTypes => instance_types::run(&workspace),
        Task::Kernels(options) => kernels::run(&workspace, &options),
        Task::Sdk(options) => sdk::run(&workspace, &options),
    }
}
