//! Orders interfaces by the likelihood of other machines behind them. A machine with containers has
//! hundreds, and the network that people share is not the first.

use super::Network;
use std::net::IpAddr;

/// The kind of an interface, the likeliest to have other machines first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum InterfaceKind {
    /// Loopback: this machine.
    Loopback,
    /// The interface of the default route.
    DefaultRoute,
    /// A hardware device with a routable address.
    Device,
    /// Another interface with a routable address, such as a bridge or a VPN.
    Network,
    /// An interface with link-local addresses only.
    Link,
    /// A network of this machine's containers or virtual machines.
    Internal,
    /// The link to one container or virtual machine.
    InternalLink,
}

/// Properties of an interface besides its addresses.
#[derive(Clone, Copy, Debug, Default)]
pub struct Hints {
    /// The default route uses it.
    pub default_route: bool,
    /// It is a hardware device, such as Ethernet or Wi-Fi.
    pub device: bool,
}

impl InterfaceKind {
    /// The kind of an interface with these properties.
    #[must_use]
    pub fn of(name: &str, networks: &[Network], hints: Hints) -> Self {
        let routed = networks.iter().any(|network| !is_link_local(network.ip));
        match () {
            () if networks.iter().any(|network| network.ip.is_loopback()) => Self::Loopback,
            () if hints.default_route => Self::DefaultRoute,
            () if hints.device && routed => Self::Device,
            () if is_internal(name) && routed => Self::Internal,
            () if is_internal(name) => Self::InternalLink,
            () if routed => Self::Network,
            () => Self::Link,
        }
    }

    /// Returns true if other machines may be on this interface.
    #[must_use]
    pub fn leads_to_others(self) -> bool {
        !matches!(self, Self::Loopback | Self::Internal | Self::InternalLink)
    }
}

fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

/// Returns true for the names that container and virtual machine software uses.
fn is_internal(name: &str) -> bool {
    const BEGINNINGS: [&str; 14] = [
        "veth",
        "docker",
        "virbr",
        "vnet",
        "vmnet",
        "vboxnet",
        "cni",
        "cali",
        "flannel",
        "lxc",
        "lxd",
        "podman",
        "tap",
        "vEthernet",
    ];
    // Docker names its bridges `br-` and the first half of an id; `br-lan` is the LAN of a router.
    let docker = name.strip_prefix("br-");
    let docker = docker
        .is_some_and(|id| id.len() == 12 && id.bytes().all(|digit| digit.is_ascii_hexdigit()));
    docker || BEGINNINGS.iter().any(|beginning| name.starts_with(beginning))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn kind(name: &str, ips: &[&str], hints: Hints) -> InterfaceKind {
        let network = |ip: &&str| Network { ip: ip.parse().unwrap(), prefix: 24 };
        InterfaceKind::of(name, &ips.iter().map(network).collect::<Vec<_>>(), hints)
    }

    #[test]
    fn shared_networks_precede_those_of_containers() {
        let plain = Hints::default();
        let device = Hints { device: true, ..plain };
        let route = Hints { default_route: true, ..plain };
        let order = [
            kind("lo", &["127.0.0.1", "::1"], plain),
            kind("br0", &["192.168.1.5"], route),
            kind("enp3s0", &["fe80::1", "10.0.0.1"], device),
            kind("wg0", &["10.9.0.1"], plain),
            kind("eth7", &["fe80::1"], device),
            kind("docker0", &["172.17.0.1"], plain),
            kind("veth12ab", &["fe80::1"], plain),
        ];
        assert!(order.is_sorted(), "{order:?}");
        let lead = order.map(InterfaceKind::leads_to_others);
        assert_eq!(lead, [false, true, true, true, true, false, false]);
        // Inside a container, the default route may use an interface with such a name.
        assert_eq!(kind("veth0", &["10.0.0.2"], route), InterfaceKind::DefaultRoute);
        assert_eq!(kind("br-lan", &["10.0.0.2"], plain), InterfaceKind::Network);
        assert_eq!(kind("br-0123456789ab", &["172.18.0.1"], plain), InterfaceKind::Internal);
    }
}
