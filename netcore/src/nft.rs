//! The `nft` program: who needs the kernel's packet filter writes what it reads.

use std::{
    io::{self, Write as _},
    process::{Command, Output, Stdio},
};

use crate::{
    error::{Error, Result},
    netns::Netns,
    spawn,
};

/// Runs `nft` in a namespace and says what it printed; `operation` is what an error calls it. Waits for the
/// program: some milliseconds.
///
/// # Errors
/// [`Error::NftMissing`], [`Error::NftRun`], [`Error::NftRefused`].
pub fn nft(netns: &Netns, operation: &'static str, arguments: &[&str], input: &str) -> Result<String> {
    let mut command = Command::new("nft");
    spawn::in_netns(&mut command, netns)?;
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = run(&mut command, input).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => Error::NftMissing,
        _ => Error::NftRun { source },
    })?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        let stderr = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(Error::NftRefused { operation, stderr })
    }
}

fn run(command: &mut Command, input: &str) -> io::Result<Output> {
    let mut child = command.spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        match stdin.write_all(input.as_bytes()) {
            // It had enough and says why at its end.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            written => written?,
        }
    }
    child.wait_with_output()
}
