//! What a hop changes of a packet.

use abi::proto::ETH_HEADER;
use etherparse::{IpNumber, Ipv4Header, Ipv4Options};
use netloom_ebpf_core::host::{Bytes, HostTables};
use netloom_ebpf_core::{Headers, Rewrite};
use proptest::prelude::*;

/// Takes a hop, and checks that nothing but TTL and checksum changed and that the checksum is the one that
/// is computed from the whole header.
fn hop(header: &Ipv4Header) {
    let mut frame = vec![0; 12];
    frame.extend([0x08, 0x00]);
    frame.extend(header.to_bytes());
    frame.extend([0; 8]);
    let mut headers = Headers::default();
    headers.parse_network(&Bytes(&frame)).unwrap();
    headers.parse_transport(&Bytes(&frame), &HostTables::default()).unwrap();
    let Some(Rewrite::V4(bytes)) = Rewrite::hop(&Bytes(&frame), &headers) else { panic!("not IPv4") };
    frame[Rewrite::V4_OFFSET..Rewrite::V4_OFFSET + 4].copy_from_slice(&bytes);

    let (after, _) = Ipv4Header::from_slice(&frame[ETH_HEADER..]).unwrap();
    assert_eq!(after.header_checksum, after.calc_header_checksum(), "{header:?}");
    let expected = Ipv4Header {
        time_to_live: header.time_to_live - 1,
        header_checksum: after.header_checksum,
        ..header.clone()
    };
    assert_eq!(after, expected);
}

fn with_checksum(mut header: Ipv4Header) -> Ipv4Header {
    header.header_checksum = header.calc_header_checksum();
    header
}

#[test]
fn any_checksum_is_updated_as_if_computed_anew() {
    // The identification takes the checksum through all its values.
    for identification in 0..=u16::MAX {
        let mut header = Ipv4Header::new(8, 64, IpNumber::UDP, [10, 0, 0, 1], [10, 0, 0, 2]).unwrap();
        header.identification = identification;
        hop(&with_checksum(header));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_header_is_updated_as_if_computed_anew(
        ttl in 1u8..,
        identification: u16,
        protocol in prop::sample::select(vec![0u8, 47, 50, 89]),
        source: [u8; 4],
        destination: [u8; 4],
        options in prop::collection::vec(any::<[u8; 4]>(), 0..=10),
        dont_fragment: bool,
    ) {
        let mut header = Ipv4Header::new(8, ttl, IpNumber(protocol), source, destination).unwrap();
        header.identification = identification;
        header.dont_fragment = dont_fragment;
        header.options = Ipv4Options::try_from(options.concat().as_slice()).unwrap();
        header.total_len = (header.header_len() + 8) as u16;
        hop(&with_checksum(header));
    }
}
