//! Which interfaces others are likely to be at. A machine full of containers has hundreds, and the one
//! network that people share is not the first among them.

use super::Network;
use std::net::IpAddr;

/// How likely others are at an interface, the likeliest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// This machine.
    Loopback,
    /// The way to everywhere else.
    DefaultRoute,
    /// A device, in a network.
    Device,
    /// Something else, in a network: a bridge, a VPN.
    Network,
    /// Link-local addresses only.
    Link,
    /// A network between this machine and its own containers and virtual machines.
    Internal,
    /// One container's or virtual machine's end of a cable.
    InternalLink,
}

/// What is known of an interface, beside its addresses.
#[derive(Clone, Copy, Debug, Default)]
pub struct Traits {
    /// The default route leaves by it.
    pub default_route: bool,
    /// It is a device of its own: Ethernet, Wi-Fi.
    pub device: bool,
}

impl Standing {
    /// What these things make of an interface.
    pub fn of(name: &str, networks: &[Network], traits: Traits) -> Self {
        let routed = networks.iter().any(|network| !is_link_local(network.ip));
        match () {
            () if networks.iter().any(|network| network.ip.is_loopback()) => Self::Loopback,
            () if traits.default_route => Self::DefaultRoute,
            () if traits.device && routed => Self::Device,
            () if is_internal(name) && routed => Self::Internal,
            () if is_internal(name) => Self::InternalLink,
            () if routed => Self::Network,
            () => Self::Link,
        }
    }

    /// Whether other machines may be there.
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

/// Names that containers and virtual machines give to their side of a machine.
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
    // Docker's networks: `br-` and the first half of an id. `br-lan` is a router's LAN.
    let docker = name.strip_prefix("br-");
    let docker = docker
        .is_some_and(|id| id.len() == 12 && id.bytes().all(|digit| digit.is_ascii_hexdigit()));
    docker || BEGINNINGS.iter().any(|beginning| name.starts_with(beginning))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn standing(name: &str, ips: &[&str], traits: Traits) -> Standing {
        let network = |ip: &&str| Network { ip: ip.parse().unwrap(), prefix: 24 };
        Standing::of(name, &ips.iter().map(network).collect::<Vec<_>>(), traits)
    }

    #[test]
    fn the_network_of_people_comes_before_that_of_containers() {
        let plain = Traits::default();
        let device = Traits { device: true, ..plain };
        let route = Traits { default_route: true, ..plain };
        let order = [
            standing("lo", &["127.0.0.1", "::1"], plain),
            standing("br0", &["192.168.1.5"], route),
            standing("enp3s0", &["fe80::1", "10.0.0.1"], device),
            standing("wg0", &["10.9.0.1"], plain),
            standing("eth7", &["fe80::1"], device),
            standing("docker0", &["172.17.0.1"], plain),
            standing("veth12ab", &["fe80::1"], plain),
        ];
        assert!(order.is_sorted(), "{order:?}");
        let lead = order.map(Standing::leads_to_others);
        assert_eq!(lead, [false, true, true, true, true, false, false]);
        // A container's own way out is called as its host's inner one would be.
        assert_eq!(standing("veth0", &["10.0.0.2"], route), Standing::DefaultRoute);
        assert_eq!(standing("br-lan", &["10.0.0.2"], plain), Standing::Network);
        assert_eq!(standing("br-0123456789ab", &["172.18.0.1"], plain), Standing::Internal);
    }
}
