//! What the kernel knows of this process, under the names that every Prometheus library uses.

use std::fmt;
use std::fs;
use std::io;

use nix::unistd::{SysconfVar, sysconf};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

/// Reads `/proc` on each scrape.
#[derive(Debug)]
pub(super) struct Process {
    /// What the names begin with a second time.
    pub(super) prefix: &'static str,
}

/// What it reads.
#[derive(Debug, PartialEq)]
struct Reading {
    cpu_seconds: f64,
    start_seconds: f64,
    resident_bytes: f64,
    virtual_bytes: f64,
    threads: f64,
    open_files: f64,
    most_files: f64,
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        // Without /proc there is nothing to tell, and the other metrics are worth having.
        let Ok(reading) = Reading::take() else { return Ok(()) };
        let gauges = [
            (
                "process_start_time_seconds",
                "When the process started, in seconds since 1970",
                reading.start_seconds,
            ),
            ("process_resident_memory_bytes", "Memory that is resident", reading.resident_bytes),
            ("process_virtual_memory_bytes", "Memory that is mapped", reading.virtual_bytes),
            ("process_threads", "Threads", reading.threads),
            ("process_open_fds", "Open file descriptors", reading.open_files),
            ("process_max_fds", "File descriptors that may be open", reading.most_files),
        ];
        for prefix in [String::new(), format!("{}_", self.prefix)] {
            let counter = ConstCounter::new(reading.cpu_seconds);
            let (name, kind) = (format!("{prefix}process_cpu_seconds"), counter.metric_type());
            counter.encode(encoder.encode_descriptor(&name, "Processor time used", None, kind)?)?;
            for (name, help, value) in gauges {
                let gauge = ConstGauge::new(value);
                let (name, kind) = (format!("{prefix}{name}"), gauge.metric_type());
                gauge.encode(encoder.encode_descriptor(&name, help, None, kind)?)?;
            }
        }
        Ok(())
    }
}

impl Reading {
    fn take() -> io::Result<Self> {
        let stat = fs::read_to_string("/proc/self/stat")?;
        let machine = fs::read_to_string("/proc/stat")?;
        let limits = fs::read_to_string("/proc/self/limits")?;
        let open_files = fs::read_dir("/proc/self/fd")?.count();
        let bad = || io::Error::new(io::ErrorKind::InvalidData, "/proc is not as proc(5) has it");
        let unit = |variable| sysconf(variable).ok().flatten().map(|value| value as f64).ok_or_else(bad);
        let (tick, page) = (unit(SysconfVar::CLK_TCK)?, unit(SysconfVar::PAGE_SIZE)?);
        Self::of(&stat, &machine, &limits, open_files, tick, page).ok_or_else(bad)
    }

    fn of(stat: &str, machine: &str, limits: &str, open_files: usize, tick: f64, page: f64) -> Option<Self> {
        // The second field is the program's name, with any characters, in parentheses; the third is behind it.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
        let boot: f64 = machine.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
        let files = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
        Some(Self {
            cpu_seconds: (field(14)? + field(15)?) / tick,
            start_seconds: boot + field(22)? / tick,
            resident_bytes: field(24)? * page,
            virtual_bytes: field(23)?,
            threads: field(20)?,
            open_files: open_files as f64,
            most_files: files.split_whitespace().next()?.parse().unwrap_or(f64::INFINITY),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_proc_says_is_understood() {
        let stat = "42 (a) b) S 1 42 42 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 7 0 1000 4096000 25 1844";
        let limits = "Limit  Soft Limit  Hard Limit  Units\nMax open files            1024   4096   files \n";
        let reading = Reading::of(stat, "cpu 1 2\nbtime 1700000000\n", limits, 9, 100.0, 4096.0);
        let expected = Reading {
            cpu_seconds: 3.0,
            start_seconds: 1_700_000_010.0,
            resident_bytes: 102_400.0,
            virtual_bytes: 4_096_000.0,
            threads: 7.0,
            open_files: 9.0,
            most_files: 1024.0,
        };
        assert_eq!(reading, Some(expected));
        let limits = limits.replace("1024", "unlimited");
        let reading = Reading::of(stat, "btime 1\n", &limits, 9, 100.0, 4096.0).expect("it is understood");
        assert_eq!(reading.most_files, f64::INFINITY);
    }
}
