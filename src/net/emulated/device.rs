//! One node's network device, and the end of it that the router holds.

use super::netlink::Netlink;
use super::{Error, Wire, sys};
use rustix::fd::{AsFd, BorrowedFd};
use socket2::{Domain, Socket, Type};
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::net::Ipv4Addr;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::atomic::{AtomicU64, Ordering};

/// The node's device, and the far end of its cable where it is one of a veth pair.
const NAME: &str = "emulated0";
const FAR_END: &str = "wire0";
/// Ethernet's, bytes: what most of the Internet has.
const MTU: u32 = 1500;
/// Packets a device keeps for the router: more than a TCP window's burst, so that losses are the
/// impairment's alone.
const QUEUE: u32 = 10_000;
/// Bytes asked for to the same end where the router listens on a socket.
const BUFFER: usize = 8 << 20;
/// Every node's Ethernet address. Its device knows no ARP and sends to this address itself; the far
/// end has another, so that its own IP takes it for a packet to somebody else.
const ADDRESS: [u8; 6] = [0x02, 0, 0, 0, 0, 0x01];
/// Destination, source, and the type for IPv4.
const ETHERNET: [u8; 14] = [0x02, 0, 0, 0, 0, 0x01, 0x02, 0, 0, 0, 0, 0x02, 0x08, 0x00];

/// The router's end of one node's device: whole IPv4 packets go in and come out.
pub(super) enum Device {
    /// The open `/dev/net/tun`.
    Tun(File),
    /// A packet socket on the far end of the veth pair, and what it has dropped.
    Veth(Socket, AtomicU64),
}

impl Device {
    /// Sets up the calling thread's network namespace: no IPv6, `lo`, and a device that leads to
    /// `peer` and nowhere else, so that nothing but the conversation takes a packet index.
    pub(super) fn build(wire: Wire, own: Ipv4Addr, peer: Ipv4Addr) -> Result<Self, Error> {
        // Where it cannot be switched off, the router ignores it.
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
        // With protocol 0 it hears nothing until it is bound.
        let socket = Socket::new(Domain::from(libc::AF_PACKET), Type::from(libc::SOCK_RAW), None)?;
        // Less than asked for is no reason to stop: `overruns` tells.
        let _ = socket.set_recv_buffer_size(BUFFER);
        socket.set_nonblocking(true)?;
        sys::bypass_queue(&socket)?;
        sys::bind_packet(&socket, FAR_END)?;
        Ok(Self::Veth(socket, AtomicU64::new(0)))
    }

    /// The next packet that the node has sent, or `None` when there is none right now. Other
    /// protocols than IPv4 are passed over.
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

    /// Gives the node a packet. One that the kernel does not take (a damaged version field, no
    /// memory) is lost like any other on the way; the reason goes to the log.
    pub(super) fn send(&self, packet: &[u8]) {
        let result = match self {
            Self::Tun(file) => (&*file).write(packet),
            Self::Veth(socket, _) => socket.send(&[&ETHERNET, packet].concat()),
        };
        if let Err(error) = result {
            log::debug!("{} bytes not delivered: {error}", packet.len());
        }
    }

    /// Packets that came faster than the router took them. To be called in the node's namespace.
    pub(super) fn overruns(&self) -> io::Result<u64> {
        match self {
            Self::Tun(_) => transmit_drops(&fs::read_to_string("/proc/thread-self/net/dev")?)
                .ok_or_else(|| ErrorKind::InvalidData.into()),
            Self::Veth(socket, total) => {
                let new = sys::packet_drops(socket)?;
                Ok(total.fetch_add(new, Ordering::Relaxed) + new)
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

fn is_ipv4(packet: &[u8]) -> bool {
    packet.first().is_some_and(|byte| byte >> 4 == 4)
}

/// The device's line of `/proc/net/dev` has eight counters for receiving, then those for sending:
/// bytes, packets, errors, dropped.
fn transmit_drops(table: &str) -> Option<u64> {
    let line = table.lines().find_map(|line| line.trim().strip_prefix(NAME)?.strip_prefix(':'))?;
    line.split_whitespace().nth(8 + 3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_drops_are_read_from_the_right_column() {
        let table = "Inter-|   Receive |  Transmit\n face |bytes packets ...\n    lo: 1 1 1 1 1 1 1 1 1 1 1 1 \
                     1 1 1 1\n emulated0: 10 11 12 13 14 15 16 17 20 21 22 23 24 25 26 27\n";
        assert_eq!(transmit_drops(table), Some(23));
        assert_eq!(transmit_drops("lo: 1"), None);
    }

    #[test]
    fn only_ipv4_passes() {
        assert!(is_ipv4(&[0x45, 0]));
        assert!(!is_ipv4(&[0x60, 0]));
        assert!(!is_ipv4(&[]));
    }
}
