//! Interfaces and instances.

use std::time::Duration;

use ipam::ec2::{Addresses, AttachmentStatus, Ec2, ErrorKind, InterfaceStatus, Request};

use super::world::{
    Verdict, World, attach as attach_request, by_id, delete, detach as detach_request, holds, same,
};
use crate::Call;

pub(super) async fn attach<E: Ec2>(world: &World<E>) -> Verdict {
    world.cloud.with(|region, _| region.settings_mut().lags.attach = Duration::from_secs(2));
    let eni = world.create(world.new_in(&world.subnet, "t", None)).await?;
    let began = world.cloud.now();
    let id = world.attach(&eni.id, 1).await?;
    holds("the attachment's id", id.starts_with("eni-attach-"))?;
    let is = world.interface(&eni.id).await?;
    same("status", is.status, InterfaceStatus::Attaching)?;
    let Some(attachment) = is.attachment else { return holds("it has an attachment", false) };
    same(
        "attachment",
        (attachment.id, attachment.instance_id, attachment.device_index, attachment.network_card),
        (id, world.node.clone(), 1, 0),
    )?;
    same(
        "its state",
        (attachment.status, attachment.delete_on_termination, attachment.attached_at),
        (AttachmentStatus::Attaching, false, Some(began)),
    )?;
    world.cloud.pass(Duration::from_secs(2));
    let is = world.interface(&eni.id).await?;
    let status = is.attachment.map(|one| one.status);
    same("later", (is.status, status), (InterfaceStatus::InUse, Some(AttachmentStatus::Attached)))
}

pub(super) async fn attach_too_much<E: Ec2>(world: &World<E>) -> Verdict {
    let full = world.create(world.new_in(&world.subnet, "full", Some(Addresses::Count(10)))).await?;
    let request = attach_request(&full.id, &world.node, 1);
    world.refused(request, ErrorKind::InterfaceFull, "InvalidInterface.IpAddressLimitExceeded").await?;
    let mut last = String::new();
    for index in 1..=3 {
        last = world.create(world.new_in(&world.subnet, &format!("t{index}"), None)).await?.id;
        if index < 3 {
            world.attach(&last, index).await?;
        }
    }
    let request = attach_request(&last, &world.node, 3);
    world.refused(request, ErrorKind::InstanceFull, "AttachmentLimitExceeded").await
}

pub(super) async fn attach_where_it_cannot_be<E: Ec2>(world: &World<E>) -> Verdict {
    let first = world.create(world.new_in(&world.subnet, "first", None)).await?;
    let second = world.create(world.new_in(&world.subnet, "second", None)).await?;
    world.attach(&first.id, 1).await?;
    for taken in [0, 1] {
        let request = attach_request(&second.id, &world.node, taken);
        world.refused(request, ErrorKind::DeviceIndexTaken, "InvalidParameterValue").await?;
    }
    let request = attach_request(&first.id, &world.node, 2);
    world.refused(request, ErrorKind::InterfaceInUse, "InvalidNetworkInterface.InUse").await?;
    let (zone_b, xen) = world.cloud.with(|region, _| {
        let subnet =
            "10.0.9.0/24".parse().ok().and_then(|cidr| region.add_subnet(&world.vpc, cidr, "b").ok());
        let xen = region.add_instance("m4.large", &world.subnet).unwrap_or_default();
        (subnet.unwrap_or_default(), xen)
    });
    let elsewhere = world.create(world.new_in(&zone_b, "b", None)).await?;
    let request = attach_request(&elsewhere.id, &world.node, 2);
    world.refused(request, ErrorKind::Other, "InvalidParameterCombination").await?;
    let with_prefix = world.create(world.new_in(&world.subnet, "p", Some(Addresses::PrefixCount(1)))).await?;
    let request = attach_request(&with_prefix.id, &xen, 1);
    world.refused(request, ErrorKind::PrefixesUnsupported, "UnsupportedOperation").await
}

/// Interfaces for instances that are gone were made for ever (cilium #9533).
pub(super) async fn attach_to_what_is_gone<E: Ec2>(world: &World<E>) -> Verdict {
    let eni = world.create(world.new_in(&world.subnet, "t", None)).await?;
    let request = attach_request(&eni.id, "i-00000000000000000", 1);
    world.refused(request, ErrorKind::InstanceGone, "InvalidInstanceID.NotFound").await?;
    terminate(world)?;
    let request = attach_request(&eni.id, &world.node, 1);
    world.refused(request, ErrorKind::InstanceGone, "IncorrectState").await?;
    let request = attach_request("eni-00000000000000000", &world.node, 1);
    world.refused(request, ErrorKind::InterfaceNotFound, "InvalidNetworkInterfaceID.NotFound").await
}

pub(super) async fn detach<E: Ec2>(world: &World<E>) -> Verdict {
    world.cloud.with(|region, _| region.settings_mut().lags.detach = Duration::from_secs(3));
    let eni = world.create(world.new_in(&world.subnet, "t", None)).await?;
    let id = world.attach(&eni.id, 1).await?;
    world.done(detach_request(&id)).await?;
    same("status", world.interface(&eni.id).await?.status, InterfaceStatus::Detaching)?;
    world.refused(delete(&eni.id), ErrorKind::InterfaceInUse, "InvalidNetworkInterface.InUse").await?;
    world.refused(detach_request(&id), ErrorKind::Other, "IncorrectState").await?;
    world.cloud.pass(Duration::from_secs(3));
    let is = world.interface(&eni.id).await?;
    same("later", (is.status, is.attachment), (InterfaceStatus::Available, None))?;
    world.attach(&eni.id, 1).await?;
    Ok(())
}

pub(super) async fn detach_what_cannot_be<E: Ec2>(world: &World<E>) -> Verdict {
    let unknown = detach_request("eni-attach-00000000000000000");
    world.refused(unknown, ErrorKind::InterfaceNotFound, "InvalidAttachmentID.NotFound").await?;
    let primary = world.interface(&world.eth0).await?.attachment.map(|one| one.id).unwrap_or_default();
    world.refused(detach_request(&primary), ErrorKind::NotPermitted, "OperationNotPermitted").await
}

pub(super) async fn what_goes_with_an_instance<E: Ec2>(world: &World<E>) -> Verdict {
    let stays = world.create(world.new_in(&world.subnet, "stays", None)).await?;
    let goes = world.create(world.new_in(&world.subnet, "goes", Some(Addresses::PrefixCount(2)))).await?;
    world.attach(&stays.id, 1).await?;
    let attachment_id = world.attach(&goes.id, 2).await?;
    let interface_id = goes.id.clone();
    world.done(Request::SetDeleteOnTermination { interface_id, attachment_id, delete: true }).await?;
    terminate(world)?;
    same("what stays is free", world.interface(&stays.id).await?.status, InterfaceStatus::Available)?;
    for gone in [&goes.id, &world.eth0] {
        let request = Request::DescribeInterfaces(by_id(gone));
        world.refused(request, ErrorKind::InterfaceNotFound, "InvalidNetworkInterfaceID.NotFound").await?;
    }
    same("available", world.subnet(&world.subnet).await?.available_addresses, 250)
}

/// Ends the instance.
fn terminate<E>(world: &World<E>) -> Verdict {
    let ended = world.cloud.invoke(&Call::TerminateInstances { ids: vec![world.node.clone()] }, false);
    holds("the instance ends", ended.is_ok())?;
    world.cloud.pass(Duration::ZERO);
    Ok(())
}
