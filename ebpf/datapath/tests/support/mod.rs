//! What the tests in the kernel share.
#![allow(dead_code, clippy::allow_attributes, reason = "each test binary uses a part of it")]

use std::path::PathBuf;

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

/// A mount that goes with its value.
pub(crate) struct Mounted(pub(crate) PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        if let Err(error) = umount2(&self.0, MntFlags::MNT_DETACH) {
            eprintln!("unmounting {}: {error}", self.0.display());
        }
    }
}

/// A BPF file system of the test's own, which goes with it, and all that is pinned there.
pub(crate) struct BpfFs {
    mounted: Mounted,
    // Removed after it is unmounted.
    _dir: tempfile::TempDir,
}

impl BpfFs {
    pub(crate) fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("netloom-test-").tempdir().unwrap();
        mount(Some("bpf"), dir.path(), Some("bpf"), MsFlags::empty(), None::<&str>).unwrap();
        Self { mounted: Mounted(dir.path().to_owned()), _dir: dir }
    }

    /// Where to pin below.
    pub(crate) fn root(&self) -> PathBuf {
        self.mounted.0.join("netloom")
    }

    /// The usual options, with pins.
    pub(crate) fn options(&self) -> Options {
        Options { pins: Some(self.root()), ..options() }
    }
}
