//! The container's network namespace.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use nix::sys::stat::fstat;
use nix::sys::statfs::{NSFS_MAGIC, fstatfs};

use crate::error::CniError;

/// Opens the namespace.
///
/// # Errors
/// When there is none at this path, or it is the plugin's own: an interface must not be moved into the
/// namespace that it comes from.
pub(crate) fn open(path: &Path) -> Result<OwnedFd, CniError> {
    let problem = |problem: String| CniError::Namespace { path: path.into(), problem };
    let file = File::open(path).map_err(|error| problem(format!("cannot be opened: {error}")))?;
    let kind = fstatfs(&file).map_err(|errno| problem(format!("cannot be examined: {errno}")))?;
    if kind.filesystem_type() != NSFS_MAGIC {
        return Err(problem("is no namespace".into()));
    }
    let inode = |file: &File| {
        let stat = fstat(file.as_fd()).map_err(|errno| problem(format!("cannot be examined: {errno}")))?;
        Ok::<_, CniError>((stat.st_dev, stat.st_ino))
    };
    let own = File::open("/proc/self/ns/net")
        .map_err(|error| problem(format!("cannot be compared with the node's: {error}")))?;
    if inode(&file)? == inode(&own)? {
        return Err(problem("is the node's own".into()));
    }
    Ok(file.into())
}
