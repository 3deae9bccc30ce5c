//! Packets with any source address: handwritten IPv4 and UDP. Needs root.

use rustix::fd::OwnedFd;
use rustix::net::sockopt::set_socket_broadcast;
use rustix::net::{AddressFamily, SendFlags, SocketType, ipproto, sendto, socket};
use std::net::SocketAddrV4;

pub(crate) struct Raw(OwnedFd);

impl Raw {
    pub(crate) fn open() -> Self {
        let raw = socket(AddressFamily::INET, SocketType::RAW, Some(ipproto::RAW)).unwrap();
        set_socket_broadcast(&raw, true).unwrap();
        Self(raw)
    }

    /// Sends a datagram with `from` as its source address.
    pub(crate) fn send(&self, from: SocketAddrV4, to: SocketAddrV4, datagram: &[u8]) {
        // The kernel fills in the total length, the id and the header's checksum; UDP has none.
        let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0];
        packet.extend(from.ip().octets());
        packet.extend(to.ip().octets());
        for word in [from.port(), to.port(), (8 + datagram.len()) as u16, 0] {
            packet.extend(word.to_be_bytes());
        }
        packet.extend(datagram);
        let to = SocketAddrV4::new(*to.ip(), 0);
        let sent = sendto(&self.0, &packet, SendFlags::empty(), &to).unwrap();
        assert_eq!(sent, packet.len());
    }
}
