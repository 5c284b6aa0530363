//! The committed object.

/// The programs of `ebpf/programs` as they were built with the pinned toolchain. Aligned as the ELF parser
/// wants it.
pub(crate) static OBJECT: &[u8] = aya::include_bytes_aligned!("../prebuilt/netloom.bpf.o");
