//! Where a program's paths meet.

use core::arch::asm;

/// Makes the compiler keep what is known of a packet in memory here, and read it again afterwards: see
/// [`ebpf_core::Tables::checkpoint`].
#[inline(always)]
pub fn checkpoint() {
    // SAFETY: does nothing; but the compiler has to assume that it reads and writes memory.
    unsafe { asm!("", options(nostack, preserves_flags)) }
}
