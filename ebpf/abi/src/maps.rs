//! Names and default sizes of the maps. They are pinned under these names.

/// `IfIndex -> Endpoint`.
pub const ENDPOINTS: &str = "ENDPOINTS";
/// `Addr -> AddressRecord`.
pub const ADDRESSES: &str = "ADDRESSES";
/// `CidrKey -> CidrRecord`, a trie.
pub const CIDRS: &str = "CIDRS";
/// `PolicySlot -> PolicyRecord`, an array.
pub const POLICIES: &str = "POLICIES";
/// `PeerKey -> PeerClass`.
pub const POLICY_PEERS: &str = "POLICY_PEERS";
/// `PortKey -> PortClass`.
pub const POLICY_PORTS: &str = "POLICY_PORTS";
/// `PortRangeKey -> PortClass`, a trie.
pub const POLICY_RANGES: &str = "POLICY_RANGES";
/// `index -> Cell`, an array.
pub const POLICY_CELLS: &str = "POLICY_CELLS";
/// `SparseKey -> Cell`.
pub const POLICY_SPARSE: &str = "POLICY_SPARSE";
/// `CtKey -> CtEntry`: connections that both ends confirmed.
pub const CT_ESTABLISHED: &str = "CT_ESTABLISHED";
/// `CtKey -> CtEntry`: all others.
pub const CT_UNCONFIRMED: &str = "CT_UNCONFIRMED";
/// `FragmentKey -> FragmentPorts`.
pub const FRAGMENTS: &str = "FRAGMENTS";
/// Ring buffer of `Event`.
pub const EVENTS: &str = "EVENTS";
/// `CounterKey -> Counter`, an array per CPU.
pub const COUNTERS: &str = "COUNTERS";
/// The single `Config`.
pub const CONFIG: &str = "CONFIG";
/// Tail calls: see [`TailCall`].
pub const PROGRAMS: &str = "PROGRAMS";
/// A packet between two programs, per CPU.
pub const SCRATCH: &str = "SCRATCH";
/// The state of the events' rate limit, per CPU.
pub const EVENT_BUDGET: &str = "EVENT_BUDGET";

/// Default capacities, in entries (bytes for the ring buffer). The loader may choose others.
pub mod capacity {
    /// Pods on a node.
    pub const ENDPOINTS: usize = 4_096;
    /// Pods and nodes of the cluster.
    pub const ADDRESSES: usize = 262_144;
    /// CIDRs in use.
    pub const CIDRS: usize = 65_536;
    /// Compiled policies at a time.
    pub const POLICIES: usize = 16_384;
    /// Peer entries of all policies.
    pub const POLICY_PEERS: usize = 524_288;
    /// Port entries of all policies.
    pub const POLICY_PORTS: usize = 262_144;
    /// Port range entries of all policies.
    pub const POLICY_RANGES: usize = 262_144;
    /// Cells of all policies.
    pub const POLICY_CELLS: usize = 524_288;
    /// Sparse cells of all policies.
    pub const POLICY_SPARSE: usize = 131_072;
    /// Established connections.
    pub const CT_ESTABLISHED: usize = 262_144;
    /// Unconfirmed connections. Each new connection of a flood pushes one out, and what is pushed out must be
    /// fetched into the cache: four times the room doubles what a new connection costs.
    pub const CT_UNCONFIRMED: usize = 16_384;
    /// Fragmented datagrams under way.
    pub const FRAGMENTS: usize = 8_192;
    /// Bytes of the ring buffer.
    pub const EVENTS: usize = 1 << 20;
}

/// Slots of the array of tail-called programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum TailCall {
    /// Ingress policy and delivery to a pod of this node.
    ToEndpoint = 0,
    /// Answers a pod's question for its gateway's MAC address.
    Arp = 1,
}

impl TailCall {
    /// The number of slots.
    pub const COUNT: usize = 8;
}
