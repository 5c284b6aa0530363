//! A socket buffer as a packet.

use core::arch::asm;
use core::mem::MaybeUninit;

use abi::proto;
use aya_ebpf::bindings::__sk_buff;
use aya_ebpf::helpers::{bpf_skb_load_bytes, bpf_skb_pull_data, bpf_skb_store_bytes};
use ebpf_core::Packet;

/// A socket buffer that a classifier was given.
#[derive(Clone, Copy)]
pub struct Skb(pub *mut __sk_buff);

/// How much of a packet must be in its linear part for any headers to be read in place.
const NEAR: u32 = 128;
/// How much must be for those of most packets: Ethernet, IPv4 without options, TCP without options.
const COMMON_V4: u32 = 14 + 20 + 20;
/// The same with IPv6 without extension headers.
const COMMON_V6: u32 = 14 + 40 + 20;

impl Skb {
    /// The link that the program runs on.
    #[inline(always)]
    pub fn ifindex(&self) -> u32 {
        // SAFETY: the kernel gave a valid context; the verifier turns this into a load of the device's index.
        unsafe { (*self.0).ifindex }
    }

    /// Makes sure that the headers are in the packet's linear part, as they nearly always are. TCP sends its headers
    /// there and nothing else, and keeps a clone: to pull more would copy the headers of every segment.
    #[inline(always)]
    pub fn linearise(&self) {
        // SAFETY: as above.
        let (data, end, len) = unsafe { ((*self.0).data, (*self.0).data_end, (*self.0).len) };
        let linear = end.wrapping_sub(data);
        if linear < NEAR && linear < len && !self.is_common(linear) {
            // Where it fails the headers are not found, and the packet is dropped for that.
            // SAFETY: no pointer into the packet is held.
            let _ = unsafe { bpf_skb_pull_data(self.0, if len < NEAR { len } else { NEAR }) };
        }
    }

    /// Whether the packet's headers are the common ones, and so within this much of it.
    #[inline(always)]
    fn is_common(&self, linear: u32) -> bool {
        match self.ether_type() {
            // Version and header length.
            proto::ETH_IPV4 => linear >= COMMON_V4 && matches!(self.load(14), Some([0x45, _])),
            // Next header.
            proto::ETH_IPV6 => {
                linear >= COMMON_V6 && matches!(self.load(20), Some([proto::TCP | proto::UDP | proto::ICMPV6, _]))
            }
            _ => false,
        }
    }

    /// Sets those bits of the packet's mark that are in `mask`.
    #[inline(always)]
    pub fn set_mark(&self, value: u32, mask: u32) {
        // SAFETY: as above.
        unsafe { (*self.0).mark = ((*self.0).mark & !mask) | value }
    }

    /// Overwrites bytes of the packet. False where the kernel refuses.
    #[inline(always)]
    pub fn store<const N: usize>(&self, offset: usize, bytes: &[u8; N]) -> bool {
        // SAFETY: `bytes` is readable for its length.
        unsafe { bpf_skb_store_bytes(self.0.cast(), offset as u32, bytes.as_ptr().cast(), N as u32, 0) == 0 }
    }
}

impl Packet for Skb {
    #[inline(always)]
    fn load<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        // SAFETY: the context's two pointers delimit the linear part of the packet; they are read anew each
        // time because helpers may move it.
        let (data, end) = unsafe { ((*self.0).data as usize, (*self.0).data_end as usize) };
        let start = data + offset;
        if start + N > end {
            return None;
        }
        let mut bytes = [0; N];
        let mut at = 0;
        while at + 4 <= N {
            // SAFETY: the range was just checked.
            bytes[at..at + 4].copy_from_slice(&unsafe { read_u32(start + at) }.to_ne_bytes());
            at += 4;
        }
        if at + 2 <= N {
            // SAFETY: as above.
            bytes[at..at + 2].copy_from_slice(&unsafe { read_u16(start + at) }.to_ne_bytes());
        }
        Some(bytes)
    }

    #[inline(always)]
    fn load_far<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        // Not zeroed first: that would be a call of `memset`.
        let mut bytes = MaybeUninit::<[u8; N]>::uninit();
        // SAFETY: `bytes` is writable for its length.
        let result = unsafe { bpf_skb_load_bytes(self.0.cast(), offset as u32, bytes.as_mut_ptr().cast(), N as u32) };
        // SAFETY: the helper filled it.
        if result == 0 { Some(unsafe { bytes.assume_init() }) } else { None }
    }

    #[inline(always)]
    fn ether_type(&self) -> u16 {
        // SAFETY: as above. The field holds the EtherType in network order.
        u16::from_be(unsafe { (*self.0).protocol } as u16)
    }

    #[inline(always)]
    fn len(&self) -> u32 {
        // SAFETY: as above.
        unsafe { (*self.0).len }
    }

    #[inline(always)]
    fn is_tagged(&self) -> bool {
        // SAFETY: as above.
        unsafe { (*self.0).vlan_present != 0 }
    }

    #[inline(always)]
    fn is_from_here(&self) -> bool {
        // SAFETY: as above. What was received remembers by which link.
        unsafe { (*self.0).ingress_ifindex == 0 }
    }

    #[inline(always)]
    fn is_gso(&self) -> bool {
        // SAFETY: as above.
        unsafe { (*self.0).gso_size != 0 }
    }
}

/// Reads four bytes at any address. Headers stand at odd addresses: the machines that we run on read them in
/// one go, but the compiler, which knows only that BPF need not, would read byte by byte.
///
/// # Safety
/// The address must be inside the packet, which the verifier checks.
#[inline(always)]
unsafe fn read_u32(address: usize) -> u32 {
    let word: u64;
    // SAFETY: reads what the caller vouches for, writes nothing.
    unsafe {
        asm!("{word} = *(u32 *)({address} + 0)", word = lateout(reg) word, address = in(reg) address,
            options(pure, readonly, nostack, preserves_flags));
    }
    word as u32
}

/// As [`read_u32`], two bytes.
///
/// # Safety
/// As there.
#[inline(always)]
unsafe fn read_u16(address: usize) -> u16 {
    let word: u64;
    // SAFETY: as there.
    unsafe {
        asm!("{word} = *(u16 *)({address} + 0)", word = lateout(reg) word, address = in(reg) address,
            options(pure, readonly, nostack, preserves_flags));
    }
    word as u16
}
