//! A hub, two hundred sessions, and a network that loses every tenth datagram, in virtual time.
//! Like the world of `simulation`, but fast and with bounded memory of its own: it checks no line.

use crate::dice::Dice;
use crate::meter::{Part, on_account_of};
use chatagram::client::session::{self, CloseReason, Event, Session, Transport};
use chatagram::hub::{self, Capacity, Destination, Hub, Limit, Line, Past, Path};
use chatagram::protocol::limits::{LOG_LINES, MAX_DATAGRAM, REPLAY_WINDOW};
use chatagram::protocol::{Delivery, Mark};
use chatagram::time::{Now, Timestamp, WallTime};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

const WALL: u64 = 1_800_000_000_000_000;
const DELAY: Duration = Duration::from_millis(20);
const JITTER: Duration = Duration::from_millis(10);
const SERVER: ([u8; 4], u16) = ([10, 0, 0, 1], 2428);
const GIVE_UP: Duration = Duration::from_secs(120);
/// Most lines that a session remembers as shown.
const SEEN: u64 = 2 * REPLAY_WINDOW;

/// The hub, the sessions and the network between them.
pub(crate) struct World {
    pub(crate) now: Timestamp,
    /// Datagrams lost of a thousand.
    pub(crate) loss: u64,
    dice: Dice,
    hub: Option<Hub>,
    config: hub::Config,
    /// The newest lines of the history file.
    history: VecDeque<Line>,
    pub(crate) peers: Vec<Peer>,
    by_address: BTreeMap<SocketAddr, usize>,
    due: BTreeSet<(Timestamp, usize)>,
    under_way: BTreeMap<(Timestamp, u64), Packet>,
    pub(crate) sent: u64,
    /// Clients without an answer to their first join.
    pub(crate) unreachable: u64,
    processes: u32,
    /// Output buffers of the hub and of the sessions, each on its own account.
    from_hub: Vec<u8>,
    from_sessions: Vec<u8>,
}

pub(crate) struct Peer {
    session: Session,
    address: SocketAddr,
    due: Option<Timestamp>,
    /// The current server has welcomed it: the server restarts during a run.
    pub(crate) here: bool,
    pub(crate) shown: u64,
}

struct Packet {
    from: SocketAddr,
    to: SocketAddr,
    bytes: Vec<u8>,
}

impl World {
    /// A server with the longest possible history and no member.
    pub(crate) fn new(seed: u64, peers: usize) -> Self {
        // A killed peer occupies a place until it expires.
        let places = peers + peers / 10;
        let expiry = Duration::from_secs(10);
        let capacity = Capacity { peers: places, peers_per_ip: places, expiry };
        let config = hub::Config {
            room: "soak".to_owned(),
            heartbeat: Duration::from_secs(2),
            capacity,
            replay: 10,
            limit: Some(Limit::USUAL),
            discovery: None,
        };
        let old = |position| Line {
            mark: Mark { epoch: 1, position },
            at: WallTime(position),
            from: "old".to_owned(),
            text: text(position),
            identity: None,
        };
        let mut world = Self {
            now: Timestamp::from_micros(1_000_000),
            loss: 0,
            dice: Dice::new(seed),
            hub: None,
            config,
            history: (1..=LOG_LINES as u64).map(old).collect(),
            peers: Vec::new(),
            by_address: BTreeMap::new(),
            due: BTreeSet::new(),
            under_way: BTreeMap::new(),
            sent: 0,
            unreachable: 0,
            processes: 0,
            from_hub: Vec::new(),
            from_sessions: Vec::new(),
        };
        world.start_server();
        world
    }

    /// Starts the server with the lines of its history.
    pub(crate) fn start_server(&mut self) {
        let (now, seed) = (self.wall(), self.dice.seed());
        self.hub = Some(on_account_of(Part::Server, || {
            let lines: Vec<_> = self.history.iter().cloned().collect();
            Hub::new(self.config.clone(), Past::from(lines), seed, now)
        }));
        self.serve(|_, _| {});
    }

    /// Kills the server.
    pub(crate) fn kill_server(&mut self) {
        let hub = self.hub.take();
        on_account_of(Part::Server, || drop(hub));
        self.peers.iter_mut().for_each(|peer| peer.here = false);
    }

    /// The hub, while the server runs.
    pub(crate) fn hub(&self) -> Option<&Hub> {
        self.hub.as_ref()
    }

    /// Starts a client in place of a former one, which is killed.
    pub(crate) fn come(&mut self, place: usize) {
        let index = place.min(self.peers.len());
        self.processes += 1;
        let [_, a, b, c] = self.processes.to_be_bytes();
        let address = ([10, a + 1, b, c], 1_000).into();
        let (now, seed) = (self.wall(), self.dice.seed());
        let session = on_account_of(Part::Clients, || {
            let config = session::Config {
                nickname: format!("peer-{}", self.processes),
                transport: Transport::Udp,
                delivery: Delivery::ReliableOrdered,
                give_up: GIVE_UP,
                // The cache is full: the session remembers no more later.
                shown: (1..=SEEN).map(|position| Mark { epoch: 1, position }).collect(),
            };
            Session::new(config, vec![SERVER.into()], seed, now)
        });
        let peer = Peer { session, address, due: None, here: false, shown: 0 };
        if index == self.peers.len() {
            self.peers.push(peer);
        } else {
            let old = std::mem::replace(&mut self.peers[index], peer);
            self.by_address.remove(&old.address);
            self.due.extend(old.due.map(|at| (at, index)));
            if let Some(at) = old.due {
                self.due.remove(&(at, index));
            }
            on_account_of(Part::Clients, || drop(old));
        }
        self.by_address.insert(address, index);
        self.with(index, Session::handle_timeout);
    }

    /// A peer says a line.
    pub(crate) fn say(&mut self, index: usize) {
        let text = text(self.sent);
        self.with(index, |session, now| {
            let _ = session.say(&text, now);
        });
    }

    /// A peer says goodbye.
    pub(crate) fn leave(&mut self, index: usize) {
        self.with(index, Session::leave);
    }

    /// Runs until a time.
    pub(crate) fn run_until(&mut self, end: Timestamp) {
        loop {
            let arrival = self.under_way.first_key_value().map(|((at, _), _)| *at);
            let timer = self.due.first().map(|(at, _)| *at);
            let server = self.hub.as_ref().and_then(Hub::poll_timeout);
            let Some(next) = [arrival, timer, server].into_iter().flatten().min() else { break };
            if next > end {
                break;
            }
            self.now = self.now.max(next);
            if arrival == Some(next) {
                if let Some((_, packet)) = self.under_way.pop_first() {
                    self.deliver(&packet);
                }
            } else if timer == Some(next) {
                if let Some((_, index)) = self.due.first().copied() {
                    self.with(index, Session::handle_timeout);
                }
            } else {
                self.serve(Hub::handle_timeout);
            }
        }
        self.now = self.now.max(end);
    }

    fn wall(&self) -> Now {
        Now { mono: self.now, wall: WallTime(WALL + self.now.as_micros()) }
    }

    fn deliver(&mut self, packet: &Packet) {
        if packet.to == SERVER.into() {
            let path = Path::routed(0, packet.from);
            self.serve(|hub, now| hub.handle_datagram(path, &packet.bytes, now));
        } else if let Some(index) = self.by_address.get(&packet.to).copied() {
            self.with(index, |it, now| it.handle_datagram(packet.from, &packet.bytes, now));
        }
    }

    /// Sends one datagram or a batch.
    fn send(&mut self, from: SocketAddr, to: SocketAddr, datagrams: &[u8]) {
        for bytes in datagrams.chunks(MAX_DATAGRAM).map(<[u8]>::to_vec) {
            self.sent += 1;
            if !self.dice.chance(self.loss) {
                let arrival = self.now + DELAY + self.dice.within(JITTER);
                self.under_way.insert((arrival, self.sent), Packet { from, to, bytes });
            }
        }
    }

    /// Calls `act` with the hub and handles the consequences.
    fn serve(&mut self, act: impl FnOnce(&mut Hub, Now)) {
        let now = self.wall();
        let Some(mut hub) = self.hub.take() else { return };
        on_account_of(Part::Server, || act(&mut hub, now));
        while let Some(event) = on_account_of(Part::Server, || hub.poll_event()) {
            if let hub::Event::Line(line) = &event {
                // A copy, because this is the disk and not the server's memory.
                self.history.push_back((**line).clone());
                self.history.pop_front();
            }
            on_account_of(Part::Server, || drop(event));
        }
        let mut buffer = std::mem::take(&mut self.from_hub);
        while let Some(to) = on_account_of(Part::Server, || hub.poll_transmit(&mut buffer, now)) {
            if let Destination::Datagram(path) = to {
                self.send(SERVER.into(), path.remote, &buffer);
            }
        }
        self.from_hub = buffer;
        self.hub = Some(hub);
    }

    /// Calls `act` with a session and handles the consequences.
    fn with(&mut self, index: usize, act: impl FnOnce(&mut Session, Now)) {
        let now = self.wall();
        on_account_of(Part::Clients, || act(&mut self.peers[index].session, now));
        let mut buffer = std::mem::take(&mut self.from_sessions);
        let address = self.peers[index].address;
        loop {
            let session = &mut self.peers[index].session;
            let sent = on_account_of(Part::Clients, || session.poll_transmit(&mut buffer, now));
            let Some(to) = sent else { break };
            self.send(address, to, &buffer);
        }
        self.from_sessions = buffer;
        let peer = &mut self.peers[index];
        on_account_of(Part::Clients, || {
            while let Some(event) = peer.session.poll_event() {
                match event {
                    Event::Welcome { .. } => peer.here = true,
                    Event::Message { .. } | Event::History { .. } => peer.shown += 1,
                    Event::Closed { reason: CloseReason::Quit } => {}
                    // The network can lose all five tries of a newcomer.
                    Event::Closed { reason: CloseReason::Unreachable } => {
                        self.unreachable += 1;
                    }
                    Event::Closed { reason } => {
                        panic!("the session of peer {index} ended: {reason:?}")
                    }
                    _ => {}
                }
            }
        });
        let due = peer.session.poll_timeout();
        if due != peer.due {
            if let Some(old) = std::mem::replace(&mut peer.due, due) {
                self.due.remove(&(old, index));
            }
            self.due.extend(due.map(|at| (at, index)));
        }
    }
}

/// Texts of one length, so that the stored bytes do not depend on the line.
fn text(number: u64) -> String {
    format!("{number:060}")
}
