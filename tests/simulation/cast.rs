//! The participants: the server's machine and the client processes.

use crate::checks::Record;
use crate::network::Packet;
use crate::quic::ClientQuic;
use chatagram::client::session::Session;
use chatagram::hub::{self, Hub, Line, Local};
use chatagram::time::{Now, Timestamp, WallTime};
use std::net::SocketAddr;
use std::time::Duration;

/// The wall clock of a machine, which may be wrong and may step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WallClock(pub(crate) u64);

impl WallClock {
    pub(crate) fn now(self, mono: Timestamp) -> Now {
        Now { mono, wall: WallTime(self.0 + mono.as_micros()) }
    }
}

/// The server's machine.
#[derive(Debug)]
pub(crate) struct Server {
    /// The source address that routing prefers.
    pub(crate) address: SocketAddr,
    /// Other addresses of the machine.
    pub(crate) others: Vec<SocketAddr>,
    pub(crate) hub: Option<Hub>,
    /// The hub's next timeout.
    pub(crate) wake: Option<Timestamp>,
    pub(crate) clock: WallClock,
    pub(crate) config: hub::Config,
    /// The contents of the history file.
    pub(crate) history: Vec<Line>,
    /// Kill the server after its next write to the history, before it sends anything.
    pub(crate) doomed: bool,
    /// The server is stopped; its socket holds these datagrams, up to the given number.
    pub(crate) stopped: Option<(Vec<Packet>, usize)>,
}

impl Server {
    /// Returns true if the machine has this address.
    pub(crate) fn is_at(&self, address: SocketAddr) -> bool {
        self.address == address || self.others.contains(&address)
    }

    /// The source address of a datagram: the requested one, if the machine has it.
    pub(crate) fn source(&self, local: Local) -> SocketAddr {
        let wanted = local.ip.map(|ip| SocketAddr::new(ip, self.address.port()));
        wanted.filter(|wanted| self.is_at(*wanted)).unwrap_or(self.address)
    }

    /// Makes another address the preferred one.
    pub(crate) fn prefer(&mut self, index: usize) {
        std::mem::swap(&mut self.address, &mut self.others[index]);
    }
}

/// A client process.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) nickname: String,
    pub(crate) session: Session,
    /// The session's next timeout.
    pub(crate) wake: Option<Timestamp>,
    pub(crate) address: SocketAddr,
    pub(crate) clock: WallClock,
    pub(crate) record: Record,
    /// False after the process was killed or has ended.
    pub(crate) running: bool,
    /// The process is stopped (SIGSTOP), or its machine sleeps.
    pub(crate) stopped: bool,
    /// Total time that the machine slept; its monotonic clock does not advance meanwhile.
    pub(crate) slept: Duration,
    /// Its QUIC, for a session over it.
    pub(crate) quic: Option<ClientQuic>,
}

impl Client {
    /// The readings of its clocks at the world's time `mono`.
    pub(crate) fn now(&self, mono: Timestamp) -> Now {
        Now { mono: mono - self.slept, ..self.clock.now(mono) }
    }

    /// The session's next timeout, in the world's time.
    pub(crate) fn poll_timeout(&self) -> Option<Timestamp> {
        let quic = self.quic.as_ref().filter(|_| !self.session.is_closed());
        let quic = quic.and_then(|it| it.quic.poll_timeout());
        self.session.poll_timeout().into_iter().chain(quic).min().map(|at| at + self.slept)
    }
}
