//! The packets.

use std::net::Ipv4Addr;

use etherparse::PacketBuilder;

use super::Error;

/// TCP flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flags {
    Syn,
    SynAck,
    Ack,
}

/// Who sends to whom: addresses and TCP ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flow {
    pub(crate) src: (Ipv4Addr, u16),
    pub(crate) dst: (Ipv4Addr, u16),
}

impl Flow {
    /// The way back.
    pub(crate) fn reverse(self) -> Self {
        Self { src: self.dst, dst: self.src }
    }

    /// An Ethernet frame with an IPv4 packet of a TCP segment, 74 bytes in all.
    pub(crate) fn frame(self, flags: Flags) -> Result<Vec<u8>, Error> {
        const PAYLOAD: [u8; 20] = [0; 20];
        let segment = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2])
            .ipv4(self.src.0.octets(), self.dst.0.octets(), 64)
            .tcp(self.src.1, self.dst.1, 1, 4096);
        let segment = match flags {
            Flags::Syn => segment.syn(),
            Flags::SynAck => segment.syn().ack(1),
            Flags::Ack => segment.ack(1),
        };
        let mut frame = Vec::with_capacity(segment.size(PAYLOAD.len()));
        segment.write(&mut frame, &PAYLOAD).map_err(|source| Error::Frame { source: Box::new(source) })?;
        Ok(frame)
    }
}
