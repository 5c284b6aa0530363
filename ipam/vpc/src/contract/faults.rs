//! What goes wrong.

use std::time::Duration;

use ipam::ec2::{Addresses, Ec2, ErrorKind, Request};

use super::world::{Verdict, World, assign, by_filter, by_id, delete, same};
use crate::{Fault, Operation, Outcome};

/// Requests beyond the bucket are refused until it is filled again, and the other actions' are not.
pub(super) async fn throttles<E: Ec2>(world: &World<E>) -> Verdict {
    world.cloud.with(|region, _| region.settings_mut().throttled = true);
    let missing = || delete("eni-00000000000000000");
    for _ in 0..100 {
        world.refused(missing(), ErrorKind::InterfaceNotFound, "InvalidNetworkInterfaceID.NotFound").await?;
    }
    world.refused(missing(), ErrorKind::Throttled, "RequestLimitExceeded").await?;
    world.interface(&world.eth0).await?;
    world.cloud.pass(Duration::from_millis(200));
    world.refused(missing(), ErrorKind::InterfaceNotFound, "InvalidNetworkInterfaceID.NotFound").await?;
    world.refused(missing(), ErrorKind::Throttled, "RequestLimitExceeded").await?;
    let counted = world.cloud.with(|region, _| {
        let throttled = Outcome::Refused("RequestLimitExceeded");
        let operation = Operation::DeleteNetworkInterface;
        (region.counters().calls(operation), region.counters().ended(operation, &throttled))
    });
    same("calls, and throttled ones", counted, (103, 2))
}

pub(super) async fn replies_are_lost<E: Ec2>(world: &World<E>) -> Verdict {
    let request = || assign(&world.eth0, Addresses::PrefixCount(1));
    let operation = Operation::AssignPrivateIpAddresses;
    fault(world, operation, Fault::LostReply);
    world.refused(request(), ErrorKind::Unanswered, "NoAnswer").await?;
    same("it was carried out", world.interface(&world.eth0).await?.prefixes.len(), 1)?;
    fault(world, operation, Fault::LostRequest);
    world.refused(request(), ErrorKind::Unanswered, "NoAnswer").await?;
    same("it was not", world.interface(&world.eth0).await?.prefixes.len(), 1)?;
    // A client that sends again by itself would assign twice.
    same("calls", world.cloud.with(|region, _| region.counters().calls(operation)), 2)
}

pub(super) async fn servers_fail<E: Ec2>(world: &World<E>) -> Verdict {
    let request = || assign(&world.eth0, Addresses::PrefixCount(1));
    let mut prefixes = 0;
    for carried_out in [false, true] {
        for (code, how) in [
            ("InternalError", Fault::InternalError { carried_out }),
            ("Unavailable", Fault::Unavailable { carried_out }),
        ] {
            fault(world, Operation::AssignPrivateIpAddresses, how);
            world.refused(request(), ErrorKind::Server, code).await?;
            prefixes += usize::from(carried_out);
            same(code, world.interface(&world.eth0).await?.prefixes.len(), prefixes)?;
        }
    }
    let calls = world.cloud.with(|region, _| region.counters().calls(Operation::AssignPrivateIpAddresses));
    same("calls", calls, 4)
}

pub(super) async fn reads_are_stale<E: Ec2>(world: &World<E>) -> Verdict {
    world.cloud.pass(Duration::from_secs(60));
    let eni = world.create(world.new_in(&world.pods, "t", None)).await?;
    fault(world, Operation::DescribeNetworkInterfaces, Fault::Stale(Duration::from_secs(30)));
    same("not there yet", world.list(by_filter("subnet-id", &world.pods)).await?.len(), 0)?;
    same("there", world.list(by_filter("subnet-id", &world.pods)).await?.len(), 1)?;
    world.cloud.with(|region, _| region.settings_mut().lags.describe = Duration::from_secs(5));
    let unknown = Request::DescribeInterfaces(by_id(&eni.id));
    world.refused(unknown, ErrorKind::InterfaceNotFound, "InvalidNetworkInterfaceID.NotFound").await?;
    world.cloud.pass(Duration::from_secs(5));
    world.done(delete(&eni.id)).await?;
    same("still there", world.interface(&eni.id).await?.id, eni.id)?;
    world.cloud.pass(Duration::from_secs(5));
    same("gone", world.list(by_filter("subnet-id", &world.pods)).await?.len(), 0)
}

pub(super) async fn new_ids_are_unknown<E: Ec2>(world: &World<E>) -> Verdict {
    world.cloud.with(|region, _| region.settings_mut().lags.new_ids = Duration::from_secs(2));
    let eni = world.create(world.new_in(&world.pods, "t", None)).await?;
    let request = || assign(&eni.id, Addresses::Count(1));
    world.refused(request(), ErrorKind::InterfaceNotFound, "InvalidNetworkInterfaceID.NotFound").await?;
    world.cloud.pass(Duration::from_secs(2));
    world.assign(&eni.id, Addresses::Count(1)).await?;
    Ok(())
}

/// A request that nobody waits for any more is carried out all the same.
pub(super) async fn requests_are_late<E: Ec2>(world: &World<E>) -> Verdict {
    let prefixes = world.assign(&world.eth0, Addresses::PrefixCount(1)).await?.prefixes;
    let unassign = || Request::Unassign {
        interface_id: world.eth0.clone(),
        addresses: Vec::new(),
        prefixes: prefixes.clone(),
    };
    fault(world, Operation::UnassignPrivateIpAddresses, Fault::Late(Duration::from_secs(10)));
    world.refused(unassign(), ErrorKind::Unanswered, "NoAnswer").await?;
    world.done(unassign()).await?;
    world.assign(&world.eth0, Addresses::ExactPrefixes(prefixes.clone())).await?;
    world.cloud.pass(Duration::from_secs(10));
    same("it hit the wrong one", world.interface(&world.eth0).await?.prefixes.len(), 0)?;
    fault(world, Operation::AssignPrivateIpAddresses, Fault::Twice(Duration::ZERO));
    world.assign(&world.eth0, Addresses::PrefixCount(1)).await?;
    same("twice", world.interface(&world.eth0).await?.prefixes.len(), 2)
}

fn fault<E>(world: &World<E>, operation: Operation, fault: Fault) {
    world.cloud.with(|region, _| region.faults().next(operation, fault));
}
