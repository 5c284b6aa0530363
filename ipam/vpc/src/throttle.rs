//! How many requests EC2 takes: a token bucket for each operation.

use std::{collections::BTreeMap, time::Duration};

use ipam::Timestamp;

use crate::Operation;

/// What an operation's bucket holds, and how fast it is filled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// Requests that a full bucket allows at once.
    pub burst: f64,
    /// Requests a second that are allowed for ever.
    pub refill: f64,
}

impl Rate {
    /// The rate of an operation of an account in a region, as EC2's developer guide has it ("Request
    /// throttling for the EC2 API"; quotas of one's own may differ). Describing everything, without filters,
    /// ids or pages, has a smaller bucket of its own.
    #[must_use]
    pub fn of(operation: Operation, unfiltered: bool) -> Self {
        let (burst, refill) = match operation {
            operation if operation.reads() && unfiltered => (50.0, 10.0),
            operation if operation.reads() => (100.0, 20.0),
            Operation::AssignPrivateIpAddresses
            | Operation::CreateNetworkInterface
            | Operation::DeleteNetworkInterface
            | Operation::ModifyNetworkInterfaceAttribute => (100.0, 5.0),
            Operation::CreateTags => (100.0, 10.0),
            Operation::CreateSubnetCidrReservation => (5.0, 1.0),
            _ => (50.0, 5.0),
        };
        Self { burst, refill }
    }
}

#[derive(Clone, Debug)]
struct Bucket {
    rate: Rate,
    tokens: f64,
    filled: Timestamp,
}

impl Bucket {
    /// Fills it up to `now`; time never goes back.
    fn fill(&mut self, now: Timestamp) {
        let passed = now.since(self.filled).as_secs_f64();
        self.tokens = (self.tokens + passed * self.rate.refill).min(self.rate.burst);
        self.filled = self.filled.max(now);
    }
}

/// The account's buckets in the region, full at the beginning.
#[derive(Clone, Debug, Default)]
pub struct Buckets {
    buckets: BTreeMap<(Operation, bool), Bucket>,
    rates: BTreeMap<Operation, Rate>,
}

impl Buckets {
    /// Gives an operation another rate, as a raised quota would. What its bucket holds is forgotten.
    pub fn set(&mut self, operation: Operation, rate: Rate) {
        self.rates.insert(operation, rate);
        self.buckets.retain(|(one, _), _| *one != operation);
    }

    /// Takes a token, if there is one.
    pub(crate) fn take(&mut self, operation: Operation, unfiltered: bool, now: Timestamp) -> bool {
        let bucket = self.bucket(operation, unfiltered, now);
        bucket.fill(now);
        let taken = bucket.tokens >= 1.0;
        if taken {
            bucket.tokens -= 1.0;
        }
        taken
    }

    /// How long it takes until a request of the operation is let through, if nobody else asks.
    #[must_use]
    pub fn wait(&mut self, operation: Operation, unfiltered: bool, now: Timestamp) -> Duration {
        let bucket = self.bucket(operation, unfiltered, now);
        bucket.fill(now);
        Duration::from_secs_f64(((1.0 - bucket.tokens) / bucket.rate.refill).max(0.0))
    }

    fn bucket(&mut self, operation: Operation, unfiltered: bool, now: Timestamp) -> &mut Bucket {
        let unfiltered = unfiltered && operation.reads();
        let rate = self.rates.get(&operation).copied().unwrap_or_else(|| Rate::of(operation, unfiltered));
        self.buckets.entry((operation, unfiltered)).or_insert(Bucket {
            rate,
            tokens: rate.burst,
            filled: now,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_the_refill() {
        let mut buckets = Buckets::default();
        let operation = Operation::AssignPrivateIpAddresses;
        let start = Timestamp(1_000);
        let burst = (0..200).filter(|_| buckets.take(operation, false, start)).count();
        assert_eq!(burst, 100);
        assert_eq!(buckets.wait(operation, false, start), Duration::from_millis(200));
        let later = (1..=100).filter(|n| buckets.take(operation, false, Timestamp(1_000 + n * 100))).count();
        assert_eq!(later, 50, "5 a second for 10 s");
        assert!(buckets.take(Operation::AttachNetworkInterface, false, start), "another bucket");
    }

    #[test]
    fn a_bucket_holds_no_more_than_its_burst() {
        let mut buckets = Buckets::default();
        let operation = Operation::CreateSubnetCidrReservation;
        assert!(buckets.take(operation, false, Timestamp(0)));
        let much_later = Timestamp(3_600_000);
        assert_eq!((0..20).filter(|_| buckets.take(operation, false, much_later)).count(), 5);
    }

    #[test]
    fn describing_everything_has_a_bucket_of_its_own() {
        let mut buckets = Buckets::default();
        let operation = Operation::DescribeNetworkInterfaces;
        let unfiltered = (0..200).filter(|_| buckets.take(operation, true, Timestamp(0))).count();
        let filtered = (0..200).filter(|_| buckets.take(operation, false, Timestamp(0))).count();
        assert_eq!((unfiltered, filtered), (50, 100));
    }

    #[test]
    fn a_quota_can_be_raised() {
        let mut buckets = Buckets::default();
        let operation = Operation::AttachNetworkInterface;
        buckets.set(operation, Rate { burst: 2.0, refill: 0.5 });
        assert_eq!((0..9).filter(|_| buckets.take(operation, false, Timestamp(0))).count(), 2);
        assert_eq!(buckets.wait(operation, false, Timestamp(0)), Duration::from_secs(2));
    }
}
