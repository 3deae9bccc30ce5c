//! UDP sockets, optionally behind an emulated network: [`impair`](crate::impair) in this process,
//! for machines without namespaces or netem.
//!
//! ```text
//! |  send ──► impairment (sending) ──► socket ──► kernel
//! |  receive ◄── impairment (receiving) ◄── socket ◄── kernel
//! ```
//!
//! It impairs datagrams only. Dropping bytes of a TCP stream would break the stream instead of
//! showing how TCP handles the loss of a packet.

use super::{Incoming, Outgoing, Socket};
use crate::impair::{Change, Counts, Direction, Network, Profile, Scope, Script, Spec};
use crate::path::{Local, Path};
use crate::protocol::limits::MAX_DATAGRAM;
use crate::time::Timestamp;
use std::fmt;
use std::io;
use std::net::SocketAddr;

/// The configuration of an emulated network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadNetwork {
    /// The impairment of clients' datagrams (up) and the server's (down).
    pub spec: Spec,
    /// The seed: the same seed impairs the same sequence of datagrams alike.
    pub seed: u64,
}

/// The side of a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Sends up.
    Client,
    /// Sends down.
    Server,
}

/// The UDP sockets of one side, by index, and the emulated network in front of them.
#[derive(Debug)]
pub struct Datagrams {
    sockets: Vec<Socket>,
    /// Datagrams that wait to be sent together, and the index of their socket.
    outgoing: Outgoing,
    batch_socket: usize,
    pub(super) end: End,
    /// The seed, and the changes that come by themselves.
    pub(super) script: Script,
    /// Datagrams sent and received without an emulated network.
    pub(super) passed: (u64, u64),
    pub(super) impaired: Option<Box<Impaired>>,
}

#[derive(Debug)]
pub(super) struct Impaired {
    pub(super) sending: Network<Datagram>,
    pub(super) receiving: Network<Datagram>,
}

/// A datagram and its path, which is not corrupted.
#[derive(Clone, Debug)]
pub(super) struct Datagram {
    path: Path,
    bytes: Vec<u8>,
}

/// A datagram that was read from a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read<'i> {
    /// Its path and its bytes.
    Datagram(Path, &'i [u8]),
    /// The emulated network holds it back for [`Datagrams::receive_due`], even without delay.
    HeldBack,
}

/// The counters of an emulated network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImpairmentCounts {
    /// Datagrams of clients.
    pub up: Counts,
    /// Datagrams of servers.
    pub down: Counts,
}

impl Datagrams {
    /// A set without sockets.
    #[must_use]
    pub fn new(end: End, network: Option<&BadNetwork>) -> Self {
        let mut all = Self::scripted(end, network.map(BadNetwork::script).unwrap_or_default());
        if network.is_some() {
            all.impaired();
        }
        all
    }

    /// A set without sockets behind an emulated network that changes by itself.
    #[must_use]
    pub fn scripted(end: End, script: Script) -> Self {
        let is_needed = !script.changes.is_empty();
        let (sockets, outgoing, batch_socket) = (Vec::new(), Outgoing::default(), 0);
        let (passed, impaired) = ((0, 0), None);
        let mut all = Self { sockets, outgoing, batch_socket, end, script, passed, impaired };
        if is_needed {
            all.impaired();
        }
        all
    }

    /// Adds a socket and returns its index, from 0.
    pub fn add(&mut self, socket: Socket) -> usize {
        self.sockets.push(socket);
        self.sockets.len() - 1
    }

    /// Number of sockets.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sockets.len()
    }

    /// Returns true without sockets.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sockets.is_empty()
    }

    /// The sockets.
    pub fn sockets(&self) -> impl Iterator<Item = &Socket> {
        self.sockets.iter()
    }

    /// Datagrams dropped because a receive buffer was full; see [`Socket::overflowed`].
    pub fn unread(&self) -> u64 {
        self.sockets().map(Socket::overflowed).sum()
    }

    /// Reads the next datagram of a socket; `None` if there is none. A call reads one datagram, so
    /// the caller bounds how long it reads, with an emulated network as without.
    ///
    /// # Errors
    /// Those of [`Socket::receive`].
    pub fn receive<'i>(
        &mut self,
        index: usize,
        incoming: &'i mut Incoming,
        now: Timestamp,
    ) -> io::Result<Option<Read<'i>>> {
        let Some(socket) = self.sockets.get(index) else { return Ok(None) };
        let Some((path, bytes)) = socket.receive(incoming)? else { return Ok(None) };
        let path = Path { local: Local { socket: index, ..path.local }, ..path };
        Ok(Some(match &mut self.impaired {
            None => {
                self.passed.1 += 1;
                Read::Datagram(path, bytes)
            }
            Some(impaired) => {
                let datagram = Datagram { path, bytes: bytes.to_vec() };
                impaired.receiving.push(path.remote, datagram, now);
                Read::HeldBack
            }
        }))
    }

    /// The next datagram that the emulated network releases by `now`, with its path.
    pub fn receive_due(&mut self, now: Timestamp) -> Option<(Path, Vec<u8>)> {
        let Datagram { path, bytes } = self.impaired.as_mut()?.receiving.pop(now)?;
        Some((path, bytes))
    }

    /// Sends datagrams on a path, like [`Socket::send_with`]. Datagrams that are delayed, or wait
    /// to be sent together, leave with [`Self::flush`].
    pub fn send(&mut self, datagrams: &[u8], path: Path, now: Timestamp) {
        let Some(impaired) = &mut self.impaired else {
            self.passed.0 += datagrams.len().div_ceil(MAX_DATAGRAM) as u64;
            if self.batch_socket != path.local.socket {
                self.flush_batch();
                self.batch_socket = path.local.socket;
            }
            if let Some(socket) = self.sockets.get(path.local.socket) {
                socket.send_with(&mut self.outgoing, datagrams, path);
            }
            return;
        };
        for datagram in datagrams.chunks(MAX_DATAGRAM) {
            let datagram = Datagram { path, bytes: datagram.to_vec() };
            impaired.sending.push(path.remote, datagram, now);
        }
        self.flush(now);
    }

    /// Like [`Self::send`] for one datagram, at once, and returns the kernel's error.
    ///
    /// # Errors
    /// The kernel's. An emulated network returns none.
    pub fn try_send(&mut self, datagram: &[u8], path: Path, now: Timestamp) -> io::Result<()> {
        match self.sockets.get(path.local.socket).filter(|_| self.impaired.is_none()) {
            Some(socket) => {
                self.passed.0 += 1;
                socket.try_send(datagram, path)
            }
            None => {
                self.send(datagram, path, now);
                Ok(())
            }
        }
    }

    /// The next ICMP error for an earlier datagram of a socket: its destination and the error.
    /// Linux only.
    #[must_use]
    pub fn poll_error(&self, local: usize) -> Option<(SocketAddr, io::Error)> {
        self.sockets.get(local)?.poll_error()
    }

    /// Sends the datagrams that wait, and those that the emulated network releases by `now`.
    pub fn flush(&mut self, now: Timestamp) {
        self.flush_batch();
        let Some(impaired) = &mut self.impaired else { return };
        while let Some(datagram) = impaired.sending.pop(now) {
            if let Some(socket) = self.sockets.get(datagram.path.local.socket) {
                socket.send(&datagram.bytes, datagram.path);
            }
        }
    }

    fn flush_batch(&mut self) {
        if let Some(socket) =
            self.sockets.get(self.batch_socket).filter(|_| !self.outgoing.is_empty())
        {
            socket.flush(&mut self.outgoing);
        }
    }

    /// The next path on which the kernel rejected datagrams of this size. Call it after each flush.
    pub fn poll_refused(&mut self) -> Option<(Path, usize)> {
        self.outgoing.poll_refused()
    }

    /// When [`Self::receive_due`] or [`Self::flush`] next has a datagram to release.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let impaired = self.impaired.as_ref()?;
        [impaired.sending.poll_timeout(), impaired.receiving.poll_timeout()]
            .into_iter()
            .flatten()
            .min()
    }

    /// The counters of the emulated network, if there is one.
    #[must_use]
    pub fn impairment_counts(&self) -> Option<ImpairmentCounts> {
        let impaired = self.impaired.as_ref()?;
        let (sending, receiving) = (impaired.sending.counts(), impaired.receiving.counts());
        Some(match self.end {
            End::Client => ImpairmentCounts { up: sending, down: receiving },
            End::Server => ImpairmentCounts { up: receiving, down: sending },
        })
    }
}

/// Sends delayed datagrams early instead of losing them.
impl Drop for Datagrams {
    fn drop(&mut self) {
        self.flush(Timestamp::from_micros(u64::MAX));
    }
}

impl BadNetwork {
    /// The same network as a script: both directions are set before the first datagram.
    fn script(&self) -> Script {
        let both = [(Direction::Up, &self.spec.up), (Direction::Down, &self.spec.down)];
        let set = both.into_iter().filter(|(_, profile)| **profile != Profile::default());
        let changes = set.map(|(direction, profile)| Change {
            direction,
            index: 0,
            scope: Scope::Everybody,
            profile: Some(profile.clone()),
        });
        Script { seed: self.seed, changes: changes.collect() }
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

/// `up: 120 packets, 6 lost; down: ...`, for people.
impl fmt::Display for ImpairmentCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "up: {}; down: {}", self.up, self.down)
    }
}
