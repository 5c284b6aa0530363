//! Netloom's CNI plugin, to be installed as `netloom-cni` or `cilium-cni`.

use std::io::{Read, Write};
use std::process::ExitCode;

use netloom_cni::{Environment, run};

/// More than any network configuration needs, bytes.
const MAX_INPUT: u64 = 4 << 20;

fn main() -> ExitCode {
    if let Some(argument) = std::env::args().nth(1) {
        return about(&argument);
    }
    let mut input = Vec::new();
    let read = std::io::stdin().lock().take(MAX_INPUT).read_to_end(&mut input);
    let output = run(&Environment::of_process(), read.map(|_| input));
    let mut stdout = std::io::stdout().lock();
    let written = stdout.write_all(&output.stdout).and_then(|()| stdout.flush());
    if output.success && written.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn about(argument: &str) -> ExitCode {
    if argument == "--version" || argument == "-V" {
        println!("netloom-cni {}", env!("CARGO_PKG_VERSION"));
        return ExitCode::SUCCESS;
    }
    let usage = "netloom-cni is called by a container runtime: CNI_COMMAND in the environment, the network \
                 configuration on standard input. It takes no arguments but --version and --help.";
    if argument == "--help" || argument == "-h" {
        println!("{usage}");
        ExitCode::SUCCESS
    } else {
        eprintln!("{usage}");
        ExitCode::from(2)
    }
}
