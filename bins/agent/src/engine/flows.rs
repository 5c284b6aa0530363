//! Events of the datapath become flows.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use flow::Flow;
use nix::time::{ClockId, clock_gettime};

use super::Engine;
use crate::flows::Seen;
use crate::readable::Readable;

/// How long events are left in the ring buffer after it was read. The kernel wakes a reader for an event only where the
/// reader has seen all before it, so an agent that reads each at once is woken for each: that cost more than judging
/// the packets. There is room for all that is reported in that time (`Config::events_per_tick`) many times over.
const GATHERING: Duration = Duration::from_millis(10);

impl Engine {
    /// Returns when there are events, but not before `from`; or never where they cannot be waited for. What came while
    /// nobody waited is not lost.
    pub(super) async fn ready(events: &Readable, from: Instant) {
        tokio::time::sleep_until(from.into()).await;
        if let Err(error) = events.wait().await {
            tracing::error!(%error, "the datapath's events cannot be waited for");
            std::future::pending::<()>().await;
        }
    }

    /// Reads all events that are there.
    pub(super) fn read_events(&mut self) {
        self.events_from = Instant::now() + GATHERING;
        let offset = wall_clock_offset();
        while let Some(event) = self.events.next_event() {
            match Flow::decode(&event) {
                Ok(flow) => {
                    let seen = self.seen(flow, offset);
                    self.flows.push(seen);
                }
                Err(unknown) => {
                    tracing::warn!(%unknown, "the datapath reported what this agent does not know");
                }
            }
        }
    }

    fn seen(&mut self, flow: Flow, offset: Duration) -> Seen {
        Seen {
            time_ns: u64::try_from((offset + Duration::from_nanos(flow.time)).as_nanos()).unwrap_or(u64::MAX),
            source: self.cluster.holder(flow.source.address),
            destination: self.cluster.holder(flow.destination.address),
            judgement: flow.judged.and_then(|(generation, peer, port)| {
                let mut installed = self.installed.iter_mut();
                Some(installed.find(|installed| installed.generation == generation)?.judgement(peer, port))
            }),
            flow,
        }
    }
}

/// What to add to `CLOCK_MONOTONIC` for the time since 1970.
fn wall_clock_offset() -> Duration {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let monotonic = clock_gettime(ClockId::CLOCK_MONOTONIC).map(Duration::from).unwrap_or_default();
    wall.saturating_sub(monotonic)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::fd::AsFd;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn a_wait_that_is_cut_off_loses_no_event() {
        let (reader, mut writer) = std::io::pipe().unwrap();
        let there = Readable::new(reader.as_fd()).unwrap();
        writer.write_all(b"x").unwrap();
        let (later, soon) = (Instant::now() + Duration::from_millis(80), Duration::from_millis(10));
        assert!(timeout(soon, Engine::ready(&there, later)).await.is_err(), "it did not wait");
        assert!(
            timeout(Duration::from_secs(10), Engine::ready(&there, later)).await.is_ok(),
            "the event is lost"
        );
        assert!(Instant::now() >= later);
    }
}
