//! What is measured, in which order.

use std::time::Duration;

use super::pods::Position;
use super::report::Conditions;
use super::setup::SetupName;
use super::traffic::{MESSAGE, Window, Work};

/// The MTU of most networks, and the one of jumbo frames as clouds have them, in bytes.
const MTUS: [u32; 2] = [1500, 9001];

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
    /// Everything: about an hour.
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
            cross_checks: 1,
            quick: true,
            ..Self::full()
        }
    }

    /// How long a sample is taken, and for how long nothing counts before.
    pub(crate) fn window(&self) -> Window {
        Window { warm_up: Duration::from_millis(200), time: self.time }
    }

    /// Everything that is measured in a round at a size, by the MTU that it needs: links change seldom.
    pub(crate) fn cases(&self, peers: usize) -> Vec<(u32, Vec<Case>)> {
        let mtus = if self.quick { &MTUS[..1] } else { &MTUS[..] };
        mtus.iter().map(|&mtu| (mtu, self.cases_at(peers, mtu))).collect()
    }

    fn cases_at(&self, peers: usize, mtu: u32) -> Vec<Case> {
        let mut cases = vec![Case::new(Work::Stream { streams: 1 }, peers, mtu, Position::Last)];
        if !self.quick {
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
            // Packets of a connection that is known do not come by the peers again; new connections do.
            cases.extend(
                [Position::First, Position::Middle].map(|at| Case::new(Work::Connect, peers, mtu, at)),
            );
        }
        cases.extend(
            [64, 1_400].map(|bytes| Case::new(Work::Datagrams { bytes }, peers, mtu, Position::Last)),
        );
        cases
    }
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
            assert_eq!(cases.len(), if peers == 0 { 8 } else { 10 });
        }
    }
}
