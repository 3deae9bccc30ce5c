//! The machine's network interfaces, and the destinations of probes through them.

use super::InterfaceKind;
use crate::protocol::limits::DISCOVERY_PORT;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

/// The servers' IPv4 group: administratively scoped (RFC 2365), ending in `CG`.
pub const GROUP_V4: Ipv4Addr = Ipv4Addr::new(239, 255, 67, 71);
/// The servers' IPv6 group: transient, link-local scope (RFC 4291 §2.7), ending in `CG`.
pub const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff12, 0, 0, 0, 0, 0, 0, 0x4347);

/// Limit on the sockets of a search; a machine with many containers has hundreds of interfaces.
pub const MAX_ROUTES: usize = 128;
/// Limit on an interface's probe routes that precede those of the next interface.
const MAX_ROUTES_EACH: usize = 8;

/// A network interface that is up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// The system's name.
    pub name: String,
    /// The system's index, which is also the scope of its IPv6 link-local addresses.
    pub index: u32,
    /// True for a point-to-point link, which has no broadcast.
    pub point_to_point: bool,
    /// Its kind, ordered by the likelihood of other machines.
    pub kind: InterfaceKind,
    /// Its addresses.
    pub networks: Vec<Network>,
}

/// An interface's address with its prefix length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// The address.
    pub ip: IpAddr,
    /// The prefix length in bits.
    pub prefix: u8,
}

/// The destinations of probes from one address of an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeRoute {
    /// The interface's name.
    pub interface: String,
    /// The interface's index.
    pub index: u32,
    /// The source address; unspecified for IPv6, where the system chooses.
    pub from: IpAddr,
    /// The destinations.
    pub to: Vec<SocketAddr>,
}

impl Interface {
    /// Returns true for the loopback interface.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.networks.iter().any(|network| network.ip.is_loopback())
    }

    /// Returns true if the interface has an IPv6 (or IPv4) address.
    #[must_use]
    pub fn speaks(&self, v6: bool) -> bool {
        self.networks.iter().any(|network| network.ip.is_ipv6() == v6)
    }

    /// Returns true if `ip` is the broadcast address of one of its networks.
    #[must_use]
    pub fn broadcasts_to(&self, ip: IpAddr) -> bool {
        let broadcast = |network: &Network| network.broadcast().map(IpAddr::V4);
        !self.point_to_point && self.networks.iter().any(|network| broadcast(network) == Some(ip))
    }

    /// Returns true if `remote` is on one of its networks.
    #[must_use]
    pub fn is_near(&self, remote: SocketAddr) -> bool {
        match remote {
            SocketAddr::V6(v6) if v6.ip().is_unicast_link_local() => v6.scope_id() == self.index,
            _ => self.networks.iter().any(|network| network.contains(remote.ip())),
        }
    }
}

impl Network {
    fn contains(self, ip: IpAddr) -> bool {
        let differ = match (self.ip, ip) {
            (IpAddr::V4(a), IpAddr::V4(b)) => u128::from(a.to_bits() ^ b.to_bits()) << 96,
            (IpAddr::V6(a), IpAddr::V6(b)) => a.to_bits() ^ b.to_bits(),
            _ => return false,
        };
        differ.leading_zeros() >= self.prefix.into()
    }

    /// The broadcast address; `None` for IPv6 and for networks of at most two addresses.
    #[must_use]
    pub fn broadcast(self) -> Option<Ipv4Addr> {
        match self.ip {
            IpAddr::V4(ip) if self.prefix < 31 => {
                Some(Ipv4Addr::from_bits(ip.to_bits() | (u32::MAX >> self.prefix)))
            }
            _ => None,
        }
    }
}

/// The probe routes of all interfaces, the likeliest first; a search uses at most [`MAX_ROUTES`].
/// The loopback interface has no broadcast and, on some systems, no multicast, so its own address
/// is a destination too.
pub fn probe_routes(interfaces: &[Interface]) -> Vec<ProbeRoute> {
    let mut interfaces: Vec<_> = interfaces.iter().collect();
    interfaces.sort_by_key(|interface| (interface.kind, interface.index));
    let (mut first, mut last) = (Vec::new(), Vec::new());
    for interface in interfaces {
        let mut probe_routes = Vec::new();
        let route = |from, to| ProbeRoute {
            interface: interface.name.clone(),
            index: interface.index,
            from,
            to,
        };
        let group = SocketAddr::from((GROUP_V4, DISCOVERY_PORT));
        for network in interface.networks.iter().filter(|network| network.ip.is_ipv4()) {
            let direct = match network.ip {
                ip if ip.is_loopback() => Some(ip),
                _ if interface.point_to_point => None,
                _ => network.broadcast().map(IpAddr::V4),
            };
            let direct = direct.map(|ip| SocketAddr::new(ip, DISCOVERY_PORT));
            probe_routes.push(route(network.ip, direct.into_iter().chain([group]).collect()));
        }
        if interface.speaks(true) && !interface.is_loopback() {
            let group = SocketAddrV6::new(GROUP_V6, DISCOVERY_PORT, 0, interface.index);
            probe_routes.push(route(Ipv6Addr::UNSPECIFIED.into(), vec![group.into()]));
        }
        let rest = probe_routes.split_off(probe_routes.len().min(MAX_ROUTES_EACH));
        first.append(&mut probe_routes);
        last.extend(rest);
    }
    first.append(&mut last);
    first
}

#[cfg(test)]
mod tests {
    use super::super::Hints;
    use super::*;

    fn interface(name: &str, index: u32, addresses: &[(&str, u8)]) -> Interface {
        let network =
            |(ip, prefix): &(&str, u8)| Network { ip: ip.parse().unwrap(), prefix: *prefix };
        let networks: Vec<_> = addresses.iter().map(network).collect();
        let kind = InterfaceKind::of(name, &networks, Hints::default());
        Interface { name: name.to_owned(), index, point_to_point: false, kind, networks }
    }

    fn asked(interfaces: &[Interface]) -> Vec<String> {
        let text = |route: ProbeRoute| {
            let to: Vec<_> = route.to.iter().map(ToString::to_string).collect();
            format!("{} {}: {}", route.interface, route.from, to.join(" "))
        };
        probe_routes(interfaces).into_iter().map(text).collect()
    }

    #[test]
    fn each_network_is_probed_by_broadcast_and_multicast() {
        let lo = interface("lo", 1, &[("127.0.0.1", 8), ("::1", 128)]);
        let lan = interface("eth0", 2, &[("10.1.2.3", 20), ("192.168.7.1", 24), ("fe80::1", 64)]);
        let mut vpn = interface("tun0", 3, &[("10.9.0.1", 24)]);
        vpn.point_to_point = true;
        let pair = interface("eth1", 4, &[("10.8.0.1", 31)]);
        assert_eq!(
            asked(&[lo, lan, vpn, pair]),
            [
                "lo 127.0.0.1: 127.0.0.1:2429 239.255.67.71:2429",
                "eth0 10.1.2.3: 10.1.15.255:2429 239.255.67.71:2429",
                "eth0 192.168.7.1: 192.168.7.255:2429 239.255.67.71:2429",
                "eth0 ::: [ff12::4347%2]:2429",
                "tun0 10.9.0.1: 239.255.67.71:2429",
                "eth1 10.8.0.1: 239.255.67.71:2429",
            ]
        );
        assert!(probe_routes(&[]).is_empty());
    }

    #[test]
    fn the_lan_is_probed_before_containers() {
        let veth = |n| interface(&format!("veth{n}"), n, &[("fe80::1", 64)]);
        let mut all: Vec<_> = (2..=200).map(veth).collect();
        all.push(interface("br-0123456789ab", 201, &[("172.18.0.1", 16)]));
        all.push(interface("wlan0", 202, &[("192.168.1.5", 24), ("fe80::1", 64)]));
        all.push(interface("lo", 1, &[("127.0.0.1", 8)]));
        let probe_routes = probe_routes(&all);
        let names: Vec<_> = probe_routes.iter().map(|route| route.interface.as_str()).collect();
        assert_eq!(names[..5], ["lo", "wlan0", "wlan0", "br-0123456789ab", "veth2"]);
        assert_eq!(names.len(), 199 + 4);
    }

    #[test]
    fn an_interface_with_many_addresses_does_not_displace_others() {
        let mut addresses: Vec<_> = (0..200).map(|_| ("10.0.0.1", 24)).collect();
        addresses.push(("fe80::1", 64));
        let all = [interface("eth0", 2, &addresses), interface("eth1", 3, &[("10.1.0.1", 24)])];
        let asked = probe_routes(&all).into_iter().take(MAX_ROUTES);
        assert!(asked.into_iter().any(|route| route.interface == "eth1"));
    }

    #[test]
    fn addresses_of_the_same_network_or_link_are_near() {
        let lan = interface("eth0", 2, &[("10.1.2.3", 24), ("fd00::1", 64), ("fe80::1", 64)]);
        let near = |remote: &str| lan.is_near(remote.parse().unwrap());
        for remote in ["10.1.2.255:9", "10.1.2.3:9", "[fd00::9]:9", "[fe80::9%2]:9"] {
            assert!(near(remote), "{remote}");
        }
        for remote in ["10.1.3.4:9", "[fd00:0:0:1::9]:9", "[fe80::9%3]:9", "[::1]:9"] {
            assert!(!near(remote), "{remote}");
        }
        let everything = interface("p", 3, &[("0.0.0.0", 0)]);
        assert!(everything.is_near("8.8.8.8:1".parse().unwrap()));
    }
}
