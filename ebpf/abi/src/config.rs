//! What the programs are told about their node.

use crate::layout::layout;

/// The node's settings, a single entry that may change while programs run.
///
/// # Ticks
/// The datapath counts time in units of 2^30 ns (1.074 s) of `CLOCK_MONOTONIC`: a shift instead of a
/// division for each packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Config {
    /// Largest IP packet that may leave by the node's uplink, in bytes; larger ones take the stack, which
    /// answers with "packet too big".
    pub mtu: u32,
    /// Events that one CPU may report in a tick.
    pub events_per_tick: u32,
    /// UDP port of the node's overlay in the host's order, zero where there is none: closed to pods.
    pub overlay_port: u32,
    /// Lifetime of a connection that no end has confirmed, in ticks.
    pub unconfirmed_ticks: u32,
    /// Lifetime of an idle TCP connection, in ticks.
    pub tcp_ticks: u32,
    /// Lifetime of an idle exchange of any other protocol, in ticks.
    pub other_ticks: u32,
    /// How long a closed TCP connection is remembered, in ticks.
    pub closing_ticks: u32,
    /// The host's end of every pod's link has this MAC address.
    pub gateway_mac: [u8; 6],
    /// Always zero.
    pub pad: [u8; 2],
}

impl Config {
    /// The length of a tick as a power of two of nanoseconds.
    pub const TICK_SHIFT: u32 = 30;
    /// The MAC address of the host's end of every pod's link (locally administered).
    pub const GATEWAY_MAC: [u8; 6] = [0x02, 0x6e, 0x6c, 0x00, 0x00, 0x01];

    /// Whole ticks that last at least `seconds`.
    #[must_use]
    pub const fn ticks(seconds: u32) -> u32 {
        ((seconds as u64 * 1_000_000_000).div_ceil(1 << Self::TICK_SHIFT)) as u32
    }
}

impl Default for Config {
    /// Lifetimes as Cilium's agent has them: 60 s unconfirmed, 8000 s TCP, 60 s others, 10 s closing.
    fn default() -> Self {
        Self {
            mtu: 1500,
            events_per_tick: 4096,
            overlay_port: 0,
            unconfirmed_ticks: Self::ticks(60),
            tcp_ticks: Self::ticks(8000),
            other_ticks: Self::ticks(60),
            closing_ticks: Self::ticks(10),
            gateway_mac: Self::GATEWAY_MAC,
            pad: [0; 2],
        }
    }
}

layout! { Config => 36 }
