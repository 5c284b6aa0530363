//! What a policy's answer becomes.

mod support;

use abi::proto::{TCP_ACK, TCP_SYN};
use abi::{DropReason, EventKind, PolicyFlags};
use netloom_ebpf_core::Action;
use support::{EGRESS, INGRESS, POD, allow, allow_all, know, receive, send, tables, tcp};

const PEER: [u8; 4] = [10, 0, 1, 1];

#[test]
fn in_audit_mode_what_would_be_dropped_passes_and_is_reported() {
    let mut tables = tables();
    know(&mut tables, PEER, 400);
    allow(&mut tables, EGRESS, 10, &[(400, 80)]);
    allow_all(&mut tables, INGRESS);
    let denied = tcp(POD, PEER, (4000, 81), TCP_SYN);
    let (action, scratch) = send(&tables, &denied, 0);
    assert_eq!(action, Action::Drop(DropReason::PolicyDenied));
    assert_eq!(scratch.report.kind, 0);

    tables.policies.entry(EGRESS).and_modify(|record| record.flags = record.flags.with(PolicyFlags::AUDIT));
    let (action, scratch) = send(&tables, &denied, 0);
    assert_eq!((action, scratch.report.kind), (Action::Pass, EventKind::Audited as u8));
    let (action, scratch) = send(&tables, &tcp(POD, PEER, (4000, 80), TCP_SYN), 0);
    assert_eq!((action, scratch.report.kind), (Action::Pass, EventKind::Allowed as u8));
    // It is a connection like any other: reported once, and answered.
    let (action, scratch) = send(&tables, &denied, 0);
    assert_eq!((action, scratch.report.kind), (Action::Pass, 0));
    let (action, scratch) = receive(&tables, &tcp(PEER, POD, (81, 4000), TCP_SYN | TCP_ACK), 0);
    assert_eq!((action, scratch.report.kind), (Action::Pass, 0));
    // When audit mode ends with a new policy, so does it.
    allow(&mut tables, EGRESS, 12, &[(400, 80)]);
    let (action, _) = send(&tables, &tcp(POD, PEER, (4000, 81), TCP_ACK), 0);
    assert_eq!(action, Action::Drop(DropReason::PolicyDenied));
}

#[test]
fn a_report_names_what_decided() {
    let mut tables = tables();
    know(&mut tables, PEER, 400);
    allow(&mut tables, EGRESS, 10, &[(399, 79), (400, 80)]);
    let (_, scratch) = send(&tables, &tcp(POD, PEER, (4000, 80), TCP_SYN), 0);
    let report = scratch.report;
    assert_eq!((report.generation.0, report.peer_class.0, report.port_class.0), (10, 2, 2));
    assert_eq!((report.peer.identity.0, report.own.identity.0, report.endpoint.0), (400, 300, 1));
    let (_, scratch) = send(&tables, &tcp(POD, [9, 9, 9, 9], (4000, 82), TCP_SYN), 0);
    let report = scratch.report;
    assert_eq!((report.generation.0, report.peer_class.0, report.port_class.0), (10, 0, 0));
}

#[test]
fn a_report_shows_nothing_of_the_packet_before() {
    let mut tables = tables();
    know(&mut tables, PEER, 400);
    allow(&mut tables, EGRESS, 10, &[(400, 80)]);
    let (_, mut scratch) = send(&tables, &tcp(POD, PEER, (4000, 80), TCP_SYN), 0);
    scratch.begin();
    let fresh = netloom_ebpf_core::Scratch::default();
    assert_eq!(
        scratch.report,
        netloom_ebpf_core::Report { direction: scratch.report.direction, ..fresh.report }
    );
    let headers = netloom_ebpf_core::Headers {
        transport: scratch.headers.transport,
        ttl: scratch.headers.ttl,
        fragment_id: scratch.headers.fragment_id,
        ..fresh.headers
    };
    assert_eq!(scratch.headers, headers);
}
