//! Lists, filters and pages.

use std::collections::BTreeSet;

use ipam::ec2::{DescribeInterfaces, Ec2, ErrorKind, InstanceType, Reply, Request};

use super::world::{Broken, Verdict, World, by_filter, by_id, holds, net, same};

pub(super) async fn vpcs<E: Ec2>(world: &World<E>) -> Verdict {
    let reply = world.call(Request::DescribeVpcs { ids: vec![world.vpc.clone()] }).await;
    let Ok(Reply::Vpcs(vpcs)) = reply else { return holds("VPCs are described", false) };
    same("how many", vpcs.len(), 1)?;
    same("primary", vpcs[0].primary_cidr, net("10.0.0.0/16")?)?;
    same("all", &vpcs[0].cidrs, &vec![net("10.0.0.0/16")?, net("100.64.0.0/16")?])?;
    let unknown = Request::DescribeVpcs { ids: vec!["vpc-00000000000000000".to_owned()] };
    world.refused(unknown, ErrorKind::Misconfigured, "InvalidVpcID.NotFound").await
}

pub(super) async fn subnets<E: Ec2>(world: &World<E>) -> Verdict {
    world.cloud.with(|region, _| region.settings_mut().page = 2);
    let mut all = Vec::new();
    let mut next_token = None;
    for page in 1.. {
        let request = Request::DescribeSubnets { vpc_id: world.vpc.clone(), next_token };
        let Ok(Reply::Subnets { subnets, next_token: next }) = world.call(request).await else {
            return holds("subnets are described", false);
        };
        holds("a page of two", subnets.len() <= 2)?;
        all.extend(subnets);
        next_token = next;
        if next_token.is_none() {
            same("pages", page, 2)?;
            break;
        }
    }
    let ids: BTreeSet<String> = all.iter().map(|one| one.id.clone()).collect();
    let expected = [&world.subnet, &world.small, &world.pods].map(Clone::clone);
    same("subnets", ids, BTreeSet::from(expected))?;
    let small = world_subnet(&all, &world.small)?;
    same("cidr", small.cidr, net("10.0.2.0/27")?)?;
    same("available", small.available_addresses, 27)?;
    same("zone", small.availability_zone.as_str(), "eu-central-1a")?;
    let other = Request::DescribeSubnets { vpc_id: "vpc-0".to_owned(), next_token: None };
    let none = Reply::Subnets { subnets: Vec::new(), next_token: None };
    same("of another VPC", world.call(other).await, Ok(none))
}

fn world_subnet<'a>(all: &'a [ipam::ec2::Subnet], id: &str) -> Result<&'a ipam::ec2::Subnet, Broken> {
    all.iter().find(|one| one.id == id).ok_or_else(|| Broken(format!("{id} is not listed")))
}

pub(super) async fn security_groups<E: Ec2>(world: &World<E>) -> Verdict {
    let request = Request::DescribeSecurityGroups { vpc_id: world.vpc.clone(), next_token: None };
    let Ok(Reply::SecurityGroups { groups, next_token }) = world.call(request).await else {
        return holds("groups are described", false);
    };
    let names: BTreeSet<&str> = groups.iter().map(|one| one.name.as_str()).collect();
    same("names", names, BTreeSet::from(["default", "nodes"]))?;
    holds("they are the VPC's", groups.iter().all(|one| one.vpc_id == world.vpc))?;
    same("one page", next_token, None)
}

pub(super) async fn instance_types<E: Ec2>(world: &World<E>) -> Verdict {
    let names = ["m4.large", "m5.large", "m5.metal", "p5.48xlarge"].map(str::to_owned).to_vec();
    let reply = world.call(Request::DescribeInstanceTypes { names, next_token: None }).await;
    let Ok(Reply::InstanceTypes { types, next_token }) = reply else {
        return holds("types are described", false);
    };
    same("one page", next_token, None)?;
    let of = |name: &str, interfaces, ipv4_per_interface, hypervisor: Option<&str>, bare_metal, vcpus| {
        InstanceType {
            name: name.to_owned(),
            interfaces,
            ipv4_per_interface,
            hypervisor: hypervisor.map(str::to_owned),
            bare_metal,
            vcpus,
        }
    };
    let expected = vec![
        of("m4.large", 2, 10, Some("xen"), false, 2),
        of("m5.large", 3, 10, Some("nitro"), false, 2),
        of("m5.metal", 15, 50, None, true, 96),
        of("p5.48xlarge", 2, 50, Some("nitro"), false, 192),
    ];
    same("types", types, expected)?;
    let names = vec!["m5.gigantic".to_owned(), "m5.large".to_owned()];
    let reply = world.call(Request::DescribeInstanceTypes { names, next_token: None }).await;
    let Ok(Reply::InstanceTypes { types: known, .. }) = reply else {
        return holds("an unknown type is no error", false);
    };
    same("the known one", known, vec![of("m5.large", 3, 10, Some("nitro"), false, 2)])
}

pub(super) async fn instance_types_by_page<E: Ec2>(world: &World<E>) -> Verdict {
    world.cloud.with(|region, _| region.settings_mut().page = 2);
    let names = ["m4.large", "m5.large", "m5.metal", "p5.48xlarge", "t3.micro"].map(str::to_owned);
    let (mut found, mut next_token) = (Vec::new(), None);
    for page in 1.. {
        let request = Request::DescribeInstanceTypes { names: names.to_vec(), next_token };
        let Ok(Reply::InstanceTypes { types, next_token: next }) = world.call(request).await else {
            return holds("types are described", false);
        };
        holds("a page of two", types.len() <= 2)?;
        found.extend(types.into_iter().map(|one| one.name));
        next_token = next;
        if next_token.is_none() {
            same("pages", page, 3)?;
            break;
        }
    }
    same("types", found, names.to_vec())
}

pub(super) async fn interfaces_by_filter<E: Ec2>(world: &World<E>) -> Verdict {
    let eni = world.create(world.new_in(&world.pods, "t", None)).await?;
    let ids = async |describe: DescribeInterfaces| -> Result<Vec<String>, Broken> {
        Ok(world.list(describe).await?.into_iter().map(|one| one.id).collect())
    };
    for (filter, value) in [
        ("subnet-id", world.pods.as_str()),
        ("group-id", &world.group),
        ("mac-address", &eni.mac),
        ("status", "available"),
        ("tag:cluster", "blue"),
        ("tag:cluster", "b*"),
        ("tag-key", "cluster"),
        ("private-ip-address", &eni.primary_address.to_string()),
        ("description", "netloom*"),
    ] {
        same(filter, ids(by_filter(filter, value)).await?, vec![eni.id.clone()])?;
    }
    for (filter, value) in [
        ("attachment.instance-id", world.node.as_str()),
        ("attachment.device-index", "0"),
        ("attachment.status", "attached"),
        ("status", "in-use"),
    ] {
        same(filter, ids(by_filter(filter, value)).await?, vec![world.eth0.clone()])?;
    }
    same("in the VPC", ids(by_filter("vpc-id", &world.vpc)).await?.len(), 2)?;
    let both = DescribeInterfaces {
        filters: vec![
            ("vpc-id".to_owned(), vec![world.vpc.clone()]),
            ("subnet-id".to_owned(), vec![world.pods.clone(), world.small.clone()]),
        ],
        ..DescribeInterfaces::default()
    };
    same("all filters, one of the values", ids(both).await?, vec![eni.id])?;
    same("nothing", ids(by_filter("tag:cluster", "green")).await?.len(), 0)?;
    let unknown = Request::DescribeInterfaces(by_filter("colour", "blue"));
    world.refused(unknown, ErrorKind::Other, "InvalidParameterValue").await
}

pub(super) async fn interfaces_by_page<E: Ec2>(world: &World<E>) -> Verdict {
    for number in 0..12 {
        world.create(world.new_in(&world.pods, &format!("t{number}"), None)).await?;
    }
    let mut seen = BTreeSet::new();
    let mut token = None;
    let mut pages = 0;
    loop {
        let page =
            DescribeInterfaces { page: Some(5), next_token: token, ..by_filter("subnet-id", &world.pods) };
        let Ok(Reply::Interfaces { interfaces, next_token }) =
            world.call(Request::DescribeInterfaces(page)).await
        else {
            return holds("a page", false);
        };
        pages += 1;
        let before = seen.len();
        let length = interfaces.len();
        seen.extend(interfaces.into_iter().map(|one| one.id));
        same("new ones", seen.len() - before, length)?;
        token = next_token;
        if token.is_none() {
            break;
        }
        same("a page's length", length, 5)?;
    }
    same("pages and interfaces", (pages, seen.len()), (3, 12))?;
    let first = DescribeInterfaces { page: Some(5), ..DescribeInterfaces::default() };
    let Ok(Reply::Interfaces { next_token, .. }) = world.call(Request::DescribeInterfaces(first)).await
    else {
        return holds("a page", false);
    };
    let other = DescribeInterfaces { page: Some(5), next_token, ..by_filter("vpc-id", &world.vpc) };
    let other = Request::DescribeInterfaces(other);
    world.refused(other, ErrorKind::BadPageToken, "InvalidNextToken").await?;
    let invented = DescribeInterfaces { next_token: Some("x".to_owned()), ..DescribeInterfaces::default() };
    world.refused(Request::DescribeInterfaces(invented), ErrorKind::BadPageToken, "InvalidNextToken").await?;
    for length in [4, 1_001] {
        let page = DescribeInterfaces { page: Some(length), ..DescribeInterfaces::default() };
        world
            .refused(Request::DescribeInterfaces(page), ErrorKind::BadPageToken, "InvalidMaxResults")
            .await?;
    }
    // Ids and pages exclude each other (cilium #39120).
    let both = DescribeInterfaces { page: Some(5), ..by_id(&world.eth0) };
    let both = Request::DescribeInterfaces(both);
    world.refused(both, ErrorKind::Other, "InvalidParameterCombination").await
}

pub(super) async fn interfaces_that_are_not_there<E: Ec2>(world: &World<E>) -> Verdict {
    let mut describe = by_id(&world.eth0);
    describe.ids.push("eni-00000000000000000".to_owned());
    let request = Request::DescribeInterfaces(describe);
    world.refused(request, ErrorKind::InterfaceNotFound, "InvalidNetworkInterfaceID.NotFound").await
}
