//! What a node's datapath did with packets, by its counters.

use abi::DropReason;
use api::Status;

/// Packets that the datapath of a node let through and dropped since it was loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Judged {
    forwarded: u64,
    dropped: u64,
    /// Of those that were dropped: their connection found no room.
    without_room: u64,
}

impl Judged {
    /// What an agent tells.
    pub(super) fn of(status: &Status) -> Self {
        let dropped = |wanted: &dyn Fn(&str) -> bool| {
            status.dropped.iter().filter(|(reason, ..)| wanted(reason)).map(|(.., packets)| packets).sum()
        };
        Self {
            forwarded: status.forwarded,
            dropped: dropped(&|_| true),
            without_room: dropped(&|reason| reason == DropReason::ConntrackFull.sentence()),
        }
    }

    /// Holds that every connection could be remembered, ever; or says what was.
    pub(super) fn hold_room(self) -> Result<(), String> {
        match self.without_room {
            0 => Ok(()),
            packets => Err(format!(
                "{packets} packets were dropped because {}",
                DropReason::ConntrackFull.sentence()
            )),
        }
    }

    /// Holds that packets were let through since then and, where there is a policy, dropped; or says what was.
    pub(super) fn hold_judging(self, since: Self, peers: usize) -> Result<(), String> {
        let forwarded = self.forwarded.saturating_sub(since.forwarded);
        let dropped = self.dropped.saturating_sub(since.dropped);
        if forwarded > 0 && (dropped > 0 || peers == 0) {
            return Ok(());
        }
        Err(format!(
            "with {peers} peers the datapath let {forwarded} packets through and dropped {dropped}, and both must be some"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_judged_since_counts() {
        let before = Judged { forwarded: 100, dropped: 10, without_room: 0 };
        let after = Judged { forwarded: 101, dropped: 11, ..before };
        after.hold_judging(before, 10).unwrap();
        for idle in [Judged { dropped: 10, ..after }, Judged { forwarded: 100, ..after }] {
            idle.hold_judging(before, 10).unwrap_err();
        }
        Judged { dropped: 10, ..after }.hold_judging(before, 0).unwrap();
    }

    #[test]
    fn a_full_table_is_never_overlooked() {
        Judged::default().hold_room().unwrap();
        let said = Judged { without_room: 3, ..Judged::default() }.hold_room().unwrap_err();
        assert!(said.starts_with("3 packets") && said.contains("could not be remembered"), "{said}");
    }
}
