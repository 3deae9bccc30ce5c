//! Connections between the server and its clients: bytes arrive in order, in random pieces at
//! random times. A connection can stall, or break with bytes in flight.

use crate::dice::Dice;
use crate::network::Impairment;
use chatagram::time::Timestamp;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

/// Limit on the bytes of one call; the next call follows when the kernel has taken them.
const MAX_UNSENT: usize = 16 * 1024;

/// An end of a connection, and the direction towards it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Client,
    Server,
}

impl End {
    pub(crate) fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

/// An event that a kernel reports to its process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    Opened,
    Bytes(Vec<u8>),
    Closed,
}

/// The state of the network for bytes sent now.
pub(crate) struct NetworkState<'a> {
    pub(crate) impairment: Impairment,
    pub(crate) now: Timestamp,
    pub(crate) dice: &'a mut Dice,
}

impl NetworkState<'_> {
    /// A lost segment arrives later.
    fn arrival(&mut self) -> Timestamp {
        let mut delay = self.impairment.delay + self.dice.within(self.impairment.jitter);
        while self.dice.chance(self.impairment.loss) {
            delay += Duration::from_millis(200);
        }
        self.now + delay
    }
}

/// One direction, with the buffers of both kernels.
#[derive(Debug, Default)]
struct Pipe {
    in_flight: VecDeque<(Timestamp, Signal)>,
    /// Number of bytes in flight.
    taken: usize,
    /// Bytes that the writer's kernel has not taken yet.
    unsent: Vec<u8>,
    capacity: usize,
    /// The process at the far end does not read.
    stalled: bool,
}

impl Pipe {
    fn push(&mut self, signal: Signal, state: &mut NetworkState<'_>) {
        let last = self.in_flight.back().map_or(Timestamp::ZERO, |(at, _)| *at);
        self.in_flight.push_back((state.arrival().max(last), signal));
    }

    /// Takes as many bytes as fit, in pieces. Returns true if that was all.
    fn pump(&mut self, state: &mut NetworkState<'_>) -> bool {
        while self.taken < self.capacity && !self.unsent.is_empty() {
            let room = self.capacity - self.taken;
            let most = if state.dice.chance(300) { 20 } else { 1_500 };
            let piece = (1 + state.dice.below(most)).min(self.unsent.len()).min(room);
            let bytes = self.unsent.drain(..piece).collect();
            self.push(Signal::Bytes(bytes), state);
            self.taken += piece;
        }
        self.unsent.is_empty()
    }

    fn pop(&mut self) -> Option<Signal> {
        let (_, signal) = self.in_flight.pop_front()?;
        if let Signal::Bytes(bytes) = &signal {
            self.taken -= bytes.len();
        }
        Some(signal)
    }

    fn lose_everything(&mut self) {
        self.taken = 0;
        self.in_flight.clear();
        self.unsent.clear();
    }
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Wire {
    /// The client that owns it; `None` for a stranger.
    pub(crate) client: Option<usize>,
    pub(crate) address: SocketAddr,
    /// When the server accepted it.
    pub(crate) taken: Option<Timestamp>,
    /// The client has been told that it is established.
    pub(crate) announced: bool,
    to_client: Pipe,
    to_server: Pipe,
    client_holds: bool,
    server_holds: bool,
    /// Bytes sent from now on are lost silently.
    dead: bool,
}

impl Wire {
    fn pipe(&mut self, to: End) -> &mut Pipe {
        match to {
            End::Client => &mut self.to_client,
            End::Server => &mut self.to_server,
        }
    }

    fn next(&self, to: End) -> Option<Timestamp> {
        let pipe = match to {
            End::Client => &self.to_client,
            End::Server => &self.to_server,
        };
        pipe.in_flight.front().filter(|_| !pipe.stalled).map(|(at, _)| *at)
    }

    /// Returns true if the process at this end has not closed it.
    pub(crate) fn is_held(&self, end: End) -> bool {
        match end {
            End::Client => self.client_holds,
            End::Server => self.server_holds,
        }
    }

    pub(crate) fn let_go(&mut self, end: End) {
        match end {
            End::Client => self.client_holds = false,
            End::Server => self.server_holds = false,
        }
        self.pipe(end).lose_everything();
    }

    /// The process at `to.other()` writes. Returns true if the kernel took everything.
    pub(crate) fn write(&mut self, to: End, bytes: &[u8], state: &mut NetworkState<'_>) -> bool {
        let dead = self.dead;
        let pipe = self.pipe(to);
        pipe.unsent.extend_from_slice(bytes);
        assert!(pipe.unsent.len() <= MAX_UNSENT, "bytes come although the last ones wait");
        !dead && pipe.pump(state)
    }

    /// The process at this end closes or ends; bytes that the kernel has taken still arrive.
    pub(crate) fn close(&mut self, by: End, state: &mut NetworkState<'_>) {
        if !self.is_held(by) {
            return;
        }
        self.let_go(by);
        let dead = self.dead;
        let pipe = self.pipe(by.other());
        pipe.unsent.clear();
        if !dead {
            pipe.push(Signal::Closed, state);
        }
    }

    /// Drops all bytes in flight and tells both ends, one, or none.
    pub(crate) fn break_off(&mut self, state: &mut NetworkState<'_>) {
        let told = state.dice.below(4);
        self.dead = true;
        for (bit, end) in [(1, End::Client), (2, End::Server)] {
            let pipe = self.pipe(end);
            pipe.lose_everything();
            if told & bit != 0 {
                pipe.push(Signal::Closed, state);
            }
        }
    }

    /// Sets the minimum size of the buffers towards the client.
    pub(crate) fn widen(&mut self, capacity: usize) {
        self.to_client.capacity = self.to_client.capacity.max(capacity);
    }

    /// Returns true if the kernel has taken everything written.
    pub(crate) fn is_clear(&mut self, to: End) -> bool {
        self.pipe(to).unsent.is_empty()
    }

    pub(crate) fn stall(&mut self, to: End, stalled: bool) {
        self.pipe(to).stalled = stalled;
    }
}

/// All connections, by number.
#[derive(Debug, Default)]
pub(crate) struct Wires {
    wires: BTreeMap<u64, Wire>,
    next: u64,
}

impl Wires {
    /// Opens a connection. The server may be absent or may not answer at all.
    pub(crate) fn connect(
        &mut self,
        client: Option<usize>,
        address: SocketAddr,
        listened_to: bool,
        state: &mut NetworkState<'_>,
    ) -> u64 {
        let mut pipe = || Pipe { capacity: 100 + state.dice.below(40_000), ..Pipe::default() };
        let mut wire = Wire {
            client,
            address,
            taken: None,
            announced: false,
            to_client: pipe(),
            to_server: pipe(),
            client_holds: true,
            server_holds: listened_to,
            dead: !listened_to && state.dice.chance(state.impairment.loss),
        };
        if listened_to {
            wire.to_server.push(Signal::Opened, state);
            wire.to_client.push(Signal::Opened, state);
        } else if !wire.dead {
            wire.to_client.push(Signal::Closed, state);
        }
        self.next += 1;
        self.wires.insert(self.next, wire);
        self.next
    }

    pub(crate) fn get(&mut self, id: u64) -> Option<&mut Wire> {
        self.wires.get_mut(&id)
    }

    pub(crate) fn all(&mut self) -> impl Iterator<Item = &mut Wire> {
        self.wires.values_mut()
    }

    pub(crate) fn count(&self, counts: impl Fn(&Wire) -> bool) -> usize {
        self.wires.values().filter(|wire| counts(wire)).count()
    }

    /// A client's current connection.
    pub(crate) fn of(&mut self, client: usize) -> Option<(u64, &mut Wire)> {
        let mut held = self.wires.iter_mut().filter(|(_, wire)| wire.client_holds);
        held.find(|(_, wire)| wire.client == Some(client)).map(|(id, wire)| (*id, wire))
    }

    /// The next event: its time, connection and end. Connections for which `passes` is false are
    /// skipped.
    pub(crate) fn next_arrival(
        &self,
        passes: impl Fn(u64, &Wire, End) -> bool,
    ) -> Option<(Timestamp, u64, End)> {
        let ends = self.wires.iter().flat_map(|(id, wire)| {
            [End::Server, End::Client].into_iter().map(move |end| (*id, wire, end))
        });
        let passing = ends.filter(|(id, wire, end)| passes(*id, wire, *end));
        let next = passing.filter_map(|(id, wire, end)| Some((wire.next(end)?, id, end)));
        next.min_by_key(|(at, ..)| *at)
    }

    /// Takes the event that `next_arrival` named. Returns true if the other end can write again. To
    /// a closed end only a reset can be sent.
    pub(crate) fn arrive(
        &mut self,
        id: u64,
        at: End,
        state: &mut NetworkState<'_>,
    ) -> Option<(Signal, bool)> {
        let wire = self.wires.get_mut(&id)?;
        let (dead, held) = (wire.dead, wire.is_held(at));
        let pipe = wire.pipe(at);
        let signal = pipe.pop()?;
        let waited = !pipe.unsent.is_empty();
        let writable = !dead && pipe.pump(state) && waited;
        if signal == Signal::Closed {
            wire.let_go(at);
        } else if !held {
            wire.pipe(at).lose_everything();
            let back = wire.pipe(at.other());
            if state.dice.chance(500) {
                back.lose_everything();
            }
            back.push(Signal::Closed, state);
        }
        Some((signal, writable)).filter(|_| held)
    }

    /// Removes the connections that both ends have closed.
    pub(crate) fn tidy(&mut self) {
        self.wires.retain(|_, wire| wire.client_holds || wire.server_holds);
    }
}
