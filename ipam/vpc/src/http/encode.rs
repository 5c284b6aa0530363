//! Answers as XML, with the names of EC2's model.

use std::collections::BTreeMap;

use ipam::{
    Timestamp,
    ec2::{Attachment, InstanceType, Subnet, Tags},
};

use super::xml::Xml;
use crate::{
    Answer, CidrView, GroupView, InstanceState, InstanceView, InterfaceView, Operation, Page, Refusal,
    Reservation, Settings, VpcView,
    actions::filters::{attachment_status, interface_status},
};

/// What answers tell that is the same for all.
pub(super) struct About {
    account: String,
    region: String,
}

impl About {
    pub(super) fn of(settings: &Settings) -> Self {
        Self { account: settings.account.clone(), region: settings.region.clone() }
    }
}

/// An error.
pub(super) fn refusal(refusal: &Refusal, request_id: &str) -> String {
    Xml::document("Response", |xml| {
        xml.element("Errors", |xml| {
            xml.element("Error", |xml| {
                xml.leaf("Code", refusal.code);
                xml.leaf("Message", &refusal.message);
            });
        });
        xml.leaf("RequestID", request_id);
    })
}

/// An answer.
pub(super) fn answer(operation: Operation, answer: &Answer, about: &About, request_id: &str) -> String {
    Xml::answer(operation.name(), request_id, |xml| match answer {
        Answer::Done => xml.leaf("return", true),
        Answer::Assigned { interface_id, assigned } => {
            xml.leaf("networkInterfaceId", interface_id);
            xml.leaves("assignedPrivateIpAddressesSet", "privateIpAddress", &assigned.addresses);
            xml.leaves("assignedIpv4PrefixSet", "ipv4Prefix", &assigned.prefixes);
        }
        Answer::Created { interface: view, client_token } => {
            xml.element("networkInterface", |xml| interface(xml, view, about));
            if let Some(token) = client_token {
                xml.leaf("clientToken", token);
            }
        }
        Answer::Attached { attachment_id } => {
            xml.leaf("attachmentId", attachment_id);
            xml.leaf("networkCardIndex", 0);
        }
        Answer::Interfaces(page) => {
            paged(xml, "networkInterfaceSet", page, |xml, one| interface(xml, one, about));
        }
        Answer::Subnets(page) => paged(xml, "subnetSet", page, |xml, one| subnet(xml, one, about)),
        Answer::Vpcs(page) => paged(xml, "vpcSet", page, |xml, one| vpc(xml, one, about)),
        Answer::SecurityGroups(page) => {
            paged(xml, "securityGroupInfo", page, |xml, one| group(xml, one, about));
        }
        Answer::InstanceTypes(page) => paged(xml, "instanceTypeSet", page, instance_type),
        Answer::Instances(page) => {
            let mut together: BTreeMap<&str, Vec<&InstanceView>> = BTreeMap::new();
            for one in &page.items {
                together.entry(&one.reservation_id).or_default().push(one);
            }
            xml.list("reservationSet", together, |xml, (id, instances)| {
                started(xml, id, &instances, about);
            });
            token(xml, page.next_token.as_ref());
        }
        Answer::Reservations(page) => {
            xml.list("subnetIpv4CidrReservationSet", &page.items, |xml, one| reservation(xml, one, about));
            xml.element("subnetIpv6CidrReservationSet", |_| ());
            token(xml, page.next_token.as_ref());
        }
        Answer::Vpc(view) => xml.element("vpc", |xml| vpc(xml, view, about)),
        Answer::Associated { vpc_id, cidr: view } => {
            xml.leaf("vpcId", vpc_id);
            xml.element("cidrBlockAssociation", |xml| cidr(xml, view));
        }
        Answer::Subnet(one) => xml.element("subnet", |xml| subnet(xml, one, about)),
        Answer::Reservation(one) => {
            xml.element("subnetCidrReservation", |xml| reservation(xml, one, about));
        }
        Answer::SecurityGroup(view) => {
            xml.leaf("return", true);
            xml.leaf("groupId", &view.group.id);
            xml.leaf("securityGroupArn", group_arn(view, about));
            tags(xml, &view.group.tags);
        }
        Answer::Running(views) => {
            let id = views.first().map_or("", |one| one.reservation_id.as_str());
            started(xml, id, &views.iter().collect::<Vec<_>>(), about);
        }
        Answer::Terminating(changes) => {
            xml.list("instancesSet", changes, |xml, (id, before, now)| {
                xml.leaf("instanceId", id);
                xml.element("currentState", |xml| state(xml, *now));
                xml.element("previousState", |xml| state(xml, *before));
            });
        }
    })
}

fn paged<T>(xml: &mut Xml, name: &str, page: &Page<T>, each: impl FnMut(&mut Xml, &T)) {
    xml.list(name, &page.items, each);
    token(xml, page.next_token.as_ref());
}

fn token(xml: &mut Xml, token: Option<&String>) {
    if let Some(token) = token {
        xml.leaf("nextToken", token);
    }
}

fn tags(xml: &mut Xml, tags: &Tags) {
    xml.list("tagSet", tags, |xml, (key, value)| {
        xml.leaf("key", key);
        xml.leaf("value", value);
    });
}

fn time(at: Timestamp) -> String {
    let at = i64::try_from(at.0).unwrap_or(i64::MAX);
    // Times that no calendar has are those of nobody's tests.
    jiff::Timestamp::from_millisecond(at).map(|at| format!("{at:.3}")).unwrap_or_default()
}

fn dns_name(address: std::net::Ipv4Addr, about: &About) -> String {
    format!("ip-{}.{}.compute.internal", address.to_string().replace('.', "-"), about.region)
}

fn interface(xml: &mut Xml, view: &InterfaceView, about: &About) {
    let is = &view.interface;
    xml.leaf("networkInterfaceId", &is.id);
    xml.leaf("subnetId", &is.subnet_id);
    xml.leaf("vpcId", &is.vpc_id);
    xml.leaf("availabilityZone", &is.availability_zone);
    xml.leaf("description", &is.description);
    xml.leaf("ownerId", &about.account);
    xml.leaf("requesterManaged", is.requester_managed);
    xml.leaf("requesterId", if is.requester_managed { "amazon-aws" } else { &about.account });
    xml.leaf("status", interface_status(is.status));
    xml.leaf("macAddress", &is.mac);
    addresses(xml, view, about);
    if let Some(attached) = &is.attachment {
        xml.element("attachment", |xml| {
            attachment(xml, attached);
            xml.leaf("instanceId", &attached.instance_id);
            xml.leaf("instanceOwnerId", &about.account);
        });
    }
    tags(xml, &is.tags);
}

/// What an interface has wherever it is listed.
fn addresses(xml: &mut Xml, view: &InterfaceView, about: &About) {
    let is = &view.interface;
    xml.leaf("privateIpAddress", is.primary_address);
    xml.leaf("privateDnsName", dns_name(is.primary_address, about));
    xml.leaf("sourceDestCheck", view.source_check);
    xml.leaf("interfaceType", &is.kind);
    xml.list("groupSet", is.security_groups.iter().zip(&view.group_names), |xml, (id, name)| {
        xml.leaf("groupId", id);
        xml.leaf("groupName", name);
    });
    let all = std::iter::once((true, &is.primary_address));
    let all = all.chain(is.secondary_addresses.iter().map(|address| (false, address)));
    xml.list("privateIpAddressesSet", all, |xml, (primary, address)| {
        xml.leaf("privateIpAddress", address);
        xml.leaf("privateDnsName", dns_name(*address, about));
        xml.leaf("primary", primary);
    });
    xml.leaves("ipv4PrefixSet", "ipv4Prefix", &is.prefixes);
    xml.element("ipv6AddressesSet", |_| ());
}

fn attachment(xml: &mut Xml, attachment: &Attachment) {
    xml.leaf("attachmentId", &attachment.id);
    xml.leaf("deviceIndex", attachment.device_index);
    xml.leaf("networkCardIndex", attachment.network_card);
    xml.leaf("status", attachment_status(attachment.status));
    xml.leaf("deleteOnTermination", attachment.delete_on_termination);
    if let Some(at) = attachment.attached_at {
        xml.leaf("attachTime", time(at));
    }
}

fn subnet(xml: &mut Xml, subnet: &Subnet, about: &About) {
    let (account, region, id) = (&about.account, &about.region, &subnet.id);
    xml.leaf("subnetId", id);
    xml.leaf("subnetArn", format_args!("arn:aws:ec2:{region}:{account}:subnet/{id}"));
    xml.leaf("state", "available");
    xml.leaf("ownerId", account);
    xml.leaf("vpcId", &subnet.vpc_id);
    xml.leaf("cidrBlock", subnet.cidr);
    xml.element("ipv6CidrBlockAssociationSet", |_| ());
    xml.leaf("availableIpAddressCount", subnet.available_addresses);
    xml.leaf("availabilityZone", &subnet.availability_zone);
    xml.leaf("defaultForAz", false);
    xml.leaf("mapPublicIpOnLaunch", false);
    xml.leaf("assignIpv6AddressOnCreation", false);
    tags(xml, &subnet.tags);
}

fn vpc(xml: &mut Xml, view: &VpcView, about: &About) {
    xml.leaf("vpcId", &view.vpc.id);
    xml.leaf("ownerId", &about.account);
    xml.leaf("state", "available");
    xml.leaf("cidrBlock", view.vpc.primary_cidr);
    xml.list("cidrBlockAssociationSet", &view.cidrs, cidr);
    xml.element("ipv6CidrBlockAssociationSet", |_| ());
    xml.leaf("dhcpOptionsId", "default");
    xml.leaf("instanceTenancy", "default");
    xml.leaf("isDefault", false);
    tags(xml, &view.vpc.tags);
}

fn cidr(xml: &mut Xml, view: &CidrView) {
    xml.leaf("associationId", &view.association_id);
    xml.leaf("cidrBlock", view.cidr);
    xml.element("cidrBlockState", |xml| {
        xml.leaf("state", if view.associated { "associated" } else { "associating" });
    });
}

fn group(xml: &mut Xml, view: &GroupView, about: &About) {
    xml.leaf("ownerId", &about.account);
    xml.leaf("groupId", &view.group.id);
    xml.leaf("groupName", &view.group.name);
    xml.leaf("groupDescription", &view.description);
    xml.leaf("vpcId", &view.group.vpc_id);
    xml.leaf("securityGroupArn", group_arn(view, about));
    xml.element("ipPermissions", |_| ());
    xml.element("ipPermissionsEgress", |_| ());
    tags(xml, &view.group.tags);
}

fn group_arn(view: &GroupView, about: &About) -> String {
    format!("arn:aws:ec2:{}:{}:security-group/{}", about.region, about.account, view.group.id)
}

fn reservation(xml: &mut Xml, reservation: &Reservation, about: &About) {
    xml.leaf("subnetCidrReservationId", &reservation.id);
    xml.leaf("subnetId", &reservation.subnet_id);
    xml.leaf("cidr", reservation.cidr);
    xml.leaf("reservationType", reservation.kind.name());
    xml.leaf("ownerId", &about.account);
    xml.leaf("description", &reservation.description);
}

fn instance_type(xml: &mut Xml, one: &InstanceType) {
    xml.leaf("instanceType", &one.name);
    xml.leaf("bareMetal", one.bare_metal);
    if let Some(hypervisor) = &one.hypervisor {
        xml.leaf("hypervisor", hypervisor);
    }
    xml.element("vCpuInfo", |xml| xml.leaf("defaultVCpus", one.vcpus));
    xml.element("networkInfo", |xml| {
        xml.leaf("maximumNetworkInterfaces", one.interfaces);
        xml.leaf("maximumNetworkCards", 1);
        xml.leaf("defaultNetworkCardIndex", 0);
        xml.list("networkCards", [one], |xml, one| {
            xml.leaf("networkCardIndex", 0);
            xml.leaf("maximumNetworkInterfaces", one.interfaces);
            xml.texts("interfaceTypeSet", &["interface"]);
        });
        xml.leaf("ipv4AddressesPerInterface", one.ipv4_per_interface);
        xml.leaf("ipv6Supported", false);
    });
}

/// Instances that one request started.
fn started(xml: &mut Xml, id: &str, instances: &[&InstanceView], about: &About) {
    xml.leaf("reservationId", id);
    xml.leaf("ownerId", &about.account);
    xml.element("groupSet", |_| ());
    xml.element("instancesSet", |xml| {
        for (number, one) in instances.iter().enumerate() {
            xml.element("item", |xml| instance(xml, number, one, about));
        }
    });
}

fn state(xml: &mut Xml, state: InstanceState) {
    let (name, code) = state.name();
    xml.leaf("code", code);
    xml.leaf("name", name);
}

fn instance(xml: &mut Xml, number: usize, one: &InstanceView, about: &About) {
    xml.leaf("instanceId", &one.id);
    xml.leaf("imageId", "ami-00000000000000000");
    xml.element("instanceState", |xml| state(xml, one.state));
    xml.leaf("amiLaunchIndex", number);
    xml.leaf("instanceType", &one.instance_type);
    xml.leaf("launchTime", time(one.launched));
    xml.element("placement", |xml| {
        xml.leaf("availabilityZone", &one.availability_zone);
        xml.leaf("tenancy", "default");
    });
    xml.element("metadataOptions", |xml| {
        xml.leaf("state", "applied");
        xml.leaf("httpTokens", "required");
        xml.leaf("httpPutResponseHopLimit", one.hop_limit);
        xml.leaf("httpEndpoint", "enabled");
    });
    if one.state != InstanceState::Terminated {
        xml.leaf("subnetId", &one.subnet_id);
        xml.leaf("vpcId", &one.vpc_id);
    }
    if let Some(primary) = one.interfaces.first() {
        xml.leaf("privateIpAddress", primary.interface.primary_address);
        xml.leaf("privateDnsName", dns_name(primary.interface.primary_address, about));
    }
    xml.list("networkInterfaceSet", &one.interfaces, |xml, view| {
        let is = &view.interface;
        xml.leaf("networkInterfaceId", &is.id);
        xml.leaf("subnetId", &is.subnet_id);
        xml.leaf("vpcId", &is.vpc_id);
        xml.leaf("description", &is.description);
        xml.leaf("ownerId", &about.account);
        xml.leaf("status", interface_status(is.status));
        xml.leaf("macAddress", &is.mac);
        addresses(xml, view, about);
        if let Some(attached) = &is.attachment {
            xml.element("attachment", |xml| attachment(xml, attached));
        }
    });
    tags(xml, &one.tags);
}
