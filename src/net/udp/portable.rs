//! The local address of each datagram, both ways, on systems other than Linux. `quinn-udp` wraps
//! their interfaces: `IP_RECVDSTADDR`, `IP_PKTINFO`, `IPV6_PKTINFO`, `WSARecvMsg`. Each call moves
//! one datagram.
//!
//! Unlike on Linux, the sender does not choose the interface: a link-local destination names it in
//! its scope (RFC 4007 §6), and routing chooses it for others. `quinn-udp` also disables
//! fragmentation, except for IPv4 on an IPv6 socket outside Windows.

use super::incoming::{Message, SLOT_LEN};
use crate::path::{Local, Path};
use mio::net::UdpSocket;
use quinn_udp::{RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use socket2::Socket as RawSocket;
use std::io::{self, IoSliceMut};
use std::net::IpAddr;

/// The system's options for one socket.
#[derive(Debug)]
pub(super) struct LocalEnds {
    /// `None` if the system supports no local addresses.
    options: Option<UdpSocketState>,
    /// True if the socket is bound to a wildcard. Only then does a datagram name its source:
    /// FreeBSD rejects one otherwise, and macOS overrides the bound address.
    wildcard: bool,
}

impl LocalEnds {
    /// Enables local addresses on a bound socket, where the system supports them.
    pub(super) fn of(socket: &RawSocket) -> Self {
        let options = UdpSocketState::new(UdpSockRef::from(socket))
            .inspect_err(|error| log::debug!("the system tells no local addresses: {error}"))
            .ok();
        let bound = socket.local_addr().ok().and_then(|name| name.as_socket());
        Self { options, wildcard: bound.is_some_and(|at| at.ip().is_unspecified()) }
    }

    /// Sends one datagram; its remote address is in the form that the socket needs.
    pub(super) fn send(&self, socket: &UdpSocket, datagram: &[u8], path: &Path) -> io::Result<()> {
        let Some(options) = &self.options else {
            return socket.send_to(datagram, path.remote).map(|_| ());
        };
        let source = path.local.ip.filter(|_| self.wildcard);
        #[cfg(target_vendor = "apple")]
        if let Some(IpAddr::V4(source)) = source {
            return socket.try_io(|| apple::send_from(socket, datagram, path.remote, source));
        }
        let transmit = Transmit {
            destination: path.remote,
            ecn: None,
            contents: datagram,
            segment_size: None,
            // IPv4 is not mapped, even on an IPv6 socket: each system has an option for it at the
            // IPv4 level.
            src_ip: source,
        };
        socket.try_io(|| options.try_send(UdpSockRef::from(socket), &transmit))
    }

    /// Receives one message into the first of `slots`, without blocking.
    pub(super) fn receive(
        &self,
        socket: &UdpSocket,
        slots: &mut [u8],
        messages: &mut Vec<Message>,
    ) -> io::Result<()> {
        let slot = &mut slots[..SLOT_LEN];
        let Some(options) = &self.options else {
            let (length, from) = socket.recv_from(slot)?;
            messages.push(Message { local: Local::default(), from, length, segment: length });
            return Ok(());
        };
        let mut read = [RecvMeta::default()];
        // mio must see `WouldBlock` from this call, or it reports nothing more on Windows.
        let count = socket.try_io(|| {
            options.recv(UdpSockRef::from(socket), &mut [IoSliceMut::new(slot)], &mut read)
        })?;
        messages.extend(read.iter().take(count).map(|read| Message {
            local: local(read.dst_ip, read.interface_index),
            from: read.addr,
            length: read.len,
            segment: read.stride,
        }));
        Ok(())
    }
}

fn local(ip: Option<IpAddr>, interface: Option<u32>) -> Local {
    ip.map_or_else(Local::default, |ip| Local::receiving(ip, interface.unwrap_or(0)))
}

/// macOS takes the source of an IPv4 datagram only from `IP_PKTINFO` (udp_check_pktinfo), also on
/// an IPv6 socket; it ignores the `IP_RECVDSTADDR` that `quinn-udp` writes.
#[cfg(target_vendor = "apple")]
mod apple {
    use mio::net::UdpSocket;
    use socket2::{MsgHdr, SockAddr, SockRef};
    use std::io::{self, IoSlice};
    use std::net::{Ipv4Addr, SocketAddr};

    /// A `cmsghdr` and an `in_pktinfo`: six fields of four bytes, without padding.
    const CONTROL_LEN: usize = size_of::<libc::cmsghdr>() + size_of::<libc::in_pktinfo>();
    const _: () = assert!(CONTROL_LEN == 6 * 4);

    pub(super) fn send_from(
        socket: &UdpSocket,
        datagram: &[u8],
        remote: SocketAddr,
        source: Ipv4Addr,
    ) -> io::Result<()> {
        let header = [CONTROL_LEN as i32, libc::IPPROTO_IP, libc::IP_PKTINFO];
        let any = [0; 4];
        // The interface, the source, and a field used only when receiving.
        let info = [any, source.octets(), any];
        let control = [header.map(i32::to_ne_bytes), info].concat().concat();
        let name = SockAddr::from(remote);
        let pieces = [IoSlice::new(datagram)];
        let message = MsgHdr::new().with_addr(&name).with_buffers(&pieces).with_control(&control);
        SockRef::from(socket).sendmsg(&message, 0).map(|_| ())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::{Incoming, lacks_local_end};
    use super::*;
    use socket2::{Domain, SockAddr, Type};
    use std::io::ErrorKind;
    use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket as Plain};
    use std::time::{Duration, Instant};

    /// A socket bound to this address; `[::]` includes IPv4.
    struct End(UdpSocket, LocalEnds);

    impl End {
        fn at(bound: &str) -> Self {
            let address: SocketAddr = bound.parse().unwrap();
            let raw = RawSocket::new(Domain::for_address(address), Type::DGRAM, None).unwrap();
            if address.is_ipv6() {
                raw.set_only_v6(!address.ip().is_unspecified()).unwrap();
            }
            raw.set_nonblocking(true).unwrap();
            raw.bind(&SockAddr::from(address)).unwrap();
            let ends = LocalEnds::of(&raw);
            Self(UdpSocket::from_std(raw.into()), ends)
        }

        fn port(&self) -> u16 {
            self.0.local_addr().unwrap().port()
        }

        /// The next datagram and its path.
        fn next(&self) -> (Path, Vec<u8>) {
            let begin = Instant::now();
            let mut incoming = Incoming::default();
            loop {
                let (slots, messages) = incoming.room();
                match self.1.receive(&self.0, slots, messages) {
                    Ok(()) => {
                        let &Message { local, from, length, segment } = messages.first().unwrap();
                        assert_eq!((messages.len(), segment), (1, length));
                        return (Path { local, remote: from }, slots[..length].to_vec());
                    }
                    Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
                }
                assert!(begin.elapsed() < Duration::from_secs(10), "nothing came");
                std::thread::yield_now();
            }
        }

        /// Sends a request to `address` and answers it. Returns the request's path, and the source
        /// of the answer.
        fn asked_at(&self, address: SocketAddr) -> (Path, SocketAddr) {
            let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
            let client = Plain::bind(any).unwrap();
            client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            client.send_to(b"question", address).unwrap();
            let (path, question) = self.next();
            assert_eq!(question, b"question");
            self.1.send(&self.0, b"answer", &path).unwrap();
            let mut buffer = [0; 100];
            let (length, from) = client.recv_from(&mut buffer).unwrap();
            assert_eq!(&buffer[..length], b"answer");
            (path, from)
        }
    }

    #[test]
    fn an_answer_leaves_from_the_requested_address() {
        let asked = ["127.0.0.1", "127.0.0.2", "127.9.9.9", "::1", "::ffff:127.0.0.3"];
        for bound in ["0.0.0.0:0", "[::]:0"] {
            let server = End::at(bound);
            for ip in asked.map(|ip| ip.parse::<IpAddr>().unwrap()) {
                // Not every system has all of 127.0.0.0/8, or IPv6.
                let here = Plain::bind((ip.to_canonical(), 0)).is_ok();
                if here && (bound.contains("::") || ip.to_canonical().is_ipv4()) {
                    let at = SocketAddr::new(ip, server.port());
                    let (path, from) = server.asked_at(at);
                    assert_eq!((path.local.ip, from), (Some(ip.to_canonical()), at), "{bound}");
                    assert_eq!(path.local.interface, 0, "{bound}: {ip}");
                }
            }
        }
    }

    #[test]
    #[ignore = "needs an interface with a link-local IPv6 address"]
    fn a_link_local_answer_leaves_on_the_interface_of_the_request() {
        let server = End::at("[::]:0");
        let of = |interface: if_addrs::Interface| match interface.ip() {
            IpAddr::V6(ip) if ip.is_unicast_link_local() => Some((ip, interface.index?)),
            _ => None,
        };
        let all: Vec<(Ipv6Addr, u32)> =
            if_addrs::get_if_addrs().unwrap().into_iter().filter_map(of).collect();
        assert!(!all.is_empty(), "no link-local address");
        for (ip, interface) in all {
            let at = SocketAddrV6::new(ip, server.port(), 0, interface).into();
            let (path, from) = server.asked_at(at);
            assert_eq!((path.local.ip, path.local.interface), (Some(ip.into()), interface));
            assert_eq!(from, at);
        }
    }

    /// `super::Socket` then sends again with the source address chosen by routing.
    #[test]
    fn a_missing_local_address_is_recognised_by_its_error() {
        for (bound, gone, to) in [
            ("0.0.0.0:0", "192.0.2.1", "127.0.0.1"),
            ("[::]:0", "192.0.2.1", "::ffff:127.0.0.1"),
            ("[::]:0", "2001:db8::1", "::1"),
            ("[::]:0", "fe80::77", "::1"),
        ] {
            let remote = SocketAddr::new(to.parse().unwrap(), 9);
            let local = Local { ip: Some(gone.parse().unwrap()), ..Local::default() };
            let End(socket, ends) = End::at(bound);
            let error = ends.send(&socket, b"answer", &Path { local, remote }).unwrap_err();
            assert!(lacks_local_end(&error), "{bound}, {gone}: {error}");
        }
    }

    #[test]
    fn a_bound_socket_sends_from_its_address() {
        for (bound, other) in [("127.0.0.1:0", "127.0.0.2"), ("[::1]:0", "2001:db8::1")] {
            let (server, client) = (End::at(bound), End::at(bound));
            let remote = client.0.local_addr().unwrap();
            let local = Local { ip: Some(other.parse().unwrap()), ..Local::default() };
            server.1.send(&server.0, b"answer", &Path { local, remote }).unwrap();
            let (path, answer) = client.next();
            assert_eq!(
                (path.remote, &answer[..]),
                (server.0.local_addr().unwrap(), &b"answer"[..])
            );
        }
    }

    #[test]
    fn without_options_datagrams_are_sent_by_routing() {
        let (mut server, client) = (End::at("127.0.0.1:0"), End::at("127.0.0.1:0"));
        server.1.options = None;
        let to = |end: &End| Path::from(end.0.local_addr().unwrap());
        client.1.send(&client.0, b"question", &to(&server)).unwrap();
        assert_eq!(server.next(), (to(&client), b"question".to_vec()));
        server.1.send(&server.0, b"answer", &to(&client)).unwrap();
        let (path, answer) = client.next();
        assert_eq!((path.remote, answer), (to(&server).remote, b"answer".to_vec()));
    }
}
