//! The server without its sockets: datagrams and stream bytes in, datagrams and stream bytes out.
//! It joins the registry (the peers), the room (their lines) and a link for each peer (delivery).
//!
//! A line goes from its sender to all other peers through three files:
//!
//! ```text
//!   datagram, stream bytes
//!            │
//!            ▼
//!       receive.rs    which session? link.receive ─► messages; may the peer speak now?
//!            │
//!            ▼
//!       room.rs       commit the line to the log, post it
//!            │
//!            ▼
//!       transmit.rs   to the links of the recipients, and out by poll_transmit
//!            │
//!            ▼
//!   datagrams, stream bytes
//! ```
//!
//! A join goes through `receive.rs`, `handshake.rs`, `lifecycle.rs` (the edge `enter`), `room.rs`
//! and `transmit.rs`. The expiry of a peer goes from `handle_timeout` in this file through
//! `lifecycle.rs` (the edge `lose`) and `room.rs` to `transmit.rs`.
//!
//! | file | owns |
//! |---|---|
//! | `peers.rs`, `peer.rs` | the peers by number and by session, and their queues |
//! | `lifecycle.rs` | the states of a session, and one function for each edge |
//! | `handshake.rs` | challenges and joins: which clients become peers |
//! | `streams.rs` | connections of TCP and QUIC that have not joined, and the peers of the others |
//! | `paths.rs`, `rename.rs` | peers that change their address or their nickname |
//! | `engine.rs`, `engine/*.rs` | a room with several servers: requests, entries of the log |
//! | `moderator.rs`, `moderator/` | bans, mutes, the lock, the orders and their answers |
//! | `who.rs`, `discovery.rs` | answers about the server and its peers |
//! | `counters.rs`, `observer.rs` | the counters; what becomes of each line |
//! | `allowance.rs`, `accounts.rs`, `pressure.rs` | values: rate limits, accounts, back pressure |
//! | `fanout.rs`, `timers.rs`, `nonces.rs`, `cookie.rs` | values without access to the hub |
//!
//! Contract: after any `handle_*` call, first drain `poll_event` and carry out each event (a line
//! is written to the history *before* its acknowledgment can leave), then drain `poll_transmit`,
//! then sleep until `poll_timeout`. The hub never reads a clock, opens a socket, or spawns a
//! thread; the same calls with the same arguments give the same output.
//!
//! Cost of a line: one look-up by session in a hash map and eight by id, each two array reads; for
//! each recipient one by id, and two more if its link is prefetched.

mod accounts;
mod allowance;
mod cookie;
mod counters;
mod discovery;
mod engine;
mod fanout;
mod handshake;
mod lifecycle;
mod moderator;
mod nonces;
mod observer;
mod paths;
mod peer;
mod peers;
mod pressure;
mod receive;
mod rename;
mod streams;
#[cfg(test)]
mod tests;
mod timers;
mod transmit;
mod who;

pub use counters::{Counters, Tally};
pub use engine::Shared;
pub use moderator::Answer;
pub use observer::{Observations, Outcome, Said, Sighting};
pub use streams::StreamId;
pub use who::PeerState;

pub use crate::bucket::Limit;
pub use crate::path::{Local, Path};
pub use crate::registry::{Capacity, Owner};
pub use crate::room::{Kept, Line, LineIdentity, Past};

use crate::link::Copies;
use crate::protocol::limits::{MAX_TEXT, STANDSTILL, cookie_life};
use crate::protocol::{Delivery, LeaveReason, Nickname, Token, Transport, clean, clip};
use crate::registry::{PeerId, Registry};
use crate::room::Room;
use crate::time::{Now, Timestamp};
use accounts::Accounts;
use cookie::Cookies;
use engine::Engine;
use moderator::Moderator;
use nonces::Nonces;
use observer::Observer;
use peers::Peers;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;
use streams::Streams;
use transmit::Outgoing;

/// While there is a peer, the hub looks at the clock this often, to notice a standstill.
const LOOK: Duration = Duration::from_secs(1);

/// The rules of a server.
#[derive(Clone, Debug)]
pub struct Config {
    /// The name of the room.
    pub room: String,
    /// Clients send something at least this often.
    pub heartbeat: Duration,
    /// The number of peers, and how long a silent one stays.
    pub capacity: Capacity,
    /// Lines replayed to newcomers.
    pub replay: usize,
    /// The rate limit of a member. `None`: no limit.
    pub limit: Option<Limit>,
    /// The port for joins, told to clients that look for servers. `None`: they get no answer.
    pub discovery: Option<u16>,
}

/// An event for the driver to record or to log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A line was said: write it to the history before anything else is sent.
    Line(Rc<Line>),
    /// How long the line of the event before this one waited here for an earlier message of its
    /// author; `None` over TCP, where the kernel holds it back. See [`Hub::report_waits`].
    Waited(Rc<Line>, Option<Duration>),
    /// A peer joined.
    Joined {
        /// Its nickname.
        nickname: String,
        /// Its path.
        path: Path,
        /// Its transport.
        transport: Transport,
        /// The number of peers now.
        peers: usize,
    },
    /// A peer left.
    Left {
        /// Its nickname.
        nickname: String,
        /// Why.
        reason: LeaveReason,
        /// The number of peers now.
        peers: usize,
    },
    /// A peer has another path.
    Moved {
        /// Its nickname.
        nickname: String,
        /// Its path now.
        path: Path,
    },
    /// A peer has another nickname.
    Renamed {
        /// Its nickname before.
        from: String,
        /// Its nickname now.
        to: String,
    },
    /// The moderator gave an order, and it was carried out.
    Moderated {
        /// The answer to the moderator.
        done: Answer,
    },
    /// A join was refused. There are at most ten of these events in a second, so that strangers
    /// cannot fill a log.
    Refused {
        /// The path of the client.
        path: Path,
        /// The reason it was told.
        detail: String,
    },
}

/// Where the bytes of [`Hub::poll_transmit`] go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// They are datagrams.
    Datagram(Path),
    /// They are the next bytes of this connection. Once the kernel has taken all of them, call
    /// `handle_stream_writable`.
    Stream(StreamId),
    /// They are a message beside the stream of this connection, and travel in this mode. Once the
    /// transport has taken it, call `handle_message_taken`.
    Message(StreamId, Delivery),
    /// There are none. Nothing more is written to this connection: close it.
    Close(StreamId),
}

/// A server without sockets.
#[derive(Debug)]
pub struct Hub {
    config: Config,
    /// Random, and told in answers to probes: answers with the same id come from the same server.
    id: u64,
    rng: ChaCha20Rng,
    cookies: Cookies,
    nonces: Nonces,
    accounts: Accounts,
    registry: Registry,
    room: Room,
    moderator: Moderator,
    words: moderator::Words,
    peers: Peers,
    streams: Streams,
    outgoing: Outgoing,
    /// Answers to datagrams without a session. At most one for each.
    stateless: VecDeque<(Path, Vec<u8>)>,
    events: VecDeque<Event>,
    /// The latest moment that a call has named.
    now: Timestamp,
    /// The number of times all output was taken: one turn lies between two of them.
    turn: u64,
    /// When a refusal last caused an event.
    refusal_told: Option<Timestamp>,
    shutting_down: bool,
    copies: Copies,
    reports_waits: bool,
    /// Answers to probes name no room.
    private: bool,
    /// In a room with several servers.
    engine: Option<Box<Engine>>,
    /// While somebody watches.
    observer: Option<Box<Observer>>,
    counters: Counters,
    /// Totals of the links whose sessions are gone.
    ended: Tally,
}

impl Hub {
    /// A hub whose every random choice follows from `seed`.
    #[must_use]
    pub fn new(config: Config, past: Past, seed: [u8; 32], now: Now) -> Self {
        let mut rng = ChaCha20Rng::from_seed(seed);
        Self {
            cookies: Cookies::new(&mut rng, cookie_life(config.capacity.expiry), now.mono),
            nonces: Nonces::new(cookie_life(config.capacity.expiry)),
            accounts: Accounts::new(config.limit, config.capacity.peers_per_ip),
            registry: Registry::new(config.capacity),
            room: Room::new(past, config.replay, rng.next_u64().max(1)),
            moderator: Moderator::default(),
            words: Answer::to_string,
            config,
            id: rng.next_u64(),
            rng,
            peers: Peers::default(),
            streams: Streams::default(),
            outgoing: Outgoing::default(),
            stateless: VecDeque::new(),
            events: VecDeque::new(),
            now: now.mono,
            turn: 1,
            refusal_told: None,
            shutting_down: false,
            copies: Copies::default(),
            reports_waits: false,
            private: false,
            engine: None,
            observer: None,
            counters: Counters::default(),
            ended: Tally::default(),
        }
    }

    /// Sets the number of copies of each message over UDP, for peers that join after this call.
    pub fn set_copies(&mut self, copies: Copies) {
        self.copies = copies;
    }

    /// Adds [`Event::Waited`] to each line.
    pub fn report_waits(&mut self) {
        self.reports_waits = true;
    }

    /// Hides the room's name and the number of peers from clients that look for servers.
    pub fn set_private(&mut self) {
        self.private = true;
    }

    /// Reserves a nickname, and all that look like it, for the client with this token: that of the
    /// host. Call it before the hub receives anything.
    pub fn reserve(&mut self, nickname: &Nickname, token: Token) {
        self.registry.reserve(nickname, token);
    }

    /// Does what is due by `now`.
    pub fn handle_timeout(&mut self, now: Now) {
        self.observe(now.mono);
        while let Some(id) = self.registry.expired(now.mono) {
            if self.is_unread(id) {
                self.registry.heard(id, now.mono);
            } else {
                self.lose(id, now.mono);
            }
        }
        while let Some(mut peer) = self.peers.next_due(now.mono) {
            peer.link.handle_timeout(now.mono);
            let id = peer.id;
            self.advance(id, now.mono);
        }
        self.cut_off_waiting(now.mono);
        if self.engine.is_some() {
            self.look_after_engine(now);
        }
        self.read_on(now);
        self.deliver_posts();
    }

    /// Tells every peer about a fault, such as a full disk, and every newcomer until `all_clear`.
    pub fn warn(&mut self, text: &str) {
        self.room.warn(&presentable(text));
        self.deliver_posts();
    }

    /// Tells every peer that the fault is over.
    pub fn all_clear(&mut self, text: &str) {
        self.room.all_clear(&presentable(text));
        self.deliver_posts();
    }

    /// Closes every session. With [`LeaveReason::Restart`] the clients come back. Go on driving the
    /// hub until `is_finished`.
    pub fn shutdown(&mut self, reason: LeaveReason, now: Now) {
        let detail = match reason {
            LeaveReason::Restart => "the server is restarting",
            _ => "the server is closing",
        };
        self.shutting_down = true;
        let peers: Vec<PeerId> = self.peers.ids().collect();
        for id in peers {
            self.close(id, reason, detail, now.mono);
        }
        self.deliver_posts();
    }

    /// Whether a shutdown is over: every peer has acknowledged it, or had a second to, and the
    /// engine, if there is one, knows that they are gone.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        let settled = self.engine.as_deref().is_none_or(Engine::is_settled);
        self.shutting_down && self.peers.is_empty() && settled
    }

    /// The next event to record or to log. Drain this before `poll_transmit`.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When to call `handle_timeout` next: at once while output is queued.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        if !(self.stateless.is_empty() && self.peers.is_silent() && self.events.is_empty()) {
            return Some(Timestamp::ZERO);
        }
        let look = (!self.peers.is_empty()).then(|| self.now + LOOK);
        let timers = [
            self.peers.next_timer(),
            self.registry.poll_timeout(),
            self.streams.poll_timeout(),
            self.room.poll_timeout(),
            self.held_until(self.now),
            self.engine.as_deref().and_then(Engine::poll_timeout),
            look,
        ];
        timers.into_iter().flatten().min()
    }

    /// The nicknames of the active peers, in order of arrival.
    pub fn nicknames(&self) -> impl Iterator<Item = &str> {
        let active = self.peers.iter().filter(|peer| !peer.is_closing());
        active.filter_map(|peer| Some(self.registry.entry(peer.id)?.nickname.as_str()))
    }

    /// The number of sessions, those that are closing included.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.peers.sessions()
    }

    /// Bytes of messages that wait for their peers to take them.
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        self.peers.iter().map(|peer| peer.link.queued_bytes()).sum()
    }

    /// Lines that the engine has not confirmed yet.
    #[must_use]
    pub fn proposed_lines(&self) -> usize {
        self.engine.as_ref().map_or(0, |engine| engine.proposed_lines())
    }

    /// Whether the hub does not read the connection of a peer, because lines wait for the engine:
    /// then it cannot hear the peer.
    fn is_unread(&self, id: PeerId) -> bool {
        self.engine.is_some()
            && self.peers.get(id).is_some_and(|peer| {
                peer.stream.is_some() && peer.standing.is_held() && !peer.is_closing()
            })
    }

    /// Takes note of the time. After a standstill of this process, expiry and retransmission count
    /// from `now` on, because the hub could hear no peer meanwhile.
    fn observe(&mut self, now: Timestamp) {
        if now.since(self.now) > STANDSTILL && !self.peers.is_empty() {
            log::debug!("this process was suspended for {:?}", now.since(self.now));
            self.registry.resume(now);
            self.outgoing.pressure.resume(self.now, now);
            for peer in self.peers.iter_mut() {
                peer.link.resume(now);
            }
        }
        self.now = self.now.max(now);
    }
}

/// A text of this program as a notice: it may contain a file name with any characters.
fn presentable(text: &str) -> String {
    clip(&clean(text), MAX_TEXT).to_owned()
}
