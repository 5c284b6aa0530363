//! What the kernel keeps for what a program loaded: the program runs in a memory cgroup of its own, and what is charged
//! to that once the program has ended is tables, chains and sets.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

/// How long an ended process itself may still be charged.
const GONE: Duration = Duration::from_millis(250);
/// How that is known.
pub(super) const SOURCE: &str =
    "kernel memory charged to the cgroup of the program that loaded the rules, once it ended";

/// A cgroup, while this lives.
pub(super) struct Account {
    directory: PathBuf,
    file: &'static str,
}

impl Account {
    /// A cgroup, where this machine has a hierarchy with memory that we may add to.
    pub(super) fn open() -> Option<Self> {
        let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
        let hierarchies = mounts.lines().filter_map(hierarchy);
        hierarchies.filter_map(|(root, file)| Self::below(root, file)).next()
    }

    fn below(root: &Path, file: &'static str) -> Option<Self> {
        let directory = root.join(format!("netloom-bench-{}", std::process::id()));
        match fs::create_dir(&directory) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return None,
            _ => {}
        }
        let account = Self { directory, file };
        // Without the controller there is no such file; dropped, it goes.
        account.directory.join(file).is_file().then_some(account)
    }

    /// Where a process's number is written to join.
    pub(super) fn members(&self) -> PathBuf {
        self.directory.join("cgroup.procs")
    }

    /// What is charged now that the program has ended.
    pub(super) fn bytes(&self) -> Option<u64> {
        sleep(GONE);
        charged(&fs::read_to_string(self.directory.join(self.file)).ok()?)
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        // What is charged goes on with its parent. One that cannot be removed is taken the next time.
        let _ = fs::remove_dir(&self.directory);
    }
}

/// A mount of a hierarchy that may account memory, and the file that says how much of the kernel's.
fn hierarchy(mount: &str) -> Option<(&Path, &'static str)> {
    let mut fields = mount.split(' ').skip(1);
    let (root, kind, options) = (Path::new(fields.next()?), fields.next()?, fields.next()?);
    match kind {
        "cgroup" if options.split(',').any(|option| option == "memory") => {
            Some((root, "memory.kmem.usage_in_bytes"))
        }
        "cgroup2" => Some((root, "memory.stat")),
        _ => None,
    }
}

/// The number of such a file: all of it, or the line `kernel`.
fn charged(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("kernel ")).unwrap_or(text);
    line.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_hierarchies_are_understood() {
        let old = hierarchy("cgroup /sys/fs/cgroup/memory cgroup rw,relatime,memory 0 0").unwrap();
        assert_eq!(old, (Path::new("/sys/fs/cgroup/memory"), "memory.kmem.usage_in_bytes"));
        let new = hierarchy("cgroup2 /sys/fs/cgroup cgroup2 rw,nsdelegate 0 0").unwrap();
        assert_eq!(new, (Path::new("/sys/fs/cgroup"), "memory.stat"));
        assert_eq!(hierarchy("cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0"), None);
        assert_eq!(charged("4096\n"), Some(4096));
        assert_eq!(charged("anon 7\nfile 8\nkernel 8192\nkernel_stack 1\n"), Some(8192));
        assert_eq!(charged("anon 7\n"), None);
    }
}
