//! A room with several servers: the requests of this hub to the engine, and what the engine's
//! answers change ([`crate::engine`]).
//!
//! ```text
//!   receive.rs, handshake.rs, lifecycle.rs
//!        │ propose · claim · give_up_seat
//!        ▼
//!   requests.rs ──► poll_engine ──► driver ──► engine
//!                                                 │
//!   entries.rs  ◄── handle_engine ◄── driver ◄────┘ log
//!        │ seat · unseat · take_line
//!        ▼
//!   room.rs
//! ```
//!
//! | file | owns |
//! |---|---|
//! | `requests.rs` | the requests that are not settled |
//! | `lease.rs` | when to renew, and what follows without contact |
//! | `claims.rs` | joins that wait for their names |
//! | `seats.rs` | which member has which seat |
//! | `entries.rs` | the effect of each entry |
//! | `mail.rs` | whispers and pings between servers |

mod claims;
mod entries;
mod lease;
mod mail;
mod requests;
mod seats;

use super::{Config, Hub};
use crate::engine::{Answer, Ask, Attached, Place, Refused, Request, ServerEntry, ServerId};
use crate::protocol::LeaveReason;
use crate::protocol::limits::MAX_SERVERS;
use crate::room::Past;
use crate::time::{Now, Timestamp};
use claims::Claims;
use lease::{Lease, Overdue};
use mail::Mailbox;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::Rng;
use requests::{Requests, Settled};
use seats::Seats;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// An attempt to attach over the same connection follows another one after this time.
const ATTACH_PAUSE: Duration = Duration::from_millis(100);

/// At most one warning in this time tells of faults in what the engine holds.
const FAULT_PAUSE: Duration = Duration::from_secs(10);

/// Random bits at the end of a new epoch.
const EPOCH_RANDOM: u32 = 12;

const QUIET: &str = "this server has no contact with the room's other servers: lines wait";
const BACK: &str = "this server is in contact with the room's other servers again";
const ENDED: &str = "this server has had no contact with the room's other servers for too long";

/// The part of a server in a room with several.
#[derive(Clone, Debug)]
pub struct Shared {
    /// Addresses of this server for clients of the others.
    pub addresses: Vec<SocketAddr>,
}

/// The connection to the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Contact {
    Down,
    /// The hub is about to attach.
    Up,
    Attaching,
    Attached,
}

/// The engine's clock, as far as it is known.
#[derive(Clone, Copy, Debug, Default)]
struct Clock(Option<(u64, Timestamp)>);

impl Clock {
    /// The engine's time at `moment`, milliseconds. It is early by the time that the last answer
    /// took.
    fn at(self, moment: Timestamp) -> Option<u64> {
        self.0.map(|(clock, then)| clock.saturating_add(moment.since(then).as_millis() as u64))
    }
}

#[derive(Debug)]
pub(super) struct Engine {
    server: ServerId,
    addresses: Vec<SocketAddr>,
    contact: Contact,
    /// The number of the last `Attach`.
    attach: u64,
    /// No `Attach` is sent before this time.
    attach_at: Timestamp,
    /// The driver was offered every request that was due by then. It asks again when it has room.
    offered: Timestamp,
    /// The last entry that was applied.
    place: Option<Place>,
    /// The position after which entries were missing. If they are missing again, the hub begins
    /// anew.
    gap: Option<u64>,
    clock: Clock,
    lease: Lease,
    requests: Requests,
    seats: Seats,
    claims: Claims,
    mail: Mailbox,
    /// The servers of the room.
    servers: Vec<ServerEntry>,
    /// When a fault in the engine's contents was last logged.
    fault_told: Option<Timestamp>,
}

impl Engine {
    fn new(server: ServerId, shared: Shared) -> Self {
        Self {
            server,
            addresses: shared.addresses,
            contact: Contact::Down,
            attach: 0,
            attach_at: Timestamp::ZERO,
            offered: Timestamp::ZERO,
            place: None,
            gap: None,
            clock: Clock::default(),
            lease: Lease::default(),
            requests: Requests::default(),
            seats: Seats::default(),
            claims: Claims::default(),
            mail: Mailbox::default(),
            servers: Vec::new(),
            fault_told: None,
        }
    }

    /// Logs a fault in the engine's contents, unless another one was logged a short time ago: a
    /// hostile engine must not fill the log.
    fn fault(&mut self, now: Timestamp, what: fmt::Arguments<'_>) {
        if self.fault_told.is_none_or(|at| at + FAULT_PAUSE <= now) {
            self.fault_told = Some(now);
            log::warn!("the engine contradicts itself: {what}");
        }
    }

    /// Lines that the engine has not confirmed yet.
    pub(super) fn proposed_lines(&self) -> usize {
        self.requests.lines()
    }

    fn poll(&mut self, rng: &mut ChaCha20Rng, now: Now) -> Option<Request> {
        let Now { mono: now, wall } = now;
        let (number, ask) = match self.contact {
            Contact::Down | Contact::Attaching => return None,
            Contact::Up if now < self.attach_at => return None,
            Contact::Up => {
                self.attach_at = now + ATTACH_PAUSE;
                self.contact = Contact::Attaching;
                self.attach = self.requests.number();
                self.lease.ask(self.attach, now);
                let addresses = self.addresses.clone();
                // By the clock, so that a later epoch is larger, whoever begins it.
                let clock = wall.0 << EPOCH_RANDOM | rng.next_u64() >> (64 - EPOCH_RANDOM);
                let epoch = self.place.map_or(0, |place| place.epoch).saturating_add(1).max(clock);
                let ask = Ask::Attach { resume: self.place, epoch, addresses };
                (self.attach, Arc::new(ask))
            }
            Contact::Attached if self.lease.is_due(now) => {
                let number = self.requests.number();
                self.lease.ask(number, now);
                (number, Arc::new(Ask::Renew { read: self.place }))
            }
            Contact::Attached => self.requests.poll()?,
        };
        Some(Request { server: self.server, attach: self.attach, number, ask })
    }

    /// Attaches again over the same connection.
    fn attach_again(&mut self) {
        let read = self.place.map(|place| place.position);
        if self.gap == read {
            self.place = None;
        }
        self.gap = read;
        self.contact = Contact::Up;
    }

    /// All that was known is void.
    fn begin(&mut self, place: Place) {
        self.place = Some(place);
        self.seats = Seats::default();
        self.requests.keep_claims();
        self.mail.clear();
    }

    /// Addresses of the room's other servers: the first of each, then the second, and so on. Each
    /// server begins with the one behind itself, so that the lists of many servers name all.
    fn other_servers(&self) -> Vec<SocketAddr> {
        let mut servers: Vec<_> = self.servers.iter().collect();
        servers.sort_unstable_by_key(|it| it.server.0.wrapping_sub(self.server.0));
        servers.retain(|it| it.server != self.server);
        let most = servers.iter().map(|it| it.addresses.len()).max().unwrap_or(0);
        let nth = |n| servers.iter().filter_map(move |it| it.addresses.get(n).copied());
        (0..most).flat_map(nth).take(MAX_SERVERS).collect()
    }

    /// When the hub is to look after it next.
    pub(super) fn poll_timeout(&self) -> Option<Timestamp> {
        let request = match self.contact {
            Contact::Up => Some(self.attach_at),
            Contact::Attached => self.lease.due(),
            Contact::Down | Contact::Attaching => None,
        };
        let timers = [
            request.filter(|at| self.offered < *at),
            self.lease.poll_timeout(),
            self.claims.poll_timeout(),
            self.mail.poll_timeout(),
        ];
        timers.into_iter().flatten().min()
    }

    /// Whether the engine has everything that this server has to tell it.
    pub(super) fn is_settled(&self) -> bool {
        self.requests.is_empty()
    }
}

impl Hub {
    /// A hub of a room with several servers. It admits clients once the engine has answered
    /// [`Ask::Attach`].
    #[must_use]
    pub fn shared(config: Config, shared: Shared, seed: [u8; 32], now: Now) -> Self {
        let mut hub = Self::new(config, Past::default(), seed, now);
        let server = ServerId(hub.rng.next_u64());
        hub.engine = Some(Box::new(Engine::new(server, shared)));
        hub
    }

    /// This server, in a room with several.
    #[must_use]
    pub fn server_id(&self) -> Option<ServerId> {
        self.engine.as_deref().map(|engine| engine.server)
    }

    /// The servers of the room, as the engine last told.
    #[must_use]
    pub fn servers(&self) -> &[ServerEntry] {
        self.engine.as_deref().map_or(&[], |engine| &engine.servers)
    }

    /// The next request for the engine. Drain this, too, after any `handle_*` call, as far as the
    /// driver has room, and when it has room again: no timeout asks for it.
    pub fn poll_engine(&mut self, now: Now) -> Option<Request> {
        self.engine.as_deref_mut()?.poll(&mut self.rng, now)
    }

    /// Takes in an answer of the engine. Nothing in it can make the hub fail.
    pub fn handle_engine(&mut self, answer: Answer, now: Now) {
        self.observe(now.mono);
        let Some(engine) = self.engine.as_deref_mut() else { return };
        match answer {
            Answer::Up => {
                engine.attach_at = now.mono;
                engine.lease.interrupt();
                engine.contact = Contact::Up;
            }
            Answer::Down { why } => {
                log::warn!("no contact with the engine: {why}");
                engine.lease.interrupt();
                engine.contact = Contact::Down;
            }
            Answer::Attached { request, clock, servers, outcome } => {
                if engine.contact == Contact::Attaching && request == engine.attach {
                    engine.contact = Contact::Attached;
                    engine.requests.resend();
                    self.renewed(request, clock, servers, now);
                    if let Attached::Fresh(snapshot) = outcome {
                        self.begin_anew(snapshot, now);
                    }
                }
            }
            Answer::Renewed { request, clock, servers } => {
                self.renewed(request, clock, servers, now);
            }
            Answer::Stale { request } => match engine.contact {
                Contact::Attaching if request != engine.attach => {}
                Contact::Attached | Contact::Attaching => engine.contact = Contact::Up,
                Contact::Down | Contact::Up => {}
            },
            Answer::Kept { request } => {
                let settled = engine.requests.kept(request);
                self.settle(settled);
            }
            Answer::Repeated { request, position } => {
                let read = engine.place.map_or(0, |place| place.position);
                let settled = engine.requests.repeated(request, position, read);
                self.settle(settled);
            }
            Answer::Refused { request, why } => self.refused(request, why, now),
            Answer::Committed(entry) => self.apply(entry, now),
            Answer::Mail(mail) => self.receive_mail(mail, now),
        }
        self.read_on(now);
        self.deliver_posts();
    }

    fn renewed(&mut self, request: u64, clock: u64, servers: Vec<ServerEntry>, now: Now) {
        let Some(engine) = self.engine.as_deref_mut() else { return };
        engine.servers = servers;
        let others = engine.other_servers();
        self.room.list_servers(others);
        let Some(engine) = self.engine.as_deref_mut() else { return };
        engine.clock = Clock(Some((clock, now.mono)));
        if engine.lease.renew(request).is_some() {
            log::info!("{BACK}");
            self.room.notify(BACK);
        }
    }

    /// Tells the author of a line that is settled.
    fn settle(&mut self, settled: Option<Settled>) {
        let Some(Settled { author, number, position }) = settled else { return };
        if let Some(engine) = self.engine.as_deref() {
            self.outgoing.pressure.set_log(engine.requests.level());
        }
        if self.peers.get(author).is_some_and(|peer| !peer.is_closing()) {
            self.room.accept(author, number, position);
        }
    }

    fn refused(&mut self, request: u64, why: Refused, now: Now) {
        let Some(engine) = self.engine.as_deref_mut() else { return };
        let fence = engine.requests.remove(request);
        self.outgoing.pressure.set_log(engine.requests.level());
        // The seat is gone; its entry in the log tells why.
        if let Some(fence) = fence {
            return log::debug!("the engine refuses a request of {fence:?}: {why:?}");
        }
        self.settle_whisper(request, false);
        self.refuse_claim(request, why, now);
    }

    /// Does what is due without answers of the engine.
    pub(super) fn look_after_engine(&mut self, now: Now) {
        if let Some(engine) = self.engine.as_deref_mut() {
            engine.offered = now.mono;
        }
        while let Some(engine) = self.engine.as_deref_mut()
            && let Some(overdue) = engine.lease.overdue(now.mono)
        {
            match overdue {
                Overdue::Quiet => {
                    log::warn!("{QUIET}");
                    self.room.notify(QUIET);
                }
                Overdue::Ended => {
                    log::error!("{ENDED}");
                    let ids: Vec<_> = self.peers.ids().collect();
                    for id in ids {
                        self.close(id, LeaveReason::Restart, ENDED, now.mono);
                    }
                }
            }
        }
        self.expire_claims(now);
        self.expire_mail(now.mono);
    }
}
