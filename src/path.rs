//! A path between two hosts: the local address and interface, and the remote address.
//!
//! A host with several addresses has several paths to each peer. An answer leaves on the path of
//! the request: the peer, and firewalls and NATs in between, would not accept it from another
//! address (RFC 1122 §4.1.3.5). A session moves to a new path only after that path has answered a
//! challenge (`proto.md` §7.7).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The local end of a path. The default is the first socket with the source address chosen by
/// routing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Local {
    /// Index of the socket.
    pub socket: usize,
    /// The address the datagram was sent to. `None` if it is unknown or a multicast or broadcast
    /// address: then routing chooses the source address.
    pub ip: Option<IpAddr>,
    /// Index of the interface; 0 is any. Set only for addresses that need it (RFC 4007 §6).
    pub interface: u32,
}

/// A local end and a remote address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Path {
    /// The local end.
    pub local: Local,
    /// The remote address.
    pub remote: SocketAddr,
}

impl Local {
    /// A socket, with the source address chosen by routing.
    #[must_use]
    pub fn socket(socket: usize) -> Self {
        Self { socket, ..Self::default() }
    }

    /// The local end of a datagram that was sent to `ip` and received on `interface`.
    #[must_use]
    pub fn receiving(ip: IpAddr, interface: u32) -> Self {
        let ip = ip.to_canonical();
        let link_local = matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local());
        let many = ip.is_multicast() || ip == IpAddr::V4(Ipv4Addr::BROADCAST);
        let ip = (!many && !ip.is_unspecified()).then_some(ip);
        Self { ip, interface: if many || link_local { interface } else { 0 }, ..Self::default() }
    }

    /// Returns true if routing chooses the source address and the interface.
    #[must_use]
    pub fn is_any(&self) -> bool {
        self.ip.is_none() && self.interface == 0
    }

    /// The address as IPv6, mapped if necessary (RFC 4291 §2.5.5.2); unspecified if there is none.
    #[must_use]
    pub fn ip_v6(&self) -> Ipv6Addr {
        match self.ip {
            Some(IpAddr::V4(ip)) => ip.to_ipv6_mapped(),
            Some(IpAddr::V6(ip)) => ip,
            None => Ipv6Addr::UNSPECIFIED,
        }
    }
}

impl Path {
    /// The path from a socket to `remote`, with the source address chosen by routing.
    #[must_use]
    pub fn routed(socket: usize, remote: SocketAddr) -> Self {
        Self { local: Local::socket(socket), remote }
    }
}

/// What counts as one host: an IPv6 host has a whole /64 (RFC 6177 §2), but on a link without a
/// router every host has one address of `fe80::/64` (RFC 4291 §2.5.6).
pub(crate) fn network(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V6(v6) if !v6.is_unicast_link_local() => {
            Ipv6Addr::from(u128::from(v6) & !u128::from(u64::MAX)).into()
        }
        other => other,
    }
}

/// The path from the first socket, with the source address chosen by routing.
impl From<SocketAddr> for Path {
    fn from(remote: SocketAddr) -> Self {
        Self::routed(0, remote)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_interface_is_kept_only_for_addresses_that_need_it() {
        for (ip, kept, interface) in [
            ("10.0.0.1", Some("10.0.0.1"), 0),
            ("::ffff:10.0.0.1", Some("10.0.0.1"), 0),
            ("fd00::1", Some("fd00::1"), 0),
            ("fe80::1", Some("fe80::1"), 7),
            ("239.255.67.71", None, 7),
            ("255.255.255.255", None, 7),
            ("ff12::4347", None, 7),
            ("0.0.0.0", None, 0),
        ] {
            let local = Local::receiving(ip.parse().unwrap(), 7);
            let kept = kept.map(|ip| ip.parse().unwrap());
            assert_eq!((local.ip, local.interface), (kept, interface), "{ip}");
        }
    }
}
