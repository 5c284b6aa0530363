//! Requests, made of the SDK's operations.

use aws_sdk_ec2::Client;
use aws_sdk_ec2::operation::create_network_interface::builders::CreateNetworkInterfaceFluentBuilder;
use aws_sdk_ec2::types::{
    Filter, Ipv4PrefixSpecificationRequest, NetworkInterfaceAttachmentChanges, PrivateIpAddressSpecification,
    ResourceType, Tag, TagSpecification,
};
use ipam::ec2::{Addresses, CreateInterface, DescribeInterfaces, Error, Reply, Request, Tags};

use crate::checks::Check;
use crate::{answer, failure};

/// Asks once, and reads what is answered.
pub(crate) async fn ask(ec2: &Client, request: Request) -> Result<Reply, Error> {
    let action = request.action();
    // Sends; each operation has types of its own.
    macro_rules! send {
        ($operation:expr) => {
            // On the heap: the SDK's futures are kilobytes each.
            Box::pin($operation.send()).await.map_err(|error| failure::of(action, &error))?
        };
    }
    // The same for what has nothing to tell.
    macro_rules! done {
        ($operation:expr) => {{
            send!($operation.customize().interceptor(Check::Done));
            Ok(Reply::Done)
        }};
    }
    let read = match request {
        Request::Assign { interface_id, addresses } => {
            let call = ec2.assign_private_ip_addresses().network_interface_id(interface_id);
            answer::assigned(&send!(match addresses {
                Addresses::Count(count) => call.secondary_private_ip_address_count(number(count)),
                Addresses::Exact(addresses) => call.set_private_ip_addresses(texts(&addresses)),
                Addresses::PrefixCount(count) => call.ipv4_prefix_count(number(count)),
                Addresses::ExactPrefixes(prefixes) => call.set_ipv4_prefixes(texts(&prefixes)),
            }))
        }
        Request::Unassign { interface_id, addresses, prefixes } => {
            done!(
                ec2.unassign_private_ip_addresses()
                    .network_interface_id(interface_id)
                    .set_private_ip_addresses(texts(&addresses))
                    .set_ipv4_prefixes(texts(&prefixes))
            )
        }
        Request::CreateInterface(wanted) => answer::created(&send!(create(ec2, wanted))),
        Request::Attach { interface_id, instance_id, device_index } => answer::attached(send!(
            ec2.attach_network_interface()
                .network_interface_id(interface_id)
                .instance_id(instance_id)
                .device_index(number(device_index))
        )),
        Request::Detach { attachment_id } => {
            done!(ec2.detach_network_interface().attachment_id(attachment_id))
        }
        Request::DeleteInterface { interface_id } => {
            done!(ec2.delete_network_interface().network_interface_id(interface_id))
        }
        Request::SetDeleteOnTermination { interface_id, attachment_id, delete } => {
            let change = NetworkInterfaceAttachmentChanges::builder()
                .attachment_id(attachment_id)
                .delete_on_termination(delete)
                .build();
            done!(
                ec2.modify_network_interface_attribute()
                    .network_interface_id(interface_id)
                    .attachment(change)
            )
        }
        Request::SetSecurityGroups { interface_id, security_groups } => {
            done!(
                ec2.modify_network_interface_attribute()
                    .network_interface_id(interface_id)
                    .set_groups(Some(security_groups))
            )
        }
        Request::CreateTags { resources, tags } => {
            done!(ec2.create_tags().set_resources(Some(resources)).set_tags(Some(tagged(tags))))
        }
        Request::DeleteTags { resources, keys } => {
            // Without a value: whatever it is.
            let keys = keys.into_iter().map(|key| Tag::builder().key(key).build()).collect();
            done!(ec2.delete_tags().set_resources(Some(resources)).set_tags(Some(keys)))
        }
        Request::DescribeInterfaces(DescribeInterfaces { ids, filters, page, next_token }) => {
            let filters = filters.into_iter().map(|(name, values)| filter(name, values)).collect();
            answer::interfaces(send!(
                ec2.describe_network_interfaces()
                    .set_network_interface_ids(some(ids))
                    .set_filters(some(filters))
                    .set_max_results(page.map(number))
                    .set_next_token(next_token)
            ))
        }
        Request::DescribeSubnets { vpc_id, next_token } => answer::subnets(send!(
            ec2.describe_subnets().filters(filter("vpc-id", vec![vpc_id])).set_next_token(next_token)
        )),
        Request::DescribeVpcs { ids } => answer::vpcs(&send!(ec2.describe_vpcs().set_vpc_ids(some(ids)))),
        Request::DescribeSecurityGroups { vpc_id, next_token } => answer::security_groups(send!(
            ec2.describe_security_groups().filters(filter("vpc-id", vec![vpc_id])).set_next_token(next_token)
        )),
        Request::DescribeInstanceTypes { names, next_token } => answer::instance_types(send!(
            ec2.describe_instance_types().filters(filter("instance-type", names)).set_next_token(next_token)
        )),
    };
    // What can't be read says nothing about what was done.
    read.map_err(|error| Error::unreadable(action, error.to_string()))
}

fn create(ec2: &Client, wanted: CreateInterface) -> CreateNetworkInterfaceFluentBuilder {
    let CreateInterface { subnet_id, security_groups, description, addresses, tags, client_token } = wanted;
    let call = ec2
        .create_network_interface()
        .subnet_id(subnet_id)
        .set_groups(some(security_groups))
        .set_description(Some(description).filter(|text| !text.is_empty()))
        .client_token(client_token);
    let call = match addresses {
        None => call,
        Some(Addresses::Count(count)) => call.secondary_private_ip_address_count(number(count)),
        Some(Addresses::Exact(addresses)) => {
            let address = |address: &std::net::Ipv4Addr| {
                PrivateIpAddressSpecification::builder()
                    .private_ip_address(address.to_string())
                    .primary(false)
                    .build()
            };
            call.set_private_ip_addresses(Some(addresses.iter().map(address).collect()))
        }
        Some(Addresses::PrefixCount(count)) => call.ipv4_prefix_count(number(count)),
        // A structure here, plain text in AssignPrivateIpAddresses.
        Some(Addresses::ExactPrefixes(prefixes)) => {
            let prefix = |prefix: &ipnetwork::Ipv4Network| {
                Ipv4PrefixSpecificationRequest::builder().ipv4_prefix(prefix.to_string()).build()
            };
            call.set_ipv4_prefixes(Some(prefixes.iter().map(prefix).collect()))
        }
    };
    if tags.is_empty() {
        return call;
    }
    let kind = ResourceType::NetworkInterface;
    call.tag_specifications(
        TagSpecification::builder().resource_type(kind).set_tags(Some(tagged(tags))).build(),
    )
}

fn tagged(tags: Tags) -> Vec<Tag> {
    tags.into_iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect()
}

fn filter(name: impl Into<String>, values: Vec<String>) -> Filter {
    Filter::builder().name(name).set_values(Some(values)).build()
}

fn texts<T: ToString>(values: &[T]) -> Option<Vec<String>> {
    some(values.iter().map(ToString::to_string).collect())
}

/// A list, if anything is on it.
fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    Some(list).filter(|list| !list.is_empty())
}

/// The model has signed numbers; EC2 refuses what is too large anyway.
fn number(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}
