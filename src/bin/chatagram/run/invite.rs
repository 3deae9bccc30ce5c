//! Invitations: what users of other machines type to join a room here, with addresses they can use.

use chatagram::discovery::Interface;
use chatagram::net::lan;
use chatagram::protocol::limits::DEFAULT_PORT;
use chatagram::words::Language;
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

/// Largest number of addresses shown: the likeliest.
const SHOWN: usize = 4;

/// A line of an invitation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    /// Discovery works: on this network no address is needed.
    Network,
    /// Others join at this address.
    At(SocketAddr),
    /// Others cannot join, because the server listens on the loopback address only.
    Loopback,
    /// Others cannot join, because this machine is on no network.
    NoNetwork,
    /// On this machine the room is joined at this address.
    Here(SocketAddr),
}

impl Line {
    /// The command with which others join.
    fn command(self) -> Option<String> {
        match self {
            Self::Network => Some("chatagram client --nick NAME".to_owned()),
            Self::At(address) | Self::Here(address) => {
                Some(format!("chatagram client {} --nick NAME", spelled(address)))
            }
            Self::Loopback | Self::NoNetwork => None,
        }
    }

    fn text(self, language: Language) -> String {
        let command = self.command().unwrap_or_default();
        match self {
            Self::Network => language.join_on_network(&command),
            Self::At(_) => language.join(&command),
            Self::Loopback => language.on_loopback(),
            Self::NoNetwork => language.on_no_network(),
            Self::Here(_) => language.join_on_this_machine(&command),
        }
    }
}

/// The invitation to a room on these addresses. `found`: discovery works, so no address is needed.
pub(super) fn invitations(
    listening: &[SocketAddr],
    found: bool,
    language: Language,
) -> Vec<String> {
    lines(listening, found, &interfaces()).into_iter().map(|line| line.text(language)).collect()
}

/// The commands with which others join a room on these addresses.
pub(super) fn commands(listening: &[SocketAddr], found: bool) -> Vec<String> {
    lines(listening, found, &interfaces()).into_iter().filter_map(Line::command).collect()
}

/// The address of a page for browsers of other machines, if they reach it.
pub(super) fn page(bound: SocketAddr) -> Option<String> {
    let interfaces = interfaces();
    let others: Vec<_> = interfaces.iter().filter(|it| it.kind.leads_to_others()).collect();
    usable(bound, &[bound], &others).first().map(|address| format!("http://{address}/"))
}

/// The addresses for a ticket. Without a network: the one for this machine.
pub(super) fn places(listening: &[SocketAddr]) -> Vec<String> {
    let interfaces = interfaces();
    let others: Vec<_> = interfaces.iter().filter(|it| it.kind.leads_to_others()).collect();
    let mut seen = BTreeSet::new();
    let usable = listening.iter().flat_map(|bound| usable(*bound, listening, &others));
    let mut places: Vec<_> = usable.filter(|it| seen.insert(*it)).take(SHOWN).collect();
    if places.is_empty() {
        places.extend(listening.first().copied().map(crate::cli::reachable));
    }
    places.iter().map(SocketAddr::to_string).collect()
}

fn interfaces() -> Vec<Interface> {
    lan::interfaces().unwrap_or_else(|error| {
        log::debug!("cannot list the network interfaces: {error}");
        Vec::new()
    })
}

fn lines(listening: &[SocketAddr], found: bool, interfaces: &[Interface]) -> Vec<Line> {
    let others: Vec<_> = interfaces.iter().filter(|it| it.kind.leads_to_others()).collect();
    let mut lines = Vec::new();
    if found && !others.is_empty() {
        lines.push(Line::Network);
    }
    let mut seen = BTreeSet::new();
    let addresses = listening.iter().flat_map(|bound| usable(*bound, listening, &others));
    for address in addresses.filter(|it| seen.insert(*it)).take(SHOWN) {
        lines.push(Line::At(address));
    }
    if !lines.is_empty() {
        return lines;
    }
    let Some(own) = listening.first().copied().map(crate::cli::reachable) else { return lines };
    let why = if listening.iter().all(|bound| bound.ip().is_loopback()) {
        Line::Loopback
    } else {
        Line::NoNetwork
    };
    vec![why, Line::Here(own)]
}

/// Addresses at which others reach a socket bound here, the likeliest first.
fn usable(bound: SocketAddr, all: &[SocketAddr], others: &[&Interface]) -> Vec<SocketAddr> {
    if bound.ip().is_loopback() {
        return Vec::new();
    }
    if !bound.ip().is_unspecified() {
        return vec![bound];
    }
    // A socket on [::] accepts IPv4 too, unless another one does.
    let v4 = bound.is_ipv4() || !all.iter().any(|it| it.is_ipv4() && it.port() == bound.port());
    let networks = || others.iter().flat_map(|it| &it.networks).map(|network| network.ip);
    // A link-local address has another zone on each machine.
    let of = |wanted: fn(&IpAddr) -> bool| {
        networks().filter(wanted).map(|ip| SocketAddr::new(ip, bound.port())).collect::<Vec<_>>()
    };
    let routed_v4 = of(|ip| matches!(ip, IpAddr::V4(ip) if !ip.is_link_local()));
    let link_v4 = of(|ip| matches!(ip, IpAddr::V4(ip) if ip.is_link_local()));
    let routed_v6 = of(|ip| matches!(ip, IpAddr::V6(ip) if !ip.is_unicast_link_local()));
    match bound.is_ipv4() {
        true => [routed_v4, link_v4].concat(),
        // IPv4 addresses are easier to read out; IPv6 is the fallback.
        false if v4 && !routed_v4.is_empty() => routed_v4,
        false if v4 => [routed_v6, link_v4].concat(),
        false => routed_v6,
    }
}

/// The typed form of an address.
fn spelled(address: SocketAddr) -> String {
    match address {
        SocketAddr::V6(v6) if v6.scope_id() != 0 => {
            format!("'[{}%INTERFACE]:{}'", v6.ip(), v6.port())
        }
        _ if address.port() == DEFAULT_PORT => address.ip().to_string(),
        _ => address.to_string(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use chatagram::discovery::{Hints, InterfaceKind, Network};

    fn interface(name: &str, index: u32, ips: &[&str]) -> Interface {
        let network = |ip: &&str| Network { ip: ip.parse().unwrap(), prefix: 24 };
        let networks: Vec<_> = ips.iter().map(network).collect();
        let kind = InterfaceKind::of(name, &networks, Hints::default());
        Interface { name: name.to_owned(), index, point_to_point: false, kind, networks }
    }

    fn invited(listening: &str, interfaces: &[Interface]) -> Vec<String> {
        let listening: Vec<_> = listening.split(',').map(|it| it.parse().unwrap()).collect();
        let lines = lines(&listening, false, interfaces);
        let place = |line: Line| match line {
            Line::At(address) => Some(spelled(address)),
            _ => None,
        };
        lines.into_iter().filter_map(place).collect()
    }

    #[test]
    fn invitations_have_addresses_that_others_can_use() {
        let lan = interface("eth0", 2, &["192.168.1.5", "2001:db8::5", "fe80::5"]);
        let wifi = interface("wlan0", 3, &["10.0.0.5"]);
        let docker = interface("docker0", 4, &["172.17.0.1"]);
        let lo = interface("lo", 1, &["127.0.0.1", "::1"]);
        let all = [lo, lan, wifi, docker];
        assert_eq!(invited("[::]:2428", &all), ["192.168.1.5", "10.0.0.5"]);
        assert_eq!(invited("0.0.0.0:99", &all), ["192.168.1.5:99", "10.0.0.5:99"]);
        let both = ["192.168.1.5", "10.0.0.5", "2001:db8::5"];
        assert_eq!(invited("0.0.0.0:2428,[::]:2428", &all), both);
        assert_eq!(invited("10.0.0.5:2428,127.0.0.1:2428", &all), ["10.0.0.5"]);
        let six = [interface("eth0", 2, &["2001:db8::5", "fe80::5"])];
        assert_eq!(invited("[::]:99", &six), ["[2001:db8::5]:99"]);
    }

    #[test]
    fn without_a_network_there_is_no_invitation() {
        let lo = interface("lo", 1, &["127.0.0.1", "::1"]);
        let docker = interface("docker0", 4, &["172.17.0.1"]);
        let told = lines(&["[::]:2428".parse().unwrap()], true, &[lo.clone(), docker]);
        assert_eq!(told, [Line::NoNetwork, Line::Here("127.0.0.1:2428".parse().unwrap())]);
        let told = lines(&["127.0.0.1:99".parse().unwrap()], true, &[lo]);
        assert_eq!(told, [Line::Loopback, Line::Here("127.0.0.1:99".parse().unwrap())]);
    }
}
