//! The list of servers in `Servers` (`proto.md` §2.3).

use super::limits::MAX_SERVERS;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// Bytes of an IPv6 address.
const ADDRESS: usize = 16;
/// Bytes of an entry: address and port.
const ENTRY: usize = ADDRESS + 2;

/// Encoded addresses of servers, at most [`MAX_SERVERS`].
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct ServerList<'a>(&'a [u8]);

impl<'a> ServerList<'a> {
    /// Encodes the first [`MAX_SERVERS`] addresses into `buffer`. The zone of an address is left
    /// out: it means nothing on another machine.
    pub fn encode(addresses: &[SocketAddr], buffer: &'a mut Vec<u8>) -> Self {
        buffer.clear();
        for address in addresses.iter().take(MAX_SERVERS) {
            let ip = match address.ip() {
                IpAddr::V4(ip) => ip.to_ipv6_mapped(),
                IpAddr::V6(ip) => ip,
            };
            buffer.extend(ip.octets());
            buffer.extend(address.port().to_be_bytes());
        }
        Self(buffer)
    }

    /// Parses the bytes of a list, without their length.
    #[must_use]
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (entries, rest) = bytes.as_chunks::<ENTRY>();
        (rest.is_empty() && entries.len() <= MAX_SERVERS).then_some(Self(bytes))
    }

    /// The addresses, in order.
    pub fn addresses(self) -> impl Iterator<Item = SocketAddr> + 'a {
        self.0.as_chunks::<ENTRY>().0.iter().map(|entry| {
            let mut ip = [0; ADDRESS];
            ip.copy_from_slice(&entry[..ADDRESS]);
            let port = u16::from_be_bytes([entry[ADDRESS], entry[ADDRESS + 1]]);
            SocketAddr::new(Ipv6Addr::from(ip).to_canonical(), port)
        })
    }
}

/// The form in the vectors: `[192.0.2.1:2428, [2001:db8::1]:2428]`.
impl fmt::Debug for ServerList<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.addresses()).finish()
    }
}

impl Serialize for ServerList<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for ServerList<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let list = Self::parse(<&'a [u8]>::deserialize(deserializer)?);
        list.ok_or_else(|| D::Error::custom("the list is too long, or ends within an entry"))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::protocol::limits::BASE_DATAGRAM;
    use crate::protocol::{DatagramWriter, Frame, ServerMessage, decode_message, encode_message};

    #[test]
    fn a_full_list_fits_into_a_base_datagram_and_decodes_to_the_same() {
        let addresses: Vec<SocketAddr> = (0..40)
            .map(|n| match n % 2 {
                0 => ([192, 0, 2, n], 65_535).into(),
                _ => (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, n.into()), 1).into(),
            })
            .collect();
        let mut buffer = Vec::new();
        let servers = ServerList::encode(&addresses, &mut buffer);
        let message = encode_message(&ServerMessage::Servers { servers });
        assert_eq!(decode_message(&message), Ok(ServerMessage::Servers { servers }));
        assert!(servers.addresses().eq(addresses[..MAX_SERVERS].iter().copied()));
        let mut bytes = Vec::new();
        let frame = Frame::Ordered { id: u16::MAX, payload: &message };
        assert!(DatagramWriter::limited(&mut bytes, BASE_DATAGRAM).push(&frame));
    }

    #[test]
    fn a_list_that_is_too_long_or_ends_within_an_entry_is_refused() {
        let message = |bytes: usize| {
            [&[17, 251], &(bytes as u16).to_be_bytes()[..], &vec![9; bytes]].concat()
        };
        let read = |bytes| decode_message::<ServerMessage<'_>>(&message(bytes)).is_ok();
        assert!(read(MAX_SERVERS * ENTRY));
        assert!(!read((MAX_SERVERS + 1) * ENTRY));
        assert!(!read(MAX_SERVERS * ENTRY - 1));
        let short = |bytes: u8| [&[17, bytes][..], &vec![9; bytes.into()]].concat();
        let read = |bytes| decode_message::<ServerMessage<'_>>(&short(bytes)).is_ok();
        assert!(read(0) && read(18) && read(36) && !read(17) && !read(19) && !read(1));
    }
}
