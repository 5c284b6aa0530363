//! What is to be placed.

use ipam::ec2::InstanceType;
use ipam::eni::{Limits, PREFIX_ADDRESSES};

/// Nodes and pods.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// Its name.
    pub name: &'static str,
    /// Nodes, which start together.
    pub nodes: u32,
    /// Pods of each node, scheduled when it starts.
    pub pods: u32,
    /// The type of all instances.
    pub instance_type: &'static str,
    /// Interfaces with a lower number carry no pods.
    pub first_interface_index: u32,
    /// Addresses that each node holds free.
    pub pre_allocate: u32,
}

/// All scenarios: with pods on the primary interface (the default), and in a secondary CIDR on interfaces of their
/// own, as clusters with little room have it.
pub const SCENARIOS: [Scenario; 4] = [
    SMALL,
    Scenario { first_interface_index: 1, ..SMALL },
    LARGE,
    Scenario { first_interface_index: 1, ..LARGE },
];

const SMALL: Scenario = Scenario {
    name: "1000-pods-10-nodes",
    nodes: 10,
    pods: 100,
    instance_type: "m5.large",
    first_interface_index: 0,
    pre_allocate: 8,
};

const LARGE: Scenario = Scenario { name: "30000-pods-1000-nodes", nodes: 1000, pods: 30, ..SMALL };

impl Scenario {
    /// The fewest requests that change something: three for each new interface (it is made with prefixes and tags,
    /// attached, and told to go with its instance), and one for all prefixes of an interface that is there.
    #[must_use]
    pub fn minimum_calls(&self, of: &InstanceType) -> u32 {
        let slots = Limits::from(of).slots;
        let prefixes = (self.pods + self.pre_allocate).div_ceil(PREFIX_ADDRESSES);
        let (there, new) = match self.first_interface_index {
            0 => (1, prefixes.saturating_sub(slots).div_ceil(slots)),
            _ => (0, prefixes.div_ceil(slots)),
        };
        self.nodes * (there + 3 * new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minima() {
        let of = InstanceType {
            name: "m5.large".into(),
            interfaces: 3,
            ipv4_per_interface: 10,
            hypervisor: Some("nitro".into()),
            bare_metal: false,
            vcpus: 2,
        };
        let minima: Vec<_> = SCENARIOS.iter().map(|scenario| scenario.minimum_calls(&of)).collect();
        assert_eq!(minima, [10, 30, 1000, 3000]);
        // 160 addresses are ten prefixes: one more than an interface takes.
        let more = Scenario { pods: 152, ..SCENARIOS[0] };
        assert_eq!(more.minimum_calls(&of), 10 * (1 + 3));
    }
}
