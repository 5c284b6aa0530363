//! What is measured, in which order.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::pods::Position;
use super::report::Conditions;
use super::setup::SetupName;
use super::traffic::{MESSAGE, Window, Work};

/// The MTU of most networks, and the one of jumbo frames as clouds have them, in bytes.
const MTUS: [u32; 2] = [1500, 9001];
/// Before a sample counts: a thousand round trips between pods of one machine, when windows have long grown.
const WARM_UP: Duration = Duration::from_millis(100);
/// Sizes at which packets of connections that are known are measured in one way only: they do not come by the peers, so
/// that what lies between the sizes around it has nothing to tell.
const BETWEEN: RangeInclusive<usize> = 11..=9_999;

/// What things take on two processors; only [what is left](Options::expected) is told by them.
mod takes {
    use std::time::Duration;

    /// Threads, sockets and a connection, beside a sample's own time.
    pub(super) const STARTING: Duration = Duration::from_millis(15);
    /// A second of another program, with its start and end.
    pub(super) const TOOL: Duration = Duration::from_millis(1_300);
    /// Both changes of a setup, made, seen and undone, and once more for their processor time.
    pub(super) const CHANGES: Duration = Duration::from_millis(3_100);
    /// All probes of all setups.
    pub(super) const PROOF: Duration = Duration::from_millis(1_200);
    /// Loading rules into a setup, and waiting until what they take can be told.
    pub(super) const LOADING: Duration = Duration::from_millis(350);
    /// Writing one peer to the API, and removing it.
    pub(super) const PEER: Duration = Duration::from_micros(500);
    /// Making all setups.
    pub(super) const BUILDING: Duration = Duration::from_secs(8);
}

/// What to measure.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which setups; `veth` is always among them.
    pub setups: Vec<SetupName>,
    /// Peers of the policy, for each size.
    pub sizes: Vec<usize>,
    /// Rounds.
    pub rounds: usize,
    /// How long each sample is taken.
    pub time: Duration,
    /// One connection at MTU 1500, requests and connections only, from the last peer.
    pub quick: bool,
    /// Rounds in which our generator is compared with other programs; with none it is not.
    pub cross_checks: usize,
}

impl Options {
    /// Everything: about 40 minutes.
    #[must_use]
    pub fn full() -> Self {
        Self {
            setups: SetupName::ALL.to_vec(),
            sizes: vec![0, 10, 100, 1_000, 10_000],
            rounds: 7,
            time: Duration::from_secs(1),
            quick: false,
            cross_checks: 5,
        }
    }

    /// In at most five minutes.
    #[must_use]
    pub fn quick() -> Self {
        Self {
            setups: vec![SetupName::Veth, SetupName::IptablesNft, SetupName::Nftables, SetupName::Netloom],
            sizes: vec![10, 10_000],
            rounds: 5,
            cross_checks: 3,
            quick: true,
            ..Self::full()
        }
    }

    /// How long a sample is taken, and for how long nothing counts before.
    pub(crate) fn window(&self) -> Window {
        Window { warm_up: WARM_UP, time: self.time }
    }

    /// The same beside another program: half as long in a quick run, whose time it would be otherwise.
    pub(crate) fn beside(&self) -> Window {
        let time = if self.quick { self.time / 2 } else { self.time };
        Window { time, ..self.window() }
    }

    /// One sample of one setup, with what leads to it.
    pub(crate) fn sampling(&self) -> Duration {
        WARM_UP + self.time + takes::STARTING
    }

    /// Both changes, once in each setup that enforces.
    pub(crate) fn changing(&self) -> Duration {
        takes::CHANGES * count(self.setups.iter().filter(|setup| **setup != SetupName::Veth).count())
    }

    /// One pair of samples, ours and another program's.
    pub(crate) fn pairing(&self) -> Duration {
        let window = self.beside();
        window.warm_up + window.time + takes::STARTING + takes::TOOL
    }

    /// Loading a size and proving it, before and after.
    pub(crate) fn loading(&self, peers: usize) -> Duration {
        let writing = if self.setups.contains(&SetupName::Netloom) {
            takes::PEER * count(peers)
        } else {
            Duration::ZERO
        };
        takes::LOADING * count(self.setups.len()) + writing + takes::PROOF * 2
    }

    /// Before the first size: what the generator can do, building, and the proof without policies.
    pub(crate) fn beginning(&self) -> Duration {
        self.sampling() * 4 + takes::BUILDING + takes::PROOF
    }

    /// How long all of it takes, with so many programs beside whose generators ours is checked, over so many setups.
    pub(crate) fn expected(&self, tools: usize, over: usize) -> Duration {
        let size = |&peers: &usize| {
            let cases: usize = self.cases(peers).iter().map(|(_, cases)| cases.len()).sum();
            let changes = if peers > 0 { self.changing() * count(self.rounds) } else { Duration::ZERO };
            self.loading(peers) + self.sampling() * count(cases * self.rounds * self.setups.len()) + changes
        };
        let pairs = count(tools * over * self.cross_checks);
        self.beginning() + self.sizes.iter().map(size).sum::<Duration>() + self.pairing() * pairs
    }

    /// Everything that is measured in a round at a size, by the MTU that it needs: links change seldom.
    pub(crate) fn cases(&self, peers: usize) -> Vec<(u32, Vec<Case>)> {
        let mtus = if self.quick { &MTUS[..1] } else { &MTUS[..] };
        let of = |&mtu: &u32| Some((mtu, self.cases_at(peers, mtu))).filter(|(_, cases)| !cases.is_empty());
        mtus.iter().filter_map(of).collect()
    }

    fn cases_at(&self, peers: usize, mtu: u32) -> Vec<Case> {
        let all = !self.quick && !BETWEEN.contains(&peers);
        if mtu != MTUS[0] && !all {
            return Vec::new();
        }
        let mut cases = vec![Case::new(Work::Stream { streams: 1 }, peers, mtu, Position::Last)];
        if all {
            cases.push(Case::new(Work::Stream { streams: 8 }, peers, mtu, Position::Last));
        }
        if mtu != MTUS[0] {
            return cases;
        }
        cases.push(Case::new(Work::Exchange, peers, mtu, Position::Last));
        cases.push(Case::new(Work::Connect, peers, mtu, Position::Last));
        if self.quick {
            return cases;
        }
        if peers > 0 {
            // Only a connection's first packet comes by the peers.
            cases.extend(
                [Position::First, Position::Middle].map(|at| Case::new(Work::Connect, peers, mtu, at)),
            );
        }
        let bytes = if all { &[64, 1_400][..] } else { &[64] };
        cases.extend(
            bytes.iter().map(|&bytes| Case::new(Work::Datagrams { bytes }, peers, mtu, Position::Last)),
        );
        cases
    }
}

/// A count to multiply a time with.
fn count(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// One kind of sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Case {
    pub(crate) work: Work,
    pub(crate) client: Position,
    pub(crate) conditions: Conditions,
}

impl Case {
    fn new(work: Work, peers: usize, mtu: u32, client: Position) -> Self {
        let (streams, bytes) = match work {
            Work::Stream { streams } => (streams, None),
            Work::Exchange => (1, u32::try_from(MESSAGE).ok()),
            Work::Connect => (1, None),
            Work::Datagrams { bytes } => (1, Some(bytes)),
        };
        let position = (peers > 0).then_some(client);
        let conditions = Conditions { peers, position, streams: Some(streams), mtu: Some(mtu), bytes };
        Self { work, client, conditions }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quick_is_what_it_says() {
        let quick = Options::quick();
        let cases = quick.cases(10_000);
        assert_eq!(cases.len(), 1);
        let works: Vec<_> = cases[0].1.iter().map(|case| case.work).collect();
        assert_eq!(works, [Work::Stream { streams: 1 }, Work::Exchange, Work::Connect]);
        assert!(cases[0].1.iter().all(|case| case.conditions.position == Some(Position::Last)));
    }

    #[test]
    fn no_case_is_measured_twice() {
        let full = Options::full();
        for &peers in &full.sizes {
            let cases: Vec<Case> = full.cases(peers).into_iter().flat_map(|(_, cases)| cases).collect();
            for (index, case) in cases.iter().enumerate() {
                let same = |other: &Case| (other.work, other.conditions) == (case.work, case.conditions);
                assert!(!cases[..index].iter().any(same), "{case:?}");
            }
            let expected = match peers {
                0 => 8,
                10 | 10_000 => 10,
                _ => 6,
            };
            assert_eq!(cases.len(), expected, "{peers} peers");
        }
    }

    /// What the documentation promises, on a machine of two processors with all three programs.
    #[test]
    fn a_run_fits_its_time() {
        let minutes = |options: &Options| options.expected(3, 2).as_secs_f64() / 60.0;
        let (full, quick) = (minutes(&Options::full()), minutes(&Options::quick()));
        assert!((35.0..=42.0).contains(&full), "{full} minutes");
        assert!((4.0..=4.8).contains(&quick), "{quick} minutes");
        assert!(Options::full().rounds >= 5 && Options::quick().rounds >= 5);
    }
}
