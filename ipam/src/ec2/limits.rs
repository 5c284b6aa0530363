//! What an instance type allows.

/// Limits of an instance type, as DescribeInstanceTypes tells them for the default network card.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct InstanceType {
    /// `m5.large`.
    pub name: String,
    /// Network interfaces on the default card, the primary one included.
    pub interfaces: u32,
    /// IPv4 addresses of an interface: its primary one, others, and prefixes count one each.
    pub ipv4_per_interface: u32,
    /// `nitro` or `xen`; absent for some bare metal types.
    pub hypervisor: Option<String>,
    /// Whether it is bare metal.
    pub bare_metal: bool,
    /// Its virtual processors.
    pub vcpus: u32,
}

impl InstanceType {
    /// Whether its interfaces take prefixes: those of Nitro and of bare metal do, Xen's do not.
    #[must_use]
    pub fn has_prefixes(&self) -> bool {
        self.bare_metal || self.hypervisor.as_deref() == Some("nitro")
    }
}
