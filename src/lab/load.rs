//! Drives a running server with many real clients and records the outcome of every message.
//!
//! The clients are this crate's own sessions, all in one thread and on one clock, so a delay is the
//! difference of two readings of the same clock. Senders follow an open-loop schedule. A message
//! that a session cannot take yet is offered again after the session makes progress, and its
//! latency still counts from its intended time. Otherwise a network that stalls the sender would
//! look better than one that does not (coordinated omission).

mod config;
#[cfg(target_os = "linux")]
mod crew;
mod end;
mod error;
mod fleet;
mod ledger;
mod machine;
mod outcome;
mod peer;
#[cfg(target_os = "linux")]
mod program;
mod schedule;

pub use config::Config;
pub use error::{Error, UNREACHABLE};
pub use fleet::Fleet;
pub use outcome::Outcome;

use super::program::Program;
use super::record::{self, Mode, Network, RecordWriter, RunInfo};
use crate::client::session::{self, CloseReason, Event, Session, Transport};
use crate::net::{ImpairmentCounts, ServerName};
use crate::protocol::Delivery;
use crate::time::{Timestamp, WallTime};
use ledger::Ledger;
use machine::Ticks;
use schedule::Schedule;
pub(super) use schedule::message_id;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Concurrent joins, or departures. Each is announced to all other peers, so a burst of them would
/// flood the server before the run has begun.
const MAX_CONCURRENT: usize = 32;
/// Deadline for the last join. It is long because the network under test may be bad.
const JOIN_DEADLINE: Duration = Duration::from_secs(30);
/// Deadline for the first join. Without one by then, the server counts as unreachable.
const FIRST_JOIN_DEADLINE: Duration = Duration::from_secs(10);
/// Pause between the last join and the run's epoch.
const START_DELAY: Duration = Duration::from_millis(200);
const ANSWER_DEADLINE: Duration = Duration::from_secs(1);
const LEAVE_DEADLINE: Duration = Duration::from_secs(5);
/// A session that loses its server tries to rejoin for this long.
const REJOIN_LIMIT: Duration = Duration::from_secs(60);
/// Interval at which the stop flag is checked.
const STOP_CHECK: Duration = Duration::from_millis(250);

/// Runs the load against the server and writes the rows and `run.json` to the output directory.
///
/// Stops within 250 ms after `stop` is set.
///
/// # Errors
/// Every [`Error`]. Rows recorded so far are kept; `run.json` is missing.
pub fn run(config: &Config, stop: &AtomicBool) -> Result<RunInfo, Error> {
    measure(config, stop).map(|outcome| outcome.info)
}

/// Like [`run`], and also returns the summary.
///
/// # Errors
/// Every [`Error`].
pub fn measure(config: &Config, stop: &AtomicBool) -> Result<Outcome, Error> {
    if config.impair.is_some() && config.mode == Mode::Tcp {
        return Err(Error::OnlyDatagrams);
    }
    config.format.available(&config.out)?;
    create_empty_dir(&config.out)?;
    let addresses = resolve(&config.servers).map_err(Error::NotFound)?;
    let outcome = match (&config.program, config.mode.settings()) {
        (None, Some(settings)) => measure_own(config, settings, &addresses, stop)?,
        (program, _) => measure_program(config, program.as_ref(), &addresses, stop)?,
    };
    outcome.info.write(&config.out)?;
    Ok(outcome)
}

/// The addresses of all names that have one. An error if none has.
fn resolve(servers: &[ServerName]) -> io::Result<Vec<SocketAddr>> {
    let (mut addresses, mut failure) = (Vec::new(), None);
    for server in servers {
        match server.resolve() {
            Ok(found) => addresses.extend(found),
            Err(error) => failure = Some(error),
        }
    }
    match failure.filter(|_| addresses.is_empty()) {
        Some(error) => Err(error),
        None => Ok(addresses),
    }
}

/// Measures a program's clients.
#[cfg(target_os = "linux")]
fn measure_program(
    config: &Config,
    program: Option<&Program>,
    addresses: &[SocketAddr],
    stop: &AtomicBool,
) -> Result<Outcome, Error> {
    match (program, addresses.first()) {
        (Some(program), Some(server)) => program::measure(config, program, *server, stop),
        _ => Err(Error::NoProgram),
    }
}

/// Measures a program's clients.
#[cfg(not(target_os = "linux"))]
fn measure_program(
    _: &Config,
    _: Option<&Program>,
    _: &[SocketAddr],
    _: &AtomicBool,
) -> Result<Outcome, Error> {
    Err(Error::NoProgram)
}

/// Measures this crate's clients.
fn measure_own(
    config: &Config,
    settings: (Transport, Delivery),
    addresses: &[SocketAddr],
    stop: &AtomicBool,
) -> Result<Outcome, Error> {
    let mut fleet = Fleet::new(config.no_delay, config.impair.as_ref())
        .map_err(|cause| Error::Network { peers: 0, cause })?;
    fleet.set_congestion(config.congestion);
    fleet.set_ticket(config.ticket.clone());
    let names = |letter, count| (1..=count).map(move |k| format!("{letter}{k}").into());
    let (senders, receivers) =
        (names('s', config.senders).collect(), names('r', config.receivers).collect());
    let mut load = Load { config, settings, stop, fleet, senders, receivers };
    let outcome = load
        .join(addresses)
        .and_then(|()| load.check_rate_limit())
        .and_then(|()| load.send_and_record());
    load.leave()?;
    outcome
}

/// Creates the output directory. If it exists, it must be empty but for what the lab and the server
/// write there.
fn create_empty_dir(out: &Path) -> Result<(), Error> {
    fs::create_dir_all(out).map_err(record::Error::io("create", out))?;
    let mut entries = fs::read_dir(out).map_err(record::Error::io("read", out))?;
    let of_lab = [record::TRACE, record::WAITS].map(OsStr::new);
    if entries.any(|entry| entry.is_ok_and(|entry| !of_lab.contains(&&*entry.file_name()))) {
        return Err(Error::NotEmpty(out.to_owned()));
    }
    Ok(())
}

/// A run in progress. Senders have the first indices in the fleet, receivers the next.
struct Load<'a> {
    config: &'a Config,
    settings: (Transport, Delivery),
    stop: &'a AtomicBool,
    fleet: Fleet,
    senders: Vec<Arc<str>>,
    receivers: Vec<Arc<str>>,
}

impl Load<'_> {
    fn peers(&self) -> usize {
        self.senders.len() + self.receivers.len()
    }

    fn name(&self, index: usize) -> &Arc<str> {
        self.senders.get(index).unwrap_or_else(|| &self.receivers[index - self.senders.len()])
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn wait(&mut self, until: Timestamp) -> Result<(), Error> {
        let peers = self.fleet.len();
        let until = until.min(self.fleet.now().mono + STOP_CHECK);
        self.fleet.wait(until).map_err(|cause| Error::Network { peers, cause })
    }

    /// Joins all peers and waits until each has received the replay, so that none of its lines is
    /// taken for this run's.
    fn join(&mut self, addresses: &[SocketAddr]) -> Result<(), Error> {
        let begun = self.fleet.now().mono;
        // A join takes two round trips.
        let more = 4 * self.config.round_trip();
        let deadline = begun + JOIN_DEADLINE + more;
        let copies = self.config.copies;
        let mut joining = BTreeSet::new();
        let mut refusal = String::new();
        loop {
            while joining.len() < MAX_CONCURRENT && self.fleet.len() < self.peers() {
                let index = self.fleet.len();
                let (transport, delivery) = self.settings;
                let config = session::Config {
                    nickname: self.name(index).to_string(),
                    transport,
                    delivery,
                    give_up: REJOIN_LIMIT,
                    shown: Vec::new(),
                };
                let added = self.fleet.add(config, addresses);
                added.map_err(|cause| Error::Network { peers: index, cause })?;
                self.fleet.with_session(index, |session, _| {
                    session.set_copies(copies);
                    session.set_join_timeout(JOIN_DEADLINE + more)
                });
                joining.insert(index);
            }
            if joining.is_empty() {
                return Ok(());
            }
            self.wait(deadline)?;
            while let Some((index, event, _)) = self.fleet.poll_event() {
                match event {
                    Event::Error { notice } => refusal = notice.to_string(),
                    Event::Closed { reason } => {
                        return Err(self.join_error(index, reason, refusal));
                    }
                    _ => {}
                }
            }
            joining.retain(|index| !self.fleet.session(*index).is_settled());
            if self.is_stopped() {
                return Err(Error::Stopped);
            }
            let (now, joined) = (self.fleet.now().mono, self.fleet.len() - joining.len());
            if joined == 0 && now >= begun + FIRST_JOIN_DEADLINE + more {
                // Its last event says why.
                self.fleet.with_session(0, |session, _| session.give_up_joining());
            } else if now >= deadline {
                return Err(Error::Slow { joined, peers: self.peers() });
            }
        }
    }

    /// An error if the server's rate limit would delay the messages: the run would measure it.
    fn check_rate_limit(&self) -> Result<(), Error> {
        let config = self.config;
        let limit = self.fleet.sessions().next().and_then(Session::rate_limit);
        match limit.filter(|it| !config.through_rate_limit && config.exceeds(*it)) {
            Some(limit) => Err(Error::RateLimit { limit, rate: config.rate }),
            None => Ok(()),
        }
    }

    fn join_error(&self, index: usize, reason: CloseReason, why: String) -> Error {
        let peer = self.name(index).to_string();
        match reason {
            CloseReason::Unreachable => {
                let names = self.config.servers.iter().map(ToString::to_string);
                let server = names.collect::<Vec<_>>().join(" and ");
                Error::Unreachable { peer, server, why }
            }
            CloseReason::Refused | CloseReason::Kicked => {
                Error::Refused { peer, reason: self.fleet.session(index).refusal(), why }
            }
            CloseReason::Shutdown => {
                Error::Refused { peer, reason: None, why: "the server closed".to_owned() }
            }
            CloseReason::Quit | CloseReason::Lost => Error::Gone { peer, why: "no answer".into() },
        }
    }

    /// Sends the scheduled messages and records their outcome.
    fn send_and_record(&mut self) -> Result<Outcome, Error> {
        let config = self.config;
        let schedule = Schedule::new(self.senders.len(), config.rate, config.duration, config.seed);
        let writer = RecordWriter::create(&config.out, config.format)?;
        let now = self.fleet.now();
        let epoch = now.mono + START_DELAY;
        let started = WallTime(now.wall.0 + crate::time::micros(START_DELAY));
        let names = (self.senders.clone(), self.receivers.clone());
        let mut ledger = Ledger::new(writer, &config.name, config.mode, schedule, names, epoch);
        let before = Ticks::now();
        let result = self.run_until_done(&mut ledger);
        let ticks = before.zip(Ticks::now());
        // Rows recorded before a failure are kept.
        ledger.flush()?;
        result?;
        let network = self.fleet.impairment_counts();
        let network = network.map(|ImpairmentCounts { up, down }| Network {
            up,
            down,
            overruns: 0,
            kernel: None,
        });
        let links = outcome::links(self.fleet.sessions());
        let mut info = outcome::info(config, &ledger, started);
        let congestion_control = self.fleet.congestion_control();
        info = RunInfo { links, network, congestion_control, ..info };
        info.machine.steal = ticks.and_then(|(before, now)| now.stolen_since(before));
        outcome::finish(info, ledger)
    }

    fn run_until_done(&mut self, ledger: &mut Ledger) -> Result<(), Error> {
        loop {
            // Rows may be rare: flush by time as well, which bounds what a kill can lose.
            ledger.flush_due()?;
            let next = self.send_due(ledger);
            self.record_events(ledger)?;
            if self.is_stopped() {
                return Err(Error::Stopped);
            }
            if ledger.is_complete() || self.is_over(ledger)? {
                return Ok(());
            }
            self.wait(next.unwrap_or(Timestamp::from_micros(u64::MAX)))?;
        }
    }

    /// Offers the sessions all messages that are due. Returns the time of the next message.
    fn send_due(&mut self, ledger: &mut Ledger) -> Option<Timestamp> {
        let mut soonest: Option<Timestamp> = None;
        for sender in 0..self.senders.len() {
            while let Some((id, at)) = ledger.next(sender) {
                let now = self.fleet.now().mono;
                if at > now {
                    ledger.note_idle(sender);
                    soonest = Some(soonest.map_or(at, |soonest| soonest.min(at)));
                    break;
                }
                let text = schedule::text(id, self.config.size);
                if self.fleet.with_session(sender, |session, now| session.say(&text, now)).is_err()
                {
                    // The session's queue is full: offer the message again on a later turn.
                    ledger.note_refused(sender);
                    break;
                }
                ledger.note_sent(sender, now);
            }
        }
        soonest
    }

    /// Records the deliveries among the pending events.
    fn record_events(&mut self, ledger: &mut Ledger) -> Result<(), Error> {
        while let Some((index, event, now)) = self.fleet.poll_event() {
            let receiver = index.checked_sub(self.senders.len());
            let shown = match event {
                Event::Message { from, text, held, .. } => Some((from, text, held)),
                // A line said while this receiver was away.
                Event::History { from, text, .. } => Some((from, text, Duration::ZERO)),
                Event::Closed { reason } => {
                    let why = match reason {
                        CloseReason::Shutdown => "it closed",
                        CloseReason::Refused => "it refused a return",
                        _ => "it did not come back",
                    };
                    let peer = self.name(index).to_string();
                    return Err(Error::Gone { peer, why: why.to_owned() });
                }
                other => {
                    log::debug!("{}: {other:?}", self.name(index));
                    None
                }
            };
            if let (Some((from, text, held)), Some(receiver)) = (shown, receiver) {
                ledger.note_shown(receiver, &from, &text, held, now.mono)?;
            }
        }
        Ok(())
    }

    /// Waits until pending joins are answered. A join abandoned now could still be admitted by the
    /// server, and its name would stay taken until it expires.
    fn await_join_answers(&mut self) -> Result<(), Error> {
        let deadline = self.fleet.now().mono + ANSWER_DEADLINE;
        let mut joining: Vec<_> = (0..self.fleet.len()).collect();
        loop {
            while self.fleet.poll_event().is_some() {}
            joining.retain(|index| {
                let session = self.fleet.session(*index);
                !session.is_closed() && session.report().is_none()
            });
            if joining.is_empty() || self.fleet.now().mono >= deadline {
                return Ok(());
            }
            self.wait(deadline)?;
        }
    }

    /// Leaves with all peers that have joined. A second Ctrl-C ends the program at once.
    fn leave(&mut self) -> Result<(), Error> {
        self.await_join_answers()?;
        let deadline = self.fleet.now().mono + LEAVE_DEADLINE;
        let mut leaving = BTreeSet::new();
        let mut staying = 0..self.fleet.len();
        loop {
            while leaving.len() < MAX_CONCURRENT
                && let Some(index) = staying.next()
            {
                self.fleet.with_session(index, Session::leave);
                leaving.insert(index);
            }
            leaving.retain(|index| !self.fleet.session(*index).is_closed());
            while self.fleet.poll_event().is_some() {}
            let late = self.fleet.now().mono >= deadline;
            if late || (leaving.is_empty() && staying.is_empty()) {
                // Past the deadline: send each `Leave` once, without waiting for the answer.
                staying.for_each(|index| self.fleet.with_session(index, Session::leave));
                return Ok(());
            }
            self.wait(deadline)?;
        }
    }
}
