//! A node's network device, and its end at the router.

use super::netlink::Netlink;
use super::trace::Delivery;
use super::{Error, NodeCounts, Wire, sys};
use rustix::fd::{AsFd, BorrowedFd};
use socket2::{Domain, Socket, Type};
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::net::Ipv4Addr;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::atomic::{AtomicU64, Ordering};

/// The node's device, and the far end of a veth pair.
const NAME: &str = "emulated0";
const FAR_END: &str = "wire0";
/// Ethernet's MTU, bytes, as on most of the Internet.
const MTU: u32 = 1500;
/// Transmit queue of a device, packets: more than a TCP window's burst, so that only the impairment
/// loses packets.
const QUEUE: u32 = 10_000;
/// Receive buffer of the packet socket, bytes, for the same reason.
const BUFFER: usize = 8 << 20;
/// Ethernet address of every node. The device uses no ARP and sends to this address itself. The far
/// end has another address, so its own IP stack ignores the packets.
const ADDRESS: [u8; 6] = [0x02, 0, 0, 0, 0, 0x01];
/// Destination, source, and the type of IPv4.
const ETHERNET: [u8; 14] = [0x02, 0, 0, 0, 0, 0x01, 0x02, 0, 0, 0, 0, 0x02, 0x08, 0x00];

/// The router's end of a node's device, which carries whole IPv4 packets.
pub(super) enum Device {
    /// The open `/dev/net/tun`.
    Tun(File),
    /// A packet socket at the far end of the veth pair, and the packets it has dropped.
    Veth(Socket, AtomicU64),
}

impl Device {
    /// Configures the calling thread's network namespace: no IPv6, `lo` up, and a device with a
    /// route to `peer` only, so that no other packet takes an index.
    pub(super) fn build(wire: Wire, own: Ipv4Addr, peer: Ipv4Addr) -> Result<Self, Error> {
        // If IPv6 cannot be disabled, the router ignores it.
        let _ = fs::write("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1");
        let netlink = Netlink::open().map_err(Error::at("open a netlink socket"))?;
        netlink.bring_up("lo", 0, None).map_err(Error::at("bring lo up"))?;
        let device = match wire {
            Wire::Tun => Self::tun(),
            Wire::Veth => Self::veth(&netlink),
        };
        let device = device.map_err(|cause| Error::Device { wire, cause })?;
        netlink
            .bring_up(NAME, libc::IFF_NOARP, Some((MTU, QUEUE)))
            .map_err(Error::at("bring the device up"))?;
        netlink.set_address(NAME, own, peer).map_err(Error::at("set an address"))?;
        Ok(device)
    }

    fn tun() -> io::Result<Self> {
        let tun = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NONBLOCK)
            .open("/dev/net/tun")?;
        sys::attach_tun(&tun, NAME)?;
        Ok(Self::Tun(tun))
    }

    fn veth(netlink: &Netlink) -> io::Result<Self> {
        netlink.add_veth(NAME, ADDRESS, FAR_END)?;
        sys::disable_offloads(netlink.socket(), NAME)?;
        netlink.bring_up(FAR_END, libc::IFF_NOARP, Some((MTU, QUEUE)))?;
        // With protocol 0 it receives nothing until it is bound.
        let socket = Socket::new(Domain::from(libc::AF_PACKET), Type::from(libc::SOCK_RAW), None)?;
        // A smaller buffer is no error: `overruns` reports its losses.
        let _ = socket.set_recv_buffer_size(BUFFER);
        socket.set_nonblocking(true)?;
        sys::bypass_queue(&socket)?;
        sys::bind_packet(&socket, FAR_END)?;
        Ok(Self::Veth(socket, AtomicU64::new(0)))
    }

    /// The next packet that the node has sent; `None` if there is none now. Protocols other than
    /// IPv4 are ignored.
    pub(super) fn receive(&self, buffer: &mut [u8]) -> io::Result<Option<Vec<u8>>> {
        loop {
            let (result, header) = match self {
                Self::Tun(file) => ((&*file).read(buffer), 0),
                Self::Veth(socket, _) => ((&*socket).read(buffer), ETHERNET.len()),
            };
            match result {
                Ok(length) => match buffer[..length].get(header..) {
                    Some(packet) if is_ipv4(packet) => return Ok(Some(packet.to_vec())),
                    _ => {}
                },
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Delivers a packet to the node. The kernel refuses one with a corrupted version field, or for
    /// want of memory. Any other error, such as a device that is down, concerns all packets.
    pub(super) fn send(&self, packet: &[u8]) -> io::Result<Delivery> {
        let result = match self {
            Self::Tun(file) => (&*file).write(packet),
            Self::Veth(socket, _) => socket.send(&[&ETHERNET, packet].concat()),
        };
        match result {
            Err(error) if concerns_one_packet(&error) => {
                log::debug!("{} bytes not delivered: {error}", packet.len());
                Ok(Delivery::Refused)
            }
            result => result.map(|_| Delivery::Accepted),
        }
    }

    /// The kernel's counters of the device. Call it in the node's namespace.
    pub(super) fn counts(&self) -> io::Result<NodeCounts> {
        let table = fs::read_to_string("/proc/thread-self/net/dev")?;
        let counts = counters(&table).ok_or(ErrorKind::InvalidData)?;
        match self {
            Self::Tun(_) => Ok(counts),
            Self::Veth(socket, total) => {
                let new = sys::packet_drops(socket)?;
                let overruns = total.fetch_add(new, Ordering::Relaxed) + new;
                // The device has sent them, and the socket at its other end had no room.
                Ok(NodeCounts { sent: counts.sent.saturating_sub(overruns), overruns, ..counts })
            }
        }
    }
}

impl AsFd for Device {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tun(file) => file.as_fd(),
            Self::Veth(socket, _) => socket.as_fd(),
        }
    }
}

fn concerns_one_packet(error: &io::Error) -> bool {
    use libc::{EAGAIN, EINTR, EINVAL, ENOBUFS, ENOMEM};
    error.raw_os_error().is_some_and(|it| [EAGAIN, EINTR, EINVAL, ENOBUFS, ENOMEM].contains(&it))
}

fn is_ipv4(packet: &[u8]) -> bool {
    packet.first().is_some_and(|byte| byte >> 4 == 4)
}

/// Reads `/proc/net/dev`: bytes, packets, errors, dropped and four more of what was received, then
/// the same of what was sent.
fn counters(table: &str) -> Option<NodeCounts> {
    let line = table.lines().find_map(|line| line.trim().strip_prefix(NAME)?.strip_prefix(':'))?;
    let columns: Vec<u64> = line.split_whitespace().map_while(|it| it.parse().ok()).collect();
    let [received, sent, overruns] = [1, 9, 11].map(|at| columns.get(at).copied());
    Some(NodeCounts { received: received?, sent: sent?, overruns: overruns? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_read_from_the_right_columns() {
        let table = "Inter-|   Receive |  Transmit\n face |bytes packets ...\n    lo: 1 1 1 1 1 1 \
                     1 1 1 1 1 1 1 1 1 1\n emulated0: 10 11 12 13 14 15 16 17 20 21 22 23 24 25 \
                     26 27\n";
        let counts = NodeCounts { received: 11, sent: 21, overruns: 23 };
        assert_eq!(counters(table), Some(counts));
        assert_eq!(counters("lo: 1"), None);
    }

    #[test]
    fn only_ipv4_passes() {
        assert!(is_ipv4(&[0x45, 0]));
        assert!(!is_ipv4(&[0x60, 0]));
        assert!(!is_ipv4(&[]));
    }
}
