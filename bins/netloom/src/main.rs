//! Netloom's command line.

mod agent;
mod aws;
mod manifests;
mod out;
mod policy;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use lab::cli::{LabArgs, Output};
use lab::name::LabName;

/// The benchmark of policies tells how much memory they hold.
#[global_allocator]
static ALLOCATOR: benches::policy::heap::Counting = benches::policy::heap::Counting;

/// A Kubernetes pod network.
#[derive(Debug, Parser)]
#[command(name = "netloom", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// A whole cluster on this machine.
    Lab(LabArgs),
    /// Show how this node's agent is.
    Status {
        /// The agent's socket.
        #[arg(long, default_value = api::DEFAULT_SOCKET)]
        socket: PathBuf,
        /// How to print it.
        #[arg(long, short, value_enum, default_value_t)]
        output: Output,
    },
    /// Show this node's flows.
    Flows {
        /// The agent's socket.
        #[arg(long, default_value = api::DEFAULT_SOCKET)]
        socket: PathBuf,
        /// Go on with new flows.
        #[arg(long, short)]
        follow: bool,
        /// How many past flows.
        #[arg(long, default_value_t = 100)]
        last: usize,
        /// How to print them.
        #[arg(long, short, value_enum, default_value_t)]
        output: Output,
    },
    /// Check, ask, compare and convert policies: no cluster, no root.
    #[command(subcommand)]
    Policy(policy::PolicyCommand),
    /// Run other people's policy cases, and compare who reaches whom.
    Conformance(conformance::cli::ConformanceArgs),
    /// Print the definitions of the custom resources, for `kubectl apply -f -` or a repository.
    Crds {
        /// How to print them.
        #[arg(long, short, value_enum, default_value_t)]
        output: manifests::Format,
    },
    /// Print what agent and operator may do, as roles and their bindings.
    Rbac(manifests::RbacArgs),
    /// Print what the operator's role has to be allowed on AWS, as an IAM policy.
    IamPolicy(aws::IamPolicyArgs),
    /// Print how many pods kubelet may start on an instance type of AWS, with prefixes and without.
    MaxPods(aws::MaxPodsArgs),
    /// Change a cluster's pod network to Netloom, node by node.
    #[command(subcommand)]
    Migrate(migrate::cli::MigrateCommand),
    /// Run a small Kubernetes API server in memory.
    Apiserver(apiserver::cli::ApiserverArgs),
    /// Measure.
    Bench(benches::cli::BenchArgs),
    /// The daemon of a lab, started by `netloom lab up`.
    #[command(hide = true)]
    LabDaemon {
        /// The lab's name.
        #[arg(long)]
        name: LabName,
    },
    /// The EC2 of a lab, started by `netloom lab up --mode eni`.
    #[command(hide = true)]
    LabCloud {
        /// The lab's name.
        #[arg(long)]
        name: LabName,
    },
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("netloom: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Lab(args) => return lab::cli::run(args),
        Command::Policy(command) => return Ok(policy::run(&command)),
        Command::Status { socket, output } => agent::status(&socket, output)?,
        Command::Flows { socket, follow, last, output } => agent::flows(&socket, follow, last, output)?,
        Command::Conformance(args) => return conformance::cli::run_cli(&args),
        Command::Crds { output } => manifests::crds(output)?,
        Command::Rbac(args) => manifests::rbac(&args)?,
        Command::IamPolicy(args) => aws::iam_policy(args)?,
        Command::MaxPods(args) => aws::max_pods(&args)?,
        Command::Migrate(command) => migrate::cli::run(&command)?,
        Command::Apiserver(args) => apiserver::cli::run(&args)?,
        Command::Bench(args) => benches::cli::run(&args)?,
        Command::LabDaemon { name } => {
            lab::detach::detach()?;
            lab::daemon::run(&name)?;
        }
        Command::LabCloud { name } => {
            lab::detach::detach()?;
            lab::cloud::program::run(&name)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
