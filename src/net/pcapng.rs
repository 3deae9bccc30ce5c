//! Captures in the pcapng format (draft-ietf-opsawg-pcapng): the blocks of one section, written and
//! read. Pure: bytes in, bytes out.
//!
//! Written here rather than by a crate such as pcap-file: five kinds of blocks are about 200 lines,
//! both ways, and the default build stays without further crates.

mod read;

pub(crate) use read::{Capture, Malformed, Packet};

const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const STATISTICS: u32 = 5;
const PACKET: u32 = 6;
const BYTE_ORDER: u32 = 0x1a2b_3c4d;
/// LINKTYPE_RAW: the packet begins with the IP header.
const RAW: u16 = 101;

/// Codes of options. Those above 1 depend on the block.
mod option {
    pub(super) const END: u16 = 0;
    pub(super) const COMMENT: u16 = 1;
    pub(super) const SECTION_APPLICATION: u16 = 4;
    pub(super) const INTERFACE_NAME: u16 = 2;
    pub(super) const INTERFACE_DESCRIPTION: u16 = 3;
    pub(super) const INTERFACE_RESOLUTION: u16 = 9;
    pub(super) const PACKET_FLAGS: u16 = 2;
    pub(super) const PACKET_DROPS: u16 = 4;
    pub(super) const PACKET_ID: u16 = 5;
    pub(super) const STATISTICS_RECEIVED: u16 = 4;
    pub(super) const STATISTICS_OS_DROPS: u16 = 7;
    pub(super) const STATISTICS_DELIVERED: u16 = 8;
}

/// The direction of a packet at an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Received by the machine with the interface.
    In = 1,
    /// Sent by it.
    Out = 2,
}

/// The header of a section.
#[cfg_attr(not(target_os = "linux"), allow(dead_code))]
pub(crate) fn section(application: &str, comment: &str) -> Vec<u8> {
    let mut body = Vec::new();
    body.extend(BYTE_ORDER.to_le_bytes());
    body.extend([1, 0, 0, 0]); // version 1.0
    body.extend(u64::MAX.to_le_bytes()); // length of the section: not given
    let options = Options::default()
        .with(option::COMMENT, comment.as_bytes())
        .with(option::SECTION_APPLICATION, application.as_bytes());
    block(SECTION, body, options)
}

/// An interface of IP packets with times in nanoseconds.
#[cfg_attr(not(target_os = "linux"), allow(dead_code))]
pub(crate) fn interface(name: &str, description: &str) -> Vec<u8> {
    let mut body = Vec::new();
    body.extend(RAW.to_le_bytes());
    body.extend([0; 6]); // reserved; no limit on the bytes of a packet
    let options = Options::default()
        .with(option::INTERFACE_NAME, name.as_bytes())
        .with(option::INTERFACE_DESCRIPTION, description.as_bytes())
        .with(option::INTERFACE_RESOLUTION, &[9]);
    block(INTERFACE, body, options)
}

/// A packet at an interface. `id` is the same for one packet at several interfaces, and `drops` is
/// the number of packets that the capture lost before this one.
#[cfg_attr(not(target_os = "linux"), allow(dead_code))]
pub(crate) fn packet(
    interface: u32,
    nanos: u64,
    way: Way,
    id: u64,
    drops: u64,
    comment: &str,
    bytes: &[u8],
) -> Vec<u8> {
    let mut body = Vec::with_capacity(bytes.len() + comment.len() + 96);
    let length = bytes.len() as u32;
    for field in [interface, (nanos >> 32) as u32, nanos as u32, length, length] {
        body.extend(field.to_le_bytes());
    }
    body.extend(bytes);
    pad(&mut body);
    let mut options = Options::default()
        .with(option::COMMENT, comment.as_bytes())
        .with(option::PACKET_FLAGS, &(way as u32).to_le_bytes());
    if drops > 0 {
        options = options.with(option::PACKET_DROPS, &drops.to_le_bytes());
    }
    block(PACKET, body, options.with(option::PACKET_ID, &id.to_le_bytes()))
}

/// The counters of an interface at the end: packets seen, and packets in the capture.
#[cfg_attr(not(target_os = "linux"), allow(dead_code))]
pub(crate) fn statistics(interface: u32, nanos: u64, seen: u64, kept: u64) -> Vec<u8> {
    let mut body = Vec::new();
    for field in [interface, (nanos >> 32) as u32, nanos as u32] {
        body.extend(field.to_le_bytes());
    }
    let options = Options::default()
        .with(option::STATISTICS_RECEIVED, &seen.to_le_bytes())
        .with(option::STATISTICS_OS_DROPS, &seen.saturating_sub(kept).to_le_bytes())
        .with(option::STATISTICS_DELIVERED, &kept.to_le_bytes());
    block(STATISTICS, body, options)
}

fn block(kind: u32, body: Vec<u8>, options: Options) -> Vec<u8> {
    let options = options.with(option::END, &[]).0;
    let length = (12 + body.len() + options.len()) as u32;
    let mut bytes = Vec::with_capacity(length as usize);
    bytes.extend(kind.to_le_bytes());
    bytes.extend(length.to_le_bytes());
    bytes.extend(body);
    bytes.extend(options);
    bytes.extend(length.to_le_bytes());
    bytes
}

fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

#[derive(Default)]
struct Options(Vec<u8>);

impl Options {
    /// A value longer than the format permits is cut.
    fn with(mut self, code: u16, value: &[u8]) -> Self {
        let length = u16::try_from(value.len()).unwrap_or(u16::MAX);
        self.0.extend(code.to_le_bytes());
        self.0.extend(length.to_le_bytes());
        self.0.extend(&value[..length.into()]);
        pad(&mut self.0);
        self
    }
}
