//! The duties of process 1: file systems, modules, reaping, and the power switch.

use std::convert::Infallible;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::process::{Child, Command};

use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::kmod::{ModuleInitFlags, finit_module};
use nix::mount::{MsFlags, mount};
use nix::sys::reboot::{RebootMode, reboot};
use nix::sys::wait::{WaitStatus, wait};

use crate::message;

/// File system type and where it is mounted, in order.
const MOUNTS: &[(&str, &str)] = &[
    ("proc", "/proc"),
    ("sysfs", "/sys"),
    ("devtmpfs", "/dev"),
    ("tmpfs", "/run"),
    ("tmpfs", "/tmp"),
    ("bpf", "/sys/fs/bpf"),
    ("cgroup2", "/sys/fs/cgroup"),
];

/// The modules to load, one path a line.
const MODULES: &str = "/modules/list";

/// Prepares the machine, runs this program again for the checks and switches the machine off.
pub(crate) fn run() -> ! {
    if let Err(error) = prepare().and_then(|()| checks()) {
        message::trouble(&format!("{error:#}"));
    }
    match power_off() {
        Ok(never) => match never {},
        Err(error) => {
            message::trouble(&format!("{error:#}"));
            // Process 1 ends, so the kernel panics, so the machine ends.
            std::process::exit(1)
        }
    }
}

fn prepare() -> Result<()> {
    for (kind, target) in MOUNTS {
        mount(Some(*kind), *target, Some(*kind), MsFlags::empty(), None::<&str>)
            .with_context(|| format!("mounting {kind} at {target}"))?;
    }
    let list = match fs::read_to_string(MODULES) {
        Ok(list) => list,
        Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error).context(format!("reading {MODULES}")),
    };
    for path in list.lines() {
        let file = File::open(path).with_context(|| format!("opening module {path}"))?;
        match finit_module(&file, c"", ModuleInitFlags::empty()) {
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(error) => return Err(error).with_context(|| format!("loading module {path}")),
        }
    }
    Ok(())
}

/// Runs the checks in a process of their own: whatever becomes of it, this one can still tell.
fn checks() -> Result<()> {
    let child = Command::new("/proc/self/exe").spawn().context("starting the checks")?;
    match reap_until(&child)? {
        // The checks have told by themselves which of them failed.
        WaitStatus::Exited(_, 0 | 1) => Ok(()),
        other => bail!("the checks ended with {other:?}"),
    }
}

/// Waits for `child`, and for every orphan that ends before it.
fn reap_until(child: &Child) -> Result<WaitStatus> {
    loop {
        let status = match wait() {
            Ok(status) => status,
            Err(Errno::EINTR) => continue,
            Err(error) => return Err(error).context("waiting for the checks"),
        };
        if status.pid().is_some_and(|pid| pid.as_raw().cast_unsigned() == child.id()) {
            return Ok(status);
        }
    }
}

fn power_off() -> Result<Infallible> {
    nix::unistd::sync();
    reboot(RebootMode::RB_POWER_OFF).context("switching the machine off")
}
