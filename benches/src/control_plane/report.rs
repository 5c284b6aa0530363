//! What was measured.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

/// The whole benchmark. Memory is in bytes, map memory apart; latencies are in seconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Report {
    /// Nodes, the agent's own included.
    pub nodes: u32,
    /// Pods of other nodes.
    pub pods: u32,
    /// Label sets with a number.
    pub identities: u32,
    /// Policies.
    pub policies: u32,
    /// Pods of the agent's node.
    pub local_pods: u32,
    /// Pods that were to come, and as many to go, in a second.
    pub churn_per_second: u32,
    /// The API server: `embedded`, or its address.
    pub server: String,
    /// Writing all objects to the API server.
    pub fill_seconds: f64,
    /// From the agent's start until it enforces all of it.
    pub first_list_seconds: f64,
    /// Processor time that it took for that.
    pub first_list_cpu_seconds: f64,
    /// Resident memory then.
    pub rss_after_list: Resident,
    /// The most that was resident until then (`VmHWM`).
    pub peak_after_list_bytes: u64,
    /// Resident memory with the node's pods.
    pub rss_connected: Resident,
    /// Resident memory after pods came and went.
    pub rss_steady: Resident,
    /// The most that was ever resident.
    pub peak_bytes: u64,
    /// Connecting a pod of the node.
    pub connect_p50_seconds: Option<f64>,
    /// The slowest of a hundred.
    pub connect_p99_seconds: Option<f64>,
    /// How long pods came and went.
    pub churn_seconds: f64,
    /// How many came, and how many went.
    pub churned_pods: u64,
    /// Processor time of the agent meanwhile, as a share of one processor.
    pub churn_cpu_share: f64,
    /// Policies that changed meanwhile and were seen in the datapath's map.
    pub policy_changes: usize,
    /// Those that were not seen there within some seconds.
    pub policy_changes_missed: usize,
    /// From before the request that changes a policy until the datapath's map has it.
    pub policy_p50_seconds: Option<f64>,
    /// The slowest of a hundred.
    pub policy_p99_seconds: Option<f64>,
    /// The slowest.
    pub policy_max_seconds: Option<f64>,
    /// The agent's requests until it enforced the cluster, and the bytes of requests and answers.
    pub requests_of_list: Requests,
    /// Those while its pods were connected.
    pub requests_of_connecting: Requests,
    /// Those while pods of other nodes came and went.
    pub requests_of_churn: Requests,
    /// What is to be reached, and whether it was.
    pub targets: Targets,
}

/// Resident memory, in bytes, and whose it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Resident {
    /// All of it (`VmRSS`).
    pub total_bytes: u64,
    /// What the program holds (`RssAnon`).
    pub anonymous_bytes: u64,
    /// What of the program and its libraries was read from their files (`RssFile`). The kernel may drop it again, and
    /// shares it between programs.
    pub file_bytes: u64,
}

impl fmt::Display for Resident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [total, anonymous, file] = [self.total_bytes, self.anonymous_bytes, self.file_bytes].map(mib);
        write!(f, "{total} (anonymous {anonymous}, of files {file})")
    }
}

fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

/// What is to be reached.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Targets {
    /// Resident memory, steady and at the peak.
    pub memory_bytes: u64,
    /// Of 99 in 100 policy changes.
    pub policy_p99_seconds: f64,
    /// Whether memory was below after the churn.
    pub steady_met: bool,
    /// Whether memory was never above.
    pub peak_met: bool,
    /// Whether policy changes were fast enough, and none was missed.
    pub latency_met: bool,
}

impl Default for Targets {
    fn default() -> Self {
        Self {
            memory_bytes: 100 << 20,
            policy_p99_seconds: 0.1,
            steady_met: false,
            peak_met: false,
            latency_met: false,
        }
    }
}

/// Requests and bytes of a kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Count {
    /// Requests.
    pub requests: u64,
    /// Bytes of requests and answers; of watches, those that came while they last.
    pub bytes: u64,
}

/// Requests by kind, such as `watch ciliumendpoints`. Of an encrypted connection only bytes are known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Requests(pub BTreeMap<String, Count>);

impl Requests {
    /// What was counted since then.
    pub(super) fn since(&self, before: &Self) -> Self {
        let since = self.0.iter().map(|(kind, now)| {
            let then = before.0.get(kind).copied().unwrap_or_default();
            let count = Count { requests: now.requests - then.requests, bytes: now.bytes - then.bytes };
            (kind.clone(), count)
        });
        Self(since.filter(|(_, count)| *count != Count::default()).collect())
    }
}

/// The smallest value that `percent` of all do not exceed.
pub(super) fn percentile(values: &[f64], percent: usize) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (sorted.len() * percent).div_ceil(100).max(1) - 1;
    sorted.get(rank).copied()
}

impl Report {
    /// With the judgement whether the targets were met.
    pub(super) fn judged(mut self) -> Self {
        let targets = &mut self.targets;
        targets.steady_met = self.rss_steady.total_bytes < targets.memory_bytes;
        targets.peak_met = self.peak_bytes < targets.memory_bytes;
        targets.latency_met = self.policy_changes_missed == 0
            && self.policy_p99_seconds.is_some_and(|p99| p99 < targets.policy_p99_seconds);
        self
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |seconds: Option<f64>| seconds.map_or("-".into(), |s| format!("{:.1} ms", s * 1e3));
        let met = |met: bool| if met { "met" } else { "missed" };
        writeln!(
            f,
            "{} nodes, {} pods, {} identities, {} policies, {} local pods; API server: {}",
            self.nodes, self.pods, self.identities, self.policies, self.local_pods, self.server
        )?;
        writeln!(f, "written in               {:.1} s", self.fill_seconds)?;
        writeln!(
            f,
            "first list               {:.1} s, {:.1} s of processor time",
            self.first_list_seconds, self.first_list_cpu_seconds
        )?;
        writeln!(
            f,
            "resident after it        {}, peak {}",
            self.rss_after_list,
            mib(self.peak_after_list_bytes)
        )?;
        writeln!(f, "resident with pods       {}", self.rss_connected)?;
        writeln!(
            f,
            "connecting a pod         p50 {}, p99 {}",
            ms(self.connect_p50_seconds),
            ms(self.connect_p99_seconds)
        )?;
        writeln!(
            f,
            "churn                    {} pods came and went in {:.1} s, {:.1} % of a processor",
            self.churned_pods,
            self.churn_seconds,
            self.churn_cpu_share * 100.0
        )?;
        writeln!(
            f,
            "policy to map            p50 {}, p99 {}, slowest {} ({} changes, {} missed)",
            ms(self.policy_p50_seconds),
            ms(self.policy_p99_seconds),
            ms(self.policy_max_seconds),
            self.policy_changes,
            self.policy_changes_missed
        )?;
        writeln!(f, "resident after churn     {}, peak {}", self.rss_steady, mib(self.peak_bytes))?;
        for (when, requests) in [
            ("first list", &self.requests_of_list),
            ("connecting", &self.requests_of_connecting),
            ("churn", &self.requests_of_churn),
        ] {
            writeln!(f, "requests of the {when}:")?;
            for (kind, count) in &requests.0 {
                writeln!(f, "    {kind:40} {:8} {:>12}", count.requests, mib(count.bytes))?;
            }
        }
        let targets = &self.targets;
        write!(
            f,
            "targets: {} steady: {}; at the peak: {}; policy to map within {} (p99): {}",
            mib(targets.memory_bytes),
            met(targets.steady_met),
            met(targets.peak_met),
            ms(Some(targets.policy_p99_seconds)),
            met(targets.latency_met)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_seen() {
        let values: Vec<f64> = (1..=200).rev().map(f64::from).collect();
        assert_eq!(
            [50, 99, 100].map(|percent| percentile(&values, percent)),
            [100.0, 198.0, 200.0].map(Some)
        );
        assert_eq!((percentile(&[], 50), percentile(&[3.0], 99)), (None, Some(3.0)));
    }
}
