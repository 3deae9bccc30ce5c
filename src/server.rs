//! The server: one thread that carries bytes between the sockets and the hub, and the hub's words
//! into the history and the log. It makes no protocol decisions.
//!
//! One thread owns the hub, so there is no lock anywhere in the server; a second one reads through
//! an old history once, for damage, and is never waited for.

mod clock_steps;
mod discovery_responder;
mod drops;
mod exporter;
mod http;
mod metrics;
mod presence;
mod recorder;
mod sockets;

use crate::hub::{Event, Hub};

use crate::net::{BadNetwork, BindError, Clock, Poller, READ_LEN, Ready};
use crate::protocol::limits::{LEAVE_TIMEOUT, MAX_UNJOINED, STREAM_TURN_BYTES};
use crate::protocol::{LeaveReason, Nickname, Token};
use crate::room::Past;
use crate::time::{Now, Timestamp};
use clock_steps::ClockSteps;
use drops::Drops;
use exporter::Exporter;
use metrics::Figures;
use mio::Waker;
use presence::Presence;
use recorder::{News, Recorder};
use sockets::{ReceiveBuffer, Sockets};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Datagrams or pieces of a stream read from one socket before the answers leave. Lines that are
/// read together leave together: what one flush sends to a peer fills few datagrams.
const BATCH: usize = 512;
/// Reads from one connection before the others have their turn.
const STREAM_READS: usize = STREAM_TURN_BYTES / READ_LEN;
/// Connections taken before those that are there are read. The hub has places for twice as many that have not
/// joined: the `Join` of one that is not faster than others is read before others take its place.
const ACCEPTS: usize = MAX_UNJOINED / 2;
/// Rounds of reading after which all is read that had come before the first of them, however much comes since:
/// together they read more than a receive buffer holds.
const ROUNDS: u32 = 32;
/// How long until connections are taken again that could not be, such as for want of descriptors:
/// nothing tells when there are some.
const ACCEPT_AGAIN: Duration = Duration::from_millis(200);
/// How long closing may take beyond what the peers are given.
const CLOSING: Duration = Duration::from_secs(1);
/// How often a free port is looked for that is free for TCP as well.
const PORT_TRIES: usize = 16;

/// What a server is started with.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen.
    pub bind: Vec<SocketAddr>,
    /// Whether to listen on TCP too, at the same ports.
    pub tcp: bool,
    /// Whether small TCP segments leave at once; `false` lets Nagle collect them.
    pub no_delay: bool,
    /// Whether those who look for servers near them get an answer.
    pub discovery: bool,
    /// After something was sent nothing is for so long: what comes meanwhile leaves together. Zero
    /// for who would rather not wait.
    pub pace: Duration,
    /// A bad network before the UDP sockets, if one is asked for.
    pub impair: Option<BadNetwork>,
    /// The file every line goes to, if any.
    pub history: Option<HistoryFile>,
    /// Where what is counted can be read, if anywhere.
    pub metrics: Option<SocketAddr>,
    /// What this server is called by those who read them, besides its addresses and its machine's name.
    pub metrics_hosts: Vec<String>,
    /// The rules of the room.
    pub hub: crate::hub::Config,
}

/// The log target of messages that an operator has to see. The program prints them on standard error
/// also when its log goes to a file.
pub const OPERATOR: &str = "chatagram::operator";

/// Where the history goes.
#[derive(Clone, Debug)]
pub struct HistoryFile {
    /// The file.
    pub path: PathBuf,
    /// Whether the user named it. One that was not named gets its directory made.
    pub chosen: bool,
}

/// The server could not start, or could not go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// See [`BindError`].
    #[error(transparent)]
    Bind(#[from] BindError),
    /// See [`crate::history::HistoryError`].
    #[error(transparent)]
    History(#[from] crate::history::HistoryError),
    /// No randomness for secrets.
    #[error("the operating system gives no random numbers: {0}")]
    Random(getrandom::Error),
    /// Waiting on the network failed.
    #[error("cannot wait for the network: {0}")]
    Poll(io::Error),
    /// A socket failed for good.
    #[error("cannot receive on {0}: {1}")]
    Receive(SocketAddr, io::Error),
}

/// Asks a server, from any thread, to close.
#[derive(Clone, Debug)]
pub struct Stopper {
    flag: Arc<AtomicBool>,
    restart: Arc<AtomicBool>,
    look: Arc<AtomicBool>,
    waker: Arc<Waker>,
}

impl Stopper {
    /// The server says goodbye to everybody and ends within a second.
    pub fn stop(&self) {
        self.flag.store(true, Ordering::Release);
        self.wake();
    }

    /// As `stop`, but tells everybody to come back: another server is about to take this one's place.
    pub fn restart(&self) {
        self.restart.store(true, Ordering::Release);
        self.stop();
    }

    /// The server looks at once whether its history was rotated.
    pub fn look_after_files(&self) {
        self.look.store(true, Ordering::Release);
        self.wake();
    }

    fn wake(&self) {
        if let Err(error) = self.waker.wake() {
            log::error!("cannot wake the server: {error}");
        }
    }
}

/// See the module.
#[derive(Debug)]
pub struct Server {
    clock: Clock,
    /// What the hub is made of, in the thread that will own it: it shares messages without locks.
    rules: crate::hub::Config,
    past: Past,
    /// The name of who keeps the room, and what opens it.
    reserved: Option<(Nickname, Token)>,
    seed: [u8; 32],
    recorder: Recorder,
    drops: Drops,
    presence: Presence,
    poller: Poller,
    sockets: Sockets,
    exporter: Option<Exporter>,
    pace: Duration,
    /// Nothing is sent before this.
    next_flush: Timestamp,
    stop: Arc<AtomicBool>,
    /// And to tell everybody that it comes back.
    restart: Arc<AtomicBool>,
    /// Somebody asks to look after the files.
    look: Arc<AtomicBool>,
}

impl Server {
    /// Opens the sockets and the history. Nobody is answered before `run`.
    ///
    /// # Errors
    /// [`Error`] names what could not be had.
    pub fn start(mut config: Config) -> Result<Self, Error> {
        let clock = Clock::start();
        let poller = Poller::new().map_err(Error::Poll)?;
        let sockets = Sockets::open(&config, &poller, clock.now().mono)?;
        sockets.report_buffer();
        let names = std::mem::take(&mut config.metrics_hosts);
        let exporter =
            config.metrics.map(|address| Exporter::open(address, names, &poller)).transpose()?;
        config.hub.discovery = sockets.found_at();
        let (recorder, past) = Recorder::open(config.history.as_ref(), clock.now().wall)?;
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(Error::Random)?;
        Ok(Self {
            clock,
            rules: config.hub,
            past,
            reserved: None,
            seed,
            recorder,
            drops: Drops::default(),
            presence: Presence::new(clock.now().mono),
            poller,
            sockets,
            exporter,
            pace: config.pace,
            next_flush: Timestamp::ZERO,
            stop: Arc::default(),
            restart: Arc::default(),
            look: Arc::default(),
        })
    }

    /// Keeps this name for a client of the same process: the token that opens it. Sockets receive from
    /// `start` on, so who tells others where to come does this before `run`.
    ///
    /// # Errors
    /// [`Error::Random`].
    pub fn reserve(&mut self, nickname: Nickname) -> Result<Token, Error> {
        let mut token = Token::default();
        getrandom::fill(&mut token).map_err(Error::Random)?;
        self.reserved = Some((nickname, token));
        Ok(token)
    }

    /// Where the server listens, the real ports in place of zeros.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.sockets.addresses()
    }

    /// Whether those who look for servers near them get an answer.
    pub fn can_be_found(&self) -> bool {
        self.sockets.found_at().is_some()
    }

    /// Where what is counted can be read, the real port in place of a zero.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.exporter.as_ref().map(Exporter::address)
    }

    /// What stops this server.
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
    /// [`Error`] when the network can no longer be used at all.
    pub fn run(mut self) -> Result<(), Error> {
        let past = std::mem::take(&mut self.past);
        let mut hub = Hub::new(self.rules.clone(), past, self.seed, self.clock.now());
        if let Some((nickname, token)) = &self.reserved {
            hub.reserve(nickname, *token);
        }
        let mut ready = Ready::new();
        let mut backlog = Ready::new();
        let mut receive_buffer = ReceiveBuffer::default();
        let mut buffer = Vec::new();
        let mut closing: Option<Timestamp> = None;
        // No deadline is judged as of a moment before which something came that is not read: after a standstill
        // all of it waits.
        let mut asked = self.clock.now();
        let mut rounds = 0;
        let mut steps = ClockSteps::default();
        while !hub.is_finished() && closing.is_none_or(|until| until > self.clock.now().mono) {
            let timeout = if backlog.is_empty() && !self.poller.has_more() {
                let due = hub.poll_timeout().map(|at| at.max(self.next_flush));
                let exporter = self.exporter.as_ref().and_then(Exporter::poll_timeout);
                let history = self.recorder.poll_timeout();
                let deadlines = [due, self.sockets.poll_timeout(), exporter, history, closing];
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
                let more = if Exporter::owns(*index) {
                    self.export(&mut hub, Some(*index))
                } else {
                    self.sockets.receive(*index, &mut hub, &self.clock, &mut receive_buffer)?
                };
                if more {
                    backlog.push(*index);
                }
            }
            self.sockets.receive_due(&mut hub, &self.clock);
            self.sockets.retry(&mut hub, &self.clock);
            hub.set_unread(self.sockets.unread());
            let now = self.clock.now();
            if let Some(text) = steps.look(now) {
                log::warn!("{text}");
            }
            self.export(&mut hub, None);
            let look = self.look.swap(false, Ordering::AcqRel);
            if look || self.recorder.poll_timeout().is_some_and(|at| at <= now.mono) {
                self.recorder.look(now.mono);
            }
            if closing.is_none() && self.stop.load(Ordering::Acquire) {
                let restart = self.restart.load(Ordering::Acquire);
                log::info!("{}", if restart { "closing, to be started again" } else { "closing" });
                hub.shutdown(
                    if restart { LeaveReason::Restart } else { LeaveReason::Shutdown },
                    now,
                );
                closing = Some(now.mono + LEAVE_TIMEOUT + CLOSING);
                // A goodbye does not wait for company.
                (self.pace, self.next_flush) = (Duration::ZERO, now.mono);
            }
            rounds += 1;
            if rounds >= ROUNDS || (backlog.is_empty() && !self.poller.has_more()) {
                hub.handle_timeout(asked);
                rounds = 0;
            }
            self.flush(&mut hub, &mut buffer, now);
            backlog.extend(self.sockets.readable(&hub));
            let over = hub.is_finished();
            self.drops.report(&hub.counters(), now.mono, over);
            if let Some(text) = self.presence.summary(now.mono, over) {
                log::info!("{text}");
            }
        }
        if let Some(done) = self.sockets.done() {
            log::info!("the bad network: {done}");
        }
        Ok(())
    }

    /// Serves those who read the metrics: who has this index, or whose time has come. True when there
    /// may be more.
    fn export(&mut self, hub: &mut Hub, index: Option<usize>) -> bool {
        let Some(exporter) = &mut self.exporter else { return false };
        let recorder = &self.recorder;
        hub.set_unread(self.sockets.unread());
        let page = || {
            metrics::page(&Figures {
                counters: hub.counters(),
                tally: hub.tally(),
                sessions: hub.sessions(),
                queued_bytes: hub.queued_bytes(),
                history_failing: recorder.is_failing(),
                history_lines: recorder.taken(),
                resident: metrics::resident(),
            })
        };
        let now = self.clock.now().mono;
        match index {
            Some(index) => exporter.receive(index, now, page),
            None => {
                exporter.handle_timeout(now, page);
                false
            }
        }
    }

    /// First what is to be kept, then what is to be sent: an acknowledged line is in the history.
    fn flush(&mut self, hub: &mut Hub, buffer: &mut Vec<u8>, now: Now) {
        let mut looked = false;
        while let Some(event) = hub.poll_event() {
            match &event {
                Event::Line(line) => log::info!("{}: {}", line.from, line.text),
                Event::Refused { path, detail } => log::info!("refused {}: {detail}", path.remote),
                _ => {}
            }
            if let Some(text) = self.presence.note(&event, now.mono) {
                log::info!("{text}");
            }
            if matches!(event, Event::Line(_)) && !std::mem::replace(&mut looked, true) {
                self.recorder.look(now.mono);
            }
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
        if now.mono < self.next_flush {
            return;
        }
        while let Some(destination) = hub.poll_transmit(buffer, now) {
            self.next_flush = now.mono + self.pace;
            if let Some(stream) = self.sockets.send(destination, buffer, now.mono) {
                hub.handle_stream_writable(stream, now);
            }
        }
        self.sockets.flush(now.mono);
        while let Some((path, bytes)) = self.sockets.poll_refused() {
            hub.handle_refused_size(path, bytes, now);
        }
    }
}
