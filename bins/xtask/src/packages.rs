//! Debian packages that a task needs, installed only where their program is missing.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::command::{CommandExt as _, on_path};

/// A Debian package and how to see that it is there.
pub(crate) struct Package {
    /// The package's name.
    name: &'static str,
    /// A program of it: a name on `PATH`, or an absolute path.
    provides: &'static str,
    /// What it is for, as told to the user.
    purpose: &'static str,
}

impl Package {
    fn present(&self) -> bool {
        if self.provides.starts_with('/') {
            Path::new(self.provides).exists()
        } else {
            on_path(self.provides)
        }
    }
}

/// What Netloom's programs themselves call.
pub(crate) const RUNTIME: &[Package] =
    &[Package { name: "nftables", provides: "nft", purpose: "the agent's masquerade table" }];

/// What the end-to-end tests call, beyond [`RUNTIME`].
pub(crate) const TESTS: &[Package] = &[
    Package { name: "iproute2", provides: "ip", purpose: "tests look at links and routes with `ip`" },
    Package { name: "iputils-ping", provides: "ping", purpose: "tests send ICMP with `ping`" },
    Package {
        name: "containernetworking-plugins",
        provides: "/usr/lib/cni/bridge",
        purpose: "CNI tests compare with the reference plugins",
    },
];

/// What unpacking and decompressing kernels takes.
pub(crate) const KERNELS: &[Package] = &[
    Package { name: "xz-utils", provides: "xz", purpose: "kernel modules are compressed with xz" },
    Package { name: "zstd", provides: "zstd", purpose: "kernel modules are compressed with zstd" },
];

/// Installs those of `packages` that are missing; the package lists are fetched only where the
/// packages can't be found without.
///
/// # Errors
///
/// Where something is missing and can't be installed: no root, no apt-get, or apt-get's own.
pub(crate) fn ensure(packages: &[&[Package]]) -> Result<()> {
    let missing: Vec<&Package> =
        packages.iter().copied().flatten().filter(|package| !package.present()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    for package in &missing {
        eprintln!("missing: Debian package {} ({})", package.name, package.purpose);
    }
    let names: Vec<&str> = missing.iter().map(|package| package.name).collect();
    if !on_path("apt-get") {
        bail!("install what gives these programs: {} (there is no apt-get here)", names.join(" "));
    }
    if !is_root()? {
        bail!("run as root: apt-get install {}", names.join(" "));
    }
    if install(&names).is_err() {
        apt_get().args(["update", "-q"]).run()?;
        install(&names)?;
    }
    match missing.iter().find(|package| !package.present()) {
        None => Ok(()),
        Some(package) => {
            bail!("Debian package {} is installed, but {} is still missing", package.name, package.provides)
        }
    }
}

fn install(names: &[&str]) -> Result<()> {
    apt_get().args(["install", "-q", "-y", "--no-install-recommends"]).args(names).run()
}

fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command
}

/// Whether we run as root.
pub(crate) fn is_root() -> Result<bool> {
    use std::os::unix::fs::MetadataExt as _;
    let process = std::fs::metadata("/proc/self").context("reading /proc/self")?;
    Ok(process.uid() == 0)
}
