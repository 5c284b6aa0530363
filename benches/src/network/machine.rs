//! The machine, as far as figures depend on it.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use serde::{Deserialize, Serialize};

use super::cpu;

/// Settings of the kernel that change what packets cost.
const SETTINGS: [&str; 12] = [
    "kernel/osrelease",
    "net/core/bpf_jit_enable",
    "net/core/bpf_jit_harden",
    "net/core/default_qdisc",
    "net/core/netdev_budget",
    "net/core/netdev_max_backlog",
    "net/core/rmem_default",
    "net/core/rmem_max",
    "net/ipv4/tcp_congestion_control",
    "net/ipv4/tcp_rmem",
    "net/ipv4/tcp_wmem",
    "net/netfilter/nf_conntrack_max",
];

/// Programs whose versions are told, and how each is asked.
const PROGRAMS: [(&str, &str); 7] = [
    ("iptables-legacy", "--version"),
    ("iptables-nft", "--version"),
    ("ipset", "--version"),
    ("nft", "--version"),
    ("iperf3", "--version"),
    ("sockperf", "--version"),
    ("wrk", "--version"),
];

/// Where it was measured.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Seconds since 1970 at the beginning.
    pub began: u64,
    /// The kernel's release and build.
    pub kernel: String,
    /// The model of the first processor.
    pub processor: String,
    /// Processors at work.
    pub processors: usize,
    /// Under which hypervisor, as the processor tells.
    pub virtualised: bool,
    /// Memory, in KiB.
    pub memory_kib: u64,
    /// The governor of processor 0's frequency, where there is one.
    pub governor: Option<String>,
    /// What the kernel does against faults of the processor.
    pub mitigations: BTreeMap<String, String>,
    /// Settings of the kernel, by their path in `/proc/sys`.
    pub settings: BTreeMap<String, String>,
    /// Versions of programs; those that are not here are missing.
    pub programs: BTreeMap<String, String>,
    /// What else ran at the beginning: the load average of a minute, in hundredths.
    pub load_hundredths: u64,
    /// What the driver of a pod's link does for the stack, in the first setup; the notes say which differ from it.
    pub offloads: String,
}

impl Machine {
    /// This one.
    #[must_use]
    pub fn here() -> Self {
        let info = read("/proc/cpuinfo").unwrap_or_default();
        let field = |name: &str| {
            let line = info.lines().find(|line| line.split(':').next().map(str::trim) == Some(name));
            line.and_then(|line| line.split(':').nth(1)).map(|value| value.trim().to_owned())
        };
        let memory = read("/proc/meminfo").unwrap_or_default();
        let since = std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH);
        let load = read("/proc/loadavg").and_then(|text| text.split(' ').next()?.parse::<f64>().ok());
        Self {
            began: since.map_or(0, |since| since.as_secs()),
            kernel: read("/proc/version").unwrap_or_default(),
            processor: field("model name").or_else(|| field("Model")).unwrap_or_default(),
            processors: cpu::count(),
            virtualised: field("flags")
                .is_some_and(|flags| flags.split(' ').any(|flag| flag == "hypervisor")),
            memory_kib: number_after(&memory, "MemTotal:"),
            governor: read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
            mitigations: mitigations(),
            settings: SETTINGS
                .into_iter()
                .filter_map(|name| Some((name.to_owned(), read(&format!("/proc/sys/{name}"))?)))
                .collect(),
            programs: PROGRAMS
                .into_iter()
                .filter_map(|(name, flag)| Some((name.to_owned(), version(name, flag)?)))
                .chain([("netloom".to_owned(), env!("CARGO_PKG_VERSION").to_owned())])
                .collect(),
            load_hundredths: load.map_or(0, |load| (load * 100.0) as u64),
            offloads: String::new(),
        }
    }
}

fn read(path: &str) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

fn number_after(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}

fn mitigations() -> BTreeMap<String, String> {
    let Ok(entries) = fs::read_dir("/sys/devices/system/cpu/vulnerabilities") else { return BTreeMap::new() };
    let one = |entry: fs::DirEntry| {
        let text = read(entry.path().to_str()?)?;
        Some((entry.file_name().into_string().ok()?, text)).filter(|(_, text)| text != "Not affected")
    };
    entries.flatten().filter_map(one).collect()
}

/// The first line that has a digit in what a program says of its version, wherever it says it.
fn version(program: &str, flag: &str) -> Option<String> {
    let said = Command::new(program).arg(flag).output().ok()?;
    let text =
        format!("{}\n{}", String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
    let line = text.lines().find(|line| line.contains(|c: char| c.is_ascii_digit()))?;
    Some(line.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_described() {
        let here = Machine::here();
        assert!(here.processors > 0 && here.memory_kib > 0 && here.kernel.starts_with("Linux"));
        assert!(here.settings.contains_key("net/ipv4/tcp_rmem"), "{:?}", here.settings);
        assert_eq!(version("no-such-program", "--version"), None);
    }
}
