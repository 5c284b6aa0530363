//! The datapath of one node.

use std::path::PathBuf;

use abi::maps::{self, TailCall, capacity};
use abi::{Addr, AddressRecord, CidrKey, CidrRecord, Config, Endpoint, IfIndex};
use aya::maps::{Array, HashMap, LpmTrie, Map, MapData, MapInfo, ProgramArray};
use aya::programs::{ProgramFd, TestRun, TestRunOptions};
use aya::{Ebpf, EbpfLoader};

use crate::attach::{self, AttachMode, Hook};
use crate::connections::Connections;
use crate::counters::Counters;
use crate::error::Error;
use crate::events::Events;
use crate::fill::{Fill, Room};
use crate::large::LargeTable;
use crate::object::OBJECT;
use crate::pins::Pins;
use crate::policies::{Policies, PolicyMaps};
use crate::program::{self, Program, ProgramReport};
use crate::table::Table;
use crate::verifier::verify;

/// Sizes of the maps that a node may want larger or smaller, in entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacities {
    /// Pods and nodes of the cluster.
    pub addresses: u32,
    /// Established connections.
    pub established: u32,
    /// Unconfirmed connections.
    pub unconfirmed: u32,
    /// Peer entries of all policies.
    pub policy_peers: u32,
}

impl Default for Capacities {
    fn default() -> Self {
        Self {
            addresses: capacity::ADDRESSES as u32,
            established: capacity::CT_ESTABLISHED as u32,
            unconfirmed: capacity::CT_UNCONFIRMED as u32,
            policy_peers: capacity::POLICY_PEERS as u32,
        }
    }
}

/// How to load a datapath.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The directory to pin below (see [`Pins`]); without one everything goes with the process.
    pub pins: Option<PathBuf>,
    /// Sizes of maps. Maps that are pinned already keep theirs.
    pub capacities: Capacities,
    /// How to attach programs; what the kernel has where nothing is said.
    pub attach: Option<AttachMode>,
}

/// What a test run gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestRunOutcome {
    /// What the program returned: a `TC_ACT_…`.
    pub verdict: i32,
    /// The packet afterwards.
    pub packet: Vec<u8>,
    /// Nanoseconds of one run, the mean of all.
    pub nanoseconds: u64,
}

/// The datapath of one node: its programs in the kernel, and their maps.
pub struct Datapath {
    ebpf: Ebpf,
    pins: Option<Pins>,
    attach: AttachMode,
    config: Array<MapData, Config>,
    /// The kernel empties an array of programs that nobody holds.
    _tail_calls: ProgramArray<MapData>,
    /// The pods of this node.
    pub endpoints: Table<IfIndex, Endpoint>,
    /// Exact addresses: pods and nodes of the cluster.
    pub addresses: LargeTable<Addr, AddressRecord>,
    /// CIDRs in use.
    pub cidrs: Table<CidrKey, CidrRecord>,
    /// Compiled policies.
    pub policies: Policies,
    /// Connections.
    pub connections: Connections,
    /// What became of packets.
    pub counters: Counters,
    room: Room,
    events: Option<Events>,
}

impl Datapath {
    /// Loads the programs; takes over the maps that are pinned, and makes the others.
    ///
    /// Nothing is attached yet. What an earlier agent attached goes on with its programs until
    /// [`Datapath::attach`] replaces them.
    ///
    /// # Errors
    /// When the kernel refuses, or pinned maps are of another shape.
    pub fn load(options: &Options) -> Result<Self, Error> {
        let pins = options.pins.as_deref().map(Pins::open).transpose()?;
        let mut loader = EbpfLoader::new();
        let Capacities { addresses, established, unconfirmed, policy_peers } = options.capacities;
        loader
            .map_max_entries(maps::ADDRESSES, addresses)
            .map_max_entries(maps::CT_ESTABLISHED, established)
            .map_max_entries(maps::CT_UNCONFIRMED, unconfirmed)
            .map_max_entries(maps::POLICY_PEERS, policy_peers);
        if let Some(pins) = &pins {
            for name in PINNED {
                check_pin(pins, name)?;
                loader.map_pin_path(name, pins.maps().join(name));
            }
        }
        let mut ebpf = loader.load(OBJECT).map_err(|source| Error::Object { source: Box::new(source) })?;
        for program in Program::ALL {
            program::load(&mut ebpf, program.name())?;
        }
        let room = Room::of(&ebpf)?;
        let tail_calls = set_tail_calls(&mut ebpf)?;

        let mut config =
            Array::try_from(take(&mut ebpf, maps::CONFIG)?).map_err(Error::map("opening", maps::CONFIG))?;
        let current: Config = config.get(&0, 0).map_err(Error::map("reading", maps::CONFIG))?;
        if current.mtu == 0 {
            config.set(0, Config::default(), 0).map_err(Error::map("writing", maps::CONFIG))?;
        }
        let policies = Policies::open(PolicyMaps {
            records: Array::try_from(take(&mut ebpf, maps::POLICIES)?)
                .map_err(Error::map("opening", maps::POLICIES))?,
            cells: Array::try_from(take(&mut ebpf, maps::POLICY_CELLS)?)
                .map_err(Error::map("opening", maps::POLICY_CELLS))?,
            peers: hash(&mut ebpf, maps::POLICY_PEERS)?,
            ports: hash(&mut ebpf, maps::POLICY_PORTS)?,
            ranges: Table::open(
                maps::POLICY_RANGES,
                trie::<[u8; 8], abi::PortClass>(&mut ebpf, maps::POLICY_RANGES)?,
            )?,
            sparse: hash(&mut ebpf, maps::POLICY_SPARSE)?,
        })?;
        Ok(Self {
            config,
            _tail_calls: tail_calls,
            policies,
            endpoints: hash(&mut ebpf, maps::ENDPOINTS)?,
            addresses: LargeTable::open(maps::ADDRESSES, plain_hash(&mut ebpf, maps::ADDRESSES)?)?,
            cidrs: Table::open(maps::CIDRS, trie::<[u8; 16], CidrRecord>(&mut ebpf, maps::CIDRS)?)?,
            connections: Connections::open(
                take(&mut ebpf, maps::CT_ESTABLISHED)?,
                take(&mut ebpf, maps::CT_UNCONFIRMED)?,
            )?,
            counters: Counters::open(take(&mut ebpf, maps::COUNTERS)?)?,
            room,
            events: Some(Events::open(take(&mut ebpf, maps::EVENTS)?)?),
            attach: options.attach.unwrap_or_else(AttachMode::of_this_kernel),
            pins,
            ebpf,
        })
    }

    /// How full the maps are whose entries come and go. Connections are counted by their caller, who has the lists.
    #[must_use]
    pub fn fill(&self, [established, unconfirmed]: [usize; 2]) -> Vec<Fill> {
        self.room.with(|map| match map {
            maps::ENDPOINTS => self.endpoints.entries().len(),
            maps::ADDRESSES => self.addresses.len(),
            maps::CIDRS => self.cidrs.entries().len(),
            maps::CT_ESTABLISHED => established,
            maps::CT_UNCONFIRMED => unconfirmed,
            map => self.policies.entries(map),
        })
    }

    /// The node's settings.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn config(&self) -> Result<Config, Error> {
        self.config.get(&0, 0).map_err(Error::map("reading", maps::CONFIG))
    }

    /// Changes the node's settings.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn set_config(&mut self, config: &Config) -> Result<(), Error> {
        self.config.set(0, config, 0).map_err(Error::map("writing", maps::CONFIG))
    }

    /// How programs are attached.
    #[must_use]
    pub const fn attach_mode(&self) -> AttachMode {
        self.attach
    }

    /// The reader of events. It can be taken once.
    pub const fn take_events(&mut self) -> Option<Events> {
        self.events.take()
    }

    /// Attaches the programs of a pod's link to the host's end of it.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn attach_pod(&mut self, link: &str) -> Result<(), Error> {
        self.attach(Program::ToPod, link, Hook::Egress)?;
        self.attach(Program::FromPod, link, Hook::Ingress)
    }

    /// Attaches the program of the node's uplink.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn attach_uplink(&mut self, link: &str) -> Result<(), Error> {
        self.attach(Program::FromNetdev, link, Hook::Ingress)
    }

    /// Attaches a program to a link of the caller's network namespace, in place of the one that an earlier
    /// call, or an earlier agent, attached there.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn attach(&mut self, program: Program, link: &str, hook: Hook) -> Result<(), Error> {
        let classifier = program::classifier(&mut self.ebpf, program.name())?;
        attach::attach(classifier, program.name(), link, hook, self.attach, self.pins.as_ref())
    }

    /// Removes the pins of a link that is gone or about to go.
    ///
    /// # Errors
    /// When a pin cannot be removed.
    pub fn forget_link(&self, link: &str) -> Result<(), Error> {
        self.pins.as_ref().map_or(Ok(()), |pins| attach::forget(link, pins))
    }

    /// What the kernel says of the programs. They are verified once more for it: not every kernel keeps what it
    /// found.
    ///
    /// # Errors
    /// When it says nothing.
    pub fn programs(&mut self) -> Result<Vec<ProgramReport>, Error> {
        verify()?.iter().map(|verified| program::report(&mut self.ebpf, verified)).collect()
    }

    /// A descriptor of a program, for other programs to tail-call it.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn program_fd(&mut self, program: Program) -> Result<ProgramFd, Error> {
        program::fd(&mut self.ebpf, program.name())
    }

    /// Runs a program on a packet, `repeat` times in a row, without sending anything. The packet seems to
    /// come from the loopback device, whose index is 1.
    ///
    /// # Errors
    /// When the kernel refuses, for example a packet shorter than an Ethernet header.
    pub fn test_run(
        &mut self,
        program: Program,
        packet: &[u8],
        repeat: u32,
    ) -> Result<TestRunOutcome, Error> {
        let classifier = program::classifier(&mut self.ebpf, program.name())?;
        let mut out = vec![0; packet.len() + 256];
        let options = TestRunOptions {
            data_in: Some(packet),
            data_out: Some(&mut out),
            repeat,
            ..TestRunOptions::default()
        };
        let result = classifier
            .test_run(options)
            .map_err(|source| Error::TestRun { program: program.name(), source: Box::new(source) })?;
        out.truncate(result.data_size_out as usize);
        Ok(TestRunOutcome {
            verdict: result.return_value as i32,
            packet: out,
            nanoseconds: u64::try_from(result.duration.as_nanos()).unwrap_or(u64::MAX),
        })
    }
}

impl std::fmt::Debug for Datapath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Datapath")
            .field("pins", &self.pins)
            .field("attach", &self.attach)
            .field("endpoints", &self.endpoints)
            .field("addresses", &self.addresses)
            .field("cidrs", &self.cidrs)
            .finish_non_exhaustive()
    }
}

/// The maps that outlive the agent. The scratch space is among them although it holds nothing between two
/// packets: while agents take over from one another, a program of the one goes on in a program of the other.
const PINNED: [&str; 18] = [
    maps::ENDPOINTS,
    maps::ADDRESSES,
    maps::CIDRS,
    maps::POLICIES,
    maps::POLICY_PEERS,
    maps::POLICY_PORTS,
    maps::POLICY_RANGES,
    maps::POLICY_CELLS,
    maps::POLICY_SPARSE,
    maps::CT_ESTABLISHED,
    maps::CT_UNCONFIRMED,
    maps::FRAGMENTS,
    maps::EVENTS,
    maps::COUNTERS,
    maps::CONFIG,
    maps::PROGRAMS,
    maps::SCRATCH,
    maps::EVENT_BUDGET,
];

/// Key and value sizes that this version expects, in bytes.
fn shape(name: &str) -> Option<(usize, usize)> {
    use std::mem::size_of;
    Some(match name {
        maps::ENDPOINTS => (4, size_of::<Endpoint>()),
        maps::ADDRESSES => (size_of::<Addr>(), size_of::<AddressRecord>()),
        maps::CIDRS => (size_of::<CidrKey>(), size_of::<CidrRecord>()),
        maps::POLICIES => (4, size_of::<abi::PolicyRecord>()),
        maps::POLICY_PEERS => (size_of::<abi::PeerKey>(), 4),
        maps::POLICY_PORTS => (size_of::<abi::PortKey>(), 4),
        maps::POLICY_RANGES => (size_of::<abi::PortRangeKey>(), 4),
        maps::POLICY_CELLS => (4, size_of::<abi::Cell>()),
        maps::POLICY_SPARSE => (size_of::<abi::SparseKey>(), size_of::<abi::Cell>()),
        maps::CT_ESTABLISHED | maps::CT_UNCONFIRMED => (size_of::<abi::CtKey>(), size_of::<abi::CtEntry>()),
        maps::FRAGMENTS => (size_of::<abi::FragmentKey>(), size_of::<abi::FragmentPorts>()),
        maps::COUNTERS => (4, size_of::<abi::Counter>()),
        maps::CONFIG => (4, size_of::<Config>()),
        maps::SCRATCH => (4, size_of::<ebpf_core::Scratch>()),
        maps::EVENT_BUDGET => (4, 8),
        maps::PROGRAMS => (4, 4),
        _ => return None,
    })
}

/// Refuses a pinned map that is not of this version's shape: the loader would take it as it is.
fn check_pin(pins: &Pins, name: &'static str) -> Result<(), Error> {
    let path = pins.maps().join(name);
    let Some((key, value)) = shape(name) else { return Ok(()) };
    if !path.exists() {
        return Ok(());
    }
    let info = MapInfo::from_pin(&path).map_err(Error::map("examining", name))?;
    let found = (info.key_size() as usize, info.value_size() as usize);
    if found == (key, value) {
        return Ok(());
    }
    let describe = |(key, value)| format!("a map of {key}-byte keys and {value}-byte values");
    Err(Error::PinnedShape { path, found: describe(found), expected: describe((key, value)) })
}

fn take(ebpf: &mut Ebpf, name: &'static str) -> Result<Map, Error> {
    ebpf.take_map(name).ok_or(Error::Missing { kind: "map", name })
}

fn hash<K, V>(ebpf: &mut Ebpf, name: &'static str) -> Result<Table<K, V>, Error>
where
    K: aya::Pod + Eq + std::hash::Hash + Send,
    V: aya::Pod + PartialEq + Send,
{
    Table::open(name, plain_hash(ebpf, name)?)
}

fn plain_hash<K: aya::Pod, V: aya::Pod>(
    ebpf: &mut Ebpf,
    name: &'static str,
) -> Result<HashMap<MapData, K, V>, Error> {
    HashMap::try_from(take(ebpf, name)?).map_err(Error::map("opening", name))
}

fn trie<K: aya::Pod, V: aya::Pod>(
    ebpf: &mut Ebpf,
    name: &'static str,
) -> Result<LpmTrie<MapData, K, V>, Error> {
    LpmTrie::try_from(take(ebpf, name)?).map_err(Error::map("opening", name))
}

/// Enters the tail-called programs. The array is pinned, so an earlier agent's programs go on with these
/// from now on.
fn set_tail_calls(ebpf: &mut Ebpf) -> Result<ProgramArray<MapData>, Error> {
    let mut programs =
        ProgramArray::try_from(take(ebpf, maps::PROGRAMS)?).map_err(Error::map("opening", maps::PROGRAMS))?;
    for (slot, program) in [(TailCall::ToEndpoint, Program::ToEndpoint), (TailCall::Arp, Program::Arp)] {
        let fd = program::fd(ebpf, program.name())?;
        programs.set(slot as u32, &fd, 0).map_err(Error::map("writing", maps::PROGRAMS))?;
    }
    Ok(programs)
}
