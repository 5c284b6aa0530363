//! Packets and bytes by what became of them.

use crate::layout::layout;
use crate::{Direction, DropReason};

/// A per-CPU counter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Counter {
    /// Packets.
    pub packets: u64,
    /// Bytes, link header included.
    pub bytes: u64,
}

/// What a counter counts: its index in the array of counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CounterKey {
    /// Packets let through.
    Forwarded(Direction),
    /// Packets dropped.
    Dropped(DropReason, Direction),
    /// Events that found no room in the ring buffer.
    EventsLost,
    /// Events left out by the rate limit.
    EventsLimited,
}

impl CounterKey {
    /// The number of counters.
    pub const COUNT: u32 = 512;

    /// The index of packets that were dropped for a reason, by its number, or let through where that is zero.
    #[inline(always)]
    #[must_use]
    pub const fn index_of(reason: u32, direction: u8) -> u32 {
        (reason & 0xff) * 2 + (direction & 1) as u32
    }

    /// The counter's index. Indexes 0 and 1 are forwarded packets, 2 and 3 lost events; a drop reason's
    /// are twice its number, plus the direction.
    #[inline(always)]
    #[must_use]
    pub const fn index(self) -> u32 {
        match self {
            Self::Forwarded(direction) => direction as u32,
            Self::EventsLost => 2,
            Self::EventsLimited => 3,
            Self::Dropped(reason, direction) => reason as u32 * 2 + direction as u32,
        }
    }
}

layout! { Counter => 16 }
