//! Reading a capture, of this program or of dumpcap. A file may come from anywhere: every length is
//! checked, and other kinds of blocks are passed over.

use super::{BYTE_ORDER, INTERFACE, PACKET, RAW, SECTION, Way, option};

/// Kinds of packets without an interface or a time.
const OBSOLETE_PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
/// LINKTYPE_ETHERNET, and the length of its header.
const ETHERNET: u16 = 1;
const ETHERNET_HEADER: usize = 14;
/// EtherType of IPv4 and its place in the header.
const ETHERNET_TYPE: (usize, [u8; 2]) = (12, [0x08, 0x00]);
/// Decimal digits of a second in a capture without the option.
const MICROSECONDS: u8 = 6;

/// The packets of a capture, in the order of the file.
#[derive(Clone, Debug)]
pub(crate) struct Capture<'a> {
    rest: &'a [u8],
    /// The byte order of the section; `None` before the first.
    little: Option<bool>,
    interfaces: Vec<Interface<'a>>,
    frames: u64,
}

/// An interface of the section.
#[derive(Clone, Copy, Debug)]
struct Interface<'a> {
    link: u16,
    name: &'a [u8],
    /// Decimal digits of a second in its times.
    digits: u8,
}

/// A packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Packet<'a> {
    /// Its number in Wireshark, from 1.
    pub(crate) frame: u64,
    /// The name of its interface.
    pub(crate) interface: &'a [u8],
    /// Wall-clock time, nanoseconds since 1970.
    pub(crate) nanos: u64,
    /// Its direction, if it is given.
    pub(crate) way: Option<Way>,
    /// The comment, or nothing.
    pub(crate) comment: &'a [u8],
    /// The packet from its IPv4 header on; empty for another protocol.
    pub(crate) bytes: &'a [u8],
}

/// The capture is damaged or of another format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    /// The file does not begin as a capture does.
    #[error("it is no pcapng file")]
    Format,
    /// A block is cut or damaged.
    #[error("it is cut or damaged after packet {0}")]
    Block(u64),
}

impl<'a> Capture<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, little: None, interfaces: Vec::new(), frames: 0 }
    }

    /// The next packet; `None` at the end.
    ///
    /// # Errors
    /// [`Malformed`]; nothing can be read after it.
    pub(crate) fn next_packet(&mut self) -> Result<Option<Packet<'a>>, Malformed> {
        while !self.rest.is_empty() {
            let damaged = Malformed::Block(self.frames);
            let (kind, body) = self.next_block()?;
            match kind {
                SECTION => self.interfaces.clear(),
                INTERFACE => {
                    let interface = self.interface(body).ok_or(damaged)?;
                    self.interfaces.push(interface);
                }
                PACKET => {
                    self.frames += 1;
                    return self.packet(body).ok_or(damaged).map(Some);
                }
                OBSOLETE_PACKET | SIMPLE_PACKET => self.frames += 1,
                _ => {}
            }
        }
        Ok(None)
    }

    /// The kind and the body of the next block.
    fn next_block(&mut self) -> Result<(u32, &'a [u8]), Malformed> {
        if self.rest.get(..4) == Some(&SECTION.to_le_bytes()) {
            self.little = match self.rest.get(8..12) {
                Some(it) if it == BYTE_ORDER.to_le_bytes() => Some(true),
                Some(it) if it == BYTE_ORDER.to_be_bytes() => Some(false),
                _ => return Err(Malformed::Format),
            };
        }
        if self.little.is_none() {
            return Err(Malformed::Format);
        }
        let damaged = Malformed::Block(self.frames);
        let kind = self.u32(self.rest, 0).ok_or(damaged)?;
        let length = self.u32(self.rest, 4).ok_or(damaged)? as usize;
        let (block, rest) = self.rest.split_at_checked(length).ok_or(damaged)?;
        let body = block.len().checked_sub(4).and_then(|end| block.get(8..end)).ok_or(damaged)?;
        if !length.is_multiple_of(4) {
            return Err(damaged);
        }
        self.rest = rest;
        Ok((kind, body))
    }

    fn interface(&self, body: &'a [u8]) -> Option<Interface<'a>> {
        let mut it = Interface { link: self.u16(body, 0)?, name: &[], digits: MICROSECONDS };
        self.options(body.get(8..)?, |code, value| match (code, value) {
            (option::INTERFACE_NAME, name) => it.name = name,
            (option::INTERFACE_RESOLUTION, [digits]) => it.digits = *digits,
            _ => {}
        });
        Some(it)
    }

    fn packet(&self, body: &'a [u8]) -> Option<Packet<'a>> {
        let interface = self.interfaces.get(self.u32(body, 0)? as usize)?;
        let ticks = u64::from(self.u32(body, 4)?) << 32 | u64::from(self.u32(body, 8)?);
        let length = self.u32(body, 12)? as usize;
        let (bytes, _) = body.get(20..)?.split_at_checked(length)?;
        let mut it = Packet {
            frame: self.frames,
            interface: interface.name,
            nanos: interface.nanos(ticks),
            way: None,
            comment: &[],
            bytes: interface.ipv4(bytes),
        };
        let options = body.get(20 + length.next_multiple_of(4)..)?;
        self.options(options, |code, value| match code {
            option::COMMENT => it.comment = value,
            option::PACKET_FLAGS => {
                it.way = match self.u32(value, 0).map(|flags| flags & 3) {
                    Some(1) => Some(Way::In),
                    Some(2) => Some(Way::Out),
                    _ => None,
                }
            }
            _ => {}
        });
        Some(it)
    }

    /// Calls `found` with each option up to the end of the list, or of its sound part.
    fn options(&self, mut list: &'a [u8], mut found: impl FnMut(u16, &'a [u8])) {
        while let (Some(code), Some(length)) = (self.u16(list, 0), self.u16(list, 2)) {
            let end = 4 + usize::from(length);
            let Some(value) = list.get(4..end).filter(|_| code != option::END) else { return };
            found(code, value);
            list = list.get(end.next_multiple_of(4)..).unwrap_or_default();
        }
    }

    fn u16(&self, bytes: &[u8], at: usize) -> Option<u16> {
        let bytes = bytes.get(at..at + 2)?.try_into().ok()?;
        let little = self.little.unwrap_or(true);
        Some(if little { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) })
    }

    fn u32(&self, bytes: &[u8], at: usize) -> Option<u32> {
        let bytes = bytes.get(at..at + 4)?.try_into().ok()?;
        let little = self.little.unwrap_or(true);
        Some(if little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) })
    }
}

impl Interface<'_> {
    /// A time of this interface in nanoseconds. A resolution by powers of two, or finer than
    /// nanoseconds, is used by no program that captures packets; it reads as 0.
    fn nanos(&self, ticks: u64) -> u64 {
        let factor = 9_u32.checked_sub(self.digits.into()).map_or(0, |power| 10_u64.pow(power));
        ticks.saturating_mul(factor)
    }

    /// The packet from its IPv4 header on; empty for another protocol.
    fn ipv4<'b>(&self, bytes: &'b [u8]) -> &'b [u8] {
        let (at, kind) = ETHERNET_TYPE;
        match self.link {
            RAW => bytes,
            ETHERNET if bytes.get(at..ETHERNET_HEADER) == Some(&kind) => &bytes[ETHERNET_HEADER..],
            _ => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::pcapng::{interface, packet, section, statistics};

    fn example() -> Vec<u8> {
        let comment = "up 3: left after 5ms";
        [
            section("test", "seed 7"),
            interface("clients", "a"),
            interface("server", "bc"),
            packet(1, 1_800_000_000_123_456_789, Way::Out, 6, 2, comment, &[0x45, 1, 2]),
            statistics(1, 1, 9, 1),
        ]
        .concat()
    }

    fn all(bytes: &[u8]) -> Result<Vec<Packet<'_>>, Malformed> {
        let mut capture = Capture::new(bytes);
        std::iter::from_fn(|| capture.next_packet().transpose()).collect()
    }

    #[test]
    fn what_is_written_is_read() {
        let bytes = example();
        let wanted = Packet {
            frame: 1,
            interface: b"server",
            nanos: 1_800_000_000_123_456_789,
            way: Some(Way::Out),
            comment: b"up 3: left after 5ms",
            bytes: &[0x45, 1, 2],
        };
        assert_eq!(all(&bytes), Ok(vec![wanted]));
    }

    #[test]
    fn a_capture_of_another_machine_is_read() {
        // Big-endian, Ethernet, microseconds, no options: dumpcap on such a machine.
        let words = |words: &[u32]| words.iter().flat_map(|it| it.to_be_bytes()).collect();
        let section: Vec<u8> = words(&[SECTION, 28, BYTE_ORDER, 1 << 16, !0, !0, 28]);
        let interface: Vec<u8> = words(&[INTERFACE, 20, 1 << 16, 0, 20]);
        let packet: Vec<u8> =
            words(&[PACKET, 52, 0, 1, 2, 18, 18, 0, 0, 0, 0x0800_4500, 0xabcd_0000, 52]);
        let bytes = [section, interface, packet].concat();
        let packets = all(&bytes).unwrap();
        assert_eq!(packets[0].nanos, ((1 << 32) + 2) * 1_000);
        assert_eq!(packets[0].bytes, [0x45, 0, 0xab, 0xcd]);
    }

    #[test]
    fn no_bytes_panic_and_every_cut_is_noticed() {
        let bytes = example();
        // A cut between two blocks cannot be noticed.
        let noticed = (1..bytes.len()).filter(|end| all(&bytes[..*end]).is_err()).count();
        assert_eq!(noticed, bytes.len() - 1 - 4);
        assert_eq!(all(b"hello, capture"), Err(Malformed::Format));
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut damaged = bytes.clone();
                damaged[at] ^= 1 << bit;
                let _ = all(&damaged);
            }
        }
    }
}
