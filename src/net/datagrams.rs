//! UDP sockets and, where one was asked for, a bad network before them: [`impair`](crate::impair) in
//! this process, for machines that have no other way to lose a datagram on purpose.
//!
//! ```text
//!   send ──► impairment of what goes out ──► socket ──► kernel
//!   receive ◄── impairment of what comes in ◄── socket ◄── kernel
//! ```
//!
//! Only datagrams can be treated so: a process that drops bytes of a TCP stream breaks the stream, and
//! shows nothing of what TCP does when a packet is lost.

use super::{Incoming, Outgoing, Socket};
use crate::impair::{Counts, Direction, Impairment, Spec};
use crate::path::{Local, Path};
use crate::protocol::limits::MAX_DATAGRAM;
use crate::time::Timestamp;
use std::fmt;
use std::io;
use std::net::SocketAddr;

/// A bad network on request: what it does, and what chance is drawn from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadNetwork {
    /// What is done to datagrams of clients (up) and of servers (down).
    pub spec: Spec,
    /// The same seed does the same to the same sequence of datagrams.
    pub seed: u64,
}

/// Which end of a conversation a socket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It sends up.
    Client,
    /// It sends down.
    Server,
}

/// The UDP sockets of one end, by index, and one bad network before all of them. See the module.
#[derive(Debug)]
pub struct Datagrams {
    sockets: Vec<Socket>,
    /// What waits for company, and the socket it leaves through.
    outgoing: Outgoing,
    through: usize,
    bad: Option<Box<Bad>>,
}

#[derive(Debug)]
struct Bad {
    end: End,
    going: Impairment<Datagram>,
    coming: Impairment<Datagram>,
}

/// Bytes, and the path on which they travel, which the impairment does not damage.
#[derive(Clone, Debug)]
struct Datagram {
    path: Path,
    bytes: Vec<u8>,
}

/// What a [`BadNetwork`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// To datagrams of clients.
    pub up: Counts,
    /// To datagrams of servers.
    pub down: Counts,
}

impl Datagrams {
    /// No sockets yet.
    pub fn new(end: End, network: Option<&BadNetwork>) -> Self {
        let bad = network.map(|it| Box::new(Bad::new(it, end)));
        Self { sockets: Vec::new(), outgoing: Outgoing::default(), through: 0, bad }
    }

    /// Adds a socket, and says its index: they count from 0.
    pub fn add(&mut self, socket: Socket) -> usize {
        self.sockets.push(socket);
        self.sockets.len() - 1
    }

    /// How many sockets there are.
    pub fn len(&self) -> usize {
        self.sockets.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.sockets.is_empty()
    }

    /// The sockets.
    pub fn sockets(&self) -> impl Iterator<Item = &Socket> {
        self.sockets.iter()
    }

    /// How many datagrams found a receive buffer full: see [`Socket::overflowed`].
    pub fn unread(&self) -> u64 {
        self.sockets().map(Socket::overflowed).sum()
    }

    /// The next datagram there is to be had from a socket: its path and its bytes. With a bad network
    /// there is none: what comes is held back, if for no time at all, for [`Self::receive_due`].
    ///
    /// # Errors
    /// As [`Socket::receive`].
    pub fn receive<'i>(
        &mut self,
        index: usize,
        incoming: &'i mut Incoming,
        now: Timestamp,
    ) -> io::Result<Option<(Path, &'i [u8])>> {
        let Some(socket) = self.sockets.get(index) else { return Ok(None) };
        let at = |path: Path| Path { local: Local { socket: index, ..path.local }, ..path };
        let Some(bad) = &mut self.bad else {
            return Ok(socket.receive(incoming)?.map(|(path, bytes)| (at(path), bytes)));
        };
        while let Some((path, bytes)) = socket.receive(incoming)? {
            bad.coming.push(Datagram { path: at(path), bytes: bytes.to_vec() }, now);
        }
        Ok(None)
    }

    /// What the network has held back and lets come in by `now`: its path and its bytes.
    pub fn receive_due(&mut self, now: Timestamp) -> Option<(Path, Vec<u8>)> {
        let Datagram { path, bytes } = self.bad.as_mut()?.coming.pop(now)?;
        Some((path, bytes))
    }

    /// Sends datagrams by a path, as [`Socket::send_with`]. What the network holds back, and what waits for
    /// company, leaves with [`Self::flush`].
    pub fn send(&mut self, datagrams: &[u8], path: Path, now: Timestamp) {
        let Some(bad) = &mut self.bad else {
            if self.through != path.local.socket {
                self.send_waiting();
                self.through = path.local.socket;
            }
            if let Some(socket) = self.sockets.get(path.local.socket) {
                socket.send_with(&mut self.outgoing, datagrams, path);
            }
            return;
        };
        for datagram in datagrams.chunks(MAX_DATAGRAM) {
            bad.going.push(Datagram { path, bytes: datagram.to_vec() }, now);
        }
        self.flush(now);
    }

    /// As [`Self::send`], but one datagram, at once, for those who want to know what the kernel says.
    ///
    /// # Errors
    /// The kernel's. A bad network has none.
    pub fn try_send(&mut self, datagram: &[u8], path: Path, now: Timestamp) -> io::Result<()> {
        match self.sockets.get(path.local.socket).filter(|_| self.bad.is_none()) {
            Some(socket) => socket.try_send(datagram, path),
            None => {
                self.send(datagram, path, now);
                Ok(())
            }
        }
    }

    /// What the kernel has heard of earlier datagrams from a socket (ICMP): where one was going, and what
    /// became of it. Only Linux says.
    pub fn poll_error(&self, local: usize) -> Option<(SocketAddr, io::Error)> {
        self.sockets.get(local)?.poll_error()
    }

    /// Sends what waits for company, and what the network has held back and lets go by `now`.
    pub fn flush(&mut self, now: Timestamp) {
        self.send_waiting();
        let Some(bad) = &mut self.bad else { return };
        while let Some(datagram) = bad.going.pop(now) {
            if let Some(socket) = self.sockets.get(datagram.path.local.socket) {
                socket.send(&datagram.bytes, datagram.path);
            }
        }
    }

    fn send_waiting(&mut self) {
        if let Some(socket) = self.sockets.get(self.through).filter(|_| !self.outgoing.is_empty()) {
            socket.flush(&mut self.outgoing);
        }
    }

    /// A path on which this machine's kernel refuses datagrams as large as this. Asked for after each flush.
    pub fn poll_refused(&mut self) -> Option<(Path, usize)> {
        self.outgoing.poll_refused()
    }

    /// When [`Self::receive_due`] or [`Self::flush`] will have something to do.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let bad = self.bad.as_ref()?;
        [bad.going.poll_timeout(), bad.coming.poll_timeout()].into_iter().flatten().min()
    }

    /// What the network did so far; none without one.
    pub fn done(&self) -> Option<Done> {
        let bad = self.bad.as_ref()?;
        let (going, coming) = (bad.going.counts(), bad.coming.counts());
        Some(match bad.end {
            End::Client => Done { up: going, down: coming },
            End::Server => Done { up: coming, down: going },
        })
    }
}

/// What is on its way arrives, though its sender is gone: only its delay is cut short.
impl Drop for Datagrams {
    fn drop(&mut self) {
        self.flush(Timestamp::from_micros(u64::MAX));
    }
}

impl Bad {
    fn new(network: &BadNetwork, end: End) -> Self {
        let up = Impairment::new(&network.spec.up, network.seed, Direction::Up);
        let down = Impairment::new(&network.spec.down, network.seed, Direction::Down);
        let (going, coming) = match end {
            End::Client => (up, down),
            End::Server => (down, up),
        };
        Self { end, going, coming }
    }
}

impl AsRef<[u8]> for Datagram {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl AsMut<[u8]> for Datagram {
    fn as_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

/// `up: 120 datagrams, 6 lost; down: ...`, for people.
impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "up: {}; down: {}", self.up, self.down)
    }
}
