//! The server without its sockets: datagrams and streams in, datagrams and streams out. It joins the registry (who), the
//! room (what is said) and one link for each peer (how it gets there), and decides nothing that one
//! of them could decide.
//!
//! ```text
//! handle_datagram ─► session 0?  handshake.rs: challenge, refuse, admit
//!                 └► a session:  datagrams.rs, by its path ─► link.receive ─► requests.rs ─► room
//! handle_probe    ─► discovery.rs: here is a server
//! handle_stream_* ─► streams.rs: the same for connections, without the challenge
//!                    allowance.rs, pressure.rs: how fast may it speak? ─► later, or never
//! room's posts    ─► fanout.rs ─► links of the recipients ─► poll_transmit
//! ```
//!
//! Contract: after any `handle_*` call, first drain `poll_event` and carry out what it says (a line
//! is written to the history *before* the acknowledgment of it can leave), then drain
//! `poll_transmit`, then sleep until `poll_timeout`. The hub never reads a clock, opens a socket,
//! or spawns; the same calls with the same arguments give the same output.

mod accounts;
mod allowance;
mod cookie;
mod datagrams;
mod discovery;
mod fanout;
mod handshake;
mod nonces;
mod peer;
mod pressure;
mod requests;
mod streams;
mod tally;
#[cfg(test)]
mod tests;
mod timers;

pub use streams::{MAX_WAITING, StreamId};
pub use tally::{Carried, Tally};

use crate::bucket::Limit;
use crate::link::{Link, Role};
use crate::path::Path;
use crate::protocol::limits::{LEAVE_TIMEOUT, MAX_TEXT, base_datagram};
use crate::protocol::{
    Batch, LeaveReason, Nickname, Refusal, ServerMessage, Token, clean, encode_message,
};
use crate::registry::{Capacity, PeerId, PeerMap, Registry};
use crate::room::{Line, Past, Room};
use crate::time::{Now, Timestamp};
use accounts::Accounts;
use allowance::Allowance;
use cookie::Cookies;
use fanout::Fanout;
use nonces::Nonces;
use peer::Peer;
use pressure::Pressure;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;
use streams::Streams;
use timers::Timers;

/// So many places in the queue ahead of who transmits: time for a cache line to come from far.
const FETCHED_AHEAD: [usize; 2] = [4, 2];

/// While somebody is here the hub looks at the clock this often, so that it notices a standstill.
const LOOK: Duration = Duration::from_secs(1);
const STANDSTILL: Duration = Duration::from_secs(2);

/// What the server is told by whoever starts it.
#[derive(Clone, Debug)]
pub struct Config {
    /// What the room is called.
    pub room: String,
    /// Clients send something at least this often.
    pub heartbeat: Duration,
    /// How many may be here, and how long the silent stay.
    pub capacity: Capacity,
    /// Lines replayed to newcomers.
    pub replay: usize,
    /// How fast a member may speak; none: as fast as it likes.
    pub limit: Option<Limit>,
    /// The port where joins are taken, for those who look for servers; none: they get no answer.
    pub discovery: Option<u16>,
}

/// What the driver should know or do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A line was said: write it to the history before anything else is sent.
    Line(Rc<Line>),
    /// Somebody came.
    Joined {
        /// Under this name.
        nickname: String,
        /// From here.
        path: Path,
        /// So many are here now.
        peers: usize,
    },
    /// Somebody went.
    Left {
        /// Under this name.
        nickname: String,
        /// Why.
        reason: LeaveReason,
        /// So many are here now.
        peers: usize,
    },
    /// A peer is at another address now.
    Moved {
        /// Who.
        nickname: String,
        /// Where to.
        path: Path,
    },
    /// Somebody was not let in. At most ten a second are told, for a log must not be filled by who
    /// only asks.
    Refused {
        /// From here.
        path: Path,
        /// Told so.
        detail: String,
    },
}

/// What came in and could not be used, or was answered without a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Datagrams received, of any kind.
    pub received: u64,
    /// Their bytes.
    pub received_bytes: u64,
    /// Not this protocol: the magic is wrong, or the size.
    pub alien: u64,
    /// Of another version.
    pub other_version: u64,
    /// With a wrong checksum.
    pub corrupt: u64,
    /// With a right checksum and wrong contents.
    pub malformed: u64,
    /// For a session that does not exist.
    pub unknown_session: u64,
    /// Those that never came so far: the receive buffer had no room for them, and this machine's
    /// kernel dropped them. See [`Hub::set_unread`].
    pub unread: u64,
    /// Datagrams sent to those without a session: challenges, refusals and the like.
    pub answers: u64,
    /// Their bytes.
    pub answer_bytes: u64,
    /// Sessions begun.
    pub joins: u64,
    /// Lines said to the room.
    pub lines: u64,
    /// Challenges sent.
    pub challenges: u64,
    /// Refusals sent, by the number of their reason.
    pub refusals: [u64; Self::REASONS],
    /// Lines that a full queue to a slow peer did not take.
    pub overflowed: u64,
    /// Times a peer was asked to wait before it says more: it had reached its limit, or the readers theirs.
    pub slowed: u64,
    /// Peers dropped because they said more than they may and did not wait.
    pub flooders: u64,
}

impl Counters {
    /// How many reasons there are not to let somebody in.
    pub const REASONS: usize = Refusal::ShuttingDown as usize + 1;

    /// Refusals sent, for any reason.
    pub fn refused(&self) -> u64 {
        self.refusals.iter().sum()
    }
}

/// Where the bytes of [`Hub::poll_transmit`] go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// They are a datagram.
    Datagram(Path),
    /// They are the next bytes of this connection: all of them, then `handle_stream_writable`.
    Stream(StreamId),
    /// There are none: what was written to this connection is all; close it.
    Close(StreamId),
}

/// See the module.
#[derive(Debug)]
pub struct Hub {
    config: Config,
    /// Drawn at random: answers to probes that name it are those of one server.
    id: u64,
    rng: ChaCha20Rng,
    cookies: Cookies,
    registry: Registry,
    room: Room,
    fanout: Fanout,
    peers: PeerMap<Peer>,
    sessions: HashMap<u64, PeerId>,
    nonces: Nonces,
    /// Peers whose link may have something to send.
    dirty: VecDeque<PeerId>,
    /// When each peer's link wants to be called.
    timers: Timers,
    /// Answers to those who have no session. At most one for each datagram that came in.
    stateless: VecDeque<(Path, Vec<u8>)>,
    streams: Streams,
    accounts: Accounts,
    pressure: Pressure,
    /// The last moment it was told.
    now: Timestamp,
    /// Counts how often all output was taken: what comes between is read in one turn.
    turn: u64,
    events: VecDeque<Event>,
    /// When a refusal was told last.
    refusal_told: Option<Timestamp>,
    shutting_down: bool,
    counters: Counters,
    /// What the links of ended sessions have seen.
    ended: Tally,
}

impl Hub {
    /// A hub whose every random choice follows from `seed`.
    pub fn new(config: Config, past: Past, seed: [u8; 32], now: Now) -> Self {
        let mut rng = ChaCha20Rng::from_seed(seed);
        Self {
            cookies: Cookies::new(&mut rng, now.mono),
            registry: Registry::new(config.capacity),
            room: Room::new(past, config.replay, rng.next_u64().max(1)),
            fanout: Fanout::default(),
            accounts: Accounts::new(config.limit, config.capacity.peers_per_ip),
            pressure: Pressure::default(),
            config,
            id: rng.next_u64(),
            rng,
            peers: PeerMap::new(),
            sessions: HashMap::new(),
            nonces: Nonces::new(),
            dirty: VecDeque::new(),
            timers: Timers::default(),
            stateless: VecDeque::new(),
            streams: Streams::default(),
            now: now.mono,
            turn: 1,
            events: VecDeque::new(),
            refusal_told: None,
            shutting_down: false,
            counters: Counters::default(),
            ended: Tally::default(),
        }
    }

    /// Keeps a name, and all that look like it, for whoever joins with this token: of the one who keeps the
    /// room, before anybody is answered.
    pub fn reserve(&mut self, nickname: &Nickname, token: Token) {
        self.registry.reserve(nickname, token);
    }

    /// Does what is due by `now`.
    pub fn handle_timeout(&mut self, now: Now) {
        self.observe(now.mono);
        while let Some(peer) = self.registry.expired(now.mono) {
            self.drop_peer(peer, LeaveReason::Timeout, now.mono);
        }
        while let Some(id) = self.timers.pop(now.mono) {
            let Some(peer) = self.peers.get_mut(id) else { continue };
            if !self.timers.is_due(id, &mut peer.timer, now.mono) {
                continue;
            }
            peer.link.handle_timeout(now.mono);
            if !self.end_if_due(id, now.mono) {
                self.touch(id);
            }
        }
        self.cut_off_waiting(now.mono);
        self.read_on(now);
        self.deliver_posts();
    }

    /// Tells everybody something, such as a full disk, and from now on everybody who comes.
    pub fn warn(&mut self, text: &str) {
        self.room.warn(&presentable(text));
        self.deliver_posts();
    }

    /// What everybody was warned of is over.
    pub fn all_clear(&mut self, text: &str) {
        self.room.all_clear(&presentable(text));
        self.deliver_posts();
    }

    /// Says goodbye to everybody; with [`LeaveReason::Restart`] they are to come back. Go on driving the
    /// hub until `is_finished`.
    pub fn shutdown(&mut self, reason: LeaveReason, now: Now) {
        let detail = match reason {
            LeaveReason::Restart => "the server is restarting",
            _ => "the server is closing",
        };
        self.shutting_down = true;
        let peers: Vec<PeerId> = self.peers.ids().collect();
        for peer in peers {
            self.close(peer, reason, detail, now.mono);
        }
        self.deliver_posts();
    }

    /// Whether a shutdown is over: everybody knows, or had a second to.
    pub fn is_finished(&self) -> bool {
        self.shutting_down && self.peers.is_empty()
    }

    /// What to write down or log next. Drain this before `poll_transmit`.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Puts the next datagrams for one peer into `buffer` and says where they go: each of them has
    /// [`MAX_DATAGRAM`](crate::protocol::limits::MAX_DATAGRAM) bytes but the last. For a connection
    /// it is the next bytes.
    pub fn poll_transmit(&mut self, buffer: &mut Vec<u8>, now: Now) -> Option<Destination> {
        if let Some((path, bytes)) = self.stateless.pop_front() {
            self.counters.answers += 1;
            self.counters.answer_bytes += bytes.len() as u64;
            *buffer = bytes;
            return Some(Destination::Datagram(path));
        }
        self.fanout.seal();
        while let Some(id) = self.dirty.front().copied() {
            if self.fanout.is_cold() {
                self.fetch_ahead();
            }
            let Some(peer) = self.peers.get_mut(id) else {
                self.dirty.pop_front();
                continue;
            };
            self.counters.overflowed += self.fanout.give(id, peer);
            let sent = peer.link.poll_transmit(buffer, now.mono);
            let wake = peer.link.poll_timeout();
            // There may be more for it; else it is done, until something happens.
            if !sent || wake.is_none_or(|at| at > now.mono) {
                peer.dirty = false;
                self.dirty.pop_front();
                self.fanout.left_out();
                let too_slow = peer.too_slow.then_some(Timestamp::ZERO);
                let wake = [wake, peer.closing, too_slow].into_iter().flatten().min();
                self.timers.set(id, &mut peer.timer, wake);
                self.pressure.feel(id, peer, now.mono);
            }
            if sent {
                let datagrams = Destination::Datagram(peer.path);
                return Some(peer.stream.map_or(datagrams, Destination::Stream));
            }
        }
        self.fanout.clear();
        self.turn += 1;
        self.streams.poll_transmit(buffer)
    }

    /// Asks for the memory of those who transmit soon, while others do: for a link, and when that has come for what
    /// it points to.
    fn fetch_ahead(&self) {
        let [link, queue] = FETCHED_AHEAD.map(|places| self.dirty.get(places));
        let peer = |id: Option<&PeerId>| self.peers.get(*id?);
        peer(link).inspect(|peer| peer.link.prefetch());
        peer(queue).inspect(|peer| peer.link.prefetch_queue());
    }

    /// When to call `handle_timeout` next. With output still queued that is at once.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        if !(self.stateless.is_empty() && self.dirty.is_empty() && self.events.is_empty()) {
            return Some(Timestamp::ZERO);
        }
        let (streams, held) = (self.streams.poll_timeout(), self.held_until(self.now));
        let look = (!self.peers.is_empty()).then(|| self.now + LOOK);
        let timers = [self.timers.next(), self.registry.poll_timeout(), streams, held, look];
        timers.into_iter().flatten().min()
    }

    /// Tells how many datagrams the kernel has dropped so far because the receive buffer was full. The
    /// hub passes it on to those who ask; it cannot know it.
    pub fn set_unread(&mut self, unread: u64) {
        self.counters.unread = unread;
    }

    /// The counters so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// The nicknames of those in the room, by peer number.
    pub fn nicknames(&self) -> impl Iterator<Item = &str> {
        self.peers
            .iter()
            .filter(|(_, peer)| peer.closing.is_none())
            .filter_map(|(id, _)| Some(self.registry.entry(id)?.nickname.as_str()))
    }

    /// Sessions that exist, those about to close included.
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// Bytes of messages that wait for their peers to take them.
    pub fn queued_bytes(&self) -> usize {
        self.peers.values().map(|peer| peer.link.queued_bytes()).sum()
    }

    /// It is `now`. If nobody has said so for long, this process or its machine stood still: who could not be
    /// heard meanwhile has all its time from here on.
    fn observe(&mut self, now: Timestamp) {
        if now.since(self.now) > STANDSTILL && !self.peers.is_empty() {
            log::debug!("nothing happened here for {:?}", now.since(self.now));
            self.registry.resume(now);
            self.pressure.resume(self.now, now);
            for peer in self.peers.values_mut() {
                peer.link.resume(now);
            }
        }
        self.now = self.now.max(now);
    }

    /// Ends a session whose time has come, whatever the reason. True when it did.
    fn end_if_due(&mut self, id: PeerId, now: Timestamp) -> bool {
        let Some(peer) = self.peers.get(id) else { return true };
        if peer.closing.is_some_and(|at| at <= now || peer.link.is_idle()) {
            self.forget(id, false, now);
        } else if peer.too_slow || peer.link.has_failed() {
            log::info!("peer {} does not take what is sent to it: dropped", id.0);
            self.drop_peer(id, LeaveReason::Timeout, now);
        } else {
            return false;
        }
        true
    }

    /// Ends a session in order: the last message leaves, and the session with it a little later.
    fn close(&mut self, id: PeerId, reason: LeaveReason, detail: &str, now: Timestamp) {
        let Some(peer) = self.peers.get_mut(id).filter(|peer| peer.closing.is_none()) else {
            return;
        };
        let message = encode_message(&ServerMessage::Closing { reason, detail });
        self.counters.overflowed += self.fanout.give(id, peer);
        if let Some(message) = Batch::of(&message) {
            peer.link.send_regardless(message);
        }
        peer.closing = Some(now + LEAVE_TIMEOUT);
        self.settle(id, reason, now);
        self.registry.retire(id);
        self.touch(id);
        self.announce_departure(id, reason);
    }

    /// Ends a session whose other end is not there any more.
    fn drop_peer(&mut self, id: PeerId, reason: LeaveReason, now: Timestamp) {
        self.settle(id, reason, now);
        self.forget(id, true, now);
        self.announce_departure(id, reason);
    }

    fn announce_departure(&mut self, id: PeerId, reason: LeaveReason) {
        if let Some(nickname) = self.room.leave(id, reason) {
            let peers = self.room.len();
            self.events.push_back(Event::Left { nickname, reason, peers });
        }
    }

    fn forget(&mut self, id: PeerId, hold_name: bool, now: Timestamp) {
        self.registry.remove(id, hold_name, now);
        self.end_session(id, now);
    }

    /// The session of a peer is over, whatever becomes of the peer.
    fn end_session(&mut self, id: PeerId, now: Timestamp) {
        let Some(peer) = self.peers.remove(id) else { return };
        self.pressure.forget(id, peer.held);
        self.ended.keep(&peer);
        self.timers.forget(id, &peer.timer);
        self.sessions.remove(&peer.link.session());
        self.nonces.end(peer.nonce, now);
        if let Some(stream) = peer.stream {
            self.streams.close(stream);
        }
    }

    /// See [`Peer::touch`].
    fn touch(&mut self, id: PeerId) {
        if let Some(peer) = self.peers.get_mut(id) {
            peer.touch(id, &mut self.dirty);
        }
    }

    /// A session id nobody has, and nobody can guess (RFC 6056 for why ids should be random).
    fn new_session(&mut self) -> u64 {
        loop {
            let session = self.rng.next_u64();
            if session != 0 && !self.sessions.contains_key(&session) {
                return session;
            }
        }
    }

    fn open_datagram_link(&mut self, path: Path, now: Timestamp) -> Link {
        let mut link = Link::new(self.new_session(), Role::Server, 1, now);
        link.set_path(base_datagram(path.remote.is_ipv6()), now);
        link
    }
}

/// A text of this program as a notice may have it: there can be a file's name in it, of any characters.
fn presentable(text: &str) -> String {
    let text = clean(text);
    text[..text.floor_char_boundary(MAX_TEXT)].to_owned()
}
