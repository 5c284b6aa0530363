//! The maps. Their names are those of `abi::maps`; the loader may choose other sizes.

use abi::maps::{TailCall, capacity};
use abi::{
    Addr, AddressRecord, Cell, CidrKey, CidrRecord, Config, Counter, CounterKey, CtEntry, CtKey, Endpoint, Event,
    FragmentKey, FragmentPorts, IfIndex, PeerClass, PeerKey, PolicyRecord, PortClass, PortKey, PortRangeKey,
    SparseKey,
};
use aya_ebpf::bindings::BPF_F_NO_PREALLOC;
use aya_ebpf::btf_maps::{Array, HashMap, LpmTrie, LruHashMap, PerCpuArray, ProgramArray, RingBuf};
use aya_ebpf::macros::btf_map;
use aya_ebpf::maps::lpm_trie::Key;
use ebpf_core::Scratch;

/// Memory is taken as entries come: most nodes never fill these.
const ON_DEMAND: usize = BPF_F_NO_PREALLOC as usize;

#[btf_map]
pub static ENDPOINTS: HashMap<IfIndex, Endpoint, { capacity::ENDPOINTS }> = HashMap::new();
#[btf_map]
pub static ADDRESSES: HashMap<Addr, AddressRecord, { capacity::ADDRESSES }, ON_DEMAND> = HashMap::new();
#[btf_map]
pub static CIDRS: LpmTrie<[u8; 16], CidrRecord, { capacity::CIDRS }> = LpmTrie::new();
#[btf_map]
pub static POLICIES: Array<PolicyRecord, { capacity::POLICIES }> = Array::new();
#[btf_map]
pub static POLICY_PEERS: HashMap<PeerKey, PeerClass, { capacity::POLICY_PEERS }, ON_DEMAND> = HashMap::new();
#[btf_map]
pub static POLICY_PORTS: HashMap<PortKey, PortClass, { capacity::POLICY_PORTS }, ON_DEMAND> = HashMap::new();
#[btf_map]
pub static POLICY_RANGES: LpmTrie<[u8; 8], PortClass, { capacity::POLICY_RANGES }> = LpmTrie::new();
#[btf_map]
pub static POLICY_CELLS: Array<Cell, { capacity::POLICY_CELLS }> = Array::new();
#[btf_map]
pub static POLICY_SPARSE: HashMap<SparseKey, Cell, { capacity::POLICY_SPARSE }, ON_DEMAND> = HashMap::new();
#[btf_map]
pub static CT_ESTABLISHED: LruHashMap<CtKey, CtEntry, { capacity::CT_ESTABLISHED }> = LruHashMap::new();
#[btf_map]
pub static CT_UNCONFIRMED: LruHashMap<CtKey, CtEntry, { capacity::CT_UNCONFIRMED }> = LruHashMap::new();
#[btf_map]
pub static FRAGMENTS: LruHashMap<FragmentKey, FragmentPorts, { capacity::FRAGMENTS }> = LruHashMap::new();
#[btf_map]
pub static EVENTS: RingBuf<Event, { capacity::EVENTS }> = RingBuf::new();
#[btf_map]
pub static COUNTERS: PerCpuArray<Counter, { CounterKey::COUNT as usize }> = PerCpuArray::new();
#[btf_map]
pub static CONFIG: Array<Config, 1> = Array::new();
#[btf_map]
pub static PROGRAMS: ProgramArray<{ TailCall::COUNT }> = ProgramArray::new();
#[btf_map]
pub static SCRATCH: PerCpuArray<Scratch, 1> = PerCpuArray::new();
#[btf_map]
pub static EVENT_BUDGET: PerCpuArray<EventBudget, 1> = PerCpuArray::new();

/// How many events this CPU reported in the current tick.
#[repr(C)]
pub struct EventBudget {
    /// The tick.
    pub tick: u32,
    /// Events in it.
    pub used: u32,
}

/// This CPU's scratch space. It is nobody else's: the programs run with bottom halves off.
#[inline(always)]
pub fn scratch() -> Option<&'static mut Scratch> {
    let scratch = SCRATCH.get_ptr_mut(0)?;
    // SAFETY: the slot exists for as long as the program runs, and nothing else on this CPU uses it now.
    Some(unsafe { &mut *scratch })
}

/// Key of a lookup in the trie of CIDRs: all bits count.
#[inline(always)]
pub fn cidr_key(addr: &Addr) -> Key<[u8; 16]> {
    Key::new(128, addr.octets())
}

const _: () = assert!(core::mem::size_of::<Key<[u8; 16]>>() == core::mem::size_of::<CidrKey>());
const _: () = assert!(core::mem::size_of::<Key<[u8; 8]>>() == core::mem::size_of::<PortRangeKey>());
