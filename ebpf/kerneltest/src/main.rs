//! Checks what a kernel makes of Netloom's datapath.
//!
//! `cargo xtask kernels` boots other kernels with this program as `/init`; started otherwise it
//! runs its checks on the kernel that is there (as root, in namespaces of its own).
//!
//! Whoever listens finds on stdout one JSON object a line, after the word `NETLOOM-KERNELTEST`:
//!
//! ```text
//! {"kernel": RELEASE}                                   which kernel this is
//! {"check": NAME, "result": "passed"|"failed"|"skipped", "why": TEXT}
//! {"program": NAME, "verified_insns": N}                what the verifier made of a program
//! {"trouble": TEXT}                                     what fails the run besides checks
//! {"done": true, "passed": N, "failed": N}              the last line; where it is missing, the
//!                                                       run was cut short
//! ```
//!
//! What it does not do: compare kernels, or judge numbers. Whoever listens does.

mod checks;
mod init;
mod message;

use std::process::ExitCode;

fn main() -> ExitCode {
    if std::process::id() == 1 {
        init::run();
    }
    if checks::run() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
