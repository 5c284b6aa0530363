//! Addresses of interfaces.

use ipam::ec2::{Addresses, Ec2, ErrorKind, Request};

use super::world::{Verdict, World, assign, holds, net, same};
use crate::ReservationKind;

pub(super) async fn assign_by_count<E: Ec2>(world: &World<E>) -> Verdict {
    let before = world.subnet(&world.subnet).await?.available_addresses;
    let single = world.assign(&world.eth0, Addresses::Count(2)).await?;
    same("single addresses", (single.addresses.len(), single.prefixes.len()), (2, 0))?;
    let prefixes = world.assign(&world.eth0, Addresses::PrefixCount(3)).await?;
    same("prefixes", (prefixes.addresses.len(), prefixes.prefixes.len()), (0, 3))?;
    holds(
        "prefixes are /28",
        prefixes.prefixes.iter().all(|one| one.prefix() == 28 && one.network() == one.ip()),
    )?;
    let is = world.interface(&world.eth0).await?;
    same("what it has", (is.secondary_addresses, is.prefixes), (single.addresses, prefixes.prefixes))?;
    let after = world.subnet(&world.subnet).await?.available_addresses;
    same("available addresses", before - after, 2 + 3 * 16)
}

pub(super) async fn assign_by_name<E: Ec2>(world: &World<E>) -> Verdict {
    let addresses = vec![net("10.0.1.200")?, net("10.0.1.201")?];
    let assigned = world.assign(&world.eth0, Addresses::Exact(addresses.clone())).await;
    let taken =
        world.cloud.with(|region, _| region.primary_interface(&world.node).map(|one| one.primary_address));
    // The primary address is anywhere: it may be one of them.
    if !addresses.iter().any(|one| Some(*one) == taken) {
        same("addresses", assigned?.addresses, addresses)?;
    }
    let prefixes = vec![net("100.64.1.16/28")?, net("100.64.1.32/28")?];
    let eni = world.create(world.new_in(&world.pods, "t", None)).await?;
    if !prefixes.iter().any(|one: &ipnetwork::Ipv4Network| one.contains(eni.primary_address)) {
        let assigned = world.assign(&eni.id, Addresses::ExactPrefixes(prefixes.clone())).await?;
        same("prefixes", assigned.prefixes, prefixes)?;
    }
    let wrong = |text: &str| Ok(assign(&eni.id, Addresses::ExactPrefixes(vec![net(text)?])));
    world.refused(wrong("100.64.1.18/28")?, ErrorKind::Other, "InvalidParameterValue").await?;
    world.refused(wrong("100.64.2.0/27")?, ErrorKind::Other, "InvalidParameterValue").await?;
    world.refused(wrong("10.0.1.16/28")?, ErrorKind::Other, "InvalidParameterValue").await?;
    world.refused(wrong("100.64.0.0/28")?, ErrorKind::Other, "InvalidParameterValue").await
}

pub(super) async fn assign_what_is_taken<E: Ec2>(world: &World<E>) -> Verdict {
    let eni = world.create(world.new_in(&world.subnet, "t", Some(Addresses::PrefixCount(1)))).await?;
    let inside = eni.prefixes[0].nth(5).into_iter().collect();
    let taken = [
        Addresses::Exact(vec![eni.primary_address]),
        Addresses::Exact(inside),
        Addresses::ExactPrefixes(eni.prefixes.clone()),
    ];
    for addresses in taken {
        world
            .refused(assign(&world.eth0, addresses), ErrorKind::AddressTaken, "Resource.AlreadyAssigned")
            .await?;
    }
    same("nothing was assigned", world.interface(&world.eth0).await?.slots(), 1)
}

pub(super) async fn assign_beyond_the_limit<E: Ec2>(world: &World<E>) -> Verdict {
    world.assign(&world.eth0, Addresses::PrefixCount(5)).await?;
    world.assign(&world.eth0, Addresses::Count(3)).await?;
    for addresses in [Addresses::Count(2), Addresses::PrefixCount(2)] {
        let request = assign(&world.eth0, addresses);
        world.refused(request, ErrorKind::InterfaceFull, "PrivateIpAddressLimitExceeded").await?;
    }
    world.assign(&world.eth0, Addresses::Count(1)).await?;
    same("slots", world.interface(&world.eth0).await?.slots(), 10)
}

/// No call is carried out by half, and free addresses say nothing about free blocks (cilium #46644).
pub(super) async fn assign_in_a_full_subnet<E: Ec2>(world: &World<E>) -> Verdict {
    let eni = world.create(world.new_in(&world.small, "t", None)).await?;
    let request = assign(&eni.id, Addresses::PrefixCount(1));
    same("available", world.subnet(&world.small).await?.available_addresses, 26)?;
    world.refused(request, ErrorKind::NoFreePrefix, "InsufficientCidrBlocks").await?;
    let request = assign(&eni.id, Addresses::Count(27));
    world.refused(request, ErrorKind::NoFreeAddress, "InsufficientFreeAddressesInSubnet").await?;
    world.assign(&eni.id, Addresses::Count(26)).await?;
    same("available", world.subnet(&world.small).await?.available_addresses, 0)
}

pub(super) async fn assign_prefixes_without_nitro<E: Ec2>(world: &World<E>) -> Verdict {
    let xen = world.cloud.with(|region, _| {
        let id = region.add_instance("m4.large", &world.subnet).unwrap_or_default();
        region.primary_interface(&id).map(|one| one.id.clone()).unwrap_or_default()
    });
    let request = assign(&xen, Addresses::PrefixCount(1));
    world.refused(request, ErrorKind::PrefixesUnsupported, "UnsupportedOperation").await?;
    same("single addresses work", world.assign(&xen, Addresses::Count(3)).await?.addresses.len(), 3)
}

pub(super) async fn unassign<E: Ec2>(world: &World<E>) -> Verdict {
    let before = world.subnet(&world.subnet).await?.available_addresses;
    let single = world.assign(&world.eth0, Addresses::Count(3)).await?.addresses;
    let prefixes = world.assign(&world.eth0, Addresses::PrefixCount(2)).await?.prefixes;
    world
        .done(Request::Unassign {
            interface_id: world.eth0.clone(),
            addresses: single[..2].to_vec(),
            prefixes: prefixes[1..].to_vec(),
        })
        .await?;
    let is = world.interface(&world.eth0).await?;
    same(
        "what is left",
        (is.secondary_addresses, is.prefixes),
        (single[2..].to_vec(), prefixes[..1].to_vec()),
    )?;
    let after = world.subnet(&world.subnet).await?.available_addresses;
    same("available", before - after, 1 + 16)
}

pub(super) async fn unassign_what_is_not_there<E: Ec2>(world: &World<E>) -> Verdict {
    let prefixes = world.assign(&world.eth0, Addresses::PrefixCount(1)).await?.prefixes;
    let is = world.interface(&world.eth0).await?;
    let request =
        |addresses, prefixes| Request::Unassign { interface_id: world.eth0.clone(), addresses, prefixes };
    let other = ErrorKind::Other;
    world.refused(request(Vec::new(), Vec::new()), other, "MissingParameter").await?;
    world.refused(request(vec![is.primary_address], Vec::new()), other, "InvalidParameterValue").await?;
    world.refused(request(vec![net("10.0.1.250")?], Vec::new()), other, "InvalidParameterValue").await?;
    // Of a prefix no single address is released (cilium #48125).
    let inside = prefixes[0].nth(3).into_iter().collect();
    world.refused(request(inside, Vec::new()), other, "InvalidParameterValue").await?;
    world.done(request(Vec::new(), prefixes.clone())).await?;
    world.refused(request(Vec::new(), prefixes), other, "InvalidParameterValue").await?;
    let gone = Request::Unassign {
        interface_id: "eni-00000000000000000".to_owned(),
        addresses: vec![net("10.0.1.250")?],
        prefixes: Vec::new(),
    };
    world.refused(gone, ErrorKind::InterfaceNotFound, "InvalidNetworkInterfaceID.NotFound").await
}

pub(super) async fn a_reservation_is_used_first<E: Ec2>(world: &World<E>) -> Verdict {
    let reserved: ipnetwork::Ipv4Network = net("100.64.8.0/26")?;
    let added =
        world.cloud.with(|region, _| region.add_reservation(&world.pods, reserved, ReservationKind::Prefix));
    same("reservation", added, Ok(()))?;
    let eni = world.create(world.new_in(&world.pods, "t", Some(Addresses::PrefixCount(3)))).await?;
    holds(
        "prefixes are from the reservation",
        eni.prefixes.iter().all(|one| reserved.contains(one.network())),
    )?;
    holds("the primary address is not", !reserved.contains(eni.primary_address))?;
    let more = world.assign(&eni.id, Addresses::PrefixCount(2)).await?.prefixes;
    same("the rest is from elsewhere", more.iter().filter(|one| reserved.contains(one.network())).count(), 1)
}
