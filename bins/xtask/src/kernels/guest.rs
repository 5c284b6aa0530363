//! QEMU, and what a guest says on its console.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::command::{CommandExt as _, on_path};
use crate::kernels::apt::Apt;

const PROGRAM: &str = "qemu-system-x86_64";
/// A guest marks the lines that are meant for us with this.
const MARK: &str = "NETLOOM-KERNELTEST ";

/// A QEMU that can be run: the system's, or one unpacked in the cache.
pub(crate) struct Qemu {
    /// Where it is unpacked.
    tree: Option<PathBuf>,
}

/// What came of a guest.
pub(crate) struct Run {
    /// The marked lines.
    pub(crate) messages: Vec<Value>,
    /// What went wrong with the guest itself.
    pub(crate) trouble: Vec<String>,
    pub(crate) elapsed: Duration,
}

impl Qemu {
    /// Finds QEMU, or fetches Debian's and unpacks it under `cache`. Nothing is installed.
    pub(crate) fn get(cache: &Path) -> Result<Self> {
        if on_path(PROGRAM) {
            return Ok(Self { tree: None });
        }
        let tree = cache.join("qemu/tree");
        let qemu = Self { tree: Some(tree.clone()) };
        // The system's libraries may have changed under one that was unpacked before.
        if tree.exists() && qemu.command().arg("--version").read().is_ok() {
            return Ok(qemu);
        }
        if tree.exists() {
            fs::remove_dir_all(&tree).with_context(|| format!("removing {}", tree.display()))?;
        }
        let codename = codename()?;
        // bookworm's own QEMU is too old for what its backports have of QEMU's other packages.
        let suites: &[&str] =
            if codename == "bookworm" { &["bookworm-backports", "bookworm"] } else { &[&codename] };
        let apt = Apt::new(&cache.join("qemu/apt"), suites)?;
        apt.update()?;
        apt.unpack_with_dependencies("qemu-system-x86", suites[0], &tree)?;
        let version = qemu.command().arg("--version").read()?;
        eprintln!("unpacked {}", version.lines().next().unwrap_or_default());
        Ok(qemu)
    }

    fn command(&self) -> Command {
        let Some(tree) = &self.tree else {
            return Command::new(PROGRAM);
        };
        let libraries = "usr/lib/x86_64-linux-gnu";
        let mut command = Command::new(tree.join("usr/bin").join(PROGRAM));
        command
            .env("LD_LIBRARY_PATH", format!("{0}/{libraries}:{0}/lib/x86_64-linux-gnu", tree.display()))
            .env("QEMU_MODULE_DIR", tree.join(libraries).join("qemu"));
        for firmware in ["qemu", "seabios"] {
            command.arg("-L").arg(tree.join("usr/share").join(firmware));
        }
        command
    }

    /// Boots a guest and listens until it powers off, or until `limit` is over. Its whole console
    /// goes into the file `log`.
    pub(crate) fn boot(&self, vmlinuz: &Path, initramfs: &Path, log: &Path, limit: Duration) -> Result<Run> {
        let start = Instant::now();
        let mut log_file = File::create(log).with_context(|| format!("creating {}", log.display()))?;
        let mut child = self
            .command()
            // Software emulation: nested KVM was seen to stop old kernels at an instruction that
            // it could not emulate.
            .args(["-accel", "tcg", "-machine", "q35", "-cpu", "max"])
            .args(["-m", "1G", "-smp", "2", "-nic", "none", "-no-reboot"])
            .args(["-display", "none", "-monitor", "none", "-serial", "stdio"])
            .arg("-kernel")
            .arg(vmlinuz)
            .arg("-initrd")
            .arg(initramfs)
            // A kernel that panics ends the guest: panic=-1 reboots, which -no-reboot turns into
            // an exit.
            .args(["-append", "console=ttyS0 loglevel=4 panic=-1 oops=panic rdinit=/init"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .map(KillOnDrop)
            .with_context(|| format!("starting {PROGRAM}"))?;
        let stdout = child.0.stdout.take().context("QEMU's stdout")?;
        let (lines, received) = mpsc::channel();
        let reader = thread::spawn(move || {
            for line in BufReader::new(stdout).split(b'\n') {
                let Ok(line) = line else { break };
                if lines.send(line).is_err() {
                    break;
                }
            }
        });

        let mut run = Run { messages: Vec::new(), trouble: Vec::new(), elapsed: Duration::ZERO };
        loop {
            match received.recv_timeout(limit.saturating_sub(start.elapsed())) {
                Ok(line) => {
                    let line = String::from_utf8_lossy(&line);
                    writeln!(log_file, "{}", line.trim_end())
                        .with_context(|| format!("writing {}", log.display()))?;
                    run.console_line(&line);
                }
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    run.trouble.push(format!("not finished after {} s", limit.as_secs()));
                    break;
                }
            }
        }
        child.end()?;
        if reader.join().is_err() {
            bail!("the thread that reads QEMU's output panicked");
        }
        run.elapsed = start.elapsed();
        Ok(run)
    }
}

impl Run {
    fn console_line(&mut self, line: &str) {
        let line = line.trim();
        // The mark need not be at the front: the kernel's messages go to the same console.
        if let Some(at) = line.find(MARK) {
            match serde_json::from_str(&line[at + MARK.len()..]) {
                Ok(message) => self.messages.push(message),
                Err(error) => self.trouble.push(format!("garbled ({error}): {line}")),
            }
        } else if line.contains("Kernel panic") {
            self.trouble.push(line.to_owned());
        }
    }
}

/// A child that does not outlive us, however we leave.
struct KillOnDrop(Child);

impl KillOnDrop {
    fn end(&mut self) -> Result<()> {
        // An error here means that it has already ended.
        let _ = self.0.kill();
        self.0.wait().map(|_| ()).context("waiting for QEMU")
    }
}

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

/// The name of the Debian release that this is.
fn codename() -> Result<String> {
    let text = fs::read_to_string("/etc/os-release").context("reading /etc/os-release")?;
    text.lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="))
        .map(|name| name.trim_matches('"').to_owned())
        .with_context(|| format!("{PROGRAM} is not installed, and /etc/os-release names no Debian release"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marked_lines_are_found_wherever_they_begin() {
        let mut run = Run { messages: Vec::new(), trouble: Vec::new(), elapsed: Duration::ZERO };
        run.console_line("[    1.0] hello");
        run.console_line("[    1.0] noise NETLOOM-KERNELTEST {\"check\":\"a\",\"ok\":true}\r");
        run.console_line("NETLOOM-KERNELTEST {\"check\":\"b\",\"o[ 2.0] printk");
        run.console_line("[    2.0] Kernel panic - not syncing: x");
        assert_eq!(run.messages, [serde_json::json!({"check": "a", "ok": true})]);
        assert_eq!(run.trouble.len(), 2, "{:?}", run.trouble);
        assert!(run.trouble[0].starts_with("garbled"), "{:?}", run.trouble);
    }
}
