//! What the kernel keeps for a node's maps.

use std::fs;
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;

use aya::maps::MapData;

use crate::network::Error;
use crate::network::setup::Memory;

/// What the kernel keeps for the maps that are pinned on a node.
pub(super) fn of_maps(bpffs: &Path) -> Result<Memory, Error> {
    let mut bytes = 0;
    for map in pinned(bpffs).map_err(|source| Error::Reading { what: bpffs.display().to_string(), source })? {
        let fd = map.fd().as_fd().as_raw_fd();
        let what = format!("/proc/self/fdinfo/{fd}");
        let text = fs::read_to_string(&what).map_err(|source| Error::Reading { what, source })?;
        let of_map = text.lines().find_map(|line| line.strip_prefix("memlock:")?.trim().parse::<u64>().ok());
        bytes += of_map.unwrap_or_default();
    }
    Ok(Memory {
        bytes,
        source: "memlock of all maps pinned on the node: most have their full size from the beginning",
    })
}

/// All maps that are pinned under a directory.
fn pinned(directory: &Path) -> std::io::Result<Vec<MapData>> {
    let mut maps = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            maps.extend(pinned(&path)?);
        } else {
            // Programs and links are pinned there, too.
            maps.extend(MapData::from_pin(&path));
        }
    }
    Ok(maps)
}
