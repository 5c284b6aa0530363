"""Every action of the emulator, asked for by boto3: fields as it parses them, errors as it raises them.

client.py ENDPOINT THROTTLED, where the second one lets one DescribeVpcs through and loses the answer to one CreateTags.
"""

import datetime
import ipaddress
import sys

from botocore.exceptions import ConnectionClosedError, HTTPClientError
from wire import client, refused, watch

ANSWERED = set()
ec2 = watch(client(sys.argv[1]), ANSWERED)
NOWHERE = "00000000000000000"


def ids(items, key):
    return {item[key] for item in items}


def tags(kind, **pairs):
    return [{"ResourceType": kind, "Tags": [{"Key": key, "Value": value} for key, value in pairs.items()]}]


# A VPC with a second CIDR.
vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16", TagSpecifications=tags("vpc", Name="blue"))["Vpc"]
assert vpc["State"] == "available" and vpc["CidrBlock"] == "10.0.0.0/16" and not vpc["IsDefault"], vpc
assert vpc["Tags"] == [{"Key": "Name", "Value": "blue"}], vpc
V = vpc["VpcId"]
added = ec2.associate_vpc_cidr_block(VpcId=V, CidrBlock="100.64.0.0/16")
assert added["CidrBlockAssociation"]["CidrBlockState"]["State"] == "associating", added
(vpc,) = ec2.describe_vpcs(VpcIds=[V])["Vpcs"]
states = {one["CidrBlock"]: one["CidrBlockState"]["State"] for one in vpc["CidrBlockAssociationSet"]}
assert states == {"10.0.0.0/16": "associated", "100.64.0.0/16": "associated"}, states
refused("InvalidVpcID.NotFound", 400, ec2.describe_vpcs, VpcIds=["vpc-" + NOWHERE])
refused("InvalidVpc.Range", 400, ec2.create_vpc, CidrBlock="10.0.0.0/8")
refused("InvalidVpc.Conflict", 400, ec2.associate_vpc_cidr_block, VpcId=V, CidrBlock="10.0.128.0/20")

# Subnets and a reservation.
subnet = ec2.create_subnet(VpcId=V, CidrBlock="10.0.1.0/24", AvailabilityZone="eu-central-1a")["Subnet"]
S = subnet["SubnetId"]
assert subnet["AvailableIpAddressCount"] == 251 and subnet["AvailabilityZone"] == "eu-central-1a", subnet
small = ec2.create_subnet(VpcId=V, CidrBlock="10.0.2.0/28", AvailabilityZone="eu-central-1a")["Subnet"]["SubnetId"]
pods = ec2.create_subnet(VpcId=V, CidrBlock="100.64.0.0/20", TagSpecifications=tags("subnet", cni="1"))["Subnet"]
P = pods["SubnetId"]
refused("InvalidSubnet.Conflict", 400, ec2.create_subnet, VpcId=V, CidrBlock="10.0.1.128/25")
refused("InvalidSubnet.Range", 400, ec2.create_subnet, VpcId=V, CidrBlock="192.168.0.0/24")
made = ec2.create_subnet_cidr_reservation(SubnetId=P, Cidr="100.64.8.0/24", ReservationType="prefix", Description="d")
reservation = made["SubnetCidrReservation"]
assert (reservation["Cidr"], reservation["ReservationType"]) == ("100.64.8.0/24", "prefix"), reservation
listed = ec2.get_subnet_cidr_reservations(SubnetId=P)
assert listed["SubnetIpv4CidrReservations"] == [reservation] and listed["SubnetIpv6CidrReservations"] == [], listed
found = ec2.describe_subnets(Filters=[{"Name": "tag:cni", "Values": ["1"]}])["Subnets"]
assert ids(found, "SubnetId") == {P} and found[0]["AvailableIpAddressCount"] == 4091 - 256, found
refused("InvalidParameterCombination", 400, ec2.describe_subnets, SubnetIds=[S], MaxResults=5)

# Security groups.
group = ec2.create_security_group(VpcId=V, GroupName="nodes", Description="of nodes")
G = group["GroupId"]
assert group["SecurityGroupArn"].endswith(":security-group/" + G), group
groups = ec2.describe_security_groups(Filters=[{"Name": "vpc-id", "Values": [V]}])["SecurityGroups"]
assert ids(groups, "GroupName") == {"default", "nodes"}, groups
refused("InvalidGroup.Duplicate", 400, ec2.create_security_group, VpcId=V, GroupName="nodes", Description="x")
refused("InvalidGroup.NotFound", 400, ec2.describe_security_groups, GroupIds=["sg-" + NOWHERE])

# Instance types, by name and by page.
(m5,) = ec2.describe_instance_types(InstanceTypes=["m5.large"])["InstanceTypes"]
assert (m5["Hypervisor"], m5["BareMetal"], m5["VCpuInfo"]["DefaultVCpus"]) == ("nitro", False, 2), m5
network = m5["NetworkInfo"]
assert (network["MaximumNetworkInterfaces"], network["Ipv4AddressesPerInterface"]) == (3, 10), network
assert network["NetworkCards"][network["DefaultNetworkCardIndex"]]["MaximumNetworkInterfaces"] == 3, network
pages = list(ec2.get_paginator("describe_instance_types").paginate(PaginationConfig={"PageSize": 100}))
assert sum(len(page["InstanceTypes"]) for page in pages) > 1300 and len(pages) > 13, len(pages)
refused("InvalidInstanceType", 400, ec2.describe_instance_types, InstanceTypes=["m5.gigantic"])
refused("InvalidMaxResults", 400, ec2.describe_instance_types, MaxResults=200)

# Instances.
run = {"ImageId": "ami-1", "InstanceType": "m5.large", "MinCount": 2, "MaxCount": 2, "SubnetId": S}
run |= {"ClientToken": "two", "KeyName": "k", "MetadataOptions": {"HttpTokens": "required", "HttpPutResponseHopLimit": 3}}
reservation = ec2.run_instances(**run, SecurityGroupIds=[G], TagSpecifications=tags("instance", Name="node"))
assert len(reservation["Instances"]) == 2 and reservation["Instances"][0]["State"]["Name"] == "pending", reservation
I, J = (one["InstanceId"] for one in reservation["Instances"])
again = ec2.run_instances(**run, SecurityGroupIds=[G], TagSpecifications=tags("instance", Name="node"))
assert ids(again["Instances"], "InstanceId") == {I, J}, again
(described,) = ec2.describe_instances(InstanceIds=[I, J])["Reservations"]
(instance,) = (one for one in described["Instances"] if one["InstanceId"] == I)
assert instance["State"] == {"Code": 16, "Name": "running"} and instance["SubnetId"] == S, instance
assert instance["MetadataOptions"]["HttpPutResponseHopLimit"] == 3, instance
assert abs(instance["LaunchTime"] - datetime.datetime.now(datetime.timezone.utc)).total_seconds() < 300, instance
(eth0,) = instance["NetworkInterfaces"]
assert eth0["Attachment"]["DeviceIndex"] == 0 and eth0["Attachment"]["DeleteOnTermination"], eth0
assert instance["PrivateIpAddress"] == eth0["PrivateIpAddress"], instance
spelled = {"DeviceIndex": 0, "SubnetId": S, "Groups": [G], "PrivateIpAddress": "10.0.1.77", "DeleteOnTermination": True}
third = ec2.run_instances(ImageId="ami-1", InstanceType="t3.micro", MinCount=1, MaxCount=1, NetworkInterfaces=[spelled])
assert third["Instances"][0]["PrivateIpAddress"] == "10.0.1.77", third
refused("InvalidParameterValue", 400, ec2.run_instances, **{**run, "ClientToken": "x", "InstanceType": "m5.gigantic"})
refused("InvalidInstanceID.NotFound", 400, ec2.describe_instances, InstanceIds=["i-" + NOWHERE])

# An interface with prefixes.
create = {
    "SubnetId": P,
    "Groups": [G],
    "Description": "a <b> & \"c\"",
    "Ipv4PrefixCount": 3,
    "ClientToken": "eni-1",
    "TagSpecifications": tags("network-interface", cluster="blue", empty=""),
}
created = ec2.create_network_interface(**create)
interface = created["NetworkInterface"]
E = interface["NetworkInterfaceId"]
assert created["ClientToken"] == "eni-1", created
assert interface["Status"] == "available" and interface["InterfaceType"] == "interface", interface
assert interface["Description"] == create["Description"] and interface["Groups"] == [{"GroupId": G, "GroupName": "nodes"}]
assert {tag["Key"]: tag["Value"] for tag in interface["TagSet"]} == {"cluster": "blue", "empty": ""}, interface
assert interface["PrivateIpAddresses"][0]["Primary"] and len(interface["PrivateIpAddresses"]) == 1, interface
prefixes = [one["Ipv4Prefix"] for one in interface["Ipv4Prefixes"]]
reserved = ipaddress.ip_network("100.64.8.0/24")
assert len(prefixes) == 3 and all(ipaddress.ip_network(one).subnet_of(reserved) for one in prefixes), prefixes
assert ec2.create_network_interface(**create)["NetworkInterface"]["NetworkInterfaceId"] == E
refused("IdempotentParameterMismatch", 400, ec2.create_network_interface, **{**create, "Ipv4PrefixCount": 2})
dry = refused("DryRunOperation", 412, ec2.create_network_interface, SubnetId=P, DryRun=True)
assert "would have succeeded" in dry, dry
refused("InvalidSubnetID.NotFound", 400, ec2.create_network_interface, SubnetId="subnet-" + NOWHERE)
refused("InvalidSecurityGroupID.NotFound", 400, ec2.create_network_interface, SubnetId=P, Groups=["sg-" + NOWHERE])
refused("SecurityGroupsPerInterfaceLimitExceeded", 400, ec2.create_network_interface, SubnetId=P, Groups=[G] * 6)
exclusive = {"Ipv4PrefixCount": 1, "Ipv4Prefixes": [{"Ipv4Prefix": "100.64.9.0/28"}]}
refused("InvalidParameterCombination", 400, ec2.create_network_interface, SubnetId=P, **exclusive)
exclusive = {"Ipv4PrefixCount": 1, "SecondaryPrivateIpAddressCount": 1}
refused("InvalidParameterCombination", 400, ec2.create_network_interface, SubnetId=P, **exclusive)
refused("InsufficientCidrBlocks", 400, ec2.create_network_interface, SubnetId=small, Ipv4PrefixCount=1)
exact = ec2.create_network_interface(
    SubnetId=P,
    PrivateIpAddresses=[
        {"PrivateIpAddress": "100.64.1.10", "Primary": True},
        {"PrivateIpAddress": "100.64.1.11", "Primary": False},
    ],
)["NetworkInterface"]
assert exact["PrivateIpAddress"] == "100.64.1.10" and len(exact["PrivateIpAddresses"]) == 2, exact
refused("InvalidIPAddress.InUse", 400, ec2.create_network_interface, SubnetId=P, PrivateIpAddress="100.64.1.11")
named = ec2.create_network_interface(SubnetId=P, Ipv4Prefixes=[{"Ipv4Prefix": "100.64.2.16/28"}])["NetworkInterface"]
assert named["Ipv4Prefixes"] == [{"Ipv4Prefix": "100.64.2.16/28"}], named
refused("InvalidParameterValue", 400, ec2.create_network_interface, SubnetId=P, PrivateIpAddress="100.64.0.1")

# Attach, at an index of its own.
refused("InvalidParameterValue", 400, ec2.attach_network_interface, NetworkInterfaceId=E, InstanceId=I, DeviceIndex=0)
attached = ec2.attach_network_interface(NetworkInterfaceId=E, InstanceId=I, DeviceIndex=1)
A = attached["AttachmentId"]
assert attached["NetworkCardIndex"] == 0, attached
refused("InvalidNetworkInterface.InUse", 400, ec2.attach_network_interface, NetworkInterfaceId=E, InstanceId=J, DeviceIndex=1)
refused("InvalidInstanceID.NotFound", 400, ec2.attach_network_interface,
        NetworkInterfaceId=exact["NetworkInterfaceId"], InstanceId="i-" + NOWHERE, DeviceIndex=2)
(interface,) = ec2.describe_network_interfaces(NetworkInterfaceIds=[E])["NetworkInterfaces"]
attachment = interface["Attachment"]
assert interface["Status"] == "in-use" and attachment["Status"] == "attached", interface
assert (attachment["AttachmentId"], attachment["InstanceId"], attachment["DeviceIndex"]) == (A, I, 1), attachment
assert not attachment["DeleteOnTermination"] and attachment["InstanceOwnerId"] == interface["OwnerId"], attachment
ec2.attach_network_interface(NetworkInterfaceId=named["NetworkInterfaceId"], InstanceId=I, DeviceIndex=2)
refused("AttachmentLimitExceeded", 400, ec2.attach_network_interface,
        NetworkInterfaceId=exact["NetworkInterfaceId"], InstanceId=I, DeviceIndex=3)
wide = ec2.create_network_interface(SubnetId=P, SecondaryPrivateIpAddressCount=10)["NetworkInterface"]["NetworkInterfaceId"]
refused("InvalidInterface.IpAddressLimitExceeded", 400, ec2.attach_network_interface,
        NetworkInterfaceId=wide, InstanceId=J, DeviceIndex=1)
ec2.delete_network_interface(NetworkInterfaceId=wide)

# Assign and unassign.
assigned = ec2.assign_private_ip_addresses(NetworkInterfaceId=E, Ipv4PrefixCount=2)
assert assigned["NetworkInterfaceId"] == E and len(assigned["AssignedIpv4Prefixes"]) == 2, assigned
assert assigned["AssignedPrivateIpAddresses"] == [], assigned
assigned = ec2.assign_private_ip_addresses(NetworkInterfaceId=E, SecondaryPrivateIpAddressCount=2)
single = [one["PrivateIpAddress"] for one in assigned["AssignedPrivateIpAddresses"]]
assert len(single) == 2 and assigned["AssignedIpv4Prefixes"] == [], assigned
assign = ec2.assign_private_ip_addresses
refused("PrivateIpAddressLimitExceeded", 400, assign, NetworkInterfaceId=E, Ipv4PrefixCount=3)
refused("Resource.AlreadyAssigned", 400, assign, NetworkInterfaceId=E, PrivateIpAddresses=["100.64.1.11"])
moved = assign(NetworkInterfaceId=E, PrivateIpAddresses=["100.64.1.11"], AllowReassignment=True)
assert moved["AssignedPrivateIpAddresses"] == [{"PrivateIpAddress": "100.64.1.11"}], moved
named = assign(NetworkInterfaceId=E, Ipv4Prefixes=["100.64.3.32/28"])
assert named["AssignedIpv4Prefixes"] == [{"Ipv4Prefix": "100.64.3.32/28"}], named
refused("InvalidNetworkInterfaceID.NotFound", 400, assign, NetworkInterfaceId="eni-" + NOWHERE, Ipv4PrefixCount=1)
ec2.unassign_private_ip_addresses(NetworkInterfaceId=E, Ipv4Prefixes=["100.64.3.32/28"])
ec2.unassign_private_ip_addresses(NetworkInterfaceId=E, PrivateIpAddresses=single)
refused("InvalidParameterValue", 400, assign, NetworkInterfaceId=E, Ipv4Prefixes=["100.64.3.33/28"])
message = refused("InvalidParameterValue", 400, ec2.unassign_private_ip_addresses,
                  NetworkInterfaceId=E, Ipv4Prefixes=["100.64.3.32/28"])
assert "not assigned" in message, message
inside = str(ipaddress.ip_network(prefixes[0])[3])
refused("InvalidParameterValue", 400, ec2.unassign_private_ip_addresses, NetworkInterfaceId=E, PrivateIpAddresses=[inside])

# One attribute a call.
modify = ec2.modify_network_interface_attribute
modify(NetworkInterfaceId=E, Attachment={"AttachmentId": A, "DeleteOnTermination": True})
modify(NetworkInterfaceId=E, Description={"Value": "later"})
modify(NetworkInterfaceId=E, SourceDestCheck={"Value": False})
modify(NetworkInterfaceId=E, Groups=[groups[0]["GroupId"], groups[1]["GroupId"]])
(interface,) = ec2.describe_network_interfaces(NetworkInterfaceIds=[E])["NetworkInterfaces"]
assert interface["Attachment"]["DeleteOnTermination"] and interface["Description"] == "later", interface
assert not interface["SourceDestCheck"] and ids(interface["Groups"], "GroupName") == {"default", "nodes"}, interface
refused("InvalidParameterCombination", 400, modify,
        NetworkInterfaceId=E, Description={"Value": "x"}, SourceDestCheck={"Value": True})
refused("InvalidSecurityGroupID.NotFound", 400, modify, NetworkInterfaceId=E, Groups=["sg-" + NOWHERE])

# Tags.
ec2.create_tags(Resources=[E, S, V, I], Tags=[{"Key": "role", "Value": "a b"}, {"Key": "other", "Value": ""}])
ec2.delete_tags(Resources=[E, S], Tags=[{"Key": "role"}, {"Key": "other", "Value": "not this"}])
(interface,) = ec2.describe_network_interfaces(NetworkInterfaceIds=[E])["NetworkInterfaces"]
assert {tag["Key"] for tag in interface["TagSet"]} == {"cluster", "empty", "other"}, interface
refused("InvalidNetworkInterfaceID.NotFound", 400, ec2.create_tags, Resources=["eni-" + NOWHERE], Tags=[{"Key": "k", "Value": ""}])

# Filters and pages.
for _ in range(12):
    ec2.create_network_interface(SubnetId=P, TagSpecifications=tags("network-interface", many="1"))
many = [{"Name": "tag:many", "Values": ["1"]}, {"Name": "subnet-id", "Values": [P]}]
pages = list(ec2.get_paginator("describe_network_interfaces").paginate(Filters=many, PaginationConfig={"PageSize": 5}))
assert [len(page["NetworkInterfaces"]) for page in pages] == [5, 5, 2], pages
describe = ec2.describe_network_interfaces
on_node = describe(Filters=[{"Name": "attachment.instance-id", "Values": [I]}, {"Name": "attachment.status", "Values": ["attached"]}])
assert len(on_node["NetworkInterfaces"]) == 3, on_node
refused("InvalidParameterCombination", 400, describe, NetworkInterfaceIds=[E], MaxResults=5)
refused("InvalidMaxResults", 400, describe, MaxResults=1001)
refused("InvalidNextToken", 400, describe, NextToken="invented")
refused("InvalidParameterValue", 400, describe, Filters=[{"Name": "colour", "Values": ["blue"]}])
refused("UnknownParameter", 400, ec2.create_network_interface, SubnetId=P, Ipv6AddressCount=1)
refused("InvalidAction", 400, ec2.describe_images)

# Detach and delete.
primary = eth0["Attachment"]["AttachmentId"]
refused("OperationNotPermitted", 400, ec2.detach_network_interface, AttachmentId=primary)
refused("InvalidAttachmentID.NotFound", 400, ec2.detach_network_interface, AttachmentId="eni-attach-" + NOWHERE)
refused("InvalidNetworkInterface.InUse", 400, ec2.delete_network_interface, NetworkInterfaceId=E)
ec2.detach_network_interface(AttachmentId=A, Force=True)
ec2.delete_network_interface(NetworkInterfaceId=E)
refused("InvalidNetworkInterfaceID.NotFound", 400, ec2.delete_network_interface, NetworkInterfaceId=E)

# The end of an instance.
(ended,) = ec2.terminate_instances(InstanceIds=[I])["TerminatingInstances"]
assert ended["PreviousState"]["Name"] == "running" and ended["CurrentState"]["Name"] == "shutting-down", ended
(terminated,) = ec2.describe_instances(InstanceIds=[I])["Reservations"][0]["Instances"]
assert terminated["State"]["Name"] == "terminated" and terminated["NetworkInterfaces"] == [], terminated
refused("InvalidNetworkInterfaceID.NotFound", 400, describe, NetworkInterfaceIds=[eth0["NetworkInterfaceId"]])
refused("IncorrectState", 400, ec2.attach_network_interface,
        NetworkInterfaceId=exact["NetworkInterfaceId"], InstanceId=I, DeviceIndex=1)

# Throttles and lost answers.
troubled = client(sys.argv[2])
troubled.describe_vpcs()
refused("RequestLimitExceeded", 503, troubled.describe_vpcs)
V = troubled.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
try:
    troubled.create_tags(Resources=[V], Tags=[{"Key": "k", "Value": "v"}])
    raise AssertionError("an answer came")
except (ConnectionClosedError, HTTPClientError):
    pass
(group,) = troubled.describe_security_groups()["SecurityGroups"]
assert group["VpcId"] == V, group

print(" ".join(sorted(ANSWERED)))
