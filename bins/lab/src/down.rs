//! Removes a lab, whatever state it is in.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use netcore::Netns;
use nix::mount::{MntFlags, umount2};

use crate::name::LabName;
use crate::paths::Paths;
use crate::{lock, namespaces, process};

/// How long the daemon may take to end its agents and itself.
const GRACE: Duration = Duration::from_secs(4);

/// Removes a lab: processes, mounts, network namespaces with their links, files. A lab that is not there is
/// removed already.
///
/// # Errors
/// When something cannot be removed; everything else is, all the same.
pub fn down(name: &LabName) -> Result<()> {
    if !Paths::new(name).root().exists() {
        return Ok(());
    }
    let _lock = lock::Lock::take(name)?;
    remove(name)
}

/// As [`down`], for who has the lock.
pub(crate) fn remove(name: &LabName) -> Result<()> {
    let paths = Paths::new(name);
    let mut failures = Vec::new();
    let mut note = |result: Result<()>| failures.extend(result.err());
    note(process::end_holder(&paths.daemon_pid(), GRACE));
    note(process::end_holder(&paths.cloud_pid(), GRACE));
    let names = namespaces::all(name)?;
    note(process::kill_inside(&identities(&names)));
    match mounts_under(paths.root()) {
        Ok(mounts) => {
            for mount in mounts {
                let unmounted = umount2(&mount, MntFlags::MNT_DETACH);
                note(unmounted.with_context(|| format!("cannot unmount {}", mount.display())));
            }
        }
        Err(error) => note(Err(error)),
    }
    for netns in &names {
        note(namespaces::delete(name, netns));
    }
    if failures.is_empty() {
        match fs::remove_dir_all(paths.root()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                failures.push(anyhow!(error).context(format!("cannot remove {}", paths.root().display())));
            }
            _ => {}
        }
    }
    match failures.len() {
        0 => Ok(()),
        // The directory stays, so that the next try knows what to look for.
        _ => Err(anyhow!(
            "lab {name} is not wholly removed:\n{}",
            failures.iter().map(|failure| format!("{failure:#}")).collect::<Vec<_>>().join("\n")
        )),
    }
}

/// What tells these namespaces from others; those that do not exist are left out.
fn identities(names: &[String]) -> HashSet<(u64, u64)> {
    let identity = |name: &String| {
        let path = Netns::path(name).ok()?;
        let metadata = fs::metadata(path).ok()?;
        Some((metadata.dev(), metadata.ino()))
    };
    let mut identities: HashSet<_> = names.iter().filter_map(identity).collect();
    // Whatever is bound to one of our names: never the namespace that we, and the machine, live in.
    if let Ok(own) = fs::metadata("/proc/self/ns/net") {
        identities.remove(&(own.dev(), own.ino()));
    }
    identities
}

/// The mount points under a directory, innermost and newest first.
fn mounts_under(root: &Path) -> Result<Vec<PathBuf>> {
    let table = fs::read_to_string("/proc/self/mounts").context("cannot list mounts")?;
    let points = table.lines().filter_map(|line| line.split(' ').nth(1)).map(PathBuf::from);
    // Labs' paths have no character that the table would escape.
    let mut points: Vec<_> = points.filter(|point| point.starts_with(root)).collect();
    points.reverse();
    Ok(points)
}
