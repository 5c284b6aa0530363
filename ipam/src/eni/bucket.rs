//! Token buckets as EC2 keeps them: one for each action.

use std::{collections::BTreeMap, time::Duration};

use crate::{Timestamp, ec2::Action};

/// A bucket: each request takes a token, and tokens come back with time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bucket {
    size: f64,
    /// Tokens a second; fractions count.
    refill: f64,
    tokens: f64,
    at: Timestamp,
}

impl Bucket {
    /// A full bucket.
    #[must_use]
    pub fn full(size: f64, refill: f64, now: Timestamp) -> Self {
        Self { size, refill, tokens: size, at: now }
    }

    /// Takes a token, or tells how long it takes until there is one.
    ///
    /// # Errors
    /// The time until a token is there.
    pub fn take(&mut self, now: Timestamp) -> Result<(), Duration> {
        self.refill(now);
        if self.tokens >= 1.0 {
            self.tokens -= 1.0;
            return Ok(());
        }
        // Not to wake a moment too early.
        Err(Duration::from_secs_f64((1.0 - self.tokens) / self.refill) + Duration::from_millis(1))
    }

    /// Somebody else used the account's tokens up: EC2 said so.
    pub fn drain(&mut self, now: Timestamp) {
        self.refill(now);
        self.tokens = self.tokens.min(0.0);
    }

    fn refill(&mut self, now: Timestamp) {
        self.tokens = (self.tokens + now.since(self.at).as_secs_f64() * self.refill).min(self.size);
        self.at = self.at.max(now);
    }
}

/// The size of an action's bucket and its refill a second, as EC2 has them for an account in a region ("Request
/// throttling for the Amazon EC2 API"): 100 and 5 for the actions that are named there, 50 and 5 for others that
/// change something, 100 and 20 for lists with filters or pages.
#[must_use]
pub fn figures(action: Action) -> (f64, f64) {
    match action {
        Action::AssignPrivateIpAddresses
        | Action::CreateNetworkInterface
        | Action::DeleteNetworkInterface
        | Action::ModifyNetworkInterfaceAttribute => (100.0, 5.0),
        Action::CreateTags => (100.0, 10.0),
        Action::AttachNetworkInterface
        | Action::DeleteTags
        | Action::DetachNetworkInterface
        | Action::UnassignPrivateIpAddresses => (50.0, 5.0),
        Action::DescribeInstanceTypes
        | Action::DescribeNetworkInterfaces
        | Action::DescribeSecurityGroups
        | Action::DescribeSubnets
        | Action::DescribeVpcs => (100.0, 20.0),
    }
}

/// A bucket for each action, so that one that is throttled slows no other.
#[derive(Clone, Debug, Default)]
pub struct Buckets {
    buckets: BTreeMap<Action, Bucket>,
}

impl Buckets {
    /// Takes a token for an action.
    ///
    /// # Errors
    /// The time until there is one.
    pub fn take(&mut self, action: Action, now: Timestamp) -> Result<(), Duration> {
        self.of(action, now).take(now)
    }

    /// EC2 refused a request of the action as one too many.
    pub fn throttled(&mut self, action: Action, now: Timestamp) {
        self.of(action, now).drain(now);
    }

    fn of(&mut self, action: Action, now: Timestamp) -> &mut Bucket {
        self.buckets.entry(action).or_insert_with(|| {
            let (size, refill) = figures(action);
            Bucket::full(size, refill, now)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_and_then_the_refill() {
        let mut buckets = Buckets::default();
        let action = Action::AssignPrivateIpAddresses;
        let mut now = Timestamp(0);
        for _ in 0..100 {
            buckets.take(action, now).unwrap();
        }
        let mut taken = 0;
        while now < Timestamp(60_000) {
            match buckets.take(action, now) {
                Ok(()) => taken += 1,
                Err(wait) => now = Timestamp(now.0 + wait.as_millis() as u64),
            }
        }
        // 5 a second; each wait is longer by the millisecond that it is rounded up by.
        assert!((295..=300).contains(&taken), "{taken}");
        // The others have their own.
        buckets.take(Action::CreateNetworkInterface, now).unwrap();
        buckets.throttled(Action::CreateNetworkInterface, now);
        assert!(buckets.take(Action::CreateNetworkInterface, now).is_err());
    }

    #[test]
    fn fractions_count() {
        let mut bucket = Bucket::full(1.0, 0.5, Timestamp(0));
        bucket.take(Timestamp(0)).unwrap();
        for quarter in 1..8 {
            assert!(bucket.take(Timestamp(quarter * 250)).is_err());
        }
        bucket.take(Timestamp(2000)).unwrap();
        // A clock that is set back gives nothing.
        assert!(bucket.take(Timestamp(0)).is_err());
    }
}
