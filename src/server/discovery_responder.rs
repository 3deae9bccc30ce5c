//! Answers discovery probes (`proto.md` §7.12).
//!
//! A client joins at the source address of an answer, so that must be an address of the room. A
//! room bound to all addresses answers from the address that the probe was sent to; after a
//! multicast or broadcast probe, from an address of the interface that received it. A room bound to
//! one address answers from a socket bound to that address, and only to clients on a network of its
//! interface, because others may not reach it.

use super::{BATCH, Rest};
use crate::discovery::Interface;
use crate::hub::Hub;
use crate::net::{Clock, Incoming, Poller, Socket, lan};
use crate::path::{Local, Path};
use crate::protocol::limits::DISCOVERY_PORT;
use crate::time::Timestamp;
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

/// Interval between looks for new interfaces, such as Wi-Fi. A look costs two system calls.
const LOOK: Duration = Duration::from_secs(5);

/// The sockets for probes and answers.
#[derive(Debug)]
pub(super) struct DiscoveryResponder {
    port: u16,
    /// The index of the first socket among all of the server.
    first: usize,
    sockets: Vec<Heard>,
    /// The interfaces at the last look.
    interfaces: Vec<Interface>,
    /// Sockets and the interfaces on which they have joined their group.
    joined: BTreeSet<(usize, u32)>,
    next_look: Timestamp,
}

#[derive(Debug)]
struct Heard {
    socket: Socket,
    ip: IpAddr,
    /// Answers leave from this socket. If false, from the socket of one address.
    answers: bool,
}

impl DiscoveryResponder {
    /// Makes the responder for a room at these addresses, with sockets from index `first` on.
    /// `None` if the room listens on loopback only, or the discovery port is taken: the room works
    /// without.
    pub(super) fn open(
        rooms: &[SocketAddr],
        poller: &Poller,
        first: usize,
        now: Timestamp,
    ) -> Option<Self> {
        let listens = rooms;
        let mut rooms = rooms.iter().filter(|room| !room.ip().is_loopback()).peekable();
        // An answer names one port; rooms at others cannot be found.
        let port = rooms.peek()?.port();
        let rooms: Vec<_> = rooms.filter(|room| room.port() == port).map(SocketAddr::ip).collect();
        // A room at [::] takes IPv4 too, unless it listens at an IPv4 address of its own.
        let dual = rooms.contains(&Ipv6Addr::UNSPECIFIED.into())
            && !listens.iter().any(|room| room.is_ipv4() && room.port() == port);
        let mut responder = Self {
            port,
            first,
            sockets: Vec::new(),
            interfaces: Vec::new(),
            joined: BTreeSet::new(),
            next_look: now,
        };
        for all in [IpAddr::from(Ipv4Addr::UNSPECIFIED), Ipv6Addr::UNSPECIFIED.into()] {
            let everywhere = rooms.contains(&all) || dual;
            let own = |ip: &IpAddr| !everywhere && ip.is_ipv4() == all.is_ipv4();
            let own: Vec<_> = rooms.iter().copied().filter(own).collect();
            if everywhere || !own.is_empty() {
                responder.add(all, everywhere, poller);
            }
            for ip in own {
                responder.add(ip, true, poller);
            }
        }
        if !responder.sockets.iter().any(|heard| heard.answers) {
            log::warn!("clients cannot discover this room: tell them its address");
            return None;
        }
        log::info!("clients on this network can discover this room, at UDP port {DISCOVERY_PORT}");
        responder.look(now);
        Some(responder)
    }

    /// The port of the room.
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Number of sockets.
    pub(super) fn len(&self) -> usize {
        self.sockets.len()
    }

    /// Probes that the kernel dropped because a receive buffer was full.
    pub(super) fn unread(&self) -> u64 {
        self.sockets.iter().map(|heard| heard.socket.overflowed()).sum()
    }

    /// Returns true if the socket with this index belongs to the responder.
    pub(super) fn owns(&self, index: usize) -> bool {
        (self.first..self.first + self.len()).contains(&index)
    }

    /// Passes a batch of probes to the hub.
    pub(super) fn receive(
        &self,
        index: usize,
        hub: &mut Hub,
        clock: &Clock,
        incoming: &mut Incoming,
    ) -> Rest {
        let Some(heard) = self.sockets.get(index - self.first) else { return Rest::Nothing };
        for received in 1.. {
            match heard.socket.receive(incoming) {
                Ok(Some((path, bytes))) => {
                    if let Some(local) = self.answers_from(index - self.first, path) {
                        hub.handle_probe(Path { local, ..path }, bytes, clock.now());
                    }
                }
                Ok(None) => return Rest::Nothing,
                Err(error) => {
                    log::debug!("no probe received: {error}");
                    return Rest::Nothing;
                }
            }
            if received >= BATCH && incoming.is_empty() {
                return Rest::Unread;
            }
        }
        Rest::Unread
    }

    /// Sends an answer.
    pub(super) fn send(&self, bytes: &[u8], path: Path) {
        let index = path.local.socket.checked_sub(self.first);
        if let Some(heard) = index.and_then(|it| self.sockets.get(it)) {
            heard.socket.send(bytes, path);
        }
    }

    /// When [`Self::look`] has something to do.
    pub(super) fn poll_timeout(&self) -> Timestamp {
        self.next_look
    }

    /// Lists the interfaces and joins the groups on new ones.
    pub(super) fn look(&mut self, now: Timestamp) {
        if now < self.next_look {
            return;
        }
        self.next_look = now + LOOK;
        match lan::interfaces() {
            Ok(interfaces) => self.interfaces = interfaces,
            Err(error) => return log::debug!("cannot list the network interfaces: {error}"),
        }
        let mut joined = BTreeSet::new();
        for (index, heard) in self.sockets.iter().enumerate() {
            let v6 = heard.ip.is_ipv6();
            let wanted = self.interfaces.iter().filter(|it| {
                heard.ip.is_unspecified()
                    && it.speaks(v6)
                    && (heard.answers || self.has_room(it, v6))
            });
            for interface in wanted {
                let key = (index, interface.index);
                let result = if self.joined.contains(&key) {
                    Ok(())
                } else {
                    lan::join_group(&heard.socket, v6, interface.index)
                };
                match result {
                    Ok(()) => drop(joined.insert(key)),
                    Err(error) => log::debug!("no group on {}: {error}", interface.name),
                }
            }
        }
        self.joined = joined;
    }

    /// The local address that answers a probe which this socket received: the probe's destination,
    /// the interface it came in on when the destination was a group, or the socket of one address.
    fn answers_from(&self, heard: usize, path: Path) -> Option<Local> {
        if self.sockets.get(heard)?.answers {
            return Some(Local { socket: self.first + heard, ..path.local });
        }
        let remote = path.remote;
        let socket = self.sockets.iter().position(|own| {
            let mut near = self.interfaces.iter().filter(|it| it.is_near(remote));
            own.answers
                && own.ip.is_ipv4() == remote.is_ipv4()
                && near.any(|it| it.networks.iter().any(|network| network.ip == own.ip))
        })?;
        Some(Local::socket(self.first + socket))
    }

    /// Returns true if the room is bound to an address of this interface.
    fn has_room(&self, interface: &Interface, v6: bool) -> bool {
        interface.networks.iter().any(|network| {
            network.ip.is_ipv6() == v6 && self.sockets.iter().any(|own| own.ip == network.ip)
        })
    }

    /// Adds a socket for this address; logs why when it cannot be opened.
    fn add(&mut self, ip: IpAddr, answers: bool, poller: &Poller) {
        let mut socket = match lan::responder_socket(ip) {
            Ok(socket) => socket,
            // Such as IPv6 on a machine that has none.
            Err(error) if ip == Ipv6Addr::UNSPECIFIED && error.kind() != ErrorKind::AddrInUse => {
                return log::debug!("{error}");
            }
            Err(error) => {
                return log::warn!("{error}; until then some clients cannot discover this room");
            }
        };
        match poller.add(&mut socket, self.first + self.sockets.len()) {
            Ok(()) => self.sockets.push(Heard { socket, ip, answers }),
            Err(error) => log::warn!("cannot watch for probes: {error}"),
        }
    }
}
