//! Journals that a crash cut short or that were damaged, and pools restored from them.

use std::{net::IpAddr, time::Duration};

use ipam::{Epoch, Family, JournalError, Pool, Record, State, Timestamp, journal};
use proptest::prelude::*;

const COOLDOWN: Duration = Duration::from_millis(3);

const CIDRS: [&str; 3] = ["10.0.0.0/29", "10.0.1.0/30", "fd00::/126"];

#[derive(Clone, Debug)]
enum Op {
    Attach(u8, bool),
    Exact(u8, u8),
    Detach(u8),
    Drain(u8),
    Epoch,
    Compact,
}

/// Few owners and addresses, so that they meet.
fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (0..6u8, any::<bool>()).prop_map(|(owner, v6)| Op::Attach(owner, v6)),
        1 => (0..6u8, 0..8u8).prop_map(|(owner, last)| Op::Exact(owner, last)),
        3 => (0..6u8).prop_map(Op::Detach),
        1 => (0..3u8).prop_map(Op::Drain),
        1 => Just(Op::Epoch),
        1 => Just(Op::Compact),
    ]
}

fn name(owner: u8) -> String {
    format!("container-{owner}/eth0")
}

fn restore(state: State, now: Timestamp) -> Pool {
    let cidrs = CIDRS.map(|cidr| cidr.parse().unwrap());
    Pool::restore(cidrs, COOLDOWN, state, now).unwrap()
}

/// The record that the pool decides on.
fn decide(pool: &mut Pool, op: &Op, now: Timestamp) -> Option<Record> {
    match op {
        Op::Attach(owner, v6) => {
            let families = [Family::V4, Family::V6];
            let families = if *v6 { &families[..] } else { &families[..1] };
            pool.decide(&name(*owner), "default/pod", families, now).ok().flatten()
        }
        Op::Exact(owner, last) => {
            let address = IpAddr::from([10, 0, 0, *last]);
            pool.decide_exact(&name(*owner), "default/pod", address, now).ok().flatten()
        }
        Op::Detach(owner) => Some(Record::Released { owner: name(*owner), at: now }),
        Op::Drain(prefix) => {
            let prefix = CIDRS[usize::from(*prefix)].parse().unwrap();
            pool.decide_drain(pool.state().epoch().next(), &[prefix], now).record
        }
        Op::Epoch => pool.decide_epoch(pool.state().epoch().next(), now),
        Op::Compact => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whichever part of the last write is on disk, what was acknowledged before is there, and the last
    /// is there as a whole or not at all.
    #[test]
    fn a_crash_at_any_byte_loses_nothing_and_gives_nothing_twice(ops in prop::collection::vec(op(), 1..24)) {
        let mut bytes = journal::MAGIC.to_vec();
        let mut pool = restore(State::default(), Timestamp(0));
        for (time, op) in ops.iter().enumerate() {
            let now = Timestamp(time as u64);
            if matches!(op, Op::Compact) {
                bytes = journal::snapshot(pool.state());
                prop_assert_eq!(&journal::replay(&bytes).unwrap().state, pool.state());
            }
            let Some(record) = decide(&mut pool, op, now) else { continue };
            let written = journal::encode(&record);
            let whole = bytes.len();
            let before = pool.state().clone();
            bytes.extend(&written);
            for cut in whole..bytes.len() {
                let mut crashed = bytes[..cut].to_vec();
                // Cut short, and filled up with zeros to the length that the file was to have.
                for _ in 0..2 {
                    let replay = journal::replay(&crashed).unwrap();
                    prop_assert_eq!(&replay.state, &before);
                    prop_assert_eq!((replay.valid_len, replay.torn), (whole as u64, crashed.len() > whole));
                    crashed.resize(bytes.len(), 0);
                }
            }
            // Applying a decision never contradicts: no address is given twice.
            pool.apply(&record).unwrap();
            let replay = journal::replay(&bytes).unwrap();
            prop_assert_eq!(&replay.state, pool.state());
            prop_assert!(!replay.torn);
        }
        // A restart goes on where the pool was.
        let now = Timestamp(1000);
        let mut restored = restore(journal::replay(&bytes).unwrap().state, now);
        for op in &ops {
            prop_assert_eq!(decide(&mut restored, op, now), decide(&mut pool, op, now));
        }
    }
}

fn sample() -> Vec<u8> {
    let mut pool = restore(State::default(), Timestamp(0));
    let mut bytes = journal::MAGIC.to_vec();
    for (time, op) in [Op::Attach(0, true), Op::Attach(1, false), Op::Detach(0)].iter().enumerate() {
        let record = decide(&mut pool, op, Timestamp(time as u64)).unwrap();
        pool.apply(&record).unwrap();
        bytes.extend(journal::encode(&record));
    }
    bytes
}

#[test]
fn no_flipped_bit_passes() {
    let bytes = sample();
    for position in 0..bytes.len() {
        for bit in 0..8 {
            let mut damaged = bytes.clone();
            damaged[position] ^= 1 << bit;
            assert!(journal::replay(&damaged).is_err(), "bit {bit} of byte {position}");
        }
    }
}

#[test]
fn damage_is_told_with_its_place() {
    let bytes = sample();
    let first = journal::MAGIC.len();
    let mut damaged = bytes.clone();
    damaged[first] ^= 1;
    let error = journal::replay(&damaged).unwrap_err();
    assert_eq!(error.to_string(), "the journal's record at byte 8 is damaged (header)");
    damaged = bytes.clone();
    damaged[first + 20] ^= 1;
    let error = journal::replay(&damaged).unwrap_err();
    assert_eq!(error.to_string(), "the journal's record at byte 8 is damaged (payload)");
    // A block of zeros with records behind it was not left by a crash.
    damaged = bytes.clone();
    damaged[first..first + 40].fill(0);
    assert!(matches!(journal::replay(&damaged), Err(JournalError::Damaged { offset: 8, .. })));
}

#[test]
fn beginnings() {
    for torn in 0..journal::MAGIC.len() {
        let replay = journal::replay(&journal::MAGIC[..torn]).unwrap();
        assert_eq!((replay.valid_len, replay.torn), (0, torn > 0));
    }
    assert!(matches!(journal::replay(b"NLIPAM3\n"), Err(JournalError::Magic)));
    assert!(matches!(journal::replay(b"something else"), Err(JournalError::Magic)));
}

/// A record with this payload.
fn frame(payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_le_bytes();
    let parts = [
        &length[..],
        &crc32fast::hash(&length).to_le_bytes(),
        &crc32fast::hash(payload).to_le_bytes(),
        payload,
    ];
    parts.concat()
}

#[test]
fn the_first_version_is_read() {
    // As written before there were drains.
    let allocated = br#"{"record":"allocated","owner":"a","addresses":["10.0.0.1"],"pod":"d/p","at":7}"#;
    let vacant = br#"{"record":"vacant","addresses":["10.0.0.2"],"at":5}"#;
    let bytes = [journal::MAGIC_V1.as_slice(), &frame(vacant), &frame(allocated)].concat();
    let replay = journal::replay(&bytes).unwrap();
    assert_eq!((replay.version, replay.records, replay.torn), (1, 2, false));
    assert_eq!(replay.state.owner_of(IpAddr::from([10, 0, 0, 1])), Some("a"));
    let rewritten = journal::replay(&journal::snapshot(&replay.state)).unwrap();
    assert_eq!((rewritten.version, rewritten.state), (2, replay.state));
}

#[test]
fn drains_are_durable_and_end_with_their_epoch() {
    let prefix = "10.0.1.0/30".parse().unwrap();
    let mut pool = restore(State::default(), Timestamp(0));
    let record = pool.decide_drain(Epoch(4), &[prefix], Timestamp(1)).record.unwrap();
    pool.apply(&record).unwrap();
    let mut pool = restore(journal::replay(&journal::snapshot(pool.state())).unwrap().state, Timestamp(2));
    assert_eq!(pool.draining().collect::<Vec<_>>(), [(prefix, Epoch(4))]);
    // Asked again in the same epoch it says the same, and there is nothing more to journal.
    let again = pool.decide_drain(Epoch(4), &[prefix], Timestamp(3));
    assert_eq!((again.record, again.drained), (None, vec![prefix]));
    let given = pool.decide_exact("a", "p", IpAddr::from([10, 0, 1, 1]), Timestamp(3)).unwrap_err();
    assert_eq!(
        given.to_string(),
        "10.0.1.1 cannot be given to a: 10.0.1.0/30 is promised back since drain epoch 4"
    );
    assert_eq!(pool.decide_epoch(Epoch(4), Timestamp(3)), None);
    let over = pool.decide_epoch(Epoch(5), Timestamp(3)).unwrap();
    pool.apply(&over).unwrap();
    assert_eq!(pool.draining().count(), 0);
    let replay = journal::replay(&journal::snapshot(pool.state())).unwrap();
    assert_eq!(replay.state.epoch(), Epoch(5));
}

#[test]
fn records_that_cannot_be() {
    let frame = |payload: &[u8]| [journal::MAGIC.as_slice(), &frame(payload)].concat();
    let unknown = journal::replay(&frame(br#"{"record":"borrowed","owner":"a","at":1}"#));
    assert!(matches!(unknown, Err(JournalError::Unreadable { offset: 8, .. })), "{unknown:?}");

    let allocate = |owner: &str| Record::Allocated {
        owner: owner.to_owned(),
        addresses: vec![IpAddr::from([10, 0, 0, 1])],
        pod: "default/pod".to_owned(),
        at: Timestamp(0),
    };
    let bytes =
        [journal::MAGIC.as_slice(), &journal::encode(&allocate("a")), &journal::encode(&allocate("b"))]
            .concat();
    let twice = journal::replay(&bytes).unwrap_err();
    assert!(twice.to_string().ends_with("10.0.0.1 cannot be given to b: a has it"), "{twice}");

    let drained =
        Record::Drained { epoch: Epoch(1), prefixes: vec!["10.0.0.0/28".parse().unwrap()], at: Timestamp(0) };
    let both = |first: &Record, second: &Record| {
        let bytes = [journal::MAGIC.as_slice(), &journal::encode(first), &journal::encode(second)].concat();
        journal::replay(&bytes).unwrap_err().to_string()
    };
    let used = both(&allocate("a"), &drained);
    assert!(used.ends_with("10.0.0.0/28 cannot be given back: a has 10.0.0.1"), "{used}");
    let given = both(&drained, &allocate("a"));
    assert!(given.ends_with("is promised back since drain epoch 1"), "{given}");
}
