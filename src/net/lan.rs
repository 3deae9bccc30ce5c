//! The machine's interfaces, and the sockets with which servers are looked for and found.

use super::{BindError, Socket};
use crate::discovery::{GROUP_V4, GROUP_V6, Interface, Network, Standing, Traits, Way};
use crate::protocol::limits::DISCOVERY_PORT;
use socket2::{
    Domain, InterfaceIndexOrAddress, Protocol, SockAddr, SockRef, Socket as RawSocket, Type,
};
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::Path;

/// The interfaces that are up and have an address, those where others are likeliest first.
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
        // For the moment: it depends on all the addresses.
        let standing = Standing::Link;
        let (name, point_to_point) = (one.name, one.is_p2p);
        let interface = Interface { name, index, point_to_point, standing, networks };
        found.entry(index).or_insert(interface).networks.push(network);
    }
    let mut found: Vec<_> = found.into_values().collect();
    let outward = [outward(true), outward(false)];
    for interface in &mut found {
        let networks = &interface.networks;
        let traits = Traits {
            default_route: networks.iter().any(|network| outward.contains(&Some(network.ip))),
            device: is_device(&interface.name),
        };
        interface.standing = Standing::of(&interface.name, networks, traits);
    }
    found.sort_by_key(|interface| (interface.standing, interface.index));
    Ok(found)
}

/// The address from which this machine would send to everywhere else. Connecting a UDP socket only asks
/// the routing table; nothing is sent to the documentation addresses (RFC 5737, RFC 3849).
fn outward(v6: bool) -> Option<IpAddr> {
    let (any, anywhere): (IpAddr, IpAddr) = match v6 {
        false => (Ipv4Addr::UNSPECIFIED.into(), Ipv4Addr::new(192, 0, 2, 1).into()),
        true => {
            (Ipv6Addr::UNSPECIFIED.into(), Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into())
        }
    };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect((anywhere, DISCOVERY_PORT)).ok()?;
    socket.local_addr().ok().map(|address| address.ip())
}

/// Whether an interface is a device of its own, as far as the system says.
fn is_device(name: &str) -> bool {
    cfg!(target_os = "linux") && Path::new("/sys/class/net").join(name).join("device").exists()
}

/// Whether `ip` is the broadcast address of one of this machine's networks.
pub(super) fn is_broadcast(ip: IpAddr) -> bool {
    interfaces().is_ok_and(|found| found.iter().any(|interface| interface.broadcasts_to(ip)))
}

/// A socket to ask in this way with. What it sends to many stays on the link.
///
/// # Errors
/// The kernel's.
pub fn asking(way: &Way) -> io::Result<Socket> {
    let raw = open(SocketAddr::new(way.from, 0), false)?;
    match way.from {
        IpAddr::V4(from) => {
            raw.set_broadcast(true)?;
            raw.set_multicast_if_v4(&from)?;
            raw.set_multicast_ttl_v4(1)?;
            // For a broadcast, which a router may pass on where this network is another's.
            raw.set_ttl_v4(1)?;
        }
        IpAddr::V6(_) => {
            raw.set_multicast_if_v6(way.index)?;
            raw.set_multicast_hops_v6(1)?;
        }
    }
    Ok(Socket::wrap(raw, way.from.is_ipv6()))
}

/// A socket that hears what is sent to [`DISCOVERY_PORT`] of `ip`, beside those of other servers.
///
/// # Errors
/// [`BindError`] names the address.
pub fn answering(ip: IpAddr) -> Result<Socket, BindError> {
    let address = SocketAddr::new(ip, DISCOVERY_PORT);
    open(address, true)
        .map(|raw| Socket::wrap(raw, ip.is_ipv6()))
        .map_err(|cause| BindError::new(address, cause))
}

/// Makes a socket hear what is sent to the group on this interface. Doing it twice is no error.
///
/// # Errors
/// The kernel's, such as too many groups.
pub fn join(socket: &Socket, v6: bool, index: u32) -> io::Result<()> {
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

/// IPv4 and IPv6 apart, so that each answer leaves by the protocol and from the address that was
/// asked.
fn open(address: SocketAddr, shared: bool) -> io::Result<RawSocket> {
    let raw = RawSocket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        raw.set_only_v6(true)?;
    }
    if shared {
        // On Linux and Windows this lets all sockets of a port hear what is sent to many. Linux'
        // SO_REUSEPORT would not: it wants the same user behind all of them. BSD wants it.
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
