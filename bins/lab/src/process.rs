//! Processes of a lab: who lives, and ending all of them.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Between two looks at whether a process is gone.
const PAUSE: Duration = Duration::from_millis(10);

/// A process id in a file that its process holds locked: a left-over file is told from a living process,
/// whoever has the number now.
#[derive(Debug)]
pub struct PidFile {
    _lock: Flock<File>,
}

impl PidFile {
    /// Writes this process's id and holds the file for as long as the value lives.
    ///
    /// # Errors
    /// When another process holds it.
    pub fn hold(path: &Path) -> Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let file = file.with_context(|| format!("cannot open {}", path.display()))?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => {
                lock.set_len(0)?;
                (&*lock).write_all(format!("{}\n", std::process::id()).as_bytes())?;
                Ok(Self { _lock: lock })
            }
            Err((_, errno)) => bail!("{} is held by a living process ({errno})", path.display()),
        }
    }

    /// The process that holds the file.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn holder(path: &Path) -> Result<Option<Pid>> {
        let mut file = match File::open(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            file => file.with_context(|| format!("cannot open {}", path.display()))?,
        };
        let mut text = String::new();
        file.read_to_string(&mut text).with_context(|| format!("cannot read {}", path.display()))?;
        match Flock::lock(file, FlockArg::LockSharedNonblock) {
            Err((_, Errno::EAGAIN)) => Ok(text.trim().parse().ok().map(Pid::from_raw)),
            _ => Ok(None),
        }
    }
}

/// The process whose id is in a file, if it is one of this program.
#[must_use]
pub fn running(file: &Path, program: &Path) -> Option<i32> {
    let pid = fs::read_to_string(file).ok()?.trim().parse().ok()?;
    is_of(pid, program).then_some(pid)
}

/// Whether a process is one of this program, whoever had the number before.
#[must_use]
pub fn is_of(pid: i32, program: &Path) -> bool {
    let Ok(said) = fs::read(format!("/proc/{pid}/cmdline")) else { return false };
    said.split(|byte| *byte == 0).next().unwrap_or_default() == program.as_os_str().as_encoded_bytes()
}

/// Ends the process that holds the file: asks first, and forces it after `patience`.
///
/// # Errors
/// When it cannot be ended.
pub fn end_holder(path: &Path, patience: Duration) -> Result<()> {
    for signal in [Signal::SIGTERM, Signal::SIGKILL] {
        let Some(pid) = PidFile::holder(path)? else { return Ok(()) };
        match kill(pid, signal) {
            Ok(()) | Err(Errno::ESRCH) => {}
            Err(errno) => bail!("cannot end process {pid}: {errno}"),
        }
        let start = Instant::now();
        while start.elapsed() < patience && PidFile::holder(path)?.is_some() {
            sleep(PAUSE);
        }
    }
    match PidFile::holder(path)? {
        Some(pid) => bail!("process {pid} does not end"),
        None => Ok(()),
    }
}

/// Kills every process in these network namespaces (device and inode) and waits until they are gone.
///
/// # Errors
/// When one does not end within a few seconds.
pub fn kill_inside(namespaces: &HashSet<(u64, u64)>) -> Result<()> {
    let start = Instant::now();
    loop {
        let inside = inside(namespaces)?;
        if inside.is_empty() {
            return Ok(());
        }
        if start.elapsed() > Duration::from_secs(5) {
            bail!("processes {inside:?} do not end");
        }
        for pid in inside {
            // One that has just ended by itself is as good.
            let _ = kill(pid, Signal::SIGKILL);
        }
        sleep(PAUSE);
    }
}

/// The living processes in these network namespaces.
fn inside(namespaces: &HashSet<(u64, u64)>) -> Result<Vec<Pid>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").context("cannot list /proc")?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // A process that ends while we look has no namespace any more; nor has a zombie.
        if let Ok(namespace) = fs::metadata(entry.path().join("ns/net"))
            && namespaces.contains(&(namespace.dev(), namespace.ino()))
        {
            found.push(Pid::from_raw(pid));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_left_over_file_has_no_holder() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pid");
        assert_eq!(PidFile::holder(&path).unwrap(), None);
        let held = PidFile::hold(&path).unwrap();
        assert_eq!(PidFile::holder(&path).unwrap(), Some(Pid::this()));
        assert!(PidFile::hold(&path).is_err());
        drop(held);
        assert_eq!(PidFile::holder(&path).unwrap(), None);
        end_holder(&path, Duration::ZERO).unwrap();
    }
}
