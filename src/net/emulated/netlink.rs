//! Configures devices, addresses and queues of the calling thread's network namespace through
//! rtnetlink (`man 7 rtnetlink`), with requests built by hand.

use rustix::net::netdevice;
use socket2::{Domain, Protocol, Socket, Type};
use std::io::{self, Read};
use std::net::Ipv4Addr;

/// Bytes of `struct nlmsghdr`: length, type, flags, sequence number, port.
pub(super) const HEADER: usize = 16;
/// `VETH_INFO_PEER` of `linux/veth.h`.
const VETH_INFO_PEER: u16 = 1;

/// `TC_H_ROOT` of `linux/pkt_sched.h`: the queue of a device itself.
const TC_H_ROOT: u32 = 0xffff_ffff;

/// A netlink socket for one namespace.
pub(super) struct Netlink {
    socket: Socket,
}

impl Netlink {
    /// Opens a socket for the namespace of the calling thread; it may be used from any thread.
    pub(super) fn open() -> io::Result<Self> {
        let route = Protocol::from(libc::NETLINK_ROUTE);
        let socket =
            Socket::new(Domain::from(libc::AF_NETLINK), Type::from(libc::SOCK_RAW), Some(route))?;
        Ok(Self { socket })
    }

    /// Creates a veth pair; `address` is the first device's Ethernet address.
    pub(super) fn add_veth(&self, name: &str, address: [u8; 6], peer: &str) -> io::Result<()> {
        let peer = Bytes::default().put(&link(0, 0)).attribute(libc::IFLA_IFNAME, &text(peer));
        let data = Bytes::default().attribute(VETH_INFO_PEER, &peer.0);
        let info = Bytes::default()
            .attribute(libc::IFLA_INFO_KIND, b"veth")
            .attribute(libc::IFLA_INFO_DATA, &data.0);
        let body = Bytes::default()
            .put(&link(0, 0))
            .attribute(libc::IFLA_IFNAME, &text(name))
            .attribute(libc::IFLA_ADDRESS, &address)
            .attribute(libc::IFLA_LINKINFO, &info.0);
        self.request(libc::RTM_NEWLINK, libc::NLM_F_CREATE | libc::NLM_F_EXCL, &body)
    }

    /// Brings a device up, with additional `IFF_` flags and, if given, an MTU and a queue length
    /// (packets).
    pub(super) fn bring_up(
        &self,
        name: &str,
        flags: i32,
        sizes: Option<(u32, u32)>,
    ) -> io::Result<()> {
        let flags = (libc::IFF_UP | flags) as u32;
        let mut body = Bytes::default().put(&link(self.index(name)?, flags));
        if let Some((mtu, queue)) = sizes {
            body = body
                .attribute(libc::IFLA_MTU, &mtu.to_ne_bytes())
                .attribute(libc::IFLA_TXQLEN, &queue.to_ne_bytes());
        }
        self.request(libc::RTM_SETLINK, 0, &body)
    }

    /// Sets a device's address and its only peer; the kernel adds the route to `peer`.
    pub(super) fn set_address(&self, name: &str, own: Ipv4Addr, peer: Ipv4Addr) -> io::Result<()> {
        let index = self.index(name)?.to_ne_bytes();
        // struct ifaddrmsg: family, prefix length, flags, scope, index.
        let body = Bytes::default()
            .put(&[libc::AF_INET as u8, 32, 0, libc::RT_SCOPE_UNIVERSE])
            .put(&index)
            .attribute(libc::IFA_LOCAL, &own.octets())
            .attribute(libc::IFA_ADDRESS, &peer.octets());
        self.request(libc::RTM_NEWADDR, libc::NLM_F_CREATE | libc::NLM_F_EXCL, &body)
    }

    /// Adds a netem queue without impairments.
    pub(super) fn add_netem(&self, name: &str) -> io::Result<()> {
        // struct tcmsg: family and padding, index, handle, parent, info.
        let body = Bytes::default()
            .put(&[0; 4])
            .put(&self.index(name)?.to_ne_bytes())
            .put(&[0; 4])
            .put(&TC_H_ROOT.to_ne_bytes())
            .put(&[0; 4])
            .attribute(libc::TCA_KIND, &text("netem"))
            .attribute(libc::TCA_OPTIONS, &netem_options(1_000));
        self.request(libc::RTM_NEWQDISC, libc::NLM_F_CREATE | libc::NLM_F_EXCL, &body)
    }

    /// The socket, which also serves for `ioctl`s on devices of this namespace.
    pub(super) fn socket(&self) -> &Socket {
        &self.socket
    }

    fn index(&self, name: &str) -> io::Result<u32> {
        Ok(netdevice::name_to_index(&self.socket, name)?)
    }

    fn request(&self, kind: u16, flags: i32, body: &Bytes) -> io::Result<()> {
        let flags = (libc::NLM_F_REQUEST | libc::NLM_F_ACK | flags) as u16;
        let length = (HEADER + body.0.len()) as u32;
        let message = Bytes::default()
            .put(&length.to_ne_bytes())
            .put(&kind.to_ne_bytes())
            .put(&flags.to_ne_bytes())
            .put(&[0; 8])
            .put(&body.0);
        self.socket.send(&message.0)?;
        let mut answer = [0; 4096];
        let length = (&self.socket).read(&mut answer)?;
        outcome(&answer[..length])
    }
}

/// Parses an acknowledgment: `NLMSG_ERROR` with 0 or a negative errno.
pub(super) fn outcome(answer: &[u8]) -> io::Result<()> {
    let kind = answer.get(4..6).and_then(|bytes| bytes.try_into().ok()).map(u16::from_ne_bytes);
    let code = answer.get(HEADER..HEADER + 4).and_then(|bytes| bytes.try_into().ok());
    match (kind.map(i32::from), code.map(i32::from_ne_bytes)) {
        (Some(libc::NLMSG_ERROR), Some(0)) => Ok(()),
        (Some(libc::NLMSG_ERROR), Some(code)) => Err(io::Error::from_raw_os_error(-code)),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// `struct ifinfomsg`: family, padding, type, index, flags, and the mask of flags to change.
fn link(index: u32, flags: u32) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[4..8].copy_from_slice(&index.to_ne_bytes());
    bytes[8..12].copy_from_slice(&flags.to_ne_bytes());
    bytes[12..].copy_from_slice(&flags.to_ne_bytes());
    bytes
}

/// `struct tc_netem_qopt`: latency, limit (packets), loss, gap, duplicate, jitter.
fn netem_options(limit: u32) -> [u8; 24] {
    let mut bytes = [0; 24];
    bytes[4..8].copy_from_slice(&limit.to_ne_bytes());
    bytes
}

fn text(name: &str) -> Vec<u8> {
    [name.as_bytes(), &[0]].concat()
}

/// A message or a part of one, in the making.
#[derive(Default)]
pub(super) struct Bytes(pub(super) Vec<u8>);

impl Bytes {
    pub(super) fn put(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// `struct rtattr`: length, type, value; padding to four bytes is not part of the length.
    fn attribute(self, kind: u16, value: &[u8]) -> Self {
        let length = (4 + value.len()) as u16;
        let mut all = self.put(&length.to_ne_bytes()).put(&kind.to_ne_bytes()).put(value);
        all.0.resize(all.0.len().next_multiple_of(4), 0);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_padded_but_their_length_is_not() {
        let bytes = Bytes::default().attribute(3, b"lo\0").attribute(4, &[1, 2, 3, 4]).0;
        let mut expected = Vec::new();
        expected.extend(7u16.to_ne_bytes());
        expected.extend(3u16.to_ne_bytes());
        expected.extend(b"lo\0\0");
        expected.extend(8u16.to_ne_bytes());
        expected.extend(4u16.to_ne_bytes());
        expected.extend([1, 2, 3, 4]);
        assert_eq!(bytes, expected);
    }

    #[test]
    fn kernel_errors_and_malformed_answers_are_errors() {
        let mut answer = [0u8; 20];
        answer[4..6].copy_from_slice(&2u16.to_ne_bytes());
        assert!(outcome(&answer).is_ok());
        answer[16..20].copy_from_slice(&(-libc::EPERM).to_ne_bytes());
        assert_eq!(outcome(&answer).unwrap_err().raw_os_error(), Some(libc::EPERM));
        assert!(outcome(&answer[..18]).is_err());
        answer[4..6].copy_from_slice(&3u16.to_ne_bytes());
        assert!(outcome(&answer).is_err());
    }
}
