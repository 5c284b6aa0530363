//! Makes the lab's VPC in the emulator.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use ipam::Timestamp;
use ipam::ec2::Tags;
use vpc::{Answer, Call, Lags, Region, RunInstances, Settings};

use super::{Setup, plan};
use crate::plan::Node;

/// How late things are. EC2 takes some seconds to attach an interface and to show what it did; the lab's is as late in
/// the same places and less so, that nobody waits for long.
pub const LAGS: Lags = Lags {
    describe: Duration::from_millis(500),
    new_ids: Duration::from_millis(500),
    metadata: Duration::from_secs(2),
    attach: Duration::from_millis(500),
    detach: Duration::from_millis(500),
    boot: Duration::ZERO,
    terminate: Duration::from_secs(1),
    associate: Duration::from_secs(1),
};

/// How the lab's EC2 behaves: late, and throttled as the real one.
#[must_use]
pub fn settings(seed: u64) -> Settings {
    Settings { seed, region: plan::REGION.to_owned(), lags: LAGS, throttled: true, ..Settings::default() }
}

/// Instances' ids by the names of their nodes.
pub type Instances = BTreeMap<String, String>;

/// Makes VPC, subnets and an instance for each node; says which instance is whose.
///
/// # Errors
/// When the emulator refuses: where there is no such instance type, for example.
pub fn build(region: &mut Region, now: Timestamp, wanted: &Setup, nodes: &[Node]) -> Result<Instances> {
    region.advance(now);
    // It is there before anybody asks: nothing is late or throttled yet.
    let settings = region.settings().clone();
    region.settings_mut().throttled = false;
    region.settings_mut().lags = Lags::default();
    let vpc = region.add_vpc(plan::primary()).context("the VPC")?;
    region.add_cidr(&vpc, plan::secondary()).context("the CIDR for pods")?;
    region.add_tag(&vpc, "Name", "lab")?;
    let zones = plan::zones();
    let control_plane = region.add_subnet(&vpc, plan::control_plane(), zones[0].letter)?;
    region.add_tag(&control_plane, "Name", "lab-control-plane")?;
    let mut subnets = BTreeMap::new();
    for zone in zones {
        let nodes = region.add_subnet(&vpc, zone.nodes, zone.letter).context("a subnet for nodes")?;
        region.add_tag(&nodes, "Name", &format!("lab-nodes-{}", zone.letter))?;
        let pods = region.add_subnet(&vpc, zone.pods, zone.letter).context("a subnet for pods")?;
        region.add_tag(&pods, "Name", &format!("lab-pods-{}", zone.letter))?;
        let (key, value) = plan::POD_SUBNET;
        region.add_tag(&pods, key, value)?;
        subnets.insert(format!("{}{}", plan::REGION, zone.letter), nodes);
    }
    let mut instances = Instances::new();
    for node in nodes {
        let zone = node.zone.as_ref().with_context(|| format!("{} is in no zone", node.name))?;
        let Some(IpAddr::V4(address)) = node.addresses.first().map(ipnetwork::IpNetwork::ip) else {
            bail!("{} has no IPv4 address", node.name);
        };
        let run = RunInstances {
            instance_type: wanted.instance_type.clone(),
            subnet_id: subnets.get(zone).cloned().with_context(|| format!("there is no zone {zone}"))?,
            count: 1,
            primary_address: Some(address),
            tags: Tags::from([("Name".to_owned(), node.name.clone())]),
            ..RunInstances::default()
        };
        let ran = region.invoke(now, &Call::RunInstances(run), false);
        match ran.with_context(|| format!("the instance of {}", node.name))? {
            Answer::Running(views) if views.len() == 1 => {
                instances.insert(node.name.clone(), views[0].id.clone());
            }
            other => bail!("EC2 answers something else: {other:?}"),
        }
    }
    region.advance(now);
    *region.settings_mut() = settings;
    region.reset_counters();
    Ok(instances)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_instances_with_the_planned_addresses() {
        let wanted =
            Setup { instance_type: "m5.large".to_owned(), seed: 1, netconf: serde_json::Value::Null };
        let nodes = [plan::node(1), plan::node(2)];
        let mut region = Region::new(settings(wanted.seed));
        let instances = build(&mut region, Timestamp(1), &wanted, &nodes).unwrap();
        for node in &nodes {
            let first = region.primary_interface(&instances[&node.name]).unwrap();
            assert_eq!(IpAddr::from(first.primary_address), node.addresses[0].ip());
            assert_eq!(Some(&first.availability_zone), node.zone.as_ref());
        }
        assert_eq!(region.vpcs().next().unwrap().cidrs, [plan::primary(), plan::secondary()]);
        assert_eq!(region.check(), []);
        let tagged = region.subnets().filter(|subnet| subnet.tags.contains_key(plan::POD_SUBNET.0)).count();
        assert_eq!(tagged, 2);
    }
}
