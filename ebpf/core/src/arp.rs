//! ARP: a pod asks for its gateway, and the host's end of its link answers (RFC 826).

use abi::proto;

use crate::packet::Packet;

/// Length of an Ethernet frame with an ARP message for IPv4.
pub const ARP_LEN: usize = proto::ETH_HEADER + 28;

/// Writes the answer to a pod's ARP request: whatever address it asks for, its only neighbour is the
/// gateway. False where the packet is no request.
#[inline(always)]
pub fn arp_reply<P: Packet>(packet: &P, gateway: [u8; 6], reply: &mut [u8; ARP_LEN]) -> bool {
    // Ethernet, IPv4, lengths 6 and 4, request.
    if packet.load::<8>(proto::ETH_HEADER) != Some([0, 1, 0x08, 0x00, 6, 4, 0, 1]) {
        return false;
    }
    let (Some(asker), Some(asker_ip), Some(asked_ip)) =
        (packet.load::<6>(22), packet.load::<4>(28), packet.load::<4>(38))
    else {
        return false;
    };
    let [a, b, c, d, e, f] = asker;
    let [g, h, i, j, k, l] = gateway;
    let [m, n, o, p] = asker_ip;
    let [q, r, s, t] = asked_ip;
    *reply = [
        a, b, c, d, e, f, g, h, i, j, k, l, 0x08, 0x06, // to the asker, from the gateway
        0, 1, 0x08, 0x00, 6, 4, 0, 2, // a reply
        g, h, i, j, k, l, q, r, s, t, // the gateway is where the address is
        a, b, c, d, e, f, m, n, o, p,
    ];
    true
}
