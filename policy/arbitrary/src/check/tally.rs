//! What was compared, so that nobody takes much of the same for much.

use std::collections::BTreeMap;
use std::fmt;

use policy::oracle::Judgement;
use policy::{Tier, Verdict};

/// How many answers there were of each kind.
#[derive(Debug, Default)]
pub struct Tally {
    /// Different pairs of a set of policies and a packet.
    pub pairs: u64,
    by_kind: BTreeMap<(Verdict, &'static str), u64>,
    authenticated: u64,
}

impl Tally {
    /// Counts an answer.
    pub(crate) fn add(&mut self, judged: &Judgement) {
        let tier = match judged.tier {
            Some(Tier::Admin(_)) => "admin",
            Some(Tier::Normal) => "normal",
            Some(Tier::Baseline(_)) => "baseline",
            None => "none",
        };
        self.pairs += 1;
        *self.by_kind.entry((judged.verdict, tier)).or_default() += 1;
        self.authenticated += u64::from(judged.authentication.is_some());
    }

    /// Fails where one kind of answer is so rare that the comparison holds little.
    ///
    /// # Panics
    /// That is how it fails.
    pub fn assert_varied(&self) {
        for (verdict, least) in [(Verdict::Allow, 25.0), (Verdict::Deny, 25.0), (Verdict::Redirect, 0.5)] {
            assert!(self.share(|(of, _)| of == verdict) >= least, "{verdict}: {self}");
        }
        for (tier, least) in [("admin", 2.0), ("normal", 30.0), ("baseline", 0.1), ("none", 5.0)] {
            assert!(self.share(|(_, of)| of == tier) >= least, "{tier}: {self}");
        }
    }

    /// The share of answers that count, in percent.
    fn share(&self, counts: impl Fn((Verdict, &str)) -> bool) -> f64 {
        let found: u64 = self.by_kind.iter().filter(|(kind, _)| counts(**kind)).map(|(_, count)| count).sum();
        100.0 * found as f64 / self.pairs.max(1) as f64
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} pairs:", self.pairs)?;
        for ((verdict, tier), count) in &self.by_kind {
            write!(f, " {verdict} by {tier} {:.1}%,", 100.0 * *count as f64 / self.pairs as f64)?;
        }
        write!(f, " of which {:.1}% authenticated", 100.0 * self.authenticated as f64 / self.pairs as f64)
    }
}
