//! Where the two objects meet to share maps: a BPF file system that nobody else sees.

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, CpuSet, sched_getcpu, sched_setaffinity, unshare};
use nix::unistd::Pid;
use tempfile::TempDir;

use super::Error;

/// A directory in a mount namespace of the calling thread's own, for a BPF file system to be mounted at. The
/// kernel takes that with it when the thread ends, however it does.
pub(crate) struct Room(TempDir);

impl Room {
    /// Makes the directory. The calling thread stays in its mount namespace, and on the CPU where it is now.
    pub(crate) fn enter() -> Result<Self, Error> {
        let cpu = sched_getcpu().map_err(Error::room("finding the CPU"))?;
        let mut only = CpuSet::new();
        only.set(cpu).map_err(Error::room("choosing a CPU"))?;
        sched_setaffinity(Pid::from_raw(0), &only).map_err(Error::room("staying on a CPU"))?;
        unshare(CloneFlags::CLONE_NEWNS).map_err(Error::room("leaving the mount namespace"))?;
        let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
        mount(None::<&str>, "/", None::<&str>, private, None::<&str>)
            .map_err(Error::room("hiding mounts"))?;
        let dir = tempfile::Builder::new().prefix("netloom-bench-").tempdir();
        dir.map(Self).map_err(Error::room("making a directory"))
    }

    pub(crate) fn path(&self) -> &std::path::Path {
        self.0.path()
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        // Where nothing was mounted there is nothing to do; the directory goes next.
        let _ = umount2(self.0.path(), MntFlags::MNT_DETACH);
    }
}
