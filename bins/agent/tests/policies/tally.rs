//! What came of judging.

use abi::EventKind;

/// Packets by what became of them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    /// Packets that were judged, each by one policy set.
    pub(crate) pairs: usize,
    allowed: usize,
    dropped: usize,
    redirected: usize,
    authenticated: usize,
    audited: usize,
}

impl Tally {
    pub(crate) fn count(&mut self, kind: EventKind, redirects: bool, authenticates: bool) {
        self.pairs += 1;
        match kind {
            EventKind::Allowed => self.allowed += 1,
            EventKind::Dropped => self.dropped += 1,
            EventKind::Audited => self.audited += 1,
        }
        self.redirected += usize::from(redirects);
        self.authenticated += usize::from(authenticates);
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.pairs += other.pairs;
        self.allowed += other.allowed;
        self.dropped += other.dropped;
        self.redirected += other.redirected;
        self.authenticated += other.authenticated;
        self.audited += other.audited;
    }

    /// They are worth something only where all kinds of things happen.
    pub(crate) fn assert_varied(&self) {
        for kind in [self.allowed, self.dropped, self.audited] {
            assert!(kind > self.pairs / 100, "{self:?}");
        }
        for kind in [self.redirected, self.authenticated] {
            assert!(kind > self.pairs / 1000, "{self:?}");
        }
    }
}
