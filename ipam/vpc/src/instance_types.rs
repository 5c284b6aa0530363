//! What instance types allow: a table of a third party's.

use std::{collections::BTreeMap, sync::OnceLock};

use ipam::ec2::InstanceType;

/// Written by `cargo xtask instance-types`.
const TABLE: &str = include_str!("../data/instance-types.tsv");

/// Every instance type of the table, by name.
///
/// The figures are those of EC2's DescribeInstanceTypes as the project moto collected them (PyPI,
/// Apache-2.0), of the default network card.
///
/// ```
/// let m5 = &vpc::instance_types()["m5.large"];
/// assert_eq!((m5.interfaces, m5.ipv4_per_interface, m5.has_prefixes()), (3, 10, true));
/// ```
#[must_use]
pub fn instance_types() -> &'static BTreeMap<String, InstanceType> {
    static TYPES: OnceLock<BTreeMap<String, InstanceType>> = OnceLock::new();
    TYPES.get_or_init(|| TABLE.lines().filter_map(parse).map(|one| (one.name.clone(), one)).collect())
}

/// The most addresses that any type allows an interface: what one that is attached to nothing may have.
pub(crate) fn most_addresses() -> u32 {
    static MOST: OnceLock<u32> = OnceLock::new();
    *MOST.get_or_init(|| instance_types().values().map(|one| one.ipv4_per_interface).max().unwrap_or(0))
}

fn parse(line: &str) -> Option<InstanceType> {
    let mut columns = line.split('\t');
    let name = columns.next().filter(|name| !name.starts_with('#'))?;
    let interfaces = columns.next()?.parse().ok()?;
    let ipv4_per_interface = columns.next()?.parse().ok()?;
    let hypervisor = columns.next().filter(|name| *name != "-").map(str::to_owned);
    let bare_metal = columns.next()? == "metal";
    let vcpus = columns.next()?.parse().ok()?;
    Some(InstanceType {
        name: name.to_owned(),
        interfaces,
        ipv4_per_interface,
        hypervisor,
        bare_metal,
        vcpus,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_table_is_read() {
        let lines = TABLE.lines().filter(|line| !line.starts_with('#')).count();
        assert_eq!(instance_types().len(), lines);
        assert!(lines > 1_300, "{lines}");
    }

    /// Figures that amazon-vpc-cni-k8s's own table has too.
    #[test]
    fn the_figures_agree_with_another_table() {
        for (name, interfaces, addresses, prefixes) in [
            ("t3.micro", 2, 2, true),
            ("t4g.medium", 3, 6, true),
            ("m4.large", 2, 10, false),
            ("i3.large", 3, 10, false),
            ("m5.xlarge", 4, 15, true),
            ("c5.4xlarge", 8, 30, true),
            ("m5.metal", 15, 50, true),
            ("p5.48xlarge", 2, 50, true),
        ] {
            let one = &instance_types()[name];
            let has = (one.interfaces, one.ipv4_per_interface, one.has_prefixes());
            assert_eq!(has, (interfaces, addresses, prefixes), "{name}");
        }
    }
}
