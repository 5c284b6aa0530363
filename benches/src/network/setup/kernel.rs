//! What only the kernel can tell of a namespace: whether anything is hooked into it, and whether its conntrack had room.

use std::fs;
use std::io;

use netcore::Netns;

use super::SetupName;
use super::tool::{Tool, find};
use crate::network::Error;

/// Holds that nothing of netfilter is in a namespace: no tables, old or new, and nothing that tracks connections.
pub(super) fn hold_bare(setup: SetupName, netns: &Netns) -> Result<(), Error> {
    let impure = |what: String| Error::Impure { setup, netns: netns.to_string(), what };
    let tables = read(netns, "/proc/net/ip_tables_names")?.unwrap_or_default();
    if !tables.trim().is_empty() {
        return Err(impure(format!("iptables has tables: {}", tables.trim())));
    }
    let tracked = read(netns, "/proc/sys/net/netfilter/nf_conntrack_count")?.unwrap_or_default();
    if !matches!(tracked.trim(), "" | "0") {
        return Err(impure(format!("{} connections are tracked", tracked.trim())));
    }
    // Where there is no such program, nobody made such tables.
    if find("nft").is_some() {
        let tables = Tool { setup, netns: netns.clone() }.run("nft", &["list", "tables"], "")?.output;
        if !tables.trim().is_empty() {
            return Err(impure(format!("nftables has tables: {}", tables.trim())));
        }
    }
    Ok(())
}

/// Holds that connections are tracked in a namespace, and that none was refused because the table was full.
pub(super) fn hold_tracking(setup: SetupName, netns: &Netns) -> Result<(), Error> {
    let impure = |what: String| Error::Impure { setup, netns: netns.to_string(), what };
    let tracked = read(netns, "/proc/sys/net/netfilter/nf_conntrack_count")?.unwrap_or_default();
    if matches!(tracked.trim(), "" | "0") {
        return Err(impure("no connection is tracked".to_owned()));
    }
    let statistics = read(netns, "/proc/net/stat/nf_conntrack")?.unwrap_or_default();
    match dropped(&statistics) {
        0 => Ok(()),
        packets => Err(impure(format!(
            "conntrack had no room and dropped {packets} packets: raise nf_conntrack_max"
        ))),
    }
}

/// The column `drop` of all processors: packets whose connection found no room.
fn dropped(statistics: &str) -> u64 {
    let mut lines = statistics.lines();
    let column = lines.next().and_then(|header| header.split_whitespace().position(|name| name == "drop"));
    let Some(column) = column else { return 0 };
    let value = |line: &str| u64::from_str_radix(line.split_whitespace().nth(column)?, 16).ok();
    lines.filter_map(value).sum()
}

/// A file of the namespace; none where the kernel has none.
fn read(netns: &Netns, path: &str) -> Result<Option<String>, Error> {
    let failed = |source| Error::Reading { what: format!("{path} of {netns}"), source };
    // What `/proc/net` and `/proc/sys/net` show is the calling thread's.
    let path_here = path.replace("/proc/net", "/proc/thread-self/net");
    match netns.run_in(|| fs::read_to_string(path_here)) {
        Err(error) => Err(failed(io::Error::other(error))),
        Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Ok(text) => text.map(Some).map_err(failed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_of_all_processors_are_counted() {
        let text =
            "entries  found new drop early_drop\n00000002 00000001 0 0000000a 0\n00000002 0 0 00000001 0\n";
        assert_eq!(dropped(text), 11);
        assert_eq!(dropped(""), 0);
    }
}
