//! Header fields of datagrams that may be invalid.

use super::checksum;
use crate::protocol::header::{Flags, HEADER_LEN, Header, MAGIC};

/// The bytes at the place of the header, of a datagram valid or not, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The magic.
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
    /// Reads the first 40 bytes, if there are 40.
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

/// The fields that every version keeps in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Invariant {
    /// The version.
    pub version: u8,
    /// Whether the sender is a server.
    pub from_server: bool,
}

impl Invariant {
    /// Reads the first four bytes, if the magic is this protocol's.
    #[must_use]
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let head = bytes.first_chunk::<4>()?;
        (u16::from_be_bytes([head[0], head[1]]) == MAGIC).then(|| Self {
            version: head[2],
            from_server: Flags(head[3]).contains(Flags::FROM_SERVER),
        })
    }
}
