//! Where a packet's way through the programs begins.

use core::ptr;

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
    clear(&mut scratch.headers);
    clear(&mut scratch.report);
    skb.linearise();
    let action = decide(&skb, scratch);
    let verdict = finish::act(&skb, scratch, action);
    match scratch.next {
        finish::TO_ENDPOINT => tail_call(ctx.skb.skb, TailCall::ToEndpoint),
        finish::ARP => tail_call(ctx.skb.skb, TailCall::Arp),
        _ => return verdict,
    }
    // A tail call that comes back is not there.
    finish::lost(&skb, DropReason::MissedTailCall)
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

/// Forgets the packet before. Word by word: for anything longer the compiler calls `memset`, and a program that
/// tail-calls may not call on every kernel.
#[inline(always)]
fn clear<T>(value: &mut T) {
    const { assert!(align_of::<T>() == 4 && size_of::<T>() % 4 == 0) }
    let words = ptr::from_mut(value).cast::<u32>();
    let mut at = 0;
    while at < size_of::<T>() / 4 {
        // SAFETY: within the value, which is of integers only.
        unsafe { words.add(at).write_volatile(0) };
        at += 1;
    }
}
