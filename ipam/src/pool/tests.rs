//! What the pool gives, and what not.

use super::*;

const COOLDOWN: Duration = Duration::from_secs(30);
const LATER: Timestamp = Timestamp(30_000);

fn pool(cidrs: &[&str]) -> Pool {
    Pool::new(cidrs.iter().map(|cidr| cidr.parse().unwrap()), COOLDOWN).unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn v4(pool: &mut Pool, owner: &str, now: u64) -> Result<String, PoolError> {
    pool.allocate(owner, "default/pod", &[Family::V4], Timestamp(now)).map(|given| given[0].to_string())
}

#[test]
fn fresh_addresses_first_then_the_longest_free() {
    let mut pool = pool(&["10.0.0.0/29"]);
    for number in 1..=5 {
        assert_eq!(v4(&mut pool, &format!("c{number}"), 0).unwrap(), format!("10.0.0.{number}"));
    }
    assert_eq!(pool.release("c4", Timestamp(1)), [ip("10.0.0.4")]);
    assert_eq!(pool.release("c2", Timestamp(2)), [ip("10.0.0.2")]);
    assert_eq!(v4(&mut pool, "c6", 90_000).unwrap(), "10.0.0.6");
    assert_eq!(v4(&mut pool, "c7", 90_000).unwrap(), "10.0.0.4");
    assert_eq!(v4(&mut pool, "c8", 90_000).unwrap(), "10.0.0.2");
    let exhausted = v4(&mut pool, "c9", 90_000).unwrap_err();
    assert_eq!(
        exhausted,
        PoolError::Exhausted { family: Family::V4, used: 6, capacity: 6, cooling: 0, draining: 0 }
    );
}

#[test]
fn not_before_the_cooldown_is_over() {
    let mut pool = pool(&["10.0.0.0/30"]);
    v4(&mut pool, "a", 0).unwrap();
    v4(&mut pool, "b", 0).unwrap();
    pool.release("a", Timestamp(1000));
    let early = v4(&mut pool, "c", 30_999).unwrap_err();
    assert_eq!(early.to_string(), "no IPv4 address is free: 1 of 2 are used, 1 were released too recently");
    assert_eq!(v4(&mut pool, "c", 31_000).unwrap(), "10.0.0.1");
}

#[test]
fn the_fullest_prefix_first() {
    let mut pool = pool(&["10.0.0.0/30", "10.0.1.0/29", "10.0.2.0/29"]);
    pool.allocate_exact("x", "default/x", ip("10.0.2.3"), Timestamp(0)).unwrap();
    let given: Vec<_> = (0..8).map(|n| v4(&mut pool, &format!("c{n}"), 0).unwrap()).collect();
    assert_eq!(
        given,
        ["10.0.2.1", "10.0.2.2", "10.0.2.4", "10.0.2.5", "10.0.2.6", "10.0.0.1", "10.0.0.2", "10.0.1.1"]
    );
}

#[test]
fn both_families_or_none() {
    let mut pool = pool(&["10.0.0.0/24", "fd00::/128"]);
    let both = [Family::V4, Family::V6];
    assert_eq!(pool.allocate("a", "p", &both, Timestamp(0)).unwrap(), [ip("10.0.0.1"), ip("fd00::")]);
    assert!(pool.allocate("b", "p", &both, Timestamp(0)).is_err());
    assert_eq!((pool.used(Family::V4), pool.used(Family::V6)), (1, 1));
    assert_eq!(pool.allocation("b"), None);
    // A family that comes later is added.
    v4(&mut pool, "c", 0).unwrap();
    pool.release("a", Timestamp(0));
    assert_eq!(pool.allocate("c", "p", &both, LATER).unwrap(), [ip("10.0.0.2"), ip("fd00::")]);
}

#[test]
fn exact_addresses() {
    let mut pool = pool(&["10.0.0.0/29"]);
    let mut exact = |owner: &str, address| pool.allocate_exact(owner, "p", ip(address), Timestamp(0));
    exact("a", "10.0.0.3").unwrap();
    exact("a", "10.0.0.3").unwrap();
    assert!(matches!(exact("a", "10.0.0.4"), Err(PoolError::HasAnother { .. })));
    let taken = exact("b", "10.0.0.3").unwrap_err();
    assert_eq!(taken.to_string(), "10.0.0.3 cannot be given to b: a has it");
    for outside in ["10.0.0.0", "10.0.0.7", "10.0.1.1", "fd00::1"] {
        assert!(matches!(exact("b", outside), Err(PoolError::Outside { .. })), "{outside}");
    }
    assert_eq!(pool.owner_of(ip("10.0.0.3")), Some("a"));
}

#[test]
fn addresses_outside_of_the_cidrs_are_quarantined() {
    let mut old = pool(&["10.0.0.0/29"]);
    v4(&mut old, "a", 0).unwrap();
    let cidr = ["10.0.1.0/29".parse().unwrap()];
    let mut new = Pool::restore(cidr, COOLDOWN, old.state().clone(), Timestamp(0)).unwrap();
    assert_eq!(new.quarantined().collect::<Vec<_>>(), [(ip("10.0.0.1"), "a")]);
    assert_eq!((new.used(Family::V4), new.capacity(Family::V4)), (0, 6));
    // Its owner keeps it.
    assert_eq!(v4(&mut new, "a", 0).unwrap(), "10.0.0.1");
    // Back within, it is an address like others.
    new.set_cidrs(["10.0.0.0/29".parse().unwrap()]).unwrap();
    assert_eq!((new.quarantined().count(), new.used(Family::V4)), (0, 1));
    assert_eq!(v4(&mut new, "b", 0).unwrap(), "10.0.0.2");
    new.set_cidrs(cidr).unwrap();
    new.release("a", Timestamp(1));
    assert_eq!(new.quarantined().collect::<Vec<_>>(), [(ip("10.0.0.2"), "b")]);
}

#[test]
fn overlapping_cidrs_are_refused() {
    let overlap = Pool::new(["10.0.0.0/16", "10.0.1.0/24"].map(|cidr| cidr.parse().unwrap()), COOLDOWN);
    assert_eq!(overlap.unwrap_err().to_string(), "the pod CIDRs 10.0.0.0/16 and 10.0.1.0/24 overlap");
    let twice = Pool::new(["10.0.0.0/24", "10.0.0.9/24"].map(|cidr| cidr.parse().unwrap()), COOLDOWN);
    assert_eq!(twice.unwrap().cidrs().count(), 1);
}

#[test]
fn a_clock_set_back_delays_no_longer_than_the_cooldown() {
    let mut old = pool(&["10.0.0.0/32"]);
    v4(&mut old, "a", 0).unwrap();
    old.release("a", Timestamp(u64::MAX));
    let cidr = ["10.0.0.0/32".parse().unwrap()];
    let mut pool = Pool::restore(cidr, COOLDOWN, old.state().clone(), Timestamp(5)).unwrap();
    assert!(v4(&mut pool, "b", 6).is_err());
    assert_eq!(v4(&mut pool, "b", 30_005).unwrap(), "10.0.0.0");
}

#[test]
fn a_large_prefix_does_not_remember_all_that_it_gave() {
    let mut pool = pool(&["fd00::/64"]);
    pool.most_vacant = 10;
    for turn in 0..1000u64 {
        let now = Timestamp(turn * 60_000);
        pool.allocate("a", "p", &[Family::V6], now).unwrap();
        pool.release("a", now);
    }
    assert_eq!(pool.state().vacant().count(), 10);
}
