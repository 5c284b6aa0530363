//! Interfaces' lives.

use ipam::ec2::{Addresses, Ec2, ErrorKind, InterfaceStatus, Reply, Request, Tags};

use super::world::{Verdict, World, assign, attach, by_id, delete as delete_request, holds, net, same};
use crate::Spelling;

pub(super) async fn create<E: Ec2>(world: &World<E>) -> Verdict {
    let request = world.new_in(&world.pods, "t", Some(Addresses::PrefixCount(3)));
    let eni = world.create(request.clone()).await?;
    same("subnet", (&eni.subnet_id, &eni.vpc_id), (&world.pods, &world.vpc))?;
    same("zone", eni.availability_zone.as_str(), "eu-central-1a")?;
    same("words", (&eni.description, &eni.tags), (&request.description, &request.tags))?;
    same("groups", &eni.security_groups, &vec![world.group.clone()])?;
    same("addresses", (eni.secondary_addresses.len(), eni.prefixes.len()), (0, 3))?;
    holds("the MAC address", eni.mac.len() == 17 && eni.mac.starts_with("02:"))?;
    same("state", (eni.status, &eni.attachment), (InterfaceStatus::Available, &None))?;
    same("kind", (eni.kind.as_str(), eni.requester_managed), ("interface", false))?;
    same("as it is described", world.interface(&eni.id).await?, eni)?;
    let mut plain = world.new_in(&world.pods, "plain", None);
    plain.security_groups.clear();
    plain.tags.clear();
    plain.description.clear();
    let plain = world.create(plain).await?;
    holds("the default group", plain.security_groups.len() == 1 && plain.security_groups[0] != world.group)?;
    same("nothing said", (plain.description.as_str(), plain.tags.len()), ("", 0))
}

pub(super) async fn create_with_each_kind_of_addresses<E: Ec2>(world: &World<E>) -> Verdict {
    let count = world.create(world.new_in(&world.pods, "1", Some(Addresses::Count(4)))).await?;
    same("by count", count.secondary_addresses.len(), 4)?;
    let exact = vec![net("100.64.15.10")?, net("100.64.15.11")?];
    let prefixes = vec![net("100.64.14.16/28")?, net("100.64.14.64/28")?];
    let named = world.create(world.new_in(&world.pods, "2", Some(Addresses::Exact(exact.clone())))).await?;
    same("by name", &named.secondary_addresses, &exact)?;
    let named = Addresses::ExactPrefixes(prefixes.clone());
    let named = world.create(world.new_in(&world.pods, "3", Some(named))).await?;
    same("prefixes by name", &named.prefixes, &prefixes)?;
    for (token, taken) in [("4", Addresses::Exact(exact)), ("5", Addresses::ExactPrefixes(prefixes))] {
        let again = Request::CreateInterface(world.new_in(&world.pods, token, Some(taken)));
        world.refused(again, ErrorKind::AddressTaken, "InvalidIPAddress.InUse").await?;
    }
    Ok(())
}

pub(super) async fn create_is_idempotent<E: Ec2>(world: &World<E>) -> Verdict {
    let request = world.new_in(&world.pods, "node-7/1", Some(Addresses::PrefixCount(2)));
    let first = world.create(request.clone()).await?;
    world.assign(&first.id, Addresses::PrefixCount(1)).await?;
    let again = world.create(request.clone()).await?;
    same("the same interface", &again.id, &first.id)?;
    same("as it is now", again.prefixes.len(), 3)?;
    same("interfaces", world.list(super::world::by_filter("subnet-id", &world.pods)).await?.len(), 1)?;
    let mut other = request;
    other.addresses = Some(Addresses::PrefixCount(1));
    let other = Request::CreateInterface(other);
    world.refused(other, ErrorKind::TokenMismatch, "IdempotentParameterMismatch").await?;
    let long = Request::CreateInterface(world.new_in(&world.pods, &"x".repeat(65), None));
    world.refused(long, ErrorKind::Other, "InvalidParameterValue").await
}

/// Both spellings of one meaning (vpc-cni #3105).
pub(super) async fn create_without_room<E: Ec2>(world: &World<E>) -> Verdict {
    let prefix =
        |token| Request::CreateInterface(world.new_in(&world.small, token, Some(Addresses::PrefixCount(1))));
    world.refused(prefix("1"), ErrorKind::NoFreePrefix, "InsufficientCidrBlocks").await?;
    world.cloud.with(|region, _| region.settings_mut().spelling = Spelling::InvalidValue);
    world.refused(prefix("2"), ErrorKind::NoFreePrefix, "InvalidParameterValue").await?;
    same("nothing is left behind", world.subnet(&world.small).await?.available_addresses, 27)?;
    world.create(world.new_in(&world.small, "3", Some(Addresses::Count(26)))).await?;
    let full = Request::CreateInterface(world.new_in(&world.small, "4", None));
    world.refused(full, ErrorKind::NoFreeAddress, "InsufficientFreeAddressesInSubnet").await
}

pub(super) async fn create_beyond_the_quota<E: Ec2>(world: &World<E>) -> Verdict {
    world.cloud.with(|region, _| region.settings_mut().interface_quota = 2);
    world.create(world.new_in(&world.pods, "1", None)).await?;
    let second = Request::CreateInterface(world.new_in(&world.pods, "2", None));
    world.refused(second, ErrorKind::InterfaceQuota, "NetworkInterfaceLimitExceeded").await
}

pub(super) async fn create_with_wrong_names<E: Ec2>(world: &World<E>) -> Verdict {
    let wrong = Request::CreateInterface(world.new_in("subnet-00000000000000000", "1", None));
    world.refused(wrong, ErrorKind::Misconfigured, "InvalidSubnetID.NotFound").await?;
    let mut request = world.new_in(&world.pods, "2", None);
    request.security_groups = vec!["sg-00000000000000000".to_owned()];
    let wrong = Request::CreateInterface(request.clone());
    world.refused(wrong, ErrorKind::Misconfigured, "InvalidSecurityGroupID.NotFound").await?;
    request.security_groups = vec![world.group.clone(); 6];
    let many = Request::CreateInterface(request.clone());
    world.refused(many, ErrorKind::Misconfigured, "SecurityGroupsPerInterfaceLimitExceeded").await?;
    let foreign = world.cloud.with(|region, _| {
        let vpc = "10.9.0.0/16".parse().ok().and_then(|cidr| region.add_vpc(cidr).ok()).unwrap_or_default();
        region.add_security_group(&vpc, "foreign").unwrap_or_default()
    });
    request.security_groups = vec![foreign];
    let foreign = Request::CreateInterface(request);
    world.refused(foreign, ErrorKind::Misconfigured, "InvalidGroup.NotFound").await
}

pub(super) async fn delete<E: Ec2>(world: &World<E>) -> Verdict {
    let before = world.subnet(&world.subnet).await?.available_addresses;
    let eni = world.create(world.new_in(&world.subnet, "t", Some(Addresses::PrefixCount(2)))).await?;
    world.done(delete_request(&eni.id)).await?;
    same("available", world.subnet(&world.subnet).await?.available_addresses, before)?;
    let gone = ErrorKind::InterfaceNotFound;
    for request in [
        delete_request(&eni.id),
        assign(&eni.id, Addresses::Count(1)),
        attach(&eni.id, &world.node, 1),
        Request::DescribeInterfaces(by_id(&eni.id)),
        Request::CreateTags {
            resources: vec![eni.id.clone()],
            tags: Tags::from([(String::from("a"), String::new())]),
        },
    ] {
        world.refused(request, gone, "InvalidNetworkInterfaceID.NotFound").await?;
    }
    let used = delete_request(&world.eth0);
    world.refused(used.clone(), ErrorKind::InterfaceInUse, "InvalidNetworkInterface.InUse").await?;
    world.cloud.with(|region, _| region.settings_mut().spelling = Spelling::InvalidValue);
    world.refused(used, ErrorKind::InterfaceInUse, "InvalidParameterValue").await
}

pub(super) async fn modify<E: Ec2>(world: &World<E>) -> Verdict {
    let eni = world.create(world.new_in(&world.subnet, "t", None)).await?;
    let attachment_id = world.attach(&eni.id, 1).await?;
    let set = |attachment_id: &str| Request::SetDeleteOnTermination {
        interface_id: eni.id.clone(),
        attachment_id: attachment_id.to_owned(),
        delete: true,
    };
    world.done(set(&attachment_id)).await?;
    let is = world.interface(&eni.id).await?;
    same("deleted with its instance", is.attachment.map(|one| one.delete_on_termination), Some(true))?;
    let unknown = set("eni-attach-00000000000000000");
    world.refused(unknown, ErrorKind::InterfaceNotFound, "InvalidAttachmentID.NotFound").await?;
    let other =
        world.cloud.with(|region, _| region.add_security_group(&world.vpc, "other").unwrap_or_default());
    let groups = |groups: Vec<String>| Request::SetSecurityGroups {
        interface_id: eni.id.clone(),
        security_groups: groups,
    };
    let both = vec![other, world.group.clone()];
    world.done(groups(both.clone())).await?;
    same("groups", world.interface(&eni.id).await?.security_groups, both)?;
    let unknown = groups(vec!["sg-00000000000000000".to_owned()]);
    world.refused(unknown, ErrorKind::Misconfigured, "InvalidSecurityGroupID.NotFound").await
}

pub(super) async fn tags<E: Ec2>(world: &World<E>) -> Verdict {
    let resources = vec![world.eth0.clone(), world.subnet.clone(), world.vpc.clone(), world.node.clone()];
    let tags = Tags::from([
        ("kubernetes.io/role/cni".to_owned(), "1".to_owned()),
        ("odd \"<&>' key".to_owned(), "a  b\u{e4}".to_owned()),
    ]);
    world.done(Request::CreateTags { resources: resources.clone(), tags: tags.clone() }).await?;
    same("an interface's", &world.interface(&world.eth0).await?.tags, &tags)?;
    same("a subnet's", &world.subnet(&world.subnet).await?.tags, &tags)?;
    let reply = world.call(Request::DescribeVpcs { ids: vec![world.vpc.clone()] }).await;
    let Ok(Reply::Vpcs(vpcs)) = reply else { return holds("VPCs are described", false) };
    same("a VPC's", &vpcs[0].tags, &tags)?;
    let keys = vec!["kubernetes.io/role/cni".to_owned(), "not there".to_owned()];
    world.done(Request::DeleteTags { resources, keys }).await?;
    same("one is left", world.interface(&world.eth0).await?.tags.len(), 1)?;
    let both = vec![world.eth0.clone(), "subnet-00000000000000000".to_owned()];
    let request = Request::CreateTags { resources: both, tags };
    world.refused(request, ErrorKind::Misconfigured, "InvalidSubnetID.NotFound").await?;
    same("all or none", world.interface(&world.eth0).await?.tags.len(), 1)?;
    let reserved = Tags::from([("aws:own".to_owned(), String::new())]);
    let request = Request::CreateTags { resources: vec![world.eth0.clone()], tags: reserved };
    world.refused(request, ErrorKind::Other, "InvalidParameterValue").await
}

pub(super) async fn somebody_elses<E: Ec2>(world: &World<E>) -> Verdict {
    let eni = world.create(world.new_in(&world.subnet, "t", None)).await?;
    let handed = world.cloud.with(|region, _| region.hand_over(&eni.id));
    same("handed over", handed, Ok(()))?;
    same("as it is described", world.interface(&eni.id).await?.requester_managed, true)?;
    for request in
        [attach(&eni.id, &world.node, 1), delete_request(&eni.id), assign(&eni.id, Addresses::Count(1))]
    {
        world.refused(request, ErrorKind::NotPermitted, "OperationNotPermitted").await?;
    }
    Ok(())
}
