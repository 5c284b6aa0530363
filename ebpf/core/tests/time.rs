//! Connections and the clock.

mod support;

use abi::proto::{TCP_ACK, TCP_FIN, TCP_RST, TCP_SYN};
use abi::{Config, CtFlags};
use netloom_ebpf_core::host::HostTables;
use support::{EGRESS, INGRESS, POD, allow, allow_all, know, passes, receive, send, tables, tcp, udp};

const PEER: [u8; 4] = [10, 0, 1, 1];
const START: u32 = 5_000;

/// A pod that may send everything, and receive nothing but answers.
fn guarded() -> HostTables {
    let mut tables = tables();
    know(&mut tables, PEER, 400);
    allow_all(&mut tables, EGRESS);
    allow(&mut tables, INGRESS, 11, &[]);
    tables
}

fn out(flags: u8) -> Vec<u8> {
    tcp(POD, PEER, (4000, 80), flags)
}

fn back(flags: u8) -> Vec<u8> {
    tcp(PEER, POD, (80, 4000), flags)
}

/// An established TCP connection.
fn connected() -> HostTables {
    let tables = guarded();
    assert!(passes(send(&tables, &out(TCP_SYN), START).0));
    assert!(passes(receive(&tables, &back(TCP_SYN | TCP_ACK), START).0));
    assert!(passes(send(&tables, &out(TCP_ACK), START).0));
    assert_eq!(tables.established.borrow().len(), 1);
    tables
}

/// Whether an answer still passes at this time. It is the connection's last packet: it would lengthen it.
fn answered(make: impl Fn() -> HostTables, now: u32) -> bool {
    passes(receive(&make(), &back(TCP_ACK), now).0)
}

#[test]
fn a_connection_that_nobody_confirmed_lasts_a_minute() {
    let ticks = Config::default().unconfirmed_ticks;
    let half_open = || {
        let tables = guarded();
        assert!(passes(send(&tables, &out(TCP_SYN), START).0));
        tables
    };
    assert!(answered(half_open, START + ticks - 1));
    assert!(!answered(half_open, START + ticks));
}

#[test]
fn an_established_connection_lasts_while_it_is_used() {
    let ticks = Config::default().tcp_ticks;
    assert!(answered(connected, START + ticks - 1));
    assert!(!answered(connected, START + ticks));
    let tables = connected();
    let mut now = START;
    for _ in 0..5 {
        now += ticks - 1;
        assert!(passes(receive(&tables, &back(TCP_ACK), now).0));
        now += ticks - 1;
        assert!(passes(send(&tables, &out(TCP_ACK), now).0));
    }
    assert!(!passes(receive(&tables, &back(TCP_ACK), now + ticks).0));
}

#[test]
fn a_closed_connection_is_soon_forgotten() {
    let ticks = Config::default().closing_ticks;
    let closed = || {
        let tables = connected();
        send(&tables, &out(TCP_FIN | TCP_ACK), START);
        receive(&tables, &back(TCP_FIN | TCP_ACK), START);
        tables
    };
    let broken = || {
        let tables = connected();
        receive(&tables, &back(TCP_RST), START);
        tables
    };
    for make in [closed as fn() -> HostTables, broken] {
        assert!(answered(make, START + ticks - 1));
        assert!(!answered(make, START + ticks));
    }
}

#[test]
fn one_fin_closes_nothing() {
    let half_closed = || {
        let tables = connected();
        send(&tables, &out(TCP_FIN | TCP_ACK), START);
        send(&tables, &out(TCP_FIN | TCP_ACK), START);
        tables
    };
    assert!(answered(half_closed, START + Config::default().tcp_ticks - 1));
}

#[test]
fn an_exchange_of_udp_lasts_a_minute_after_its_last_packet() {
    let ticks = Config::default().other_ticks;
    let (there, back) = (udp(POD, PEER, (4000, 53)), udp(PEER, POD, (53, 4000)));
    let tables = guarded();
    send(&tables, &there, START);
    receive(&tables, &back, START);
    send(&tables, &there, START);
    assert_eq!(tables.established.borrow().len(), 1);
    assert!(passes(receive(&tables, &back, START + ticks - 1).0));
    assert!(passes(receive(&tables, &back, START + 2 * (ticks - 1)).0));
    assert!(!passes(receive(&tables, &back, START + 3 * ticks).0));
}

#[test]
fn what_expired_comes_back_as_something_new() {
    let tables = connected();
    let later = START + Config::default().tcp_ticks;
    let (action, scratch) = send(&tables, &out(TCP_ACK), later);
    assert!(passes(action));
    assert_eq!(scratch.report.kind, abi::EventKind::Allowed as u8);
    assert!(tables.established.borrow().is_empty());
    assert_eq!(tables.unconfirmed.borrow().len(), 1);
    // Nothing of the old one is left, above all not that it was answered.
    send(&tables, &out(TCP_ACK), later);
    let entries: Vec<_> = tables.unconfirmed.borrow().values().map(|entry| entry.get()).collect();
    assert!(!entries[0].flags.has(CtFlags::REPLIED) && !entries[0].flags.has(CtFlags::CONFIRMED));
}

#[test]
fn ticks_are_at_least_as_long_as_what_they_stand_for() {
    for seconds in [1, 10, 60, 8000] {
        let ticks = u64::from(Config::ticks(seconds));
        let nanoseconds = u64::from(seconds) * 1_000_000_000;
        assert!(ticks << Config::TICK_SHIFT >= nanoseconds);
        assert!((ticks - 1) << Config::TICK_SHIFT < nanoseconds);
    }
}
