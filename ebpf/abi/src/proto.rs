//! Protocol numbers (IANA) and the header values that the datapath looks at.

/// EtherType of IPv4.
pub const ETH_IPV4: u16 = 0x0800;
/// EtherType of ARP.
pub const ETH_ARP: u16 = 0x0806;
/// EtherType of IPv6.
pub const ETH_IPV6: u16 = 0x86dd;
/// Length of an Ethernet header.
pub const ETH_HEADER: usize = 14;

/// ICMP.
pub const ICMP: u8 = 1;
/// TCP.
pub const TCP: u8 = 6;
/// UDP.
pub const UDP: u8 = 17;
/// ICMPv6.
pub const ICMPV6: u8 = 58;
/// SCTP.
pub const SCTP: u8 = 132;

/// IPv6 extension header: hop-by-hop options.
pub const V6_HOP_BY_HOP: u8 = 0;
/// IPv6 extension header: routing.
pub const V6_ROUTING: u8 = 43;
/// IPv6 extension header: fragment.
pub const V6_FRAGMENT: u8 = 44;
/// IPv6 extension header: authentication (RFC 4302).
pub const V6_AUTH: u8 = 51;
/// IPv6 extension header: destination options.
pub const V6_DEST_OPTIONS: u8 = 60;

/// TCP flag: finish.
pub const TCP_FIN: u8 = 0x01;
/// TCP flag: synchronise.
pub const TCP_SYN: u8 = 0x02;
/// TCP flag: reset.
pub const TCP_RST: u8 = 0x04;
/// TCP flag: acknowledge.
pub const TCP_ACK: u8 = 0x10;
