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

use abi::IfIndex;
use aya_ebpf::macros::classifier;
use aya_ebpf::programs::TcContext;
use netloom_programs::{KernelTables, Skb, clock, finish, resume, start};

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
    resume(&ctx, |skb, scratch| ebpf_core::to_endpoint(&KernelTables, skb, clock::ticks(), scratch))
}

#[classifier]
pub fn arp(ctx: TcContext) -> i32 {
    finish::answer_arp(&Skb(ctx.skb.skb))
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
