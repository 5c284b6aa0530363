//! The benchmark's programs. They share the maps of a node's datapath and are never attached to anything.
//!
//! | program | what it does |
//! |---|---|
//! | `empty` | nothing: its time is subtracted |
//! | `again` | restores the packet's TTL, then goes on in the program to measure |
//! | `next_destination`, `next_source` | the same, and moves on to the next peer and source port |
//! | `two_lpm_…` | the programs of a node with [another layout](two_lpm) of policies |
//! | `verdict_…` | asks a policy, and nothing else |
#![no_std]
#![no_main]

mod two_lpm;

use abi::bench::Course;
use abi::{CidrSet, IfIndex, Peer, PolicyRecord, PolicySlot, proto};
use aya_ebpf::bindings::TC_ACT_OK;
use aya_ebpf::btf_maps::{Array, ProgramArray};
use aya_ebpf::macros::{btf_map, classifier};
use aya_ebpf::programs::TcContext;
use ebpf_core::{Judgement, Tables, judge};
use netloom_programs::{KernelTables, clock, resume, start};

use crate::two_lpm::TwoLpm;

#[btf_map]
pub static TARGET: ProgramArray<1> = ProgramArray::new();
#[btf_map]
pub static COURSE: Array<Course, 1> = Array::new();

/// The TTL of the packets that are sent.
const TTL: u8 = 64;
/// Offsets from the frame's start, of IPv4 without options.
const TTL_OFFSET: usize = 22;
const SOURCE_OFFSET: usize = 26;
const DESTINATION_OFFSET: usize = 30;
const SOURCE_PORT_OFFSET: usize = 34;
/// What is rewritten ends here.
const HEADERS: usize = 36;
/// A wrapper found nothing to measure, or no packet as it expects: no program of a node returns it.
const NOT_RUN: i32 = 99;

#[classifier]
pub fn empty(_ctx: TcContext) -> i32 {
    TC_ACT_OK
}

#[classifier]
pub fn again(ctx: TcContext) -> i32 {
    rewrite(&ctx, |_| {});
    go_on(&ctx)
}

#[classifier]
pub fn next_destination(ctx: TcContext) -> i32 {
    next(&ctx, DESTINATION_OFFSET);
    go_on(&ctx)
}

#[classifier]
pub fn next_source(ctx: TcContext) -> i32 {
    next(&ctx, SOURCE_OFFSET);
    go_on(&ctx)
}

#[classifier]
pub fn two_lpm_from_pod(ctx: TcContext) -> i32 {
    start(&ctx, |skb, scratch| {
        ebpf_core::from_pod(&TwoLpm, skb, IfIndex(skb.ifindex()), clock::ticks(), scratch)
    })
}

#[classifier]
pub fn two_lpm_to_pod(ctx: TcContext) -> i32 {
    start(&ctx, |skb, scratch| ebpf_core::to_pod(&TwoLpm, skb, IfIndex(skb.ifindex()), scratch))
}

#[classifier]
pub fn two_lpm_from_netdev(ctx: TcContext) -> i32 {
    start(&ctx, |skb, scratch| ebpf_core::from_netdev(&TwoLpm, skb, scratch))
}

#[classifier]
pub fn two_lpm_to_endpoint(ctx: TcContext) -> i32 {
    resume(&ctx, |skb, scratch| ebpf_core::to_endpoint(&TwoLpm, skb, clock::ticks(), scratch))
}

#[classifier]
pub fn verdict_none(_ctx: TcContext) -> i32 {
    verdict(|_, peer| Some((peer.identity.0 & 1) as i32))
}

#[classifier]
pub fn verdict_netloom(_ctx: TcContext) -> i32 {
    verdict(|slot, peer| {
        // The head of the policy is part of the question.
        let policy = KernelTables.policy(slot)?;
        Some(code(judge(&KernelTables, policy, peer, proto::TCP, Course::PORT)))
    })
}

#[classifier]
pub fn verdict_two_lpm(_ctx: TcContext) -> i32 {
    verdict(|_, peer| Some(code(TwoLpm.judgement(&PolicyRecord::default(), peer, proto::TCP, Course::PORT))))
}

/// Runs the program to measure.
#[inline(always)]
fn go_on(ctx: &TcContext) -> i32 {
    // SAFETY: nothing that this program holds needs to be dropped.
    unsafe { TARGET.tail_call(ctx, 0) };
    NOT_RUN
}

/// Restores what programs changed, and has more changed.
#[inline(always)]
fn rewrite(ctx: &TcContext, more: impl FnOnce(*mut u8)) {
    let (data, end) = (ctx.data(), ctx.data_end());
    if data + HEADERS > end {
        return;
    }
    let packet = data as *mut u8;
    // SAFETY: the range was just checked.
    unsafe { packet.add(TTL_OFFSET).write(TTL) };
    more(packet);
}

/// Moves the packet on to the next peer and source port.
#[inline(always)]
fn next(ctx: &TcContext, address: usize) {
    let Some((course, turn)) = turn() else { return };
    let peer = (Course::FIRST_PEER + course.peer(turn)).to_be_bytes();
    let port = Course::port(turn).to_be_bytes();
    rewrite(ctx, |packet| {
        // SAFETY: both are within what `rewrite` checked.
        unsafe {
            packet.add(address).cast::<[u8; 4]>().write_unaligned(peer);
            packet.add(SOURCE_PORT_OFFSET).cast::<[u8; 2]>().write_unaligned(port);
        }
    });
}

/// The turn of this run.
#[inline(always)]
fn turn() -> Option<(Course, u32)> {
    let course = COURSE.get_ptr_mut(0)?;
    // SAFETY: the element is there for as long as the program runs, and one thread runs the benchmark.
    let course = unsafe { &mut *course };
    let turn = course.next;
    let next = turn.wrapping_add(1);
    course.next = if next == course.turns { 0 } else { next };
    Some((*course, turn))
}

#[inline(always)]
fn verdict(ask: impl FnOnce(PolicySlot, Peer) -> Option<i32>) -> i32 {
    let Some((course, turn)) = turn() else { return NOT_RUN };
    let identity = Course::identity(course.peer(turn));
    ask(course.slot, Peer { identity, cidrs: CidrSet::EMPTY }).unwrap_or(NOT_RUN)
}

#[inline(always)]
fn code(judgement: Judgement) -> i32 {
    judgement.cell.action as i32
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    // Nothing here panics: the linker would have to keep this loop, and the verifier would refuse it.
    loop {}
}
