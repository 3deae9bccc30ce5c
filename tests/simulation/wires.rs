//! Connections between the server and its clients: bytes arrive in order, cut anywhere and whenever
//! the dice say so; and a connection can stall, or break with bytes on their way.

use crate::dice::Dice;
use crate::network::Impairment;
use chatagram::time::Timestamp;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

/// What one call hands out at most. The next one comes when the kernel has taken all of it.
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

/// What a kernel tells the process at an end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    Opened,
    Bytes(Vec<u8>),
    Closed,
}

/// How the network is, for what is sent now.
pub(crate) struct Weather<'a> {
    pub(crate) impairment: Impairment,
    pub(crate) now: Timestamp,
    pub(crate) dice: &'a mut Dice,
}

impl Weather<'_> {
    /// A lost segment is one that takes longer.
    fn arrival(&mut self) -> Timestamp {
        let mut delay = self.impairment.delay + self.dice.within(self.impairment.jitter);
        while self.dice.chance(self.impairment.loss) {
            delay += Duration::from_millis(200);
        }
        self.now + delay
    }
}

/// One direction, with the buffers of both kernels in it.
#[derive(Debug, Default)]
struct Pipe {
    under_way: VecDeque<(Timestamp, Signal)>,
    /// How many bytes those are.
    taken: usize,
    /// What the writer's kernel has not taken yet.
    unsent: Vec<u8>,
    capacity: usize,
    /// The process at the far end reads nothing.
    stalled: bool,
}

impl Pipe {
    fn push(&mut self, signal: Signal, weather: &mut Weather<'_>) {
        let last = self.under_way.back().map_or(Timestamp::ZERO, |(at, _)| *at);
        self.under_way.push_back((weather.arrival().max(last), signal));
    }

    /// Takes what there is room for, in pieces. True when that was all.
    fn pump(&mut self, weather: &mut Weather<'_>) -> bool {
        while self.taken < self.capacity && !self.unsent.is_empty() {
            let room = self.capacity - self.taken;
            let most = if weather.dice.chance(300) { 20 } else { 1_500 };
            let piece = (1 + weather.dice.below(most)).min(self.unsent.len()).min(room);
            let bytes = self.unsent.drain(..piece).collect();
            self.push(Signal::Bytes(bytes), weather);
            self.taken += piece;
        }
        self.unsent.is_empty()
    }

    fn pop(&mut self) -> Option<Signal> {
        let (_, signal) = self.under_way.pop_front()?;
        if let Signal::Bytes(bytes) = &signal {
            self.taken -= bytes.len();
        }
        Some(signal)
    }

    fn lose_everything(&mut self) {
        self.taken = 0;
        self.under_way.clear();
        self.unsent.clear();
    }
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Wire {
    /// Whose it is. A stranger's belongs to none of the clients.
    pub(crate) client: Option<usize>,
    pub(crate) address: SocketAddr,
    /// When the server took it.
    pub(crate) taken: Option<Timestamp>,
    /// The client knows that it is there.
    pub(crate) announced: bool,
    to_client: Pipe,
    to_server: Pipe,
    client_holds: bool,
    server_holds: bool,
    /// Nothing that is sent from now on arrives, and nobody is told so.
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
        pipe.under_way.front().filter(|_| !pipe.stalled).map(|(at, _)| *at)
    }

    /// Whether the process at this end has not closed it.
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

    /// The process at `to.other()` writes. True when the kernel took all.
    pub(crate) fn write(&mut self, to: End, bytes: &[u8], weather: &mut Weather<'_>) -> bool {
        let dead = self.dead;
        let pipe = self.pipe(to);
        pipe.unsent.extend_from_slice(bytes);
        assert!(pipe.unsent.len() <= MAX_UNSENT, "bytes come although the last ones wait");
        !dead && pipe.pump(weather)
    }

    /// The process at this end closes, or is no more: what the kernel has taken still arrives.
    pub(crate) fn close(&mut self, by: End, weather: &mut Weather<'_>) {
        if !self.is_held(by) {
            return;
        }
        self.let_go(by);
        let dead = self.dead;
        let pipe = self.pipe(by.other());
        pipe.unsent.clear();
        if !dead {
            pipe.push(Signal::Closed, weather);
        }
    }

    /// What is on its way is lost. Both ends are told so, or one, or none of them.
    pub(crate) fn break_off(&mut self, weather: &mut Weather<'_>) {
        let told = weather.dice.below(4);
        self.dead = true;
        for (bit, end) in [(1, End::Client), (2, End::Server)] {
            let pipe = self.pipe(end);
            pipe.lose_everything();
            if told & bit != 0 {
                pipe.push(Signal::Closed, weather);
            }
        }
    }

    /// The buffers towards the client have at least this size.
    pub(crate) fn widen(&mut self, capacity: usize) {
        self.to_client.capacity = self.to_client.capacity.max(capacity);
    }

    /// Whether the kernel has taken all that was written.
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
    /// Somebody connects. Nobody may be there, or there may not even be an answer.
    pub(crate) fn connect(
        &mut self,
        client: Option<usize>,
        address: SocketAddr,
        listened_to: bool,
        weather: &mut Weather<'_>,
    ) -> u64 {
        let mut pipe = || Pipe { capacity: 100 + weather.dice.below(40_000), ..Pipe::default() };
        let mut wire = Wire {
            client,
            address,
            taken: None,
            announced: false,
            to_client: pipe(),
            to_server: pipe(),
            client_holds: true,
            server_holds: listened_to,
            dead: !listened_to && weather.dice.chance(weather.impairment.loss),
        };
        if listened_to {
            wire.to_server.push(Signal::Opened, weather);
            wire.to_client.push(Signal::Opened, weather);
        } else if !wire.dead {
            wire.to_client.push(Signal::Closed, weather);
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

    /// The connection that is this client's now.
    pub(crate) fn of(&mut self, client: usize) -> Option<(u64, &mut Wire)> {
        let mut held = self.wires.iter_mut().filter(|(_, wire)| wire.client_holds);
        held.find(|(_, wire)| wire.client == Some(client)).map(|(id, wire)| (*id, wire))
    }

    /// When the next signal arrives, of which connection, and at which end. Nothing passes where
    /// `passes` is not true.
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

    /// Takes the signal that `next_arrival` named, and says whether the other end, having waited for
    /// it, can write again. To an end that has closed only a rebuff can be sent.
    pub(crate) fn arrive(
        &mut self,
        id: u64,
        at: End,
        weather: &mut Weather<'_>,
    ) -> Option<(Signal, bool)> {
        let wire = self.wires.get_mut(&id)?;
        let (dead, held) = (wire.dead, wire.is_held(at));
        let pipe = wire.pipe(at);
        let signal = pipe.pop()?;
        let waited = !pipe.unsent.is_empty();
        let writable = !dead && pipe.pump(weather) && waited;
        if signal == Signal::Closed {
            wire.let_go(at);
        } else if !held {
            wire.pipe(at).lose_everything();
            let back = wire.pipe(at.other());
            if weather.dice.chance(500) {
                back.lose_everything();
            }
            back.push(Signal::Closed, weather);
        }
        Some((signal, writable)).filter(|_| held)
    }

    /// Forgets those that both ends have closed.
    pub(crate) fn tidy(&mut self) {
        self.wires.retain(|_, wire| wire.client_holds || wire.server_holds);
    }
}
