//! The two objects in the kernel: the datapath under test, as it is committed, and the benchmark's programs
//! around it.

use std::fs;

use abi::Cell;
use abi::bench::{COURSE, Course, PRODUCT, TARGET};
use abi::maps::{PROGRAMS, TailCall};
use aya::maps::lpm_trie::LpmTrie;
use aya::maps::{Array, Map, MapData, ProgramArray};
use aya::programs::{ProgramFd, SchedClassifier, TestRun, TestRunOptions};
use aya::{Ebpf, EbpfLoader};
use datapath::{Datapath, Pins, Program};

use super::Error;
use super::report::{Layout, ProgramSize};
use super::room::Room;

static OBJECT: &[u8] = aya::include_bytes_aligned!("../../../ebpf/datapath/prebuilt/bench.bpf.o");

/// A program of the benchmark that changes a packet and goes on in another program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wrapper {
    /// Restores the packet.
    Again,
    /// Moves on to the next destination address and source port.
    NextDestination,
    /// Moves on to the next source address and port.
    NextSource,
}

impl Wrapper {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Again => "again",
            Self::NextDestination => "next_destination",
            Self::NextSource => "next_source",
        }
    }
}

/// What a run gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    /// What the program returned.
    pub(crate) verdict: i32,
    /// Nanoseconds of one run, the mean of all.
    pub(crate) nanoseconds: u64,
}

/// Both objects, sharing the datapath's maps.
pub(crate) struct Stage {
    /// The datapath under test.
    pub(crate) node: Datapath,
    bench: Ebpf,
    target: ProgramArray<MapData>,
    course: Array<MapData, Course>,
    /// The policy of the two-LPM layout.
    pub(crate) product: LpmTrie<MapData, [u32; 2], Cell>,
    /// The kernel empties an array of programs that nobody holds.
    _tail_calls: ProgramArray<MapData>,
}

impl Stage {
    /// Loads both.
    pub(crate) fn load() -> Result<Self, Error> {
        // Pins are needed only while the second object looks for the maps of the first.
        let room = Room::enter()?;
        let options =
            datapath::Options { pins: Some(room.path().to_owned()), ..datapath::Options::default() };
        let node = Datapath::load(&options)?;
        let names = pinned(&Pins::open(room.path())?)?;
        let mut loader = EbpfLoader::new();
        // The other layout's programs call one another, not the node's.
        for (name, path) in names.iter().filter(|(name, _)| name != PROGRAMS) {
            loader.map_pin_path(name, path.as_path());
        }
        let mut bench = loader.load(OBJECT).map_err(|source| Error::Object { source: Box::new(source) })?;
        for (name, program) in bench.programs_mut() {
            let classifier: &mut SchedClassifier =
                program.try_into().map_err(Error::program("loading", name))?;
            classifier.load().map_err(Error::program("loading", name))?;
        }
        let mut tail_calls =
            ProgramArray::try_from(take(&mut bench, PROGRAMS)?).map_err(Error::map("opening", PROGRAMS))?;
        let to_endpoint = fd(&mut bench, two_lpm(Program::ToEndpoint))?;
        tail_calls
            .set(TailCall::ToEndpoint as u32, &to_endpoint, 0)
            .map_err(Error::map("writing", PROGRAMS))?;
        Ok(Self {
            node,
            target: take(&mut bench, TARGET)?.try_into().map_err(Error::map("opening", TARGET))?,
            course: take(&mut bench, COURSE)?.try_into().map_err(Error::map("opening", COURSE))?,
            product: take(&mut bench, PRODUCT)?.try_into().map_err(Error::map("opening", PRODUCT))?,
            bench,
            _tail_calls: tail_calls,
        })
    }

    /// Lets wrappers go on in a program of the node, as a layout has it, or in the empty one.
    pub(crate) fn aim(&mut self, target: Option<(Layout, Program)>) -> Result<(), Error> {
        let fd = match target {
            None => fd(&mut self.bench, "empty")?,
            Some((Layout::Netloom, program)) => self.node.program_fd(program)?,
            Some((Layout::TwoLpm, program)) => fd(&mut self.bench, two_lpm(program))?,
        };
        self.target.set(0, &fd, 0).map_err(Error::map("writing", TARGET))
    }

    /// Says how packets change from now on.
    pub(crate) fn set_course(&mut self, course: Course) -> Result<(), Error> {
        self.course.set(0, course, 0).map_err(Error::map("writing", COURSE))
    }

    /// Runs a program of the benchmark on a packet.
    pub(crate) fn run(&mut self, program: &'static str, packet: &[u8], repeat: u32) -> Result<Run, Error> {
        let options = TestRunOptions { data_in: Some(packet), repeat, ..TestRunOptions::default() };
        let outcome = classifier(&mut self.bench, program)?
            .test_run(options)
            .map_err(Error::program("running", program))?;
        Ok(Run {
            verdict: outcome.return_value as i32,
            nanoseconds: u64::try_from(outcome.duration.as_nanos()).unwrap_or(u64::MAX),
        })
    }

    /// What the kernel says of the programs that are compared.
    pub(crate) fn sizes(&mut self) -> Result<Vec<ProgramSize>, Error> {
        let mut sizes: Vec<ProgramSize> = self
            .node
            .programs()?
            .into_iter()
            .map(|report| ProgramSize {
                name: report.name,
                verified_insns: Some(report.verified_insns),
                stack_bytes: Some(report.stack),
                jited_bytes: report.jited_bytes,
            })
            .collect();
        for program in [Program::FromPod, Program::ToPod, Program::FromNetdev, Program::ToEndpoint] {
            let name = two_lpm(program);
            let info =
                classifier(&mut self.bench, name)?.info().map_err(Error::program("examining", name))?;
            sizes.push(ProgramSize {
                name: name.to_owned(),
                verified_insns: info.verified_instruction_count(),
                stack_bytes: None,
                jited_bytes: info.size_jitted(),
            });
        }
        Ok(sizes)
    }
}

/// The other layout's program in this one's place. There is none for ARP, which policy has no say in.
const fn two_lpm(program: Program) -> &'static str {
    match program {
        Program::FromPod => "two_lpm_from_pod",
        Program::ToPod => "two_lpm_to_pod",
        Program::FromNetdev => "two_lpm_from_netdev",
        Program::ToEndpoint => "two_lpm_to_endpoint",
        Program::Arp => "arp",
    }
}

/// Names and paths of the pinned maps.
fn pinned(pins: &Pins) -> Result<Vec<(String, std::path::PathBuf)>, Error> {
    fs::read_dir(pins.maps())
        .and_then(|entries| {
            entries
                .map(|entry| {
                    entry.map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path()))
                })
                .collect()
        })
        .map_err(Error::room("listing the pins"))
}

fn take(bench: &mut Ebpf, name: &'static str) -> Result<Map, Error> {
    bench.take_map(name).ok_or(Error::Missing { kind: "map", name })
}

fn classifier<'a>(bench: &'a mut Ebpf, name: &'static str) -> Result<&'a mut SchedClassifier, Error> {
    let program = bench.program_mut(name).ok_or(Error::Missing { kind: "program", name })?;
    program.try_into().map_err(Error::program("opening", name))
}

fn fd(bench: &mut Ebpf, name: &'static str) -> Result<ProgramFd, Error> {
    let fd = classifier(bench, name)?.fd().map_err(Error::program("opening", name))?;
    fd.try_clone().map_err(Error::room("keeping a program"))
}
