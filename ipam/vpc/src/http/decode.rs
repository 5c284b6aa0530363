//! Requests out of forms.

use std::net::Ipv4Addr;

use ipam::ec2::Tags;
use ipnetwork::Ipv4Network;

use super::form::Form;
use crate::{
    Call, CreateInterface, Listing, Modify, Operation, Query, Refusal, ReservationKind, RunInstances, Wanted,
};

/// Parameters of RunInstances about disks, images, prices and the like: nothing here depends on them.
const OF_NO_CONCERN: [&str; 15] = [
    "BlockDeviceMapping",
    "CpuOptions",
    "CreditSpecification",
    "DisableApiStop",
    "DisableApiTermination",
    "EbsOptimized",
    "IamInstanceProfile",
    "ImageId",
    "InstanceInitiatedShutdownBehavior",
    "InstanceMarketOptions",
    "KeyName",
    "MetadataOptions.HttpEndpoint",
    "MetadataOptions.HttpTokens",
    "Monitoring",
    "UserData",
];

/// The API's version.
const VERSION: &str = "2016-11-15";

/// A request, and whether it is only a try.
pub(super) fn call(form: &Form) -> Result<(Call, bool), Refusal> {
    let name = form.need("Action").map_err(|_| Refusal::new("MissingAction", "No action was given"))?;
    let operation = Operation::named(&name).ok_or_else(|| {
        Refusal::new("InvalidAction", format!("The action {name} is not valid for this web service."))
    })?;
    if form.get("Version").is_some_and(|version| version != VERSION) {
        return Err(Refusal::new("NoSuchVersion", format!("This is version {VERSION}")));
    }
    let call = of(operation, form)?;
    // These two have no dry runs.
    let can_try = !matches!(
        operation,
        Operation::AssignPrivateIpAddresses
            | Operation::UnassignPrivateIpAddresses
            | Operation::AssociateVpcCidrBlock
    );
    let dry_run = can_try && form.parsed("DryRun")?.unwrap_or(false);
    form.all_read()?;
    Ok((call, dry_run))
}

fn of(operation: Operation, form: &Form) -> Result<Call, Refusal> {
    Ok(match operation {
        Operation::AssignPrivateIpAddresses => Call::Assign {
            interface_id: form.need("NetworkInterfaceId")?,
            wanted: wanted(form, form.parsed_list("Ipv4Prefix")?, form.parsed_list("PrivateIpAddress")?)?,
            reassign: form.parsed("AllowReassignment")?.unwrap_or(false),
        },
        Operation::UnassignPrivateIpAddresses => Call::Unassign {
            interface_id: form.need("NetworkInterfaceId")?,
            addresses: form.parsed_list("PrivateIpAddress")?,
            prefixes: form.parsed_list("Ipv4Prefix")?,
        },
        Operation::CreateNetworkInterface => Call::CreateInterface(create_interface(form)?),
        Operation::AttachNetworkInterface => Call::Attach {
            interface_id: form.need("NetworkInterfaceId")?,
            instance_id: form.need("InstanceId")?,
            device_index: form.need_parsed("DeviceIndex")?,
            network_card: form.parsed("NetworkCardIndex")?.unwrap_or(0),
        },
        Operation::DetachNetworkInterface => {
            form.ignore(&["Force"]);
            Call::Detach { attachment_id: form.need("AttachmentId")? }
        }
        Operation::DeleteNetworkInterface => {
            Call::DeleteInterface { interface_id: form.need("NetworkInterfaceId")? }
        }
        Operation::ModifyNetworkInterfaceAttribute => Call::ModifyInterface(modify(form)?),
        Operation::CreateTags => {
            Call::CreateTags { resources: form.list("ResourceId"), tags: tags(form, "Tag")? }
        }
        Operation::DeleteTags => {
            let tag = |at: String| Ok((form.need(&format!("{at}.Key"))?, form.text(&format!("{at}.Value"))));
            let tags = form.items("Tag").into_iter().map(tag).collect::<Result<_, Refusal>>()?;
            Call::DeleteTags { resources: form.list("ResourceId"), tags }
        }
        Operation::DescribeInstances => Call::Describe(Listing::Instances, query(form, "InstanceId")?),
        Operation::DescribeInstanceTypes => {
            Call::Describe(Listing::InstanceTypes, query(form, "InstanceType")?)
        }
        Operation::DescribeNetworkInterfaces => {
            Call::Describe(Listing::Interfaces, query(form, "NetworkInterfaceId")?)
        }
        Operation::DescribeSecurityGroups => Call::Describe(Listing::SecurityGroups, query(form, "GroupId")?),
        Operation::DescribeSubnets => Call::Describe(Listing::Subnets, query(form, "SubnetId")?),
        Operation::DescribeVpcs => Call::Describe(Listing::Vpcs, query(form, "VpcId")?),
        Operation::GetSubnetCidrReservations => {
            let subnet_id = form.need("SubnetId")?;
            Call::Describe(Listing::Reservations { subnet_id }, query(form, "NoIdsHere")?)
        }
        Operation::CreateVpc => {
            form.ignore(&["InstanceTenancy"]);
            Call::CreateVpc { cidr: form.need_parsed("CidrBlock")?, tags: specified(form, "vpc")? }
        }
        Operation::AssociateVpcCidrBlock => {
            Call::AssociateCidr { vpc_id: form.need("VpcId")?, cidr: form.need_parsed("CidrBlock")? }
        }
        Operation::CreateSubnet => Call::CreateSubnet {
            vpc_id: form.need("VpcId")?,
            cidr: form.need_parsed("CidrBlock")?,
            zone: form.get("AvailabilityZone").map(str::to_owned),
            tags: specified(form, "subnet")?,
        },
        Operation::CreateSubnetCidrReservation => Call::CreateReservation {
            subnet_id: form.need("SubnetId")?,
            cidr: form.need_parsed("Cidr")?,
            kind: match form.need("ReservationType")?.as_str() {
                "prefix" => ReservationKind::Prefix,
                "explicit" => ReservationKind::Explicit,
                other => return Err(Refusal::value(format!("Invalid value '{other}' for ReservationType."))),
            },
            description: form.text("Description").unwrap_or_default(),
        },
        Operation::CreateSecurityGroup => Call::CreateSecurityGroup {
            vpc_id: form.need("VpcId")?,
            name: form.need("GroupName")?,
            description: form.need("GroupDescription")?,
            tags: specified(form, "security-group")?,
        },
        Operation::RunInstances => Call::RunInstances(run_instances(form)?),
        Operation::TerminateInstances => Call::TerminateInstances { ids: form.list("InstanceId") },
    })
}

fn wanted(form: &Form, prefixes: Vec<Ipv4Network>, exact: Vec<Ipv4Addr>) -> Result<Wanted, Refusal> {
    Ok(Wanted {
        count: form.parsed("SecondaryPrivateIpAddressCount")?,
        exact,
        prefix_count: form.parsed("Ipv4PrefixCount")?,
        prefixes,
    })
}

fn create_interface(form: &Form) -> Result<CreateInterface, Refusal> {
    form.ignore(&["ConnectionTrackingSpecification"]);
    let prefixes =
        form.items("Ipv4Prefix").into_iter().map(|at| form.need_parsed(&format!("{at}.Ipv4Prefix")));
    let prefixes = prefixes.collect::<Result<_, _>>()?;
    let mut primary_address = form.parsed("PrivateIpAddress")?;
    let mut exact = Vec::new();
    for at in form.items("PrivateIpAddresses") {
        let address = form.need_parsed(&format!("{at}.PrivateIpAddress"))?;
        let is_primary = form.parsed(&format!("{at}.Primary"))?.unwrap_or(false);
        if !is_primary {
            exact.push(address);
        } else if primary_address.replace(address).is_some_and(|other| other != address) {
            return Err(Refusal::combination("Only one primary private IP address can be specified."));
        }
    }
    Ok(CreateInterface {
        subnet_id: form.need("SubnetId")?,
        security_groups: form.list("SecurityGroupId"),
        description: form.text("Description").unwrap_or_default(),
        primary_address,
        wanted: wanted(form, prefixes, exact)?,
        tags: specified(form, "network-interface")?,
        kind: form.get("InterfaceType").map(str::to_owned),
        client_token: form.get("ClientToken").map(str::to_owned),
    })
}

fn modify(form: &Form) -> Result<Modify, Refusal> {
    let delete: Option<bool> = form.parsed("Attachment.DeleteOnTermination")?;
    let delete_on_termination = match delete {
        Some(delete) => Some((form.need("Attachment.AttachmentId")?, delete)),
        None => None,
    };
    let groups = form.list("SecurityGroupId");
    Ok(Modify {
        interface_id: form.need("NetworkInterfaceId")?,
        delete_on_termination,
        security_groups: (!groups.is_empty()).then_some(groups),
        description: form.text("Description.Value"),
        source_check: form.parsed("SourceDestCheck.Value")?,
    })
}

fn run_instances(form: &Form) -> Result<RunInstances, Refusal> {
    form.ignore(&OF_NO_CONCERN);
    let (least, most): (u32, u32) = (form.need_parsed("MinCount")?, form.need_parsed("MaxCount")?);
    if least > most {
        return Err(Refusal::value(format!("Invalid value '{least}' for MinCount.")));
    }
    // The primary interface is described by parameters of the instance, or as its only interface.
    let primary = match form.items("NetworkInterface").as_slice() {
        [] => String::new(),
        [only] if form.need_parsed::<u32>(&format!("{only}.DeviceIndex"))? == 0 => format!("{only}."),
        _ => return Err(Refusal::value("Instances start with one interface, at device index 0")),
    };
    form.ignore(&[&format!("{primary}AssociatePublicIpAddress")]);
    if form.parsed(&format!("{primary}DeleteOnTermination"))? == Some(false) {
        let message =
            "A primary interface is deleted with its instance; ModifyNetworkInterfaceAttribute keeps it";
        return Err(Refusal::new("UnsupportedOperation", message));
    }
    Ok(RunInstances {
        instance_type: form.need("InstanceType")?,
        subnet_id: form.need(&format!("{primary}SubnetId"))?,
        count: most,
        security_groups: form.list(&format!("{primary}SecurityGroupId")),
        primary_address: form.parsed(&format!("{primary}PrivateIpAddress"))?,
        tags: specified(form, "instance")?,
        interface_tags: specified(form, "network-interface")?,
        hop_limit: form.parsed("MetadataOptions.HttpPutResponseHopLimit")?,
        client_token: form.get("ClientToken").map(str::to_owned),
    })
}

fn query(form: &Form, ids: &str) -> Result<Query, Refusal> {
    let filter = |at: String| Ok((form.need(&format!("{at}.Name"))?, form.list(&format!("{at}.Value"))));
    Ok(Query {
        ids: form.list(ids),
        filters: form.items("Filter").into_iter().map(filter).collect::<Result<_, Refusal>>()?,
        max_results: form.parsed("MaxResults")?,
        next_token: form.get("NextToken").map(str::to_owned),
    })
}

fn tags(form: &Form, name: &str) -> Result<Tags, Refusal> {
    let tag = |at: String| {
        let value = form.text(&format!("{at}.Value")).unwrap_or_default();
        Ok((form.need(&format!("{at}.Key"))?, value))
    };
    form.items(name).into_iter().map(tag).collect()
}

/// Tags for resources of a kind that the request makes.
fn specified(form: &Form, kind: &str) -> Result<Tags, Refusal> {
    let mut all = Tags::new();
    for at in form.items("TagSpecification") {
        if form.need(&format!("{at}.ResourceType"))? == kind {
            all.extend(tags(form, &format!("{at}.Tag"))?);
        }
    }
    Ok(all)
}
