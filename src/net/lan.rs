//! The machine's interfaces, and the sockets of discovery.

use super::udp::ReceivesAt;
use super::{BindError, Socket};
use crate::discovery::{GROUP_V4, GROUP_V6, Hints, Interface, InterfaceKind, Network, ProbeRoute};
use crate::protocol::limits::DISCOVERY_PORT;
use socket2::{
    Domain, InterfaceIndexOrAddress, Protocol, SockAddr, SockRef, Socket as RawSocket, Type,
};
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::Path;

/// The interfaces that are up and have an address, the likeliest to have other machines first.
///
/// # Errors
/// The system's.
pub fn interfaces() -> io::Result<Vec<Interface>> {
    let mut found = BTreeMap::new();
    for one in if_addrs::get_if_addrs()?.into_iter().filter(if_addrs::Interface::is_oper_up) {
        let Some(index) = one.index else { continue };
        let (if_addrs::IfAddr::V4(if_addrs::Ifv4Addr { prefixlen: prefix, .. })
        | if_addrs::IfAddr::V6(if_addrs::Ifv6Addr { prefixlen: prefix, .. })) = one.addr;
        let network = Network { ip: one.ip(), prefix };
        let networks = Vec::new();
        // A placeholder: the kind depends on all addresses.
        let kind = InterfaceKind::Link;
        let (name, point_to_point) = (one.name, one.is_p2p);
        let interface = Interface { name, index, point_to_point, kind, networks };
        found.entry(index).or_insert(interface).networks.push(network);
    }
    let mut found: Vec<_> = found.into_values().collect();
    let outward = [outward(true), outward(false)];
    for interface in &mut found {
        let networks = &interface.networks;
        let hints = Hints {
            default_route: networks.iter().any(|network| outward.contains(&Some(network.ip))),
            device: is_device(&interface.name),
        };
        interface.kind = InterfaceKind::of(&interface.name, networks, hints);
    }
    found.sort_by_key(|interface| (interface.kind, interface.index));
    Ok(found)
}

/// The source address of the default route. Connecting a UDP socket only consults the routing
/// table; nothing is sent to the documentation addresses (RFC 5737, RFC 3849).
fn outward(v6: bool) -> Option<IpAddr> {
    let (any, anywhere): (IpAddr, IpAddr) = if v6 {
        (Ipv6Addr::UNSPECIFIED.into(), Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into())
    } else {
        (Ipv4Addr::UNSPECIFIED.into(), Ipv4Addr::new(192, 0, 2, 1).into())
    };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect((anywhere, DISCOVERY_PORT)).ok()?;
    socket.local_addr().ok().map(|address| address.ip())
}

/// Returns true for a hardware device, as far as the system tells.
fn is_device(name: &str) -> bool {
    cfg!(target_os = "linux") && Path::new("/sys/class/net").join(name).join("device").exists()
}

/// Returns true if `ip` is the broadcast address of one of this machine's networks.
pub(super) fn is_broadcast(ip: IpAddr) -> bool {
    interfaces().is_ok_and(|found| found.iter().any(|interface| interface.broadcasts_to(ip)))
}

/// Opens a socket to send probes on this route. Its broadcasts and multicasts stay on the link.
///
/// # Errors
/// The kernel's.
pub fn probe_socket(route: &ProbeRoute) -> io::Result<Socket> {
    let raw = open(SocketAddr::new(route.from, 0), false)?;
    match route.from {
        IpAddr::V4(from) => {
            raw.set_broadcast(true)?;
            raw.set_multicast_if_v4(&from)?;
            raw.set_multicast_ttl_v4(1)?;
            // A router could forward a broadcast to another network.
            raw.set_ttl_v4(1)?;
        }
        IpAddr::V6(_) => {
            raw.set_multicast_if_v6(route.index)?;
            raw.set_multicast_hops_v6(1)?;
        }
    }
    Ok(Socket::wrap(raw, route.from, ReceivesAt::Several))
}

/// Opens a socket for [`DISCOVERY_PORT`] of `ip`, which other servers of this machine may share.
///
/// # Errors
/// [`BindError`] names the address.
pub(crate) fn responder_socket(ip: IpAddr) -> Result<Socket, BindError> {
    let address = SocketAddr::new(ip, DISCOVERY_PORT);
    open(address, true)
        .map(|raw| Socket::wrap(raw, ip, ReceivesAt::Several))
        .map_err(|cause| BindError::new(address, cause))
}

/// Joins the discovery group on an interface. Joining twice is not an error.
///
/// # Errors
/// The kernel's, such as too many groups.
pub(crate) fn join_group(socket: &Socket, v6: bool, index: u32) -> io::Result<()> {
    let raw = SockRef::from(socket.inner());
    let joined = if v6 {
        raw.join_multicast_v6(&GROUP_V6, index)
    } else {
        raw.join_multicast_v4_n(&GROUP_V4, &InterfaceIndexOrAddress::Index(index))
    };
    joined.or_else(|error| match error.kind() {
        io::ErrorKind::AddrInUse => Ok(()),
        _ => Err(error),
    })
}

/// Separate sockets for IPv4 and IPv6: each answer leaves in the family, and from the address, of
/// the probe.
fn open(address: SocketAddr, shared: bool) -> io::Result<RawSocket> {
    let raw = RawSocket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        raw.set_only_v6(true)?;
    }
    if shared {
        // On Linux and Windows this option lets every socket of the port receive broadcasts and
        // multicasts. Linux's SO_REUSEPORT requires the same user for all of them; BSD requires it.
        raw.set_reuse_address(true)?;
        #[cfg(any(
            target_vendor = "apple",
            target_os = "freebsd",
            target_os = "netbsd",
            target_os = "openbsd"
        ))]
        raw.set_reuse_port(true)?;
    }
    raw.set_nonblocking(true)?;
    raw.bind(&SockAddr::from(address))?;
    Ok(raw)
}
