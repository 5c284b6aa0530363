//! Where a packet's way through the programs begins.

use abi::DropReason;
use abi::maps::TailCall;
use aya_ebpf::bindings::__sk_buff;
use aya_ebpf::programs::TcContext;
use ebpf_core::{Action, Scratch};

use crate::{Skb, finish, maps};

/// Begins a packet's way: clears the scratch space, decides, acts.
#[inline(always)]
pub fn start(ctx: &TcContext, decide: impl FnOnce(&Skb, &mut Scratch) -> Action) -> i32 {
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

/// Goes on where [`start`] stopped, after a tail call.
#[inline(always)]
pub fn resume(ctx: &TcContext, decide: impl FnOnce(&Skb, &mut Scratch) -> Action) -> i32 {
    let skb = Skb(ctx.skb.skb);
    let Some(scratch) = maps::scratch() else { return finish::lost(&skb, DropReason::MissedTailCall) };
    let action = decide(&skb, scratch);
    finish::act(&skb, scratch, action)
}

/// Goes on in another program; comes back only where it is not loaded.
#[inline(always)]
fn tail_call(skb: *mut __sk_buff, next: TailCall) {
    // SAFETY: nothing that this program holds needs to be dropped.
    unsafe { maps::PROGRAMS.tail_call(&TcContext::new(skb), next as u32) }
}
