//! The programs of the object, and what the kernel says of them.

use aya::Ebpf;
use aya::programs::{ProgramError, ProgramFd, SchedClassifier};
use nix::sys::utsname::uname;

use crate::error::{Error, refused};
use crate::verifier::Verified;

/// A program of the datapath.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Program {
    /// Packets that a pod sends.
    FromPod,
    /// Packets that the stack sends to a pod.
    ToPod,
    /// Packets from the node's uplink.
    FromNetdev,
    /// The last step to a pod; tail-called.
    ToEndpoint,
    /// Answers ARP; tail-called.
    Arp,
}

impl Program {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::FromPod, Self::ToPod, Self::FromNetdev, Self::ToEndpoint, Self::Arp];

    /// Its name in the object.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::FromPod => "from_pod",
            Self::ToPod => "to_pod",
            Self::FromNetdev => "from_netdev",
            Self::ToEndpoint => "to_endpoint",
            Self::Arp => "arp",
        }
    }
}

/// What the kernel says of a loaded program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramReport {
    /// Its name.
    pub name: String,
    /// Instructions that the verifier walked.
    pub verified_insns: u32,
    /// Bytes of stack that it uses; 512 is the most.
    pub stack: u32,
    /// Bytes of machine code.
    pub jited_bytes: u32,
    /// Bytes of verified BPF.
    pub translated_bytes: Option<u32>,
    /// Bytes of kernel memory that it takes.
    pub memory: u32,
}

/// The classifier of this name.
pub(crate) fn classifier<'a>(
    ebpf: &'a mut Ebpf,
    name: &'static str,
) -> Result<&'a mut SchedClassifier, Error> {
    let program = ebpf.program_mut(name).ok_or(Error::Missing { kind: "program", name })?;
    program.try_into().map_err(|_: ProgramError| Error::Missing { kind: "classifier", name })
}

/// Loads the classifier of this name.
pub(crate) fn load(ebpf: &mut Ebpf, name: &'static str) -> Result<(), Error> {
    classifier(ebpf, name)?.load().map_err(|error| refused(name, kernel_release(), error))
}

/// A descriptor of the loaded classifier of this name.
pub(crate) fn fd(ebpf: &mut Ebpf, name: &'static str) -> Result<ProgramFd, Error> {
    let fd = classifier(ebpf, name)?
        .fd()
        .map_err(|source| Error::Examine { program: name, source: Box::new(source) })?;
    fd.try_clone().map_err(Error::attach(name, "the tail calls"))
}

/// What the kernel says of a loaded program, and said when it verified it.
pub(crate) fn report(ebpf: &mut Ebpf, verified: &Verified) -> Result<ProgramReport, Error> {
    let name = verified.program.name();
    let info = classifier(ebpf, name)?
        .info()
        .map_err(|source| Error::Examine { program: name, source: Box::new(source) })?;
    Ok(ProgramReport {
        name: name.to_owned(),
        verified_insns: verified.instructions,
        stack: verified.stack,
        jited_bytes: info.size_jitted(),
        translated_bytes: info.size_translated(),
        memory: info.memory_locked().unwrap_or_default(),
    })
}

fn kernel_release() -> String {
    uname().map_or_else(|_| "unknown".into(), |names| names.release().to_string_lossy().into_owned())
}
