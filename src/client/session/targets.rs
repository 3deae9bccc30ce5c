//! Where a client may join: the servers that its user named and, when its server is lost, the
//! room's other servers that the server listed (`proto.md` §7.18).

use super::addresses::in_order;
use crate::protocol::ServerList;
use crate::protocol::limits::MAX_SERVERS;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::Rng;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::Deref;

/// The addresses to try, in order: the named ones, then the listed ones.
#[derive(Debug)]
pub(super) struct Targets {
    all: Vec<SocketAddr>,
    named: usize,
    /// The named addresses are those of several servers.
    several: bool,
}

impl Deref for Targets {
    type Target = [SocketAddr];

    fn deref(&self) -> &[SocketAddr] {
        &self.all
    }
}

impl Targets {
    pub(super) fn new(named: Vec<SocketAddr>) -> Self {
        let all = in_order(named);
        Self { named: all.len(), all, several: false }
    }

    /// The named addresses belong to several servers, not to one.
    pub(super) fn set_several(&mut self) {
        self.several = true;
    }

    /// Replaces the named addresses. True if they are others; resolvers rotate the order.
    pub(super) fn rename(&mut self, named: Vec<SocketAddr>) -> bool {
        let named = in_order(named);
        let old = &self.all[..self.named];
        if named.len() == old.len() && named.iter().all(|it| old.contains(it)) {
            return false;
        }
        let listed: Vec<_> = self.all.drain(self.named..).collect();
        self.named = named.len();
        self.all = named;
        self.append(listed);
        true
    }

    /// Replaces the listed addresses by those of a list of `server` that this client may try, in
    /// random order, so that the clients of a lost server do not all go to the same one.
    pub(super) fn list(&mut self, list: ServerList<'_>, server: SocketAddr, rng: &mut ChaCha20Rng) {
        self.all.truncate(self.named);
        let mut listed: Vec<_> = list.addresses().filter(|it| may_name(server, *it)).collect();
        for last in (1..listed.len()).rev() {
            listed.swap(last, (rng.next_u32() as usize) % (last + 1));
        }
        self.append(listed);
    }

    fn append(&mut self, listed: Vec<SocketAddr>) {
        for address in listed.into_iter().take(MAX_SERVERS) {
            if !self.all.contains(&address) {
                self.all.push(address);
            }
        }
    }

    /// Whether only a server has named this address.
    pub(super) fn is_listed(&self, address: SocketAddr) -> bool {
        self.all[self.named..].contains(&address)
    }

    /// Whether there is a server other than the present one.
    pub(super) fn has_others(&self) -> bool {
        self.several || self.named < self.all.len()
    }

    /// The addresses other than that of `server`, if it is not the only server.
    pub(super) fn others(&self, server: SocketAddr) -> impl Iterator<Item = SocketAddr> {
        let others = self.all.iter().filter(move |it| **it != server && self.has_others());
        others.copied()
    }

    /// The place of an address in the order.
    pub(super) fn place(&self, server: SocketAddr) -> Option<usize> {
        self.all.iter().position(|it| *it == server)
    }
}

/// How far an address is valid. A server may name addresses that are valid as far as its own, or
/// farther: a server elsewhere does not know this machine, nor its network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Scope {
    Machine,
    Link,
    Site,
    World,
}

/// Whether a client of `server` may try an address that this server lists.
fn may_name(server: SocketAddr, listed: SocketAddr) -> bool {
    let scope = scope(listed.ip());
    // The zone of a link-local IPv6 address is not in the list.
    let needs_zone = scope == Some(Scope::Link) && listed.is_ipv6();
    listed.port() != 0 && !needs_zone && scope >= self::scope(server.ip()) && scope.is_some()
}

/// The scope of a unicast address; `None` for other addresses.
fn scope(ip: IpAddr) -> Option<Scope> {
    match ip.to_canonical() {
        IpAddr::V4(ip) => match ip.octets() {
            [0 | 224.., ..] => None,
            [127, ..] => Some(Scope::Machine),
            [169, 254, ..] => Some(Scope::Link),
            // RFC 6598: shared by the customers of a provider.
            [100, 64..128, ..] => Some(Scope::Site),
            _ if ip.is_private() => Some(Scope::Site),
            _ => Some(Scope::World),
        },
        IpAddr::V6(ip) => match ip.segments() {
            [0xff00..=0xffff, ..] => None,
            // RFC 6052: an IPv4 address behind a translator.
            [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
                let [a, b] = high.to_be_bytes();
                let [c, d] = low.to_be_bytes();
                scope(Ipv4Addr::new(a, b, c, d).into())
            }
            [0, 0, 0, 0, 0, 0, 0, 1] => Some(Scope::Machine),
            [0, 0, 0, 0, 0, 0, ..] => None,
            [0xfe80..0xfec0, ..] => Some(Scope::Link),
            [0xfc00..0xff00, ..] => Some(Scope::Site),
            _ => Some(Scope::World),
        },
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use rand_chacha::rand_core::SeedableRng;

    fn addresses(list: &[&str]) -> Vec<SocketAddr> {
        list.iter().map(|it| it.parse().unwrap()).collect()
    }

    /// The addresses of its list that a client of `server` keeps.
    fn kept(server: &str, list: &[&str]) -> Vec<SocketAddr> {
        let mut targets = Targets::new(addresses(&[server]));
        let (mut bytes, list) = (Vec::new(), addresses(list));
        let list = ServerList::encode(&list, &mut bytes);
        targets.list(list, server.parse().unwrap(), &mut ChaCha20Rng::from_seed([1; 32]));
        let mut kept = targets[1..].to_vec();
        kept.sort_unstable();
        kept
    }

    #[test]
    fn a_server_names_no_address_that_is_valid_less_far_than_its_own() {
        let all = [
            "127.0.0.2:1",
            "[::1]:1",
            "169.254.1.1:1",
            "10.0.0.1:1",
            "100.64.0.1:1",
            "172.16.0.1:1",
            "192.168.0.1:1",
            "[fd00::1]:1",
            "[fec0::1]:1",
            "8.8.8.8:1",
            "[2001:db8::1]:1",
            "[64:ff9b::8.8.8.8]:1",
            "[64:ff9b::10.0.0.1]:1",
        ];
        let local = 2;
        let sites = ["10.", "100.", "172.", "192.", "[fd", "[fec", "[64:ff9b::a00:1"];
        let of = |server| kept(server, &all);
        assert_eq!(of("127.0.0.1:2428").len(), all.len());
        assert_eq!(of("192.168.0.9:2428").len(), all.len() - local - 1);
        let world = of("203.0.113.5:2428");
        assert!(world.iter().all(|it| !sites.iter().any(|s| it.to_string().starts_with(s))));
        assert_eq!(world, of("[2001:db8::9]:2428"));
        assert_eq!(world.len(), 3, "{world:?}");
    }

    #[test]
    fn addresses_that_are_no_server_of_any_machine_are_ignored() {
        let list = [
            "127.0.0.1:0",
            "0.0.0.0:1",
            "224.0.0.1:1",
            "239.255.67.71:1",
            "255.255.255.255:1",
            "240.0.0.1:1",
            "[::]:1",
            "[ff12::4347]:1",
            "[fe80::1]:1",
        ];
        assert_eq!(kept("127.0.0.1:2428", &list), []);
    }

    #[test]
    fn a_list_replaces_the_one_before_and_not_the_named_addresses() {
        let named = addresses(&["10.0.0.1:1", "10.0.0.2:1"]);
        let mut targets = Targets::new(named.clone());
        assert!(!targets.has_others(), "they may be two addresses of one server");
        let mut rng = ChaCha20Rng::from_seed([1; 32]);
        let mut bytes = Vec::new();
        for next in ["10.0.0.3:1", "10.0.0.4:1"] {
            let list = addresses(&["10.0.0.2:1", next]);
            targets.list(ServerList::encode(&list, &mut bytes), named[0], &mut rng);
            assert_eq!(targets[..], [named[0], named[1], list[1]]);
            assert!(targets.has_others() && targets.is_listed(list[1]));
            assert!(!targets.is_listed(named[1]));
        }
        assert!(targets.rename(addresses(&["10.0.0.4:1"])));
        assert_eq!(targets[..], addresses(&["10.0.0.4:1"]));
        targets.list(ServerList::default(), named[0], &mut rng);
        assert!(!targets.has_others());
    }

    #[test]
    fn clients_try_the_listed_servers_in_different_orders() {
        let list: Vec<_> = (1..=16).map(|n| format!("10.0.1.{n}:1")).collect();
        let list = addresses(&list.iter().map(String::as_str).collect::<Vec<_>>());
        let first = |seed| {
            let mut targets = Targets::new(addresses(&["10.0.0.1:1"]));
            let mut bytes = Vec::new();
            let (list, mut rng) =
                (ServerList::encode(&list, &mut bytes), ChaCha20Rng::from_seed([seed; 32]));
            targets.list(list, targets[0], &mut rng);
            assert_eq!(targets.len(), 17);
            targets[1]
        };
        let firsts: std::collections::BTreeSet<_> = (0..40).map(first).collect();
        assert!(firsts.len() > 8, "{firsts:?}");
    }
}
