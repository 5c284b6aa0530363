//! The fabric knows where pods are, so that the world can be the one who calls.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use ipnetwork::IpNetwork;
use netcore::{Net, Netns, Protocol, Route};

use super::Context;
use super::stores::Stores;
use crate::fabric::BRIDGE;

/// Keeps the fabric's routes as the nodes' ranges of pod addresses are.
pub(super) async fn control(context: Arc<Context>, stores: Stores) {
    if context.state.cloud.is_some() {
        // What EC2 assigned is routed, and nothing else.
        return;
    }
    let mut made = BTreeSet::new();
    stores.control("routes", async || sync(&context, &stores, &mut made).await).await;
}

async fn sync(context: &Context, stores: &Stores, made: &mut BTreeSet<(IpNetwork, String)>) -> Result<()> {
    let wanted: BTreeSet<(IpNetwork, String)> = stores
        .cilium_nodes
        .state()
        .iter()
        .flat_map(|node| {
            let name = node.metadata.name.clone().unwrap_or_default();
            let ranges = node.data["spec"]["ipam"]["podCIDRs"].as_array().cloned().unwrap_or_default();
            ranges
                .into_iter()
                .filter_map(|range| range.as_str()?.parse().ok())
                .map(move |range| (range, name.clone()))
        })
        .collect();
    if wanted == *made {
        return Ok(());
    }
    let net = Net::in_netns(&Netns::open(&context.state.fabric)?)?;
    let bridge = net.link(BRIDGE).await?.index;
    for (range, _) in made.difference(&wanted) {
        // Another node may have it by now: then it is replaced below.
        let _ = net.delete_route(&Route::to(*range).dev(bridge)).await;
    }
    for (range, name) in &wanted {
        // Somebody else's node, or a family that the lab was made without.
        let Ok(node) = context.state.node(name) else { continue };
        let via = node.addresses.iter().find(|address| address.is_ipv4() == range.is_ipv4());
        let Some(via) = via else { continue };
        let route = Route::to(*range).via(via.ip()).dev(bridge).protocol(Protocol::BOOT);
        net.replace_route(&route).await.with_context(|| format!("{range} of {name}"))?;
    }
    *made = wanted;
    Ok(())
}
