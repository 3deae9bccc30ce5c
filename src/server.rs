//! The server: a thread that carries bytes between sockets and hub, and lines and events to history
//! and log. The hub makes all decisions of the protocol.
//!
//! One thread owns the hub, so the server needs no lock. A second thread checks an old history for
//! damage once; nothing waits for it.

mod clock_steps;
mod config;
mod discovery_responder;
mod drops;
mod engine;
mod error;
mod http;
mod http_server;
mod metrics;
mod operator;
mod pages;
mod presence;
mod private;
mod quic;
mod recorder;
#[cfg(feature = "redis")]
mod redis;
mod sockets;
mod stopper;
mod waits;
#[cfg(feature = "web")]
#[doc(hidden)]
pub mod web;
#[cfg(not(feature = "web"))]
#[path = "server/web/none.rs"]
mod web;

use crate::hub::{Event, Hub, Shared};
use crate::link::Copies;
use crate::net::{Clock, Poller, READ_LEN, Ready};
use crate::protocol::limits::{LEAVE_TIMEOUT, MAX_UNJOINED, STREAM_TURN_BYTES};
use crate::protocol::{LeaveReason, Nickname, Token};
use crate::room::Past;
use crate::ticket::Ticket;
use crate::time::{Now, Timestamp};
use crate::words::Language;
use clock_steps::ClockSteps;
pub use config::Config;
use drops::Drops;
#[cfg(not(feature = "redis"))]
use engine::none::Redis;
pub use engine::{EngineConfig, EngineReport, UrlSource, inspect_engine};
pub use error::Error;
use http_server::HttpServer;
pub use operator::Operator;
use operator::Orders;
use presence::Presence;
use private::Keys;
pub use private::{PrivateError, PrivateRoom};
pub use quic::QuicConfig;
pub use recorder::HistoryFile;
use recorder::{News, Recorder};
#[cfg(feature = "redis")]
use redis::Redis;
#[cfg(feature = "redis")]
pub use redis::{EngineError, UrlError, Version};
use sockets::{ReceiveBuffer, Sockets};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
pub use stopper::Stopper;
use waits::Waits;
use web::Web;

/// Datagrams or stream reads from one socket before a flush. Lines read together leave together, in
/// few datagrams.
const BATCH: usize = 512;
/// Reads from one connection per turn.
const STREAM_READS: usize = STREAM_TURN_BYTES / READ_LEN;
/// Connections accepted before established ones are read. The hub keeps twice as many without a
/// session, so an honest `Join` is read before newer connections evict it.
const ACCEPTS: usize = MAX_UNJOINED / 2;
/// Rounds of reading that together exceed a receive buffer: afterwards everything that had arrived
/// before the first round is read, even in a flood.
const ROUNDS: u32 = 32;
/// Answers of the engine in one round.
const ANSWERS: usize = 1_024;
/// Pause after a failed `accept`, for example without free descriptors: no event tells when one is
/// free.
const ACCEPT_AGAIN: Duration = Duration::from_millis(200);
/// Interval at which the kernel is asked about a TCP connection that has sent bytes.
const INFO_INTERVAL: Duration = Duration::from_secs(1);
/// Time for closing beyond the peers' own timeout.
const CLOSING: Duration = Duration::from_secs(1);
/// Attempts to find a port that is free for UDP and TCP.
const PORT_TRIES: usize = 16;

/// The log target of messages for the operator. The program prints them on standard error even if
/// the log goes to a file.
pub const OPERATOR: &str = "chatagram::operator";

/// Unread input of a socket after a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rest {
    /// Nothing: the poller reports what arrives next.
    Nothing,
    /// Perhaps more, to be read in the next turn: the poller will not report it.
    Unread,
}

/// A server with open sockets.
#[derive(Debug)]
pub struct Server {
    clock: Clock,
    /// Inputs of the hub, which `run` makes in its own thread: it shares messages without locks.
    rules: crate::hub::Config,
    past: Past,
    /// The reserved nickname of the host, and its token.
    reserved: Option<(Nickname, Token)>,
    /// Those of a private room.
    keys: Option<Keys>,
    seed: [u8; 32],
    recorder: Recorder,
    drops: Drops,
    presence: Presence,
    poller: Poller,
    sockets: Sockets,
    exporter: Option<HttpServer>,
    web: Option<Web>,
    engine: Option<Redis>,
    /// Addresses that the engine tells the other servers.
    advertised: Vec<SocketAddr>,
    pace: Duration,
    copies: Copies,
    waits: Waits,
    /// Time of the next flush.
    next_flush: Timestamp,
    stop: Arc<AtomicBool>,
    /// The shutdown announces a restart.
    restart: Arc<AtomicBool>,
    /// A request to check the history file.
    look: Arc<AtomicBool>,
    orders: Orders,
    language: Language,
}

impl Server {
    /// Opens the sockets and the history. The server answers only in `run`.
    ///
    /// # Errors
    /// [`Error`]: what could not be opened.
    pub fn start(mut config: Config) -> Result<Self, Error> {
        let clock = Clock::start();
        let poller = Poller::new().map_err(Error::Poll)?;
        let private = config.quic.as_ref().and_then(|quic| quic.private.as_ref());
        let keys = private.map(Keys::open).transpose()?;
        let sockets = Sockets::open(&config, keys.as_ref(), &poller, clock.now().mono)?;
        sockets.report_buffer();
        let names = config.metrics_hosts.clone();
        let exporter =
            config.metrics.map(|at| HttpServer::open(pages::METRICS, at, names, &poller));
        let exporter = exporter.transpose()?;
        let web = config.web.map(|at| Web::open(at, &config, &poller)).transpose()?;
        config.hub.discovery = sockets.found_at();
        let (recorder, mut past) = Recorder::open(config.history.as_ref(), clock.now().wall)?;
        let engine = config.engine.as_ref().map(|it| engine::connect(it, &poller)).transpose()?;
        let mut advertised = Vec::new();
        if let Some(engine) = &config.engine {
            // The engine has the room's history.
            past = Past::default();
            advertised = engine.advertised(sockets.addresses());
        }
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(Error::Random)?;
        Ok(Self {
            clock,
            rules: config.hub,
            past,
            reserved: None,
            keys,
            seed,
            recorder,
            drops: Drops::default(),
            presence: Presence::new(clock.now().mono),
            poller,
            sockets,
            exporter,
            web,
            engine,
            advertised,
            pace: config.pace,
            copies: config.copies,
            waits: Waits::create(config.waits)?,
            next_flush: Timestamp::ZERO,
            stop: Arc::default(),
            restart: Arc::default(),
            look: Arc::default(),
            orders: Orders::new(),
            language: Language::default(),
        })
    }

    /// Reserves a nickname for a client of the same process; returns its token. Sockets receive
    /// after `start`, so this must precede any announcement of the address.
    ///
    /// # Errors
    /// [`Error::Random`].
    pub fn reserve(&mut self, nickname: Nickname) -> Result<Token, Error> {
        let mut token = Token::default();
        getrandom::fill(&mut token).map_err(Error::Random)?;
        self.reserved = Some((nickname, token));
        Ok(token)
    }

    /// The addresses of the server, with the ports that replaced zeros.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.sockets.addresses()
    }

    /// QUIC's own address, if it does not share those above.
    pub fn quic_address(&self) -> Option<SocketAddr> {
        self.sockets.quic_address()
    }

    /// The ticket of a private room at these addresses; `None` if the room is open to all.
    pub fn ticket(&self, places: Vec<String>) -> Option<Ticket> {
        self.keys.as_ref()?.ticket(places)
    }

    /// Returns true if the server answers discovery probes.
    pub fn can_be_found(&self) -> bool {
        self.sockets.found_at().is_some()
    }

    /// Sets the language in which peers are told what the moderator does.
    pub fn speak(&mut self, language: Language) {
        self.language = language;
    }

    /// A handle to give orders to this server.
    pub fn operator(&self) -> Operator {
        self.orders.operator(self.poller.waker())
    }

    /// A handle to stop this server.
    pub fn stopper(&self) -> Stopper {
        Stopper {
            flag: self.stop.clone(),
            restart: self.restart.clone(),
            look: self.look.clone(),
            waker: self.poller.waker(),
        }
    }

    /// Serves until stopped.
    ///
    /// # Errors
    /// [`Error`]: the network failed permanently.
    pub fn run(mut self) -> Result<(), Error> {
        let past = std::mem::take(&mut self.past);
        let now = self.clock.now();
        let mut hub = if self.engine.is_some() {
            let shared = Shared { addresses: std::mem::take(&mut self.advertised) };
            Hub::shared(self.rules.clone(), shared, self.seed, now)
        } else {
            Hub::new(self.rules.clone(), past, self.seed, now)
        };
        hub.speak(self.language.of_moderator());
        hub.set_copies(self.copies);
        self.waits.ask(&mut hub);
        if let Some((nickname, token)) = &self.reserved {
            hub.reserve(nickname, *token);
        }
        if self.keys.is_some() {
            hub.set_private();
        }
        let mut ready = Ready::new();
        let mut backlog = Ready::new();
        let mut receive_buffer = ReceiveBuffer::default();
        let mut buffer = Vec::new();
        let mut closing: Option<Timestamp> = None;
        // Deadlines are compared with a time before which everything was read: after a suspension
        // datagrams wait in the buffers.
        let mut asked = self.clock.now();
        let mut rounds = 0;
        let mut answers = Rest::Nothing;
        let mut steps = ClockSteps::default();
        while !(hub.is_finished() && self.sockets.is_finished())
            && closing.is_none_or(|until| until > self.clock.now().mono)
        {
            let idle = backlog.is_empty() && answers == Rest::Nothing && !self.poller.has_more();
            let timeout = if idle {
                let due = hub.poll_timeout().map(|at| at.max(self.next_flush));
                let history = self.recorder.poll_timeout();
                let sockets = self.sockets.poll_timeout();
                let deadlines = [due, sockets, self.pages_timeout(&hub), history, closing];
                deadlines.into_iter().flatten().min().map(|deadline| self.clock.until(deadline))
            } else {
                Some(Duration::ZERO)
            };
            if rounds == 0 {
                asked = self.clock.now();
            }
            self.poller.wait(timeout, &mut ready).map_err(Error::Poll)?;
            ready.append(&mut backlog);
            ready.sort_unstable();
            ready.dedup();
            for index in &ready {
                let rest = if pages::owns(*index) {
                    self.serve_page(*index, &mut hub)
                } else {
                    self.sockets.receive(*index, &mut hub, &self.clock, &mut receive_buffer)?
                };
                if rest == Rest::Unread {
                    backlog.push(*index);
                }
            }
            self.sockets.receive_due(&mut hub, &self.clock);
            answers = self.hear_engine(&mut hub);
            self.sockets.retry(&mut hub, &self.clock);
            hub.set_unread(self.sockets.unread());
            let now = self.clock.now();
            if let Some(text) = steps.look(now) {
                log::warn!("{text}");
            }
            self.orders.carry_out(&mut hub, now);
            self.look_after_pages(&mut hub, now);
            let look = self.look.swap(false, Ordering::AcqRel);
            if look || self.recorder.poll_timeout().is_some_and(|at| at <= now.mono) {
                self.recorder.look(now.mono);
            }
            if closing.is_none() && self.stop.load(Ordering::Acquire) {
                let restart = self.restart.load(Ordering::Acquire);
                log::info!("{}", if restart { "closing for a restart" } else { "closing" });
                hub.shutdown(
                    if restart { LeaveReason::Restart } else { LeaveReason::Shutdown },
                    now,
                );
                closing = Some(now.mono + LEAVE_TIMEOUT + CLOSING);
                // `Closing` is not paced.
                (self.pace, self.next_flush) = (Duration::ZERO, now.mono);
            }
            rounds += 1;
            if rounds >= ROUNDS || (backlog.is_empty() && !self.poller.has_more()) {
                hub.handle_timeout(asked);
                self.sockets.handle_timeout(asked.mono);
                rounds = 0;
            }
            self.flush(&mut hub, &mut buffer, now)?;
            backlog.extend(self.sockets.readable(&hub));
            backlog.extend(self.web.iter_mut().flat_map(|web| web.readable(&hub)));
            let over = hub.is_finished();
            self.drops.report(&hub.counters(), now.mono, over);
            if let Some(text) = self.presence.summary(now.mono, over) {
                log::info!("{text}");
            }
        }
        self.sockets.finish(self.clock.now().mono);
        self.web.as_mut().into_iter().for_each(Web::finish);
        if let Some(done) = self.sockets.done() {
            log::info!("the bad network: {done}");
        }
        Ok(())
    }

    /// Passes on what the engine answered, up to a bound: an engine that answers faster than the
    /// hub must not keep the server from its sockets.
    fn hear_engine(&self, hub: &mut Hub) -> Rest {
        let Some(engine) = &self.engine else { return Rest::Nothing };
        for _ in 0..ANSWERS {
            let Some(answer) = engine.receive() else { return Rest::Nothing };
            hub.handle_engine(answer, self.clock.now());
        }
        Rest::Unread
    }

    /// Writes lines to the history before it sends: a line is in the history before its
    /// acknowledgment leaves.
    fn flush(&mut self, hub: &mut Hub, buffer: &mut Vec<u8>, now: Now) -> Result<(), Error> {
        let (mut looked, mut moved) = (false, false);
        while let Some(event) = hub.poll_event() {
            moved |=
                matches!(event, Event::Joined { .. } | Event::Left { .. } | Event::Moved { .. });
            match &event {
                Event::Line(line) => log::info!("{}: {}", line.from, line.text),
                Event::Moderated { done } => log::info!("the moderator: {done}"),
                Event::Refused { path, detail } => log::info!("refused {}: {detail}", path.remote),
                _ => {}
            }
            if let Some(text) = self.presence.note(&event, now.mono) {
                log::info!("{text}");
            }
            if matches!(event, Event::Line(_)) && !std::mem::replace(&mut looked, true) {
                self.recorder.look(now.mono);
            }
            self.waits.add(&event)?;
            if let Event::Line(line) = event
                && let Some(news) = self.recorder.record(&line)
            {
                match news {
                    News::Failing(text) => {
                        log::error!("{text}");
                        hub.warn(&text);
                    }
                    News::Recovered(text) => {
                        log::warn!("{text}");
                        hub.all_clear(&text);
                    }
                }
            }
        }
        if moved {
            self.tell_addresses(hub);
        }
        self.waits.flush()?;
        if let Some(engine) = &mut self.engine {
            engine.send(|| hub.poll_engine(now));
        }
        let mut coalesced = self.next_flush;
        // What QUIC has to say about packets is not paced.
        while now.mono >= self.next_flush
            && let Some(destination) = hub.poll_transmit(buffer, now)
        {
            coalesced = now.mono + self.pace;
            if self.send(destination, buffer, now.mono) {
                hub.handle_taken(destination, now);
            }
        }
        self.next_flush = coalesced;
        self.sockets.flush(now.mono);
        while let Some((path, bytes)) = self.sockets.poll_refused() {
            hub.handle_refused_size(path, bytes, now);
        }
        Ok(())
    }
}
