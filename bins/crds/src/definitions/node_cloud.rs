//! What a CiliumNode says of its cloud. Only AWS's part is read by Netloom; the others are there so that no object
//! loses a field.

use super::schema::{Schema, boolean, cidr, integer, list, map, object, string, strings};

/// `spec.eni`.
pub(super) fn eni_spec() -> Schema {
    object([
        ("availability-zone", string().about("The availability zone.")),
        ("delete-on-termination", boolean().about("Whether ENIs go with the instance; yes by default.")),
        ("disable-prefix-delegation", boolean().about("Whether it gets single addresses only.")),
        ("exclude-interface-tags", strings().about("ENIs with all these tags are left alone.")),
        ("first-interface-index", integer().min(0).about("ENIs with a smaller number are left alone.")),
        ("instance-type", string().about("The instance's type.")),
        ("node-subnet-id", string().about("The subnet of the first ENI.")),
        ("security-group-tags", strings().about("Security groups by tags.")),
        ("security-groups", list(string()).about("Security groups by id.")),
        ("subnet-ids", list(string()).about("Subnets by id.")),
        ("subnet-tags", strings().about("Subnets by tags.")),
        ("use-primary-address", boolean().about("Whether an ENI's first address is a pod's.")),
        ("vpc-id", string().about("The VPC.")),
    ])
    .about("Wishes about ENIs (AWS).")
}

/// `status.eni`.
pub(super) fn eni_status() -> Schema {
    let subnet = object([("cidr", cidr().about("Its CIDR.")), ("id", string().about("Its id."))]);
    let vpc = object([
        ("cidrs", list(cidr()).about("Its other CIDRs.")),
        ("id", string().about("Its id.")),
        ("primary-cidr", cidr().about("Its first CIDR.")),
    ]);
    let eni = object([
        ("addresses", list(string()).about("Its other addresses.")),
        ("availability-zone", string().about("The availability zone.")),
        ("description", string().about("What its maker said of it.")),
        ("id", string().about("Its id.")),
        ("ip", string().about("Its first address.")),
        ("ipv6-prefixes", list(cidr()).about("Its IPv6 prefixes.")),
        ("mac", string().about("Its hardware address.")),
        ("number", integer().about("Its device index.")),
        ("prefixes", list(cidr()).about("Its IPv4 prefixes.")),
        ("public-ip", string().about("Its public address.")),
        ("security-groups", list(string()).about("Its security groups.")),
        ("subnet", subnet.about("Its subnet.")),
        ("tags", strings().about("Its tags.")),
        ("vpc", vpc.about("Its VPC.")),
    ]);
    object([("enis", map(eni).about("By id."))]).about("The node's ENIs (AWS).")
}

/// `spec.azure`.
pub(super) fn azure_spec() -> Schema {
    object([("interface-name", string().about("The interface for pod addresses."))])
        .about("Wishes about addresses (Azure).")
}

/// `status.azure`.
pub(super) fn azure_status() -> Schema {
    let address = object([("ip", string()), ("state", string()), ("subnet", string())]);
    let interface = object([
        ("addresses", list(address)),
        ("cidr", cidr()),
        ("gateway", string()),
        ("id", string()),
        ("ip", string()),
        ("mac", string()),
        ("name", string()),
        ("security-group", string()),
        ("state", string()),
        ("subnet", object([("cidr", cidr()), ("id", string())])),
    ]);
    object([("interfaces", list(interface).about("The interfaces."))]).about("The node's interfaces (Azure).")
}

/// `spec.alibaba-cloud`.
pub(super) fn alibaba_spec() -> Schema {
    object([
        ("availability-zone", string()),
        ("cidr-block", cidr()),
        ("instance-type", string()),
        ("security-group-tags", strings()),
        ("security-groups", list(string())),
        ("vpc-id", string()),
        ("vswitch-tags", strings()),
        ("vswitches", list(string())),
    ])
    .about("Wishes about ENIs (Alibaba Cloud).")
}

/// `status.alibaba-cloud`.
pub(super) fn alibaba_status() -> Schema {
    let vpc = object([
        ("cidr", cidr()),
        ("ipv6-cidr", cidr()),
        ("secondary-cidrs", list(cidr())),
        ("vpc-id", string()),
    ]);
    let switch = object([("cidr", cidr()), ("ipv6-cidr", cidr()), ("vswitch-id", string())]);
    let address = object([("primary", boolean()), ("private-ip-address", string())]);
    let eni = object([
        ("instance-id", string()),
        ("mac-address", string()),
        ("network-interface-id", string()),
        ("primary-ip-address", string()),
        ("private-ipsets", list(address)),
        ("security-groupids", list(string())),
        ("tags", strings()),
        ("type", string()),
        ("vpc", vpc),
        ("vswitch", switch),
        ("zone-id", string()),
    ]);
    object([("enis", map(eni).about("By id."))]).about("The node's ENIs (Alibaba Cloud).")
}
