//! The headers of IPv4, UDP and TCP.

use std::net::{Ipv4Addr, SocketAddrV4};

const TCP: u8 = 6;
const UDP: u8 = 17;

/// The payload of an IPv4 packet and its ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Packet<'a> {
    pub(super) from: SocketAddrV4,
    pub(super) to: SocketAddrV4,
    pub(super) content: Content<'a>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content<'a> {
    Datagram(&'a [u8]),
    Segment {
        /// The number of the first byte, or of SYN.
        sequence: u32,
        is_syn: bool,
        bytes: &'a [u8],
    },
}

impl<'a> Packet<'a> {
    /// `None` for another protocol, a fragment, and a damaged or cut header.
    pub(super) fn parse(packet: &'a [u8]) -> Option<Self> {
        let first = *packet.first().filter(|byte| **byte >> 4 == 4)?;
        let total = usize::from(u16_at(packet, 2)?);
        let is_fragment = u16_at(packet, 6)? & 0x3fff != 0;
        let [from, to] = [12, 16].map(|at| address(packet, at));
        let payload = packet.get(usize::from(first & 15) * 4..total).filter(|_| !is_fragment)?;
        let (from_port, to_port) = (u16_at(payload, 0)?, u16_at(payload, 2)?);
        let content = match *packet.get(9)? {
            UDP => Content::Datagram(payload.get(8..u16_at(payload, 4)?.into())?),
            TCP => Content::Segment {
                sequence: u32::from(u16_at(payload, 4)?) << 16 | u32::from(u16_at(payload, 6)?),
                is_syn: payload.get(13)? & 2 != 0,
                bytes: payload.get(usize::from(payload.get(12)? >> 4) * 4..)?,
            },
            _ => return None,
        };
        Some(Self {
            from: SocketAddrV4::new(from?, from_port),
            to: SocketAddrV4::new(to?, to_port),
            content,
        })
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn address(bytes: &[u8], at: usize) -> Option<Ipv4Addr> {
    Some(Ipv4Addr::from(*bytes.get(at..)?.first_chunk::<4>()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ipv4(protocol: u8, payload: &[u8]) -> Vec<u8> {
        let total = 20 + payload.len() as u8;
        let header = [0x45, 0, 0, total, 0, 1, 0x40, 0, 64, protocol, 0, 0];
        [&header[..], &[10, 77, 1, 2, 10, 77, 2, 2], payload].concat()
    }

    #[test]
    fn datagrams_and_segments_are_told_apart() {
        let datagram = ipv4(UDP, &[1, 2, 9, 0x7c, 0, 10, 0, 0, 7, 8]);
        let parsed = Packet::parse(&datagram).unwrap();
        assert_eq!(parsed.from.to_string(), "10.77.1.2:258");
        assert_eq!(parsed.to.to_string(), "10.77.2.2:2428");
        assert_eq!(parsed.content, Content::Datagram(&[7, 8]));
        let mut segment = [0; 22];
        segment[4..8].copy_from_slice(&[1, 2, 3, 4]);
        segment[12..14].copy_from_slice(&[0x50, 0x12]);
        segment[20..].copy_from_slice(&[5, 6]);
        let content = Content::Segment { sequence: 0x0102_0304, is_syn: true, bytes: &[5, 6] };
        assert_eq!(Packet::parse(&ipv4(TCP, &segment)).unwrap().content, content);
    }

    #[test]
    fn no_bytes_panic_and_fragments_are_left_out() {
        let mut datagram = ipv4(UDP, &[1, 2, 9, 0x7c, 0, 10, 0, 0, 7, 8]);
        for end in 0..datagram.len() {
            assert_eq!(Packet::parse(&datagram[..end]), None, "{end}");
        }
        for at in 0..datagram.len() {
            for value in 0..=255 {
                let mut damaged = datagram.clone();
                damaged[at] = value;
                let _ = Packet::parse(&damaged);
            }
        }
        datagram[6] = 0x20;
        assert_eq!(Packet::parse(&datagram), None);
    }
}
