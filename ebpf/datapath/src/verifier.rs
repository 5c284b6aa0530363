//! What the verifier walked, as it says itself: for kernels before 5.16, which do not tell afterwards.
//!
//! The programs are loaded once more with the verifier's statistics asked for, and dropped.
#![expect(unsafe_code, reason = "loads a program by the system call, since only that returns the log")]

use std::collections::HashSet;
use std::ffi::CStr;
use std::io;
use std::mem::{size_of, zeroed};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};

use aya::EbpfLoader;
use aya::maps::{Map, MapData};
use aya_obj::Object;
use aya_obj::generated::{bpf_attr, bpf_cmd, bpf_prog_type};

use crate::error::Error;
use crate::object::OBJECT;
use crate::program::Program;

/// `BPF_LOG_STATS` of `linux/bpf.h`.
const LOG_STATS: u32 = 4;

/// What the verifier found of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The program.
    pub program: Program,
    /// Instructions that the verifier walked.
    pub instructions: u32,
    /// Bytes of stack that the program uses; 512 is the most.
    pub stack: u32,
}

/// What the verifier found of each program, by its own log.
///
/// # Errors
/// When the object cannot be loaded, or the log does not say.
pub fn verify() -> Result<Vec<Verified>, Error> {
    let unreadable = |source: &dyn std::error::Error| Error::Log { what: source.to_string() };
    let ebpf = EbpfLoader::new().load(OBJECT).map_err(|source| Error::Object { source: Box::new(source) })?;
    let mut object = Object::parse(OBJECT).map_err(|error| unreadable(&error))?;
    let maps = object.maps.clone();
    let fds: Vec<(&str, RawFd)> =
        ebpf.maps().filter_map(|(name, map)| Some((name, data(map)?.fd().as_fd().as_raw_fd()))).collect();
    let relocations = fds.iter().filter_map(|(name, fd)| Some((*name, *fd, maps.get(*name)?)));
    let text: HashSet<usize> = object.functions.keys().map(|(section, _)| *section).collect();
    object.relocate_maps(relocations, &text).map_err(|error| unreadable(&error))?;
    object.relocate_calls(&text).map_err(|error| unreadable(&error))?;

    Program::ALL
        .into_iter()
        .map(|program| {
            let missing = Error::Missing { kind: "program", name: program.name() };
            let parsed = object.programs.get(program.name());
            let function = parsed.and_then(|parsed| object.functions.get(&parsed.function_key()));
            let (Some(parsed), Some(function)) = (parsed, function) else { return Err(missing) };
            let log = load(&function.instructions, &parsed.license).map_err(|error| unreadable(&error))?;
            let silent = || Error::Log { what: format!("no instructions or no stack in {log:?}") };
            let instructions = number_after(&log, "processed ").ok_or_else(silent)?;
            let stack = number_after(&log, "stack depth ").ok_or_else(silent)?;
            Ok(Verified { program, instructions, stack })
        })
        .collect()
}

/// The number behind a word of the log, as in `processed N insns (limit …` and `stack depth N`.
fn number_after(log: &str, word: &str) -> Option<u32> {
    let (_, rest) = log.split_once(word)?;
    rest.split(|other: char| !other.is_ascii_digit()).next()?.parse().ok()
}

/// The descriptor behind a map of a kind that the datapath has.
const fn data(map: &Map) -> Option<&MapData> {
    match map {
        Map::Array(data)
        | Map::HashMap(data)
        | Map::LruHashMap(data)
        | Map::LpmTrie(data)
        | Map::PerCpuArray(data)
        | Map::ProgramArray(data)
        | Map::RingBuf(data) => Some(data),
        _ => None,
    }
}

/// Loads a classifier, and returns what the verifier said.
fn load(instructions: &[aya_obj::generated::bpf_insn], license: &CStr) -> io::Result<String> {
    let mut log = vec![0_u8; 1 << 16];
    // SAFETY: all zeroes are a valid `bpf_attr`.
    let mut attr: bpf_attr = unsafe { zeroed() };
    // SAFETY: the fields are those of BPF_PROG_LOAD.
    let load = unsafe { &mut attr.__bindgen_anon_3 };
    load.prog_type = bpf_prog_type::BPF_PROG_TYPE_SCHED_CLS as u32;
    load.insns = instructions.as_ptr() as u64;
    load.insn_cnt = instructions.len() as u32;
    load.license = license.as_ptr() as u64;
    load.log_level = LOG_STATS;
    load.log_buf = log.as_mut_ptr() as u64;
    load.log_size = log.len() as u32;
    // SAFETY: the pointers in `attr` are valid for the lengths beside them until the call returns.
    let fd =
        unsafe { libc::syscall(libc::SYS_bpf, bpf_cmd::BPF_PROG_LOAD, &raw mut attr, size_of::<bpf_attr>()) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just handed over this descriptor.
    drop(unsafe { OwnedFd::from_raw_fd(fd as RawFd) });
    log.truncate(log.iter().position(|byte| *byte == 0).unwrap_or(log.len()));
    Ok(String::from_utf8_lossy(&log).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_numbers() {
        let log =
            "verification time 3 usec\nstack depth 216\nprocessed 340 insns (limit 1000000) max_states 2\n";
        assert_eq!(number_after(log, "processed "), Some(340));
        assert_eq!(number_after(log, "stack depth "), Some(216));
        assert_eq!(number_after("func#0 @0", "processed "), None);
    }
}
