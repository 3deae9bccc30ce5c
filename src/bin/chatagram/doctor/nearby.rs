//! Discovery (`proto.md` §7.12): on each interface, broadcast or multicast must come back in.
//!
//! Multicast has hop limit 0 and stays in this machine. Broadcast leaves it, but is no probe, so
//! servers ignore it. Both come in through the interface they left by, so a firewall treats them
//! like datagrams of another machine.

use super::remedy::Fix;
use super::{Check, State};
use chatagram::discovery::{GROUP_V4, GROUP_V6};
use chatagram::protocol::limits::{DEFAULT_PORT, DISCOVERY_PORT};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

/// Longest time until a datagram comes back in.
const LOOPBACK_TIMEOUT: Duration = Duration::from_millis(250);
/// Largest number of interfaces tried: the likeliest.
const MOST: usize = 24;

/// An interface that is up and connects to others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Interface {
    pub(crate) name: String,
    pub(crate) index: u32,
    pub(crate) v4: Option<Ipv4Addr>,
    pub(crate) broadcast: Option<Ipv4Addr>,
    /// It carries multicast.
    pub(crate) multicast: bool,
    /// It has an IPv6 address.
    pub(crate) v6: bool,
}

/// The outcome of one datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Received.
    Heard,
    /// Sent and not received.
    Silent,
    /// Could not be sent or received.
    Refused(String),
    /// The interface does not support it.
    None,
}

impl Fate {
    /// Why it was not received; `None` if the interface does not support it.
    fn why(&self) -> Option<&str> {
        match self {
            Self::Heard | Self::None => None,
            Self::Silent => Some("was sent and did not come in"),
            Self::Refused(why) => Some(why),
        }
    }
}

/// The outcome of all datagrams.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    pub(crate) interfaces: Vec<Heard>,
    /// Number of interfaces not tried.
    pub(crate) left_out: usize,
    /// Why the interfaces are unknown.
    pub(crate) error: Option<String>,
}

/// The outcome on one interface.
#[derive(Clone, Debug)]
pub(super) struct Heard {
    pub(crate) name: String,
    /// The broadcast address, port 2429.
    pub(crate) broadcast: Fate,
    /// The two multicast groups, port 2429.
    pub(crate) groups: [Fate; 2],
    /// A multicast group, port 2428: shows whether a firewall opens the server's port.
    pub(crate) talk: Fate,
}

/// Sends the datagrams and receives them.
pub(super) fn gather() -> Facts {
    let interfaces = match interfaces() {
        Ok(interfaces) => interfaces,
        Err(error) => return Facts { error: Some(error.to_string()), ..Facts::default() },
    };
    let mut trial = Trial::default();
    let sent: Vec<_> = interfaces.iter().take(MOST).map(|one| trial.send(one)).collect();
    let deadline = Instant::now() + LOOPBACK_TIMEOUT;
    loop {
        trial.receive();
        if trial.is_complete() || Instant::now() >= deadline {
            break;
        }
        thread::sleep(Duration::from_millis(2));
    }
    let heard = sent.into_iter().map(|(name, fates)| {
        let [broadcast, group4, group6, talk] = fates.map(|fate| trial.fate(fate));
        Heard { name, broadcast, groups: [group4, group6], talk }
    });
    let left_out = interfaces.len().saturating_sub(MOST);
    Facts { interfaces: heard.collect(), left_out, error: None }
}

/// The check. A search uses both ways, so an interface needs one of them.
pub(super) fn judge(facts: &Facts) -> Check {
    let check = |state, means: String| Check::new("discovery", state, means);
    if let Some(error) = &facts.error {
        return check(State::Unknown, format!("the interfaces cannot be listed: {error}"));
    }
    let join = || Fix::Run("chatagram client ADDRESS --nick NAME".to_owned());
    let (mut on, mut off) = (Vec::new(), Vec::new());
    for one in &facts.interfaces {
        let [v4, v6] = &one.groups;
        let ways = [("broadcast", &one.broadcast), ("IPv4 multicast", v4), ("IPv6 multicast", v6)];
        if ways.iter().any(|(_, fate)| **fate == Fate::Heard) {
            on.push(one.name.clone());
        } else {
            let reasons =
                ways.iter().filter_map(|(way, fate)| Some(format!("{way} {}", fate.why()?)));
            let reasons: Vec<_> = reasons.collect();
            let reason =
                if reasons.is_empty() { "it has neither".to_owned() } else { reasons.join(", ") };
            off.push(format!("{}: {reason}", one.name));
        }
    }
    if facts.left_out > 0 {
        off.push(format!("{} less likely interfaces were not tried", facts.left_out));
    }
    let (on, off) = (on.join(", "), off.join("; "));
    match (on.is_empty(), off.is_empty()) {
        (true, true) => check(
            State::Missing,
            "no interface but the loopback is up: connect this machine to a network. On this \
             machine, join by address:"
                .to_owned(),
        )
        .with(Fix::Run("chatagram client 127.0.0.1 --nick NAME".to_owned())),
        (false, true) => {
            check(State::Ok, format!("broadcast or multicast leaves and comes in on {on}"))
        }
        (false, false) => check(
            State::Limited,
            format!("works on {on}, not elsewhere ({off}). There, join by address:"),
        )
        .with(join()),
        (true, false) => {
            check(State::Missing, format!("works on no interface ({off}). Join by address:"))
                .with(join())
        }
    }
}

/// A datagram in flight: the listener that should receive it, or why none will.
type Sent = Result<usize, Fate>;

/// The listening sockets and the datagrams in flight.
struct Trial {
    sockets: [io::Result<UdpSocket>; 3],
    nonce: u64,
    heard: Vec<bool>,
}

impl Default for Trial {
    fn default() -> Self {
        // Distinguishes own datagrams from those of another doctor.
        let nonce = getrandom::u64().unwrap_or_else(|_| std::process::id().into());
        Self {
            sockets: [
                listener(Domain::IPV4, DISCOVERY_PORT, true),
                listener(Domain::IPV6, DISCOVERY_PORT, true),
                listener(Domain::IPV4, DEFAULT_PORT, false),
            ],
            nonce,
            heard: Vec::new(),
        }
    }
}

impl Trial {
    /// Sends on an interface: broadcast, both groups, and a group on the server's port.
    fn send(&mut self, one: &Interface) -> (String, [Sent; 4]) {
        let v4 = one.v4.unwrap_or(Ipv4Addr::UNSPECIFIED);
        let has = |there: bool| if there { Ok(()) } else { Err(Fate::None) };
        let group4 = has(one.multicast && one.v4.is_some());
        let sent = [
            has(one.broadcast.is_some()).and_then(|()| {
                let to = one.broadcast.unwrap_or(Ipv4Addr::BROADCAST);
                self.one(0, SocketAddr::from((to, DISCOVERY_PORT)), |socket, _| {
                    socket.set_broadcast(true)?;
                    socket.bind(&SockAddr::from(SocketAddr::from((v4, 0))))
                })
            }),
            group4.clone().and_then(|()| self.by_group4(0, v4, DISCOVERY_PORT)),
            has(one.multicast && one.v6).and_then(|()| {
                let to = SocketAddrV6::new(GROUP_V6, DISCOVERY_PORT, 0, one.index);
                self.one(1, to.into(), |socket, listener| {
                    listener.join_multicast_v6(&GROUP_V6, one.index)?;
                    socket.set_multicast_if_v6(one.index)?;
                    socket.set_multicast_hops_v6(0)
                })
            }),
            group4.and_then(|()| self.by_group4(2, v4, DEFAULT_PORT)),
        ];
        (one.name.clone(), sent)
    }

    fn by_group4(&mut self, listener: usize, by: Ipv4Addr, port: u16) -> Sent {
        self.one(listener, SocketAddr::from((GROUP_V4, port)), |socket, listener| {
            listener.join_multicast_v4(&GROUP_V4, &by)?;
            socket.set_multicast_if_v4(&by)?;
            socket.set_multicast_ttl_v4(0)
        })
    }

    /// Sends one datagram for a listener.
    fn one(
        &mut self,
        listener: usize,
        to: SocketAddr,
        prepare: impl Fn(&Socket, &UdpSocket) -> io::Result<()>,
    ) -> Sent {
        let refused = |error: &io::Error| Fate::Refused(error.to_string());
        let listener = self.sockets[listener].as_ref().map_err(refused)?;
        let number = self.heard.len();
        let payload = payload(self.nonce, number);
        let send = || {
            let socket = Socket::new(Domain::for_address(to), Type::DGRAM, Some(Protocol::UDP))?;
            socket.set_nonblocking(true)?;
            prepare(&socket, listener)?;
            socket.send_to(&payload, &SockAddr::from(to))
        };
        send().map_err(|error| refused(&error))?;
        self.heard.push(false);
        Ok(number)
    }

    /// Receives the datagrams that have arrived.
    fn receive(&mut self) {
        let mut buffer = [0; 64];
        for socket in self.sockets.iter().flatten() {
            // Bounded, because others may send endlessly.
            for _ in 0..1_000 {
                let Ok((length, _)) = socket.recv_from(&mut buffer) else { break };
                let expected = |number: &usize| payload(self.nonce, *number) == buffer[..length];
                if let Some(number) = (0..self.heard.len()).find(expected) {
                    self.heard[number] = true;
                }
            }
        }
    }

    /// Returns true if all datagrams were received.
    fn is_complete(&self) -> bool {
        self.heard.iter().all(|heard| *heard)
    }

    fn fate(&self, sent: Sent) -> Fate {
        match sent {
            Ok(number) if self.heard.get(number) == Some(&true) => Fate::Heard,
            Ok(_) => Fate::Silent,
            Err(fate) => fate,
        }
    }
}

/// The payload of a datagram, which is none of the protocol.
fn payload(nonce: u64, number: usize) -> Vec<u8> {
    format!("chatagram doctor {nonce:016x} {number}").into_bytes()
}

/// Listens on a port on all interfaces.
fn listener(domain: Domain, port: u16, shared: bool) -> io::Result<UdpSocket> {
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    let any = if domain == Domain::IPV6 {
        socket.set_only_v6(true)?;
        SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))
    } else {
        SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))
    };
    // On Windows the option would steal the port from its owner.
    socket.set_reuse_address(shared && cfg!(not(windows)))?;
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::from(any))?;
    Ok(socket.into())
}

/// The interfaces and broadcast addresses that a search for servers uses.
#[cfg(target_os = "linux")]
fn interfaces() -> io::Result<Vec<Interface>> {
    let found = chatagram::net::lan::interfaces()?;
    let outside = found.into_iter().filter(|one| !one.is_loopback());
    let interface = |one: chatagram::discovery::Interface| {
        let v4 = one.networks.iter().find_map(|network| match network.ip {
            std::net::IpAddr::V4(ip) => Some((ip, network.broadcast())),
            std::net::IpAddr::V6(_) => None,
        });
        Interface {
            index: one.index,
            v4: v4.map(|(ip, _)| ip),
            broadcast: v4.and_then(|(_, to)| to).filter(|_| !one.point_to_point),
            multicast: super::sys::has_multicast(&one.name).unwrap_or(false),
            v6: one.speaks(true),
            name: one.name,
        }
    };
    Ok(outside.map(interface).collect())
}

/// The interface that the system chooses.
#[cfg(not(target_os = "linux"))]
fn interfaces() -> io::Result<Vec<Interface>> {
    let name = "the system's own choice".to_owned();
    let broadcast = Some(Ipv4Addr::BROADCAST);
    let v4 = Some(Ipv4Addr::UNSPECIFIED);
    Ok(vec![Interface { name, index: 0, v4, broadcast, multicast: true, v6: true }])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(name: &str, broadcast: Fate, group: Fate) -> Heard {
        let groups = [group.clone(), Fate::None];
        Heard { name: name.to_owned(), broadcast, groups, talk: group }
    }

    fn facts(interfaces: &[Heard]) -> Facts {
        Facts { interfaces: interfaces.to_vec(), ..Facts::default() }
    }

    #[test]
    fn an_interface_needs_broadcast_or_multicast() {
        let eth0 = heard("eth0", Fate::Heard, Fate::Heard);
        let wg0 = heard("wg0", Fate::None, Fate::Silent);
        let check = judge(&facts(&[eth0.clone(), wg0]));
        assert_eq!(check.state, State::Limited);
        assert!(check.means.contains("works on eth0, not"), "{check:?}");
        assert!(check.means.contains("wg0: IPv4 multicast was sent and"), "{check:?}");
        assert!(check.fix.unwrap().text().contains("chatagram client ADDRESS"));
        assert_eq!(judge(&facts(std::slice::from_ref(&eth0))).state, State::Ok);
        let one_way = heard("eth1", Fate::Silent, Fate::Heard);
        assert_eq!(judge(&facts(&[one_way])).state, State::Ok);
        let crowd = Facts { left_out: 9, ..facts(&[eth0]) };
        assert!(judge(&crowd).means.contains("9 less likely"));
    }

    #[test]
    fn without_an_interface_discovery_is_missing() {
        let check = judge(&facts(&[]));
        assert!(check.state == State::Missing && check.means.contains("loopback"), "{check:?}");
        let none = facts(&[heard("tun0", Fate::Refused("no route".into()), Fate::None)]);
        assert_eq!(judge(&none).state, State::Missing);
        let neither = judge(&facts(&[heard("wg0", Fate::None, Fate::None)]));
        assert!(neither.means.contains("wg0: it has neither"), "{neither:?}");
    }

    #[test]
    fn payloads_are_no_datagrams_of_the_protocol() {
        let sent = payload(7, 1);
        assert!(sent.len() < 64 && chatagram::protocol::Datagram::decode(&sent).is_err());
        assert_ne!(sent, payload(8, 1));
    }
}
