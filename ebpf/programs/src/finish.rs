//! Carries out a decision: rewrites, redirects, counts and reports.

use abi::{CounterKey, Direction, DropReason, Event, EventKind, mark};
use aya_ebpf::bindings::{TC_ACT_OK, TC_ACT_SHOT};
use aya_ebpf::helpers::{bpf_redirect, bpf_redirect_neigh, bpf_redirect_peer};
use ebpf_core::{Action, Packet, Rewrite, Scratch, arp_reply};

use crate::{Skb, checkpoint, clock, maps};

/// [`Scratch::next`] of a packet that goes on in `to_endpoint`.
pub const TO_ENDPOINT: u32 = 1;
/// [`Scratch::next`] of a packet that goes on in `arp`.
pub const ARP: u32 = 2;

const _: () = assert!(Direction::Egress as u32 == 1 && Direction::Ingress as u32 == 0);

/// Carries out what was decided, and returns what the kernel is to do.
#[inline(always)]
pub fn act(skb: &Skb, scratch: &mut Scratch, action: Action) -> i32 {
    // What goes on in another program is counted there; but it has left its sender by now.
    let leaves_sender = u32::from(scratch.report.direction);
    (scratch.next, scratch.counts) = match action {
        Action::Arp => (ARP, 0),
        Action::ToEndpoint => (TO_ENDPOINT, leaves_sender),
        _ => (0, 1),
    };
    (scratch.verdict, scratch.reason) = match carry_out(skb, scratch, action) {
        Ok(verdict) => (verdict, 0),
        Err(reason) => (TC_ACT_SHOT, reason as u32),
    };
    // All paths meet here: what follows is verified once, not once for each reason.
    checkpoint();
    let kind = if scratch.reason == 0 { scratch.report.kind } else { EventKind::Dropped as u8 };
    if scratch.counts != 0 {
        count(CounterKey::index_of(scratch.reason, scratch.report.direction), skb.len());
    }
    if kind != 0 {
        report(skb, scratch, kind, scratch.reason as u8);
        // Said once: the next program has news of its own.
        scratch.report.kind = 0;
    }
    scratch.verdict
}

#[inline(always)]
fn carry_out(skb: &Skb, scratch: &Scratch, action: Action) -> Result<i32, DropReason> {
    match action {
        Action::Pass => Ok(TC_ACT_OK),
        Action::PassAnswer => {
            skb.set_mark(mark::ANSWER, mark::MASK);
            Ok(TC_ACT_OK)
        }
        Action::Drop(reason) => Err(reason),
        Action::Forward(link) => {
            hop(skb, scratch)?;
            // SAFETY: without parameters the kernel looks up the neighbour itself.
            Ok(unsafe { bpf_redirect_neigh(link.0, core::ptr::null_mut(), 0, 0) } as i32)
        }
        Action::Deliver(link) => {
            hop(skb, scratch)?;
            let Some(endpoint) = maps::ENDPOINTS.get_ptr(&link) else { return Err(DropReason::EndpointUnknown) };
            // SAFETY: the helper returned a valid element.
            if !skb.store(0, unsafe { &(*endpoint).macs }) {
                return Err(DropReason::WriteFailed);
            }
            // SAFETY: the helper has no preconditions.
            Ok(unsafe { bpf_redirect_peer(link.0, 0) } as i32)
        }
        Action::ToEndpoint | Action::Arp => Ok(TC_ACT_OK),
    }
}

/// Takes one hop from the packet's TTL or hop limit.
#[inline(always)]
fn hop(skb: &Skb, scratch: &Scratch) -> Result<(), DropReason> {
    let stored = match Rewrite::hop(skb, &scratch.headers) {
        Some(Rewrite::V4(bytes)) => skb.store(Rewrite::V4_OFFSET, &bytes),
        Some(Rewrite::V6(limit)) => skb.store(Rewrite::V6_OFFSET, &[limit]),
        None => false,
    };
    if stored { Ok(()) } else { Err(DropReason::WriteFailed) }
}

/// Drops a packet of which nothing is known.
#[inline(always)]
pub fn lost(skb: &Skb, reason: DropReason) -> i32 {
    count(CounterKey::Dropped(reason, Direction::Ingress).index(), skb.len());
    TC_ACT_SHOT
}

/// Answers a pod's ARP request; drops any other ARP message.
#[inline(always)]
pub fn answer_arp(skb: &Skb) -> i32 {
    let Some(scratch) = maps::scratch() else { return lost(skb, DropReason::MissedTailCall) };
    if !arp_reply(skb, abi::Config::GATEWAY_MAC, &mut scratch.frame) {
        return lost(skb, DropReason::UnsupportedNetwork);
    }
    if !skb.store(0, &scratch.frame) {
        return lost(skb, DropReason::WriteFailed);
    }
    count(CounterKey::Forwarded(Direction::Egress).index(), skb.len());
    // SAFETY: the helper has no preconditions.
    unsafe { bpf_redirect(skb.ifindex(), 0) as i32 }
}

/// Counts a packet. Each CPU has its own counter, so nothing is lost.
#[inline(always)]
fn count(index: u32, bytes: u32) {
    if let Some(counter) = maps::COUNTERS.get_ptr_mut(index) {
        // SAFETY: the element is this CPU's own.
        unsafe {
            (*counter).packets += 1;
            (*counter).bytes += u64::from(bytes);
        }
    }
}

/// Reports a packet, where this tick's budget and the ring buffer have room; counts it where not.
#[inline(always)]
fn report(skb: &Skb, scratch: &Scratch, kind: u8, reason: u8) {
    let (Some(config), Some(budget)) = (maps::CONFIG.get(0), maps::EVENT_BUDGET.get_ptr_mut(0)) else { return };
    let time = clock::nanoseconds();
    let tick = (time >> abi::Config::TICK_SHIFT) as u32;
    // SAFETY: the element is this CPU's own.
    let budget = unsafe { &mut *budget };
    if budget.tick != tick {
        budget.tick = tick;
        budget.used = 0;
    }
    if budget.used >= config.events_per_tick {
        return count(CounterKey::EventsLimited.index(), skb.len());
    }
    budget.used += 1;
    let Some(mut entry) = maps::EVENTS.reserve(0) else {
        return count(CounterKey::EventsLost.index(), skb.len());
    };
    let (headers, report) = (&scratch.headers, &scratch.report);
    entry.write(Event {
        time,
        src: headers.src,
        dst: headers.dst,
        peer: report.peer,
        own: report.own,
        generation: report.generation,
        peer_class: report.peer_class,
        port_class: report.port_class,
        len: skb.len(),
        ifindex: skb.ifindex(),
        src_port: headers.src_port,
        dst_port: headers.dst_port,
        endpoint: report.endpoint,
        kind,
        reason,
        direction: report.direction,
        proto: headers.proto,
        tcp_flags: headers.tcp_flags,
        icmp_type: headers.icmp_type,
    });
    entry.submit(0);
}
