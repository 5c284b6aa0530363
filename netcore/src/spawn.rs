//! Programs inside a network namespace.
#![expect(unsafe_code, reason = "a child process enters its namespace between fork and exec")]

use std::{os::unix::process::CommandExt, process::Command};

use nix::sched::{CloneFlags, setns};

use crate::{
    error::{Error, Result},
    netns::Netns,
};

/// Makes `command` run inside `netns`. Mounts stay as they are: `/sys/class/net` shows the caller's links.
///
/// # Errors
/// [`Error::Netns`] if the handle cannot be copied. That the child cannot enter shows when it is spawned.
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let pod = netcore::Netns::open("pod-a")?;
/// let mut ping = std::process::Command::new("ping");
/// netcore::spawn::in_netns(&mut ping, &pod)?;
/// ping.args(["-c1", "169.254.1.1"]).status()?;
/// # Ok(()) }
/// ```
pub fn in_netns<'a>(command: &'a mut Command, netns: &Netns) -> Result<&'a mut Command> {
    let fd = netns.duplicate().map_err(|error| Error::netns("enter", netns.to_string(), error))?;
    let enter = move || {
        setns(&fd, CloneFlags::CLONE_NEWNET)?;
        Ok(())
    };
    // SAFETY: after fork only what is async-signal-safe may run; `enter` makes one system call and neither
    // allocates nor locks (an error is made of its number alone). The descriptor lives in the closure.
    Ok(unsafe { command.pre_exec(enter) })
}
