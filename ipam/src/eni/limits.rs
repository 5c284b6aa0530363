//! What an instance type allows, and how many pods that makes.

use crate::ec2::InstanceType;

/// Addresses of a prefix that EC2 delegates to an interface: a /28.
pub const PREFIX_ADDRESSES: u32 = 16;

/// Limits that the planner keeps to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limits {
    /// Network interfaces on the default card, the primary one included.
    pub interfaces: u32,
    /// Slots of an interface beside its primary address: each takes an address or a prefix.
    pub slots: u32,
    /// Whether interfaces take prefixes.
    pub prefixes: bool,
}

impl From<&InstanceType> for Limits {
    fn from(of: &InstanceType) -> Self {
        let slots = of.ipv4_per_interface.saturating_sub(1);
        Self { interfaces: of.interfaces, slots, prefixes: of.has_prefixes() }
    }
}

/// How a node gets its pods' addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct MaxPodsOptions {
    /// Prefixes are delegated, where the type takes them.
    pub prefixes: bool,
    /// Interfaces with a lower number carry no pods.
    pub first_interface_index: u32,
}

/// Kubelet's `max-pods` for an instance type.
///
/// Each interface that carries pods has its slots, of one address or 16; two pods more are there in the host's
/// network (as the nodeadm of EKS counts: interfaces x (addresses - 1) + 2). With prefixes the figure is capped as EKS
/// does: 110 below 30 virtual processors, 250 from there.
///
/// ```
/// use ipam::{ec2::InstanceType, eni::{MaxPodsOptions, max_pods}};
///
/// let m5_large = InstanceType {
///     name: "m5.large".into(),
///     interfaces: 3,
///     ipv4_per_interface: 10,
///     hypervisor: Some("nitro".into()),
///     bare_metal: false,
///     vcpus: 2,
/// };
/// assert_eq!(max_pods(&m5_large, MaxPodsOptions::default()), 29);
/// let prefixes = MaxPodsOptions { prefixes: true, ..Default::default() };
/// assert_eq!(max_pods(&m5_large, prefixes), 110);
/// ```
#[must_use]
pub fn max_pods(of: &InstanceType, options: MaxPodsOptions) -> u32 {
    let limits = Limits::from(of);
    let slots = limits.interfaces.saturating_sub(options.first_interface_index).saturating_mul(limits.slots);
    if options.prefixes && limits.prefixes {
        let cap = if of.vcpus < 30 { 110 } else { 250 };
        slots.saturating_mul(PREFIX_ADDRESSES).saturating_add(2).min(cap)
    } else {
        slots.saturating_add(2)
    }
}

/// Why no pod could have an address on an instance type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoRoom {
    /// All of its interfaces are left alone.
    #[error(
        "{name} has {interfaces} network interfaces, numbered from 0: from {first} on (first-interface-index) none is \
         left for pods"
    )]
    Interfaces {
        /// The type.
        name: String,
        /// How many interfaces it takes.
        interfaces: u32,
        /// The first one that was to serve pods.
        first: u32,
    },
    /// Its interfaces have no addresses beside their own.
    #[error("interfaces of {name} have one IPv4 address each, which is their own: none is left for pods")]
    Addresses {
        /// The type.
        name: String,
    },
}

/// As [`max_pods`], of a type on which at least one pod could have an address.
///
/// # Errors
/// [`NoRoom`].
pub fn max_pods_with_addresses(of: &InstanceType, options: MaxPodsOptions) -> Result<u32, NoRoom> {
    let (limits, first) = (Limits::from(of), options.first_interface_index);
    if first >= limits.interfaces {
        return Err(NoRoom::Interfaces { name: of.name.clone(), interfaces: limits.interfaces, first });
    }
    if limits.slots == 0 {
        return Err(NoRoom::Addresses { name: of.name.clone() });
    }
    Ok(max_pods(of, options))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(interfaces: u32, ipv4_per_interface: u32, hypervisor: &str, vcpus: u32) -> InstanceType {
        let (name, hypervisor, bare_metal) = (String::new(), Some(hypervisor.to_owned()), false);
        InstanceType { name, interfaces, ipv4_per_interface, hypervisor, bare_metal, vcpus }
    }

    #[test]
    fn figures_of_the_published_tables() {
        let single = MaxPodsOptions::default();
        let prefixes = MaxPodsOptions { prefixes: true, ..single };
        for (of, pods, with_prefixes) in [
            (of(2, 2, "nitro", 2), 4, 34),       // t3.micro
            (of(3, 6, "nitro", 2), 17, 110),     // t3.medium
            (of(2, 10, "xen", 2), 20, 20),       // m4.large
            (of(3, 10, "nitro", 2), 29, 110),    // m5.large
            (of(4, 15, "nitro", 8), 58, 110),    // m5.2xlarge
            (of(8, 30, "nitro", 32), 234, 250),  // c6i.8xlarge
            (of(15, 50, "nitro", 96), 737, 250), // m5.24xlarge
        ] {
            assert_eq!((max_pods(&of, single), max_pods(&of, prefixes)), (pods, with_prefixes), "{of:?}");
        }
        // Custom networking: the primary interface carries no pods.
        let custom = MaxPodsOptions { first_interface_index: 1, ..single };
        assert_eq!(max_pods(&of(3, 10, "nitro", 2), custom), 20);
        assert_eq!(
            max_pods(&of(3, 10, "nitro", 2), MaxPodsOptions { first_interface_index: 9, ..single }),
            2
        );
    }

    #[test]
    fn a_type_without_room_for_pods_is_told() {
        let room = |of: &InstanceType, first_interface_index| {
            max_pods_with_addresses(of, MaxPodsOptions { prefixes: false, first_interface_index })
        };
        let of_two = of(2, 2, "xen", 1);
        assert_eq!(room(&of_two, 1), Ok(3));
        let refused = NoRoom::Interfaces { name: String::new(), interfaces: 2, first: 2 };
        assert_eq!(room(&of_two, 2), Err(refused));
        assert_eq!(room(&of(2, 1, "xen", 1), 0), Err(NoRoom::Addresses { name: String::new() }));
    }
}
