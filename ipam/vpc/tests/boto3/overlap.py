"""The same calls to the emulator and to moto, where moto does what EC2 does: what comes back has the same shape, and the
same values where those do not depend on chance.

overlap.py ENDPOINT
"""

import sys

from moto import mock_aws
from wire import client

# What only moto tells: things that no pod network asks for.
MOTO_ONLY = {"Association", "AvailabilityZoneId", "Ipv6Native", "PrivateDnsNameOptionsOnLaunch"}
# What only we tell: moto knows no IPv4 prefixes, and leaves lists out that are empty.
OURS_ONLY = {"Ipv4Prefixes", "PrivateDnsName", "Tags"}
# Those that were needed: an exception that is not is taken out.
NEEDED = set()


def shape(value):
    """The shape of an answer: keys and types, of a list that of all items together."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items() if key != "ResponseMetadata"}
    if isinstance(value, list):
        merged = {}
        for item in value:
            inner = shape(item)
            if isinstance(inner, dict):
                merged.update(inner)
            else:
                merged = inner
        return [merged]
    return type(value).__name__


def compare(ours, theirs, path, differences):
    if type(ours) is not type(theirs):
        differences.append(f"{path}: {ours} here, {theirs} there")
    elif isinstance(ours, dict):
        for key in sorted(ours.keys() | theirs.keys()):
            if key not in ours:
                NEEDED.add(key)
                if key not in MOTO_ONLY:
                    differences.append(f"{path}.{key}: only moto has it")
            elif key not in theirs:
                NEEDED.add(key)
                if key not in OURS_ONLY:
                    differences.append(f"{path}.{key}: moto has it not")
            else:
                compare(ours[key], theirs[key], f"{path}.{key}", differences)
    elif isinstance(ours, list):
        if ours != [{}] and theirs != [{}]:
            compare(ours[0], theirs[0], f"{path}[]", differences)
    elif ours != theirs:
        differences.append(f"{path}: {ours} here, {theirs} there")


def scenario(ec2):
    """Yields the name of each step, its answer, and values that have to be the same."""
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16", TagSpecifications=[
        {"ResourceType": "vpc", "Tags": [{"Key": "Name", "Value": "blue"}]}])
    V = vpc["Vpc"]["VpcId"]
    keep = {key: vpc["Vpc"][key] for key in ("CidrBlock", "InstanceTenancy", "IsDefault", "Tags")}
    yield "CreateVpc", vpc, keep
    added = ec2.associate_vpc_cidr_block(VpcId=V, CidrBlock="100.64.0.0/16")
    yield "AssociateVpcCidrBlock", added, added["CidrBlockAssociation"]["CidrBlockState"]["State"]
    vpcs = ec2.describe_vpcs(VpcIds=[V])
    cidrs = [(one["CidrBlock"], one["CidrBlockState"]["State"]) for one in vpcs["Vpcs"][0]["CidrBlockAssociationSet"]]
    yield "DescribeVpcs", vpcs, (vpcs["Vpcs"][0]["State"], sorted(cidrs))

    subnet = ec2.create_subnet(VpcId=V, CidrBlock="100.64.1.0/26", AvailabilityZone="eu-central-1b")
    S = subnet["Subnet"]["SubnetId"]
    keep = {key: subnet["Subnet"][key] for key in
            ("CidrBlock", "AvailableIpAddressCount", "AvailabilityZone", "State", "MapPublicIpOnLaunch")}
    yield "CreateSubnet", subnet, keep
    subnets = ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [V]}])
    yield "DescribeSubnets", subnets, [one["AvailableIpAddressCount"] for one in subnets["Subnets"]]

    group = ec2.create_security_group(VpcId=V, GroupName="nodes", Description="of nodes")
    G = group["GroupId"]
    yield "CreateSecurityGroup", group, None
    groups = ec2.describe_security_groups(Filters=[{"Name": "vpc-id", "Values": [V]}])
    names = sorted((one["GroupName"], one["Description"]) for one in groups["SecurityGroups"])
    yield "DescribeSecurityGroups", groups, names

    tags = ec2.create_tags(Resources=[S, V], Tags=[{"Key": "role", "Value": "cni"}])
    tagged = ec2.describe_subnets(Filters=[{"Name": "tag:role", "Values": ["cni"]}])
    yield "CreateTags", tags, [one["Tags"] for one in tagged["Subnets"]]
    untagged = ec2.delete_tags(Resources=[V], Tags=[{"Key": "role"}])
    yield "DeleteTags", untagged, ec2.describe_vpcs(VpcIds=[V])["Vpcs"][0]["Tags"]

    interface = ec2.create_network_interface(
        SubnetId=S, Groups=[G], Description="of a node", SecondaryPrivateIpAddressCount=2,
        TagSpecifications=[{"ResourceType": "network-interface", "Tags": [{"Key": "k", "Value": "v"}]}])["NetworkInterface"]
    E = interface["NetworkInterfaceId"]
    keep = {key: interface[key] for key in ("AvailabilityZone", "Description", "Groups", "InterfaceType", "TagSet")}
    keep["Groups"] = [one["GroupName"] for one in keep["Groups"]]
    keep["primary"] = [one["Primary"] for one in interface["PrivateIpAddresses"]]
    yield "CreateNetworkInterface", interface, keep
    for name, values in [("vpc-id", V), ("subnet-id", S), ("network-interface-id", E), ("tag:k", "v"),
                         ("group-id", G), ("description", "of a node"), ("status", "available")]:
        filters = [{"Name": name, "Values": [values]}, {"Name": "vpc-id", "Values": [V]}]
        found = ec2.describe_network_interfaces(Filters=filters)
        yield f"DescribeNetworkInterfaces {name}", found, len(found["NetworkInterfaces"])

    codes = []
    for call, arguments in [
        (ec2.describe_vpcs, {"VpcIds": ["vpc-00000000000000000"]}),
        (ec2.describe_subnets, {"SubnetIds": ["subnet-00000000000000000"]}),
        (ec2.describe_network_interfaces, {"NetworkInterfaceIds": ["eni-00000000000000000"]}),
        (ec2.create_network_interface, {"SubnetId": "subnet-00000000000000000"}),
        (ec2.describe_instances, {"InstanceIds": ["i-00000000000000000"]}),
        (ec2.create_network_interface, {"SubnetId": S, "DryRun": True}),
        (ec2.create_subnet, {"VpcId": V, "CidrBlock": "100.64.1.32/27"}),
        (ec2.create_subnet, {"VpcId": V, "CidrBlock": "192.168.0.0/24"}),
        (ec2.create_security_group, {"VpcId": V, "GroupName": "nodes", "Description": "x"}),
    ]:
        try:
            call(**arguments)
            codes.append("done")
        except ec2.exceptions.ClientError as error:
            codes.append((error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]))
    yield "errors", {}, codes

    deleted = ec2.delete_network_interface(NetworkInterfaceId=E)
    yield "DeleteNetworkInterface", deleted, None


def limits(ec2):
    """What every type allows: interfaces of the default card, addresses, hypervisor, bare metal, processors."""
    types = {}
    for page in ec2.get_paginator("describe_instance_types").paginate():
        for one in page["InstanceTypes"]:
            network = one["NetworkInfo"]
            default = network["DefaultNetworkCardIndex"]
            (card,) = (card for card in network["NetworkCards"] if card["NetworkCardIndex"] == default)
            types[one["InstanceType"]] = (
                card["MaximumNetworkInterfaces"], network["Ipv4AddressesPerInterface"], one.get("Hypervisor"),
                one["BareMetal"], one["VCpuInfo"]["DefaultVCpus"])
    return types


with mock_aws():
    theirs = list(scenario(client()))
    their_limits = limits(client())
ours = list(scenario(client(sys.argv[1])))

differences = []
for (step, answer, keep), (_, their_answer, their_keep) in zip(ours, theirs, strict=True):
    compare(shape(answer), shape(their_answer), step, differences)
    if keep != their_keep:
        differences.append(f"{step}: {keep} here, {their_keep} there")
our_limits = limits(client(sys.argv[1]))
if our_limits != their_limits:
    odd = {name for name in our_limits.keys() | their_limits.keys() if our_limits.get(name) != their_limits.get(name)}
    differences.append(f"limits of {sorted(odd)[:20]}")
differences.extend(f"{key} needs no exception" for key in sorted((MOTO_ONLY | OURS_ONLY) - NEEDED))
assert not differences, "\n".join(differences)
print(f"{len(ours)} steps, {len(our_limits)} types")
