//! Answers out of XML.

use std::net::Ipv4Addr;

use ipam::{
    Timestamp,
    ec2::{
        Action, Assigned, Attachment, AttachmentStatus, InstanceType, Interface, InterfaceStatus, Reply,
        SecurityGroup, Subnet, Tags, Vpc,
    },
};
use roxmltree::Document;

use crate::element::{DecodeError, Element};

/// The code and the message of an error.
pub(crate) fn error(document: &Document<'_>) -> Option<(String, String)> {
    let root = Element(document.root_element());
    let error = root.child("Errors")?.child("Error")?;
    Some((error.text("Code")?.to_owned(), error.owned("Message")))
}

/// The answer to an action.
pub(crate) fn reply(action: Action, document: &Document<'_>) -> Result<Reply, DecodeError> {
    let root = Element(document.root_element());
    let next_token = root.text("nextToken").map(str::to_owned);
    Ok(match action {
        Action::AssignPrivateIpAddresses => Reply::Assigned(Assigned {
            addresses: root
                .each("assignedPrivateIpAddressesSet", |item| item.need_parsed("privateIpAddress"))?,
            prefixes: root.each("assignedIpv4PrefixSet", |item| item.need_parsed("ipv4Prefix"))?,
        }),
        Action::CreateNetworkInterface => {
            let element = root.need_child("networkInterface")?;
            element.need("privateIpAddress")?;
            Reply::Created(Box::new(interface(element)?))
        }
        Action::AttachNetworkInterface => {
            Reply::Attached { attachment_id: root.need("attachmentId")?.to_owned() }
        }
        Action::DescribeNetworkInterfaces => {
            root.need_child("networkInterfaceSet")?;
            Reply::Interfaces { interfaces: root.each("networkInterfaceSet", interface)?, next_token }
        }
        Action::DescribeSubnets => {
            root.need_child("subnetSet")?;
            let subnets = root.items("subnetSet").filter_map(|item| subnet(item).transpose());
            Reply::Subnets { subnets: subnets.collect::<Result<_, _>>()?, next_token }
        }
        Action::DescribeVpcs => {
            root.need_child("vpcSet")?;
            Reply::Vpcs(root.each("vpcSet", vpc)?)
        }
        Action::DescribeSecurityGroups => {
            root.need_child("securityGroupInfo")?;
            Reply::SecurityGroups { groups: root.each("securityGroupInfo", group)?, next_token }
        }
        Action::DescribeInstanceTypes => {
            root.need_child("instanceTypeSet")?;
            // One that cannot be read is a type without limits, which whoever needs them is told of.
            let types = root.items("instanceTypeSet").filter_map(|item| {
                let name = item.text("instanceType");
                let unread = |why| tracing::warn!(name, %why, "an instance type is left out");
                instance_type(item).map_err(unread).ok()
            });
            Reply::InstanceTypes { types: types.collect(), next_token }
        }
        Action::CreateTags
        | Action::DeleteNetworkInterface
        | Action::DeleteTags
        | Action::DetachNetworkInterface
        | Action::ModifyNetworkInterfaceAttribute
        | Action::UnassignPrivateIpAddresses => match root.need("return")? {
            "true" => Reply::Done,
            other => return Err(DecodeError::Value { name: "return", value: other.to_owned() }),
        },
    })
}

fn tags(element: Element<'_>) -> Result<Tags, DecodeError> {
    let tag = |item: Element<'_>| Ok((item.need("key")?.to_owned(), item.owned("value")));
    element.items("tagSet").map(tag).collect()
}

/// An interface; it need not have IPv4, as whoever made it may have wanted none.
fn interface(element: Element<'_>) -> Result<Interface, DecodeError> {
    let primary_address = element.parsed("privateIpAddress")?.unwrap_or(Interface::NO_ADDRESS);
    let listed = element.items("privateIpAddressesSet");
    let listed = listed.filter_map(|item| item.parsed("privateIpAddress").transpose());
    let mut secondary_addresses: Vec<Ipv4Addr> = listed.collect::<Result<_, _>>()?;
    secondary_addresses.retain(|address| *address != primary_address);
    Ok(Interface {
        id: element.need("networkInterfaceId")?.to_owned(),
        description: element.owned("description"),
        subnet_id: element.need("subnetId")?.to_owned(),
        vpc_id: element.need("vpcId")?.to_owned(),
        availability_zone: element.need("availabilityZone")?.to_owned(),
        mac: element.need("macAddress")?.to_owned(),
        primary_address,
        secondary_addresses,
        prefixes: element.each("ipv4PrefixSet", |item| item.need_parsed("ipv4Prefix"))?,
        security_groups: element.each("groupSet", |item| Ok(item.need("groupId")?.to_owned()))?,
        tags: tags(element)?,
        status: InterfaceStatus::named(element.need("status")?),
        attachment: element.child("attachment").map(attachment).transpose()?.flatten(),
        requester_managed: element.parsed("requesterManaged")?.unwrap_or(false),
        kind: element.text("interfaceType").unwrap_or("interface").to_owned(),
    })
}

/// An attachment to an instance; those to something else of Amazon's are none of a pod network's.
fn attachment(element: Element<'_>) -> Result<Option<Attachment>, DecodeError> {
    let Some(instance_id) = element.text("instanceId") else { return Ok(None) };
    let attached_at: Option<jiff::Timestamp> = element.parsed("attachTime")?;
    let milliseconds = attached_at.and_then(|at| u64::try_from(at.as_millisecond()).ok());
    Ok(Some(Attachment {
        id: element.need("attachmentId")?.to_owned(),
        instance_id: instance_id.to_owned(),
        device_index: element.need_parsed("deviceIndex")?,
        network_card: element.parsed("networkCardIndex")?.unwrap_or(0),
        delete_on_termination: element.parsed("deleteOnTermination")?.unwrap_or(false),
        status: AttachmentStatus::named(element.need("status")?),
        attached_at: milliseconds.map(Timestamp),
    }))
}

/// A subnet, but for those that are IPv6-only: they have nothing for pods.
fn subnet(element: Element<'_>) -> Result<Option<Subnet>, DecodeError> {
    let Some(cidr) = element.parsed("cidrBlock")? else { return Ok(None) };
    Ok(Some(Subnet {
        id: element.need("subnetId")?.to_owned(),
        vpc_id: element.need("vpcId")?.to_owned(),
        availability_zone: element.need("availabilityZone")?.to_owned(),
        cidr,
        available_addresses: element.need_parsed("availableIpAddressCount")?,
        tags: tags(element)?,
    }))
}

fn vpc(element: Element<'_>) -> Result<Vpc, DecodeError> {
    let primary_cidr = element.need_parsed("cidrBlock")?;
    let mut cidrs = Vec::new();
    for item in element.items("cidrBlockAssociationSet") {
        let state = item.child("cidrBlockState").and_then(|state| state.text("state"));
        if state == Some("associated") {
            cidrs.push(item.need_parsed("cidrBlock")?);
        }
    }
    if !cidrs.contains(&primary_cidr) {
        cidrs.insert(0, primary_cidr);
    }
    Ok(Vpc { id: element.need("vpcId")?.to_owned(), primary_cidr, cidrs, tags: tags(element)? })
}

fn group(element: Element<'_>) -> Result<SecurityGroup, DecodeError> {
    Ok(SecurityGroup {
        id: element.need("groupId")?.to_owned(),
        vpc_id: element.owned("vpcId"),
        name: element.need("groupName")?.to_owned(),
        tags: tags(element)?,
    })
}

/// Limits of the default network card: the total counts those of all cards.
fn instance_type(element: Element<'_>) -> Result<InstanceType, DecodeError> {
    let network = element.need_child("networkInfo")?;
    let default: u32 = network.parsed("defaultNetworkCardIndex")?.unwrap_or(0);
    let mut interfaces = None;
    for card in network.items("networkCards") {
        if card.parsed("networkCardIndex")? == Some(default) {
            interfaces = card.parsed("maximumNetworkInterfaces")?;
        }
    }
    let interfaces = match interfaces {
        Some(interfaces) => interfaces,
        None => network.need_parsed("maximumNetworkInterfaces")?,
    };
    Ok(InstanceType {
        name: element.need("instanceType")?.to_owned(),
        interfaces,
        ipv4_per_interface: network.need_parsed("ipv4AddressesPerInterface")?,
        hypervisor: element.text("hypervisor").map(str::to_owned),
        bare_metal: element.parsed("bareMetal")?.unwrap_or(false),
        vcpus: element.need_child("vCpuInfo")?.need_parsed("defaultVCpus")?,
    })
}
