//! Fields that can be read without accepting the datagram.

use super::checksum;
use crate::protocol::header::{Flags, HEADER_LEN, Header, MAGIC};

/// What stands where a header's fields stand, whether the datagram is accepted or not. For people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The first two bytes.
    pub magic: u16,
    /// The version.
    pub version: u8,
    /// The checksum in the header.
    pub found: u32,
    /// The checksum of the bytes.
    pub computed: u32,
    /// The other fields.
    pub header: Header,
}

impl Head {
    /// Reads the first 40 bytes, if there are as many.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let head = bytes.first_chunk::<HEADER_LEN>()?;
        Some(Self {
            magic: u16::from_be_bytes([head[0], head[1]]),
            version: head[2],
            found: u32::from_be_bytes([head[4], head[5], head[6], head[7]]),
            computed: checksum(bytes),
            header: Header::read(head),
        })
    }
}

/// What can be said of a datagram of any version: the fields that never move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Invariant {
    /// Which version it is.
    pub version: u8,
    /// Whether a server sent it.
    pub from_server: bool,
}

impl Invariant {
    /// Reads the first four bytes, if they are this protocol's.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let head = bytes.first_chunk::<4>()?;
        (u16::from_be_bytes([head[0], head[1]]) == MAGIC).then(|| Self {
            version: head[2],
            from_server: Flags(head[3]).contains(Flags::FROM_SERVER),
        })
    }
}
