//! Two operators: one leads, whatever happens to it, and no CIDR is given twice.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::cluster::{Cluster, Operator, cidrs};

/// The operator that holds the lease, and the other one.
fn sort(first: Operator, second: Operator, holder: &str) -> (Operator, Operator) {
    if first.is(holder) { (first, second) } else { (second, first) }
}

async fn no_cidr_twice(cluster: &Cluster) -> Result<()> {
    let all: Vec<String> = cluster.list("CiliumNode").await?.iter().flat_map(cidrs).collect();
    let different: BTreeSet<_> = all.iter().collect();
    ensure!(all.len() == different.len(), "given twice: {all:?}");
    Ok(())
}

/// The condition of a Node whose pod CIDRs are hindered.
fn unavailable(node: &Value) -> Value {
    let conditions = node["status"]["conditions"].as_array();
    let mut conditions = conditions.into_iter().flatten();
    conditions.find(|one| one["type"] == "netloom.io/PodCIDRUnavailable").cloned().unwrap_or_default()
}

pub(crate) async fn take_turns(cluster: &mut Cluster) -> Result<()> {
    let first = cluster.start(&[])?;
    let second = cluster.start(&[])?;
    let holder = cluster.leader("").await?;
    ensure_said(&first, &second, &holder).await?;
    let (leader, follower) = sort(first, second, &holder);
    cluster.node("n1").await?;
    let n1 = cluster.pod_cidrs("n1").await?;
    ensure!(n1.len() == 1);

    // Killed: the other one waits for the lease to expire, and knows what was given.
    leader.signal(Signal::SIGKILL)?;
    cluster.node("n2").await?;
    let next = cluster.leader(&holder).await?;
    ensure!(cluster.pod_cidrs("n2").await? != n1);
    ensure!(cluster.pod_cidrs("n1").await? == n1, "taken over as it was");

    // Stopped past its deadline: another leads, and when it goes on it ends its duties. That a write does not leave even
    // where a duty has not ended yet is a test of the client.
    let third = cluster.start(&[])?;
    follower.signal(Signal::SIGSTOP)?;
    let given = follower.log().matches("pod CIDRs given").count();
    cluster.node("n3").await?;
    let after = cluster.leader(&next).await?;
    cluster.pod_cidrs("n3").await?;
    follower.signal(Signal::SIGCONT)?;
    follower.said("not leading any more").await?;
    cluster.node("n4").await?;
    cluster.pod_cidrs("n4").await?;
    ensure!(follower.log().matches("pod CIDRs given").count() == given, "{}", follower.log());
    no_cidr_twice(cluster).await?;

    // Nothing is left; then there is room again.
    cluster.node("n5").await?;
    let kubelet =
        json!({"status": {"conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}]}});
    cluster.patch_status("Node", None, "n5", kubelet).await?;
    let full = cluster
        .until("CiliumNode", None, "n5", |node| {
            node["status"]["ipam"]["operator-status"]["error"].is_string()
        })
        .await?;
    ensure!(full["status"]["ipam"]["operator-status"]["error"] == "no IPv4 pod CIDR is free", "{full}");
    cluster
        .until_all("Event", |events| {
            let about = |event: &Value| &event["involvedObject"]["name"] == "n5";
            events.iter().any(|event| about(event) && event["reason"] == "PodCIDRAllocationFailed")
        })
        .await?;
    let exhausted = cluster.until("Node", None, "n5", |node| unavailable(node)["status"] == "True").await?;
    let condition = unavailable(&exhausted);
    ensure!(condition["reason"] == "PodCIDRExhausted", "{condition}");
    ensure!(condition["message"] == "no IPv4 pod CIDR is free", "{condition}");
    let since = condition["lastTransitionTime"].clone();
    ensure!(since.is_string(), "{condition}");
    // Another change of the Node changes nothing of it.
    cluster.patch("Node", None, "n5", json!({"metadata": {"labels": {"touched": "yes"}}})).await?;
    cluster.delete("CiliumNode", None, "n2").await?;
    cluster.delete("Node", None, "n2").await?;
    cluster.pod_cidrs("n5").await?;
    let solved = cluster.until("Node", None, "n5", |node| unavailable(node)["status"] == "False").await?;
    let condition = unavailable(&solved);
    ensure!(
        condition["reason"] == "PodCIDRAvailable" && condition["lastTransitionTime"].is_string(),
        "{condition}"
    );
    ensure!(condition["lastTransitionTime"].as_str() >= since.as_str(), "{condition} after {since}");
    ensure!(solved["status"]["conditions"][0]["reason"] == "KubeletReady", "the kubelet's stays: {solved}");
    // A server may track no fields of objects that nobody has applied.
    if let Some(managers) = solved["metadata"]["managedFields"].as_array() {
        let ours =
            |fields: &Value| fields["manager"] == "netloom-operator" && fields["subresource"] == "status";
        ensure!(managers.iter().any(ours), "{solved}");
    }
    ensure!(unavailable(&cluster.get("Node", None, "n4").await?).is_null(), "n4 was never without");
    cluster
        .until("CiliumNode", None, "n5", |node| node["status"]["ipam"]["operator-status"]["error"].is_null())
        .await?;
    no_cidr_twice(cluster).await?;

    // Told to stop: the lease is given back, and nobody waits for it to expire.
    let mut leader = third;
    leader.signal(Signal::SIGTERM)?;
    ensure!(leader.ended().await?, "{}", leader.log());
    leader.said("lease given back").await?;
    cluster.leader(&after).await?;
    cluster.patch("CiliumNode", None, "n4", json!({"metadata": {"labels": {"touched": "yes"}}})).await?;
    Ok(())
}

async fn ensure_said(first: &Operator, second: &Operator, holder: &str) -> Result<()> {
    // The log may be behind the lease.
    for _ in 0..100 {
        if first.is(holder) || second.is(holder) {
            return Ok(());
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    anyhow::bail!("neither says that it leads as {holder}")
}
