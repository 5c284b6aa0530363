//! How many addresses a node should have: Cilium's formulas.

/// What the node's settings ask for, in addresses (`spec.ipam`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Watermarks {
    /// Free addresses to keep at hand (`pre-allocate`; 8 unless said).
    pub pre_allocate: u32,
    /// Addresses to have at least (`min-allocate`).
    pub min_allocate: u32,
    /// Addresses to have at most; 0 for no bound (`max-allocate`).
    pub max_allocate: u32,
    /// Addresses to ask for beyond what is needed, so as to ask less often (`max-above-watermark`).
    pub max_above_watermark: u32,
}

impl Default for Watermarks {
    fn default() -> Self {
        Self { pre_allocate: 8, min_allocate: 0, max_allocate: 0, max_above_watermark: 0 }
    }
}

/// A node's addresses, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Count {
    /// Addresses that the node has, used or not.
    pub available: u32,
    /// Addresses that it uses.
    pub used: u32,
    /// Pods of the node that have no address yet.
    pub pending: u32,
}

/// Addresses that the node lacks.
///
/// `max(pre-allocate + used - available, min-allocate - available)`, at least 0, and no more than `max-allocate`
/// leaves room for (Cilium's `calculateNeededIPs`).
#[must_use]
pub fn needed(watermarks: Watermarks, count: Count) -> u32 {
    let Watermarks { pre_allocate, min_allocate, max_allocate, .. } = watermarks;
    let Count { available, used, .. } = count;
    let needed = pre_allocate
        .saturating_add(used)
        .saturating_sub(available)
        .max(min_allocate.saturating_sub(available));
    if max_allocate > 0 { needed.min(max_allocate.saturating_sub(available)) } else { needed }
}

/// Addresses to ask for: nothing if none is needed. Otherwise what is [needed], `max-above-watermark`, and a surge for
/// pods that wait: `max(pending - needed, 0)` (Cilium's `MaxIPsToAllocate`), within `max-allocate`.
///
/// Beyond Cilium: more is asked for at once where more will be needed as soon as the pods that wait have their
/// addresses, which saves a second call; and pods that wait and find no address free are a need of their own, without
/// which they would wait for ever with a `pre-allocate` of 0.
///
/// ```
/// use ipam::eni::{Count, Watermarks, wanted};
/// let count = Count { available: 16, used: 10, pending: 30 };
/// assert_eq!(wanted(Watermarks::default(), count), 32);
/// assert_eq!(wanted(Watermarks::default(), Count { pending: 0, ..count }), 2);
/// assert_eq!(wanted(Watermarks::default(), Count { used: 8, pending: 0, ..count }), 0);
/// ```
#[must_use]
pub fn wanted(watermarks: Watermarks, count: Count) -> u32 {
    let needed = needed(watermarks, count);
    let free = count.available.saturating_sub(count.used);
    if needed == 0 && count.pending <= free {
        return 0;
    }
    let surge = count.pending.saturating_sub(needed);
    let formula = needed.saturating_add(watermarks.max_above_watermark).saturating_add(surge);
    let then = Count { used: count.used.saturating_add(count.pending), ..count };
    let ahead = self::needed(watermarks, then);
    let wanted = if needed > 0 { formula.max(ahead) } else { ahead };
    let room = match watermarks.max_allocate {
        0 => u32::MAX,
        most => most.saturating_sub(count.available),
    };
    wanted.min(room)
}

/// Addresses that the node could do without (Cilium's `calculateExcessIPs`).
///
/// With `floor = min-allocate + max-above-watermark`: while no more than the floor is used, nothing if no more than the
/// floor is there, and what is above the floor if use and `pre-allocate` stay within it. Otherwise
/// `max(available - used - pre-allocate - max-above-watermark, 0)`.
#[must_use]
pub fn excess(watermarks: Watermarks, count: Count) -> u32 {
    let Watermarks { pre_allocate, min_allocate, max_above_watermark, .. } = watermarks;
    let Count { available, used, .. } = count;
    let floor = min_allocate.saturating_add(max_above_watermark);
    if used <= floor {
        if available <= floor {
            return 0;
        }
        if used.saturating_add(pre_allocate) <= floor {
            return available - floor;
        }
    }
    let kept = used.saturating_add(pre_allocate).saturating_add(max_above_watermark);
    available.saturating_sub(kept)
}

/// Addresses in use, from what the agent asks for: it asks for what is in use, and `pre-allocate` beyond.
#[must_use]
pub fn used(watermarks: Watermarks, requested: u32) -> u32 {
    requested.saturating_sub(watermarks.pre_allocate)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marks(
        pre_allocate: u32,
        min_allocate: u32,
        max_allocate: u32,
        max_above_watermark: u32,
    ) -> Watermarks {
        Watermarks { pre_allocate, min_allocate, max_allocate, max_above_watermark }
    }

    fn count(available: u32, used: u32, pending: u32) -> Count {
        Count { available, used, pending }
    }

    #[test]
    fn needs() {
        for (marks, count, expected) in [
            (marks(8, 0, 0, 0), count(0, 0, 0), 8),
            (marks(8, 0, 0, 0), count(16, 8, 0), 0),
            (marks(8, 0, 0, 0), count(16, 9, 0), 1),
            (marks(8, 20, 0, 0), count(16, 0, 0), 4),
            (marks(8, 0, 17, 0), count(16, 16, 0), 1),
            (marks(8, 0, 16, 0), count(16, 16, 0), 0),
            (marks(8, 0, 4, 0), count(16, 16, 0), 0),
        ] {
            assert_eq!(needed(marks, count), expected, "{marks:?} {count:?}");
        }
    }

    #[test]
    fn surge_and_watermark() {
        assert_eq!(wanted(marks(8, 0, 0, 10), count(0, 0, 0)), 18);
        assert_eq!(wanted(marks(8, 0, 0, 10), count(0, 0, 100)), 8 + 10 + 92);
        assert_eq!(wanted(marks(8, 0, 40, 10), count(16, 0, 100)), 24);
        // Without a cushion, pods that wait are a need of their own.
        assert_eq!(wanted(marks(0, 0, 0, 0), count(16, 16, 3)), 3);
        assert_eq!(wanted(marks(0, 0, 0, 0), count(16, 14, 2)), 0);
    }

    #[test]
    fn what_can_be_done_without() {
        for (marks, count, expected) in [
            (marks(8, 0, 0, 0), count(48, 8, 0), 32),
            (marks(8, 0, 0, 4), count(48, 8, 0), 28),
            (marks(8, 0, 0, 0), count(16, 16, 0), 0),
            (marks(8, 20, 0, 0), count(20, 0, 0), 0),
            (marks(8, 20, 0, 0), count(48, 10, 0), 28),
            (marks(8, 20, 0, 0), count(48, 15, 0), 25),
        ] {
            assert_eq!(excess(marks, count), expected, "{marks:?} {count:?}");
        }
    }

    /// Otherwise the same would be given and taken for ever.
    #[test]
    fn who_wants_something_has_no_excess_and_who_gives_it_up_wants_nothing() {
        for pre in 0..10 {
            for min in 0..20 {
                for above in 0..10 {
                    for (available, used) in (0..40).flat_map(|a| (0..40).map(move |u| (a, u))) {
                        let (marks, count) = (marks(pre, min, 0, above), count(available, used, 0));
                        let excess = excess(marks, count);
                        if wanted(marks, count) > 0 {
                            assert_eq!(excess, 0, "{marks:?} {count:?}");
                        }
                        let then = Count { available: available - excess, ..count };
                        assert!(excess == 0 || wanted(marks, then) == 0, "{marks:?} {count:?}");
                    }
                }
            }
        }
    }
}
