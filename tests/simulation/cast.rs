//! Who plays in a world: the server's machine, and the processes of the clients.

use crate::checks::Record;
use crate::network::Packet;
use chatagram::client::session::Session;
use chatagram::hub::{self, Hub};
use chatagram::path::Local;
use chatagram::room::Line;
use chatagram::time::{Now, Timestamp, WallTime};
use std::net::SocketAddr;
use std::time::Duration;

/// The wall clock of one machine: it may be wrong, and it may be put right at any time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WallClock(pub(crate) u64);

impl WallClock {
    pub(crate) fn now(self, mono: Timestamp) -> Now {
        Now { mono, wall: WallTime(self.0 + mono.as_micros()) }
    }
}

/// The machine that the server runs on.
#[derive(Debug)]
pub(crate) struct Server {
    /// The address that routing prefers.
    pub(crate) address: SocketAddr,
    /// Further addresses of the machine.
    pub(crate) others: Vec<SocketAddr>,
    pub(crate) hub: Option<Hub>,
    /// When the hub wants to be called.
    pub(crate) wake: Option<Timestamp>,
    pub(crate) clock: WallClock,
    pub(crate) config: hub::Config,
    /// What is in the history file.
    pub(crate) history: Vec<Line>,
    /// Kill it the next time it has written something down and sent nothing yet.
    pub(crate) doomed: bool,
    /// It is there and does nothing; datagrams wait in its socket, which has room for so many.
    pub(crate) stopped: Option<(Vec<Packet>, usize)>,
}

impl Server {
    /// Whether its machine has this address.
    pub(crate) fn is_at(&self, address: SocketAddr) -> bool {
        self.address == address || self.others.contains(&address)
    }

    /// Where a datagram leaves from: as asked, if the machine has that address.
    pub(crate) fn source(&self, local: Local) -> SocketAddr {
        let wanted = local.ip.map(|ip| SocketAddr::new(ip, self.address.port()));
        wanted.filter(|wanted| self.is_at(*wanted)).unwrap_or(self.address)
    }

    /// Another address is the one that routing prefers.
    pub(crate) fn prefer(&mut self, index: usize) {
        std::mem::swap(&mut self.address, &mut self.others[index]);
    }
}

/// One process of a client.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) nickname: String,
    pub(crate) session: Session,
    /// When it wants to be called.
    pub(crate) wake: Option<Timestamp>,
    pub(crate) address: SocketAddr,
    pub(crate) clock: WallClock,
    pub(crate) record: Record,
    /// It was not killed and did not end.
    pub(crate) running: bool,
    /// It is there and does nothing (SIGSTOP, or its machine sleeps).
    pub(crate) stopped: bool,
    /// For so long in all its machine slept, and its monotonic clock stood still, as most do then.
    pub(crate) slept: Duration,
}

impl Client {
    /// What its clocks say when it is `mono` in the world.
    pub(crate) fn now(&self, mono: Timestamp) -> Now {
        Now { mono: mono - self.slept, ..self.clock.now(mono) }
    }

    /// When its session wants to be called, as the world counts.
    pub(crate) fn poll_timeout(&self) -> Option<Timestamp> {
        self.session.poll_timeout().map(|at| at + self.slept)
    }
}
