//! Answers, as the core has them.

use std::str::FromStr;

use aws_sdk_ec2::operation::{
    assign_private_ip_addresses::AssignPrivateIpAddressesOutput,
    attach_network_interface::AttachNetworkInterfaceOutput,
    create_network_interface::CreateNetworkInterfaceOutput,
    describe_instance_types::DescribeInstanceTypesOutput,
    describe_network_interfaces::DescribeNetworkInterfacesOutput,
    describe_security_groups::DescribeSecurityGroupsOutput, describe_subnets::DescribeSubnetsOutput,
    describe_vpcs::DescribeVpcsOutput,
};
use aws_sdk_ec2::types::{self, VpcCidrBlockStateCode};
use ipam::Timestamp;
use ipam::ec2::{
    Assigned, Attachment, AttachmentStatus, InstanceType, Interface, InterfaceStatus, Reply, SecurityGroup,
    Subnet, Tags, Vpc,
};
use ipnetwork::Ipv4Network;

/// An answer is not what it should be.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AnswerError {
    #[error("the answer has no {0}")]
    Missing(&'static str),
    #[error("{name} is {value:?}, which it can't be")]
    Value { name: &'static str, value: String },
}

type Read<T> = Result<T, AnswerError>;

pub(crate) fn assigned(answer: &AssignPrivateIpAddressesOutput) -> Read<Reply> {
    let addresses = answer.assigned_private_ip_addresses();
    Ok(Reply::Assigned(Assigned {
        addresses: each(addresses, |one| parsed("privateIpAddress", one.private_ip_address()))?,
        prefixes: prefixes(answer.assigned_ipv4_prefixes())?,
    }))
}

pub(crate) fn created(answer: &CreateNetworkInterfaceOutput) -> Read<Reply> {
    let made = need("networkInterface", answer.network_interface())?;
    text("privateIpAddress", made.private_ip_address())?;
    Ok(Reply::Created(Box::new(interface(made)?)))
}

pub(crate) fn attached(answer: AttachNetworkInterfaceOutput) -> Read<Reply> {
    Ok(Reply::Attached { attachment_id: need("attachmentId", answer.attachment_id)? })
}

pub(crate) fn interfaces(answer: DescribeNetworkInterfacesOutput) -> Read<Reply> {
    let list = need("networkInterfaceSet", answer.network_interfaces)?;
    Ok(Reply::Interfaces { interfaces: each(&list, interface)?, next_token: answer.next_token })
}

pub(crate) fn subnets(answer: DescribeSubnetsOutput) -> Read<Reply> {
    let list = need("subnetSet", answer.subnets)?;
    let subnets = list.iter().filter_map(|one| subnet(one).transpose());
    Ok(Reply::Subnets { subnets: subnets.collect::<Read<_>>()?, next_token: answer.next_token })
}

pub(crate) fn vpcs(answer: &DescribeVpcsOutput) -> Read<Reply> {
    Ok(Reply::Vpcs(each(need("vpcSet", answer.vpcs.as_ref())?, vpc)?))
}

pub(crate) fn security_groups(answer: DescribeSecurityGroupsOutput) -> Read<Reply> {
    let list = need("securityGroupInfo", answer.security_groups)?;
    Ok(Reply::SecurityGroups { groups: each(&list, security_group)?, next_token: answer.next_token })
}

pub(crate) fn instance_types(answer: DescribeInstanceTypesOutput) -> Read<Reply> {
    let list = need("instanceTypeSet", answer.instance_types)?;
    // One that cannot be read is a type without limits, which whoever needs them is told of.
    let types = list.iter().filter_map(|one| {
        let name = one.instance_type().map(types::InstanceType::as_str);
        let unread = |why| tracing::warn!(name, %why, "an instance type is left out");
        instance_type(one).map_err(unread).ok()
    });
    Ok(Reply::InstanceTypes { types: types.collect(), next_token: answer.next_token })
}

/// An interface; it need not have IPv4, as whoever made it may have wanted none.
fn interface(is: &types::NetworkInterface) -> Read<Interface> {
    let address = |value| maybe("privateIpAddress", value);
    let primary_address = address(is.private_ip_address())?.unwrap_or(Interface::NO_ADDRESS);
    let listed = is.private_ip_addresses().iter();
    let listed = listed.filter_map(|one| address(one.private_ip_address()).transpose());
    let mut secondary_addresses = listed.collect::<Read<Vec<_>>>()?;
    secondary_addresses.retain(|address| *address != primary_address);
    let status = need("status", is.status())?.as_str();
    Ok(Interface {
        id: text("networkInterfaceId", is.network_interface_id())?,
        description: is.description().unwrap_or_default().to_owned(),
        subnet_id: text("subnetId", is.subnet_id())?,
        vpc_id: text("vpcId", is.vpc_id())?,
        availability_zone: text("availabilityZone", is.availability_zone())?,
        mac: text("macAddress", is.mac_address())?,
        primary_address,
        secondary_addresses,
        prefixes: prefixes(is.ipv4_prefixes())?,
        security_groups: each(is.groups(), |group| text("groupId", group.group_id()))?,
        tags: tags(is.tag_set())?,
        status: InterfaceStatus::named(status),
        attachment: is.attachment().map(attachment).transpose()?.flatten(),
        requester_managed: is.requester_managed().unwrap_or(false),
        kind: is.interface_type().map_or("interface", types::NetworkInterfaceType::as_str).to_owned(),
    })
}

/// An attachment to an instance; those to something else of Amazon's are none of a pod network's.
fn attachment(is: &types::NetworkInterfaceAttachment) -> Read<Option<Attachment>> {
    let Some(instance_id) = is.instance_id() else { return Ok(None) };
    let status = need("attachment's status", is.status())?.as_str();
    let attached_at = is.attach_time().and_then(|time| u64::try_from(time.to_millis().ok()?).ok());
    Ok(Some(Attachment {
        id: text("attachmentId", is.attachment_id())?,
        instance_id: instance_id.to_owned(),
        device_index: count("deviceIndex", is.device_index())?,
        network_card: is
            .network_card_index()
            .map_or(Ok(0), |index| count("networkCardIndex", Some(index)))?,
        delete_on_termination: is.delete_on_termination().unwrap_or(false),
        status: AttachmentStatus::named(status),
        attached_at: attached_at.map(Timestamp),
    }))
}

/// A subnet, but for those that are IPv6-only: they have nothing for pods.
fn subnet(is: &types::Subnet) -> Read<Option<Subnet>> {
    let Some(cidr) = maybe("cidrBlock", is.cidr_block())? else { return Ok(None) };
    Ok(Some(Subnet {
        id: text("subnetId", is.subnet_id())?,
        vpc_id: text("vpcId", is.vpc_id())?,
        availability_zone: text("availabilityZone", is.availability_zone())?,
        cidr,
        available_addresses: count("availableIpAddressCount", is.available_ip_address_count())?,
        tags: tags(is.tags())?,
    }))
}

fn vpc(is: &types::Vpc) -> Read<Vpc> {
    let primary_cidr = parsed("cidrBlock", is.cidr_block())?;
    let mut cidrs = Vec::new();
    for one in is.cidr_block_association_set() {
        let state = one.cidr_block_state().and_then(types::VpcCidrBlockState::state);
        if state == Some(&VpcCidrBlockStateCode::Associated) {
            cidrs.push(parsed("cidrBlock", one.cidr_block())?);
        }
    }
    if !cidrs.contains(&primary_cidr) {
        cidrs.insert(0, primary_cidr);
    }
    Ok(Vpc { id: text("vpcId", is.vpc_id())?, primary_cidr, cidrs, tags: tags(is.tags())? })
}

fn security_group(is: &types::SecurityGroup) -> Read<SecurityGroup> {
    Ok(SecurityGroup {
        id: text("groupId", is.group_id())?,
        vpc_id: is.vpc_id().unwrap_or_default().to_owned(),
        name: text("groupName", is.group_name())?,
        tags: tags(is.tags())?,
    })
}

/// Limits of the default network card: the total counts those of all cards.
fn instance_type(is: &types::InstanceTypeInfo) -> Read<InstanceType> {
    let network = need("networkInfo", is.network_info())?;
    let default = network.default_network_card_index().unwrap_or(0);
    let card = network.network_cards().iter().find(|card| card.network_card_index() == Some(default));
    let of_card = card.and_then(types::NetworkCardInfo::maximum_network_interfaces);
    let interfaces = of_card.or(network.maximum_network_interfaces());
    Ok(InstanceType {
        name: need("instanceType", is.instance_type())?.as_str().to_owned(),
        interfaces: count("maximumNetworkInterfaces", interfaces)?,
        ipv4_per_interface: count("ipv4AddressesPerInterface", network.ipv4_addresses_per_interface())?,
        hypervisor: is.hypervisor().map(|hypervisor| hypervisor.as_str().to_owned()),
        bare_metal: is.bare_metal().unwrap_or(false),
        vcpus: count("defaultVCpus", is.v_cpu_info().and_then(types::VCpuInfo::default_v_cpus))?,
    })
}

fn prefixes(list: &[types::Ipv4PrefixSpecification]) -> Read<Vec<Ipv4Network>> {
    each(list, |one| parsed("ipv4Prefix", one.ipv4_prefix()))
}

fn tags(list: &[types::Tag]) -> Read<Tags> {
    let tag =
        |one: &types::Tag| Ok((text("tag's key", one.key())?, one.value().unwrap_or_default().to_owned()));
    list.iter().map(tag).collect()
}

fn each<F, T>(list: &[F], read: impl Fn(&F) -> Read<T>) -> Read<Vec<T>> {
    list.iter().map(read).collect()
}

fn need<T>(name: &'static str, value: Option<T>) -> Read<T> {
    value.ok_or(AnswerError::Missing(name))
}

fn text(name: &'static str, value: Option<&str>) -> Read<String> {
    need(name, value.filter(|value| !value.is_empty())).map(ToOwned::to_owned)
}

fn parsed<T: FromStr>(name: &'static str, value: Option<&str>) -> Read<T> {
    need(name, maybe(name, value)?)
}

/// What need not be there.
fn maybe<T: FromStr>(name: &'static str, value: Option<&str>) -> Read<Option<T>> {
    let value = value.filter(|value| !value.is_empty());
    value.map(|value| value.parse().map_err(|_| wrong(name, value))).transpose()
}

fn count(name: &'static str, value: Option<i32>) -> Read<u32> {
    let value = need(name, value)?;
    u32::try_from(value).map_err(|_| wrong(name, &value.to_string()))
}

fn wrong(name: &'static str, value: &str) -> AnswerError {
    AnswerError::Value { name, value: value.to_owned() }
}
