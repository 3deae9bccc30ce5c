//! Being found (`proto.md` §7.12): the sockets that hear probes, and the ones that answer them.
//!
//! Clients join where an answer comes from, so that has to be an address of the room. Where the room
//! listens everywhere, that is the address that was asked, or one of the interface on which all of them were. Where it listens at
//! one address, an answer leaves from a socket bound to that one, and only those are answered who are
//! on a network of its interface: nobody else is sure to reach it.

use super::BATCH;
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

/// How often interfaces are looked for that came later, such as a Wi-Fi: two system calls.
const LOOK: Duration = Duration::from_secs(5);

/// See the module.
#[derive(Debug)]
pub(super) struct Beacon {
    port: u16,
    /// The index of the first socket, among all that the server has.
    first: usize,
    sockets: Vec<Heard>,
    /// The interfaces when last looked at.
    interfaces: Vec<Interface>,
    /// Which socket is in its group on which interface.
    joined: BTreeSet<(usize, u32)>,
    next_look: Timestamp,
}

#[derive(Debug)]
struct Heard {
    socket: Socket,
    ip: IpAddr,
    /// What is heard here is answered from here. If not, from the socket of one address.
    answers: bool,
}

impl Beacon {
    /// For a room at these addresses, with sockets from index `first` on. None where nobody else
    /// could join, or where the port for probes is not to be had: a room can do without.
    pub(super) fn open(
        rooms: &[SocketAddr],
        poller: &Poller,
        first: usize,
        now: Timestamp,
    ) -> Option<Self> {
        let listens = rooms;
        let mut rooms = rooms.iter().filter(|room| !room.ip().is_loopback()).peekable();
        // An answer names one port. What is at others cannot be found.
        let port = rooms.peek()?.port();
        let rooms: Vec<_> = rooms.filter(|room| room.port() == port).map(SocketAddr::ip).collect();
        // A room at [::] takes IPv4 too, unless it listens at an IPv4 address of its own.
        let dual = rooms.contains(&Ipv6Addr::UNSPECIFIED.into())
            && !listens.iter().any(|room| room.is_ipv4() && room.port() == port);
        let mut beacon = Self {
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
                beacon.add(all, everywhere, poller);
            }
            for ip in own {
                beacon.add(ip, true, poller);
            }
        }
        if !beacon.sockets.iter().any(|heard| heard.answers) {
            log::warn!("this room cannot be found: others have to be told its address");
            return None;
        }
        log::info!("to be found by those who look for servers near here, at port {DISCOVERY_PORT}");
        beacon.look(now);
        Some(beacon)
    }

    /// The port of the room.
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// How many sockets there are.
    pub(super) fn len(&self) -> usize {
        self.sockets.len()
    }

    /// How many probes found a receive buffer full.
    pub(super) fn unread(&self) -> u64 {
        self.sockets.iter().map(|heard| heard.socket.overflowed()).sum()
    }

    /// Whether the socket with this index is one of these.
    pub(super) fn owns(&self, index: usize) -> bool {
        (self.first..self.first + self.len()).contains(&index)
    }

    /// Gives the hub a batch of probes. True when there may be more.
    pub(super) fn receive(
        &self,
        index: usize,
        hub: &mut Hub,
        clock: &Clock,
        incoming: &mut Incoming,
    ) -> bool {
        let Some(heard) = self.sockets.get(index - self.first) else { return false };
        for received in 1.. {
            match heard.socket.receive(incoming) {
                Ok(Some((path, bytes))) => {
                    if let Some(local) = self.answers_from(index - self.first, path) {
                        hub.handle_probe(Path { local, ..path }, bytes, clock.now());
                    }
                }
                Ok(None) => return false,
                Err(error) => {
                    log::debug!("no probe received: {error}");
                    return false;
                }
            }
            if received >= BATCH && incoming.is_empty() {
                return true;
            }
        }
        true
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

    /// Looks for interfaces that came or went since, and joins the groups there.
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
                let result = match self.joined.contains(&key) {
                    true => Ok(()),
                    false => lan::join(&heard.socket, v6, interface.index),
                };
                match result {
                    Ok(()) => drop(joined.insert(key)),
                    Err(error) => log::debug!("no group on {}: {error}", interface.name),
                }
            }
        }
        self.joined = joined;
    }

    /// The local end that answers what came to this socket by this path, if any does: where the probe was
    /// sent to, or if that was to many the interface it came in on, or the socket of one address.
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

    /// Whether the room is at an address of this interface.
    fn has_room(&self, interface: &Interface, v6: bool) -> bool {
        interface.networks.iter().any(|network| {
            network.ip.is_ipv6() == v6 && self.sockets.iter().any(|own| own.ip == network.ip)
        })
    }

    /// Adds a socket, if it can be had.
    fn add(&mut self, ip: IpAddr, answers: bool, poller: &Poller) {
        let mut socket = match lan::answering(ip) {
            Ok(socket) => socket,
            // Such as IPv6 on a machine that has none.
            Err(error) if ip == Ipv6Addr::UNSPECIFIED && error.kind() != ErrorKind::AddrInUse => {
                return log::debug!("{error}");
            }
            Err(error) => return log::warn!("{error}; until then some will not find this room"),
        };
        match poller.add(&mut socket, self.first + self.sockets.len()) {
            Ok(()) => self.sockets.push(Heard { socket, ip, answers }),
            Err(error) => log::warn!("cannot watch for probes: {error}"),
        }
    }
}
