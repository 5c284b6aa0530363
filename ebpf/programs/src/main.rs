//! The programs of a node's datapath. Each one wraps a function of `netloom-ebpf-core`: it hands over the
//! packet and the maps, and carries out the action that comes back.
//!
//! | program | attached to |
//! |---|---|
//! | `from_pod` | the host's end of a pod's link, ingress |
//! | `to_pod` | the host's end of a pod's link, egress |
//! | `from_netdev` | the node's uplink, ingress |
//! | `to_endpoint`, `arp` | nothing: tail-called |
//!
//! There are no calls between functions here, only tail calls: kernels before 5.10 and some machines cannot
//! mix the two.
#![no_std]
#![no_main]

use abi::maps::TailCall;
use abi::{DropReason, IfIndex};
use aya_ebpf::bindings::__sk_buff;
use aya_ebpf::macros::classifier;
use aya_ebpf::programs::TcContext;
use ebpf_core::{Action, Scratch};
use netloom_programs::{KernelTables, Skb, clock, finish, maps};

#[classifier]
pub fn from_pod(ctx: TcContext) -> i32 {
    start(&ctx, |skb, scratch| {
        ebpf_core::from_pod(&KernelTables, skb, IfIndex(skb.ifindex()), clock::ticks(), scratch)
    })
}

#[classifier]
pub fn to_pod(ctx: TcContext) -> i32 {
    start(&ctx, |skb, scratch| ebpf_core::to_pod(&KernelTables, skb, IfIndex(skb.ifindex()), scratch))
}

#[classifier]
pub fn from_netdev(ctx: TcContext) -> i32 {
    start(&ctx, |skb, scratch| ebpf_core::from_netdev(&KernelTables, skb, scratch))
}

#[classifier]
pub fn to_endpoint(ctx: TcContext) -> i32 {
    let skb = Skb(ctx.skb.skb);
    let Some(scratch) = maps::scratch() else { return finish::lost(&skb, DropReason::MissedTailCall) };
    let action = ebpf_core::to_endpoint(&KernelTables, &skb, clock::ticks(), scratch);
    finish::act(&skb, scratch, action)
}

#[classifier]
pub fn arp(ctx: TcContext) -> i32 {
    finish::answer_arp(&Skb(ctx.skb.skb))
}

/// Begins a packet's way: clears the scratch space, decides, acts.
#[inline(always)]
fn start(ctx: &TcContext, decide: impl FnOnce(&Skb, &mut Scratch) -> Action) -> i32 {
    let skb = Skb(ctx.skb.skb);
    let Some(scratch) = maps::scratch() else { return finish::lost(&skb, DropReason::MissedTailCall) };
    scratch.begin();
    skb.linearise();
    let action = decide(&skb, scratch);
    match action {
        Action::ToEndpoint => tail_call(ctx.skb.skb, TailCall::ToEndpoint),
        Action::Arp => tail_call(ctx.skb.skb, TailCall::Arp),
        _ => {}
    }
    // A tail call that comes back is not there: the action itself is turned into a drop.
    finish::act(&skb, scratch, action)
}

/// Goes on in another program; comes back only where it is not loaded.
#[inline(always)]
fn tail_call(skb: *mut __sk_buff, next: TailCall) {
    // SAFETY: nothing that this program holds needs to be dropped.
    unsafe { maps::PROGRAMS.tail_call(&TcContext::new(skb), next as u32) }
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
