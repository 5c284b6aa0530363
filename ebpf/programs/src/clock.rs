//! Time.

use abi::Config;
use aya_ebpf::helpers::bpf_ktime_get_ns;

/// `CLOCK_MONOTONIC` in nanoseconds.
#[inline(always)]
pub fn nanoseconds() -> u64 {
    // SAFETY: the helper has no preconditions.
    unsafe { bpf_ktime_get_ns() }
}

/// `CLOCK_MONOTONIC` in ticks.
#[inline(always)]
pub fn ticks() -> u32 {
    (nanoseconds() >> Config::TICK_SHIFT) as u32
}
