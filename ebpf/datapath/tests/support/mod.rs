//! What the tests in the kernel share.
#![allow(dead_code, clippy::allow_attributes, reason = "each test binary uses a part of it")]

use std::path::{Path, PathBuf};

use netloom_datapath::{Capacities, Options};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::unistd::Uid;

/// Whether programs can be loaded here; says so if not.
pub(crate) fn can_run() -> bool {
    let root = Uid::effective().is_root();
    if !root {
        eprintln!("skipped: loading programs needs root");
    }
    root
}

/// Tables of a size that tests need.
pub(crate) fn options() -> Options {
    let capacities =
        Capacities { addresses: 4096, established: 16_384, unconfirmed: 16_384, policy_peers: 65_536 };
    Options { capacities, ..Options::default() }
}

/// A BPF file system of the test's own, which goes with it, and all that is pinned there.
pub(crate) struct BpfFs(tempfile::TempDir);

impl BpfFs {
    pub(crate) fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("netloom-test-").tempdir().unwrap();
        mount(Some("bpf"), dir.path(), Some("bpf"), MsFlags::empty(), None::<&str>).unwrap();
        Self(dir)
    }

    /// Where to pin below.
    pub(crate) fn root(&self) -> PathBuf {
        self.0.path().join("netloom")
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn options(&self) -> Options {
        Options { pins: Some(self.root()), ..options() }
    }
}

impl Drop for BpfFs {
    fn drop(&mut self) {
        if let Err(error) = umount2(self.0.path(), MntFlags::MNT_DETACH) {
            eprintln!("unmounting {}: {error}", self.0.path().display());
        }
    }
}
