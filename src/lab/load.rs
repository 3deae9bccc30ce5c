//! Many real clients against a running server, and what became of every message.
//!
//! The clients are this crate's own sessions, all in one thread and on one clock: a message's delay
//! is a difference of two readings of that clock. Senders follow a [`schedule`](Schedule) and wait for
//! nobody. What a session cannot take yet is offered again whenever it got on, and its latency still
//! counts from when it should have been said; otherwise a network that stalls the sender would look
//! better than one that does not (coordinated omission).

mod error;
mod fleet;
mod ledger;
mod peer;
mod schedule;

pub use error::{Error, UNREACHABLE};
pub use fleet::Fleet;

use super::record::{
    self, Condition, Emulation, Format, Links, Mode, Network, RecordWriter, RunInfo,
};
use crate::client::session::{self, CloseReason, Event, Session};
use crate::net::{BadNetwork, Done, ServerName};
use crate::time::{Timestamp, WallTime};
use ledger::Ledger;
use schedule::Schedule;
use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How many may be joining, or leaving, at once: each is announced to all others, and a server is
/// not to be flooded with that before the run has begun.
const AT_ONCE: usize = 32;
/// Everybody is in by then: so long each of them is patient, for a network may be bad.
const JOIN_DEADLINE: Duration = Duration::from_secs(30);
/// Where nobody is in by then, nobody is there.
const ANYBODY_DEADLINE: Duration = Duration::from_secs(10);
/// From the last welcome to the epoch.
const BREATH: Duration = Duration::from_millis(200);
/// What is missing has this long to come, or `PATIENCE_FACTOR` times the largest latency.
const PATIENCE: Duration = Duration::from_secs(3);
const PATIENCE_FACTOR: u32 = 4;
/// The last of the patience, whatever is still under way.
const DRAIN_DEADLINE: Duration = Duration::from_secs(60);
const ANSWER_DEADLINE: Duration = Duration::from_secs(1);
const LEAVE_DEADLINE: Duration = Duration::from_secs(5);
/// A session that lost its server tries for this long to come back.
const GIVE_UP: Duration = Duration::from_secs(60);
/// How often to look whether to stop.
const LOOK: Duration = Duration::from_millis(250);

/// What a run is made of.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Where the server is.
    pub server: ServerName,
    /// What carries the messages.
    pub mode: Mode,
    /// Whether small TCP segments leave at once.
    pub no_delay: bool,
    /// How many peers speak; they are called `s1`, `s2` and so on.
    pub senders: u32,
    /// How many peers listen; they are called `r1`, `r2` and so on.
    pub receivers: u32,
    /// Messages a second for each sender; more than 0.
    pub rate: f64,
    /// Bytes of text in a message, 16 to 1,000.
    pub size: u32,
    /// For how long the senders speak.
    pub duration: Duration,
    /// Decides when in its interval each sender begins.
    pub seed: u64,
    /// The directory to write to; it must be empty or absent.
    pub out: PathBuf,
    /// The form of the rows in it.
    pub format: Format,
    /// What the run is called.
    pub name: String,
    /// The network the run is made to meet. A label: `load` meets what there is.
    pub condition: Option<Condition>,
    /// A bad network in this process, before the UDP sockets of all peers together.
    pub impair: Option<BadNetwork>,
    /// Which repetition of the condition this is, from 1.
    pub repetition: u32,
}

/// A run that finished, in numbers for one line.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// As written to `run.json`.
    pub info: RunInfo,
    /// Messages times receivers.
    pub expected: u64,
    /// How many of them came, each counted once.
    pub delivered: u64,
    /// The median of their latencies from the intended moment (nearest rank); `None` when none came.
    pub p50: Option<Duration>,
    /// The 99th percentile of them.
    pub p99: Option<Duration>,
}

/// Drives the server, and writes the directory.
///
/// Stops soon after `stop` is set.
///
/// # Errors
/// See [`Error`].
pub fn run(config: &Config, stop: &AtomicBool) -> Result<RunInfo, Error> {
    measure(config, stop).map(|outcome| outcome.info)
}

/// As [`run`], and sums it up.
///
/// # Errors
/// See [`Error`].
pub fn measure(config: &Config, stop: &AtomicBool) -> Result<Outcome, Error> {
    if config.impair.is_some() && config.mode == Mode::Tcp {
        return Err(Error::OnlyDatagrams);
    }
    config.format.available(&config.out)?;
    claim(&config.out)?;
    let addresses = config.server.resolve().map_err(Error::NotFound)?;
    let fleet = Fleet::new(config.no_delay, config.impair.as_ref())
        .map_err(|cause| Error::Network { peers: 0, cause })?;
    let names = |letter, count| (1..=count).map(move |k| format!("{letter}{k}").into());
    let (senders, receivers) =
        (names('s', config.senders).collect(), names('r', config.receivers).collect());
    let mut load = Load { config, stop, fleet, senders, receivers };
    let outcome = load.join(&addresses).and_then(|()| load.talk());
    load.leave()?;
    let outcome = outcome?;
    outcome.info.write(&config.out)?;
    Ok(outcome)
}

/// Makes the directory, which must have nothing in it.
fn claim(out: &Path) -> Result<(), Error> {
    fs::create_dir_all(out).map_err(record::Error::io("create", out))?;
    let mut entries = fs::read_dir(out).map_err(record::Error::io("read", out))?;
    if entries.next().is_some() {
        return Err(Error::NotEmpty(out.to_owned()));
    }
    Ok(())
}

/// A run under way. Senders come first in the fleet, then receivers.
struct Load<'a> {
    config: &'a Config,
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
        let until = until.min(self.fleet.now().mono + LOOK);
        self.fleet.wait(until).map_err(|cause| Error::Network { peers, cause })
    }

    /// Brings everybody in, and lets them hear all that was said before: nothing of it can be
    /// taken for this run's.
    fn join(&mut self, addresses: &[SocketAddr]) -> Result<(), Error> {
        let begun = self.fleet.now().mono;
        let deadline = begun + JOIN_DEADLINE;
        let mut joining = BTreeSet::new();
        let mut complaint = String::new();
        loop {
            while joining.len() < AT_ONCE && self.fleet.len() < self.peers() {
                let index = self.fleet.len();
                let (transport, delivery) = self.config.mode.settings();
                let config = session::Config {
                    nickname: self.name(index).to_string(),
                    transport,
                    delivery,
                    give_up: GIVE_UP,
                    shown: Vec::new(),
                };
                let added = self.fleet.add(config, addresses);
                added.map_err(|cause| Error::Network { peers: index, cause })?;
                self.fleet.act(index, |session, _| session.be_patient(JOIN_DEADLINE));
                joining.insert(index);
            }
            if joining.is_empty() {
                return Ok(());
            }
            self.wait(deadline)?;
            while let Some((index, event, _)) = self.fleet.poll_event() {
                match event {
                    Event::Error { message } => complaint = message,
                    Event::Closed { reason } => {
                        return Err(self.kept_out(index, reason, complaint));
                    }
                    _ => {}
                }
            }
            joining.retain(|index| !self.fleet.session(*index).is_settled());
            if self.is_stopped() {
                return Err(Error::Stopped);
            }
            let (now, joined) = (self.fleet.now().mono, self.fleet.len() - joining.len());
            if joined == 0 && now >= begun + ANYBODY_DEADLINE {
                return Err(self.kept_out(0, CloseReason::Unreachable, complaint));
            }
            if now >= deadline {
                return Err(Error::Slow { joined, peers: self.peers() });
            }
        }
    }

    fn kept_out(&self, index: usize, reason: CloseReason, why: String) -> Error {
        let peer = self.name(index).to_string();
        match reason {
            CloseReason::Unreachable => {
                Error::Unreachable { peer, server: self.config.server.clone() }
            }
            CloseReason::Refused => Error::Refused { peer, why },
            CloseReason::Shutdown => Error::Refused { peer, why: "the server closed".to_owned() },
            CloseReason::Quit | CloseReason::Lost => Error::Gone { peer, why: "no answer".into() },
        }
    }

    /// The run itself.
    fn talk(&mut self) -> Result<Outcome, Error> {
        let config = self.config;
        let schedule = Schedule::new(self.senders.len(), config.rate, config.duration, config.seed);
        let writer = RecordWriter::create(&config.out, config.format)?;
        let now = self.fleet.now();
        let epoch = now.mono + BREATH;
        let started = WallTime(now.wall.0 + crate::time::micros(BREATH));
        let names = (self.senders.clone(), self.receivers.clone());
        let mut ledger = Ledger::new(writer, &config.name, config.mode, schedule, names, epoch);
        let talked = self.talk_until_done(&mut ledger);
        // Whatever happened, what is known is kept.
        ledger.flush()?;
        talked?;
        let info = self.describe(&ledger, started);
        let expected = ledger.to_come();
        let latencies = ledger.close()?;
        Ok(Outcome {
            info,
            expected,
            delivered: latencies.len() as u64,
            p50: percentile(&latencies, 50),
            p99: percentile(&latencies, 99),
        })
    }

    fn talk_until_done(&mut self, ledger: &mut Ledger) -> Result<(), Error> {
        loop {
            // Rows may come seldom, and a kill is not to cost more of them than it must.
            ledger.flush_due()?;
            let next = self.speak(ledger);
            self.listen(ledger)?;
            if self.is_stopped() {
                return Err(Error::Stopped);
            }
            if ledger.is_complete() || self.is_over(ledger) {
                return Ok(());
            }
            self.wait(next.unwrap_or(Timestamp::from_micros(u64::MAX)))?;
        }
    }

    /// Says what is to be said by now, as far as the sessions take it, and tells when there will
    /// be more.
    fn speak(&mut self, ledger: &mut Ledger) -> Option<Timestamp> {
        let mut soonest: Option<Timestamp> = None;
        for sender in 0..self.senders.len() {
            while let Some((id, at)) = ledger.next(sender) {
                let now = self.fleet.now().mono;
                if at > now {
                    soonest = Some(soonest.map_or(at, |soonest| soonest.min(at)));
                    break;
                }
                let text = schedule::text(id, self.config.size);
                if self.fleet.act(sender, |session, now| session.say(&text, now)).is_err() {
                    // It is tried again on the next turn, and there is one when this session got on.
                    break;
                }
                ledger.said(sender, now);
            }
        }
        soonest
    }

    /// Writes down what came.
    fn listen(&mut self, ledger: &mut Ledger) -> Result<(), Error> {
        while let Some((index, event, now)) = self.fleet.poll_event() {
            let receiver = index.checked_sub(self.senders.len());
            let shown = match event {
                Event::Message { from, text, held, .. } => Some((from, text, held)),
                // Said while this receiver was away.
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
                ledger.shown(receiver, &from, &text, held, now.mono)?;
            }
        }
        Ok(())
    }

    /// Whether what has not come by now will not come.
    fn is_over(&self, ledger: &Ledger) -> bool {
        let now = self.fleet.now().mono;
        let end = ledger.end();
        if now < end {
            return false;
        }
        let patience = PATIENCE.max(ledger.largest() * PATIENCE_FACTOR);
        let quiet = now.since(ledger.newest().max(end)) >= patience;
        // Datagrams sent once are not waited for: their senders know no more than the receivers.
        let unconfirmed = self.config.mode != Mode::Unreliable
            && (ledger.said_so_far() < ledger.to_say()
                || (0..self.senders.len()).any(|sender| !self.fleet.session(sender).is_settled()));
        (quiet && !unconfirmed) || now.since(end) >= DRAIN_DEADLINE
    }

    fn describe(&self, ledger: &Ledger, started: WallTime) -> RunInfo {
        let config = self.config;
        let proc = |path| fs::read_to_string(path).map(|text: String| text.trim().to_owned()).ok();
        let release = proc("/proc/sys/kernel/osrelease");
        let congestion_control = proc("/proc/sys/net/ipv4/tcp_congestion_control");
        RunInfo {
            run: config.name.clone(),
            condition: config.condition,
            emulation: config.impair.as_ref().map(|_| Emulation::InProcess),
            replayed: None,
            impair: config.impair.as_ref().map(|it| it.spec.to_string()),
            mode: config.mode,
            repetition: config.repetition,
            seed: config.seed,
            senders: config.senders,
            receivers: config.receivers,
            rate: config.rate,
            size: config.size,
            duration_s: config.duration.as_secs_f64(),
            sent: ledger.to_say(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            kernel: release
                .map_or_else(|| std::env::consts::OS.to_owned(), |it| format!("Linux {it}")),
            congestion_control: congestion_control.filter(|_| config.mode == Mode::Tcp),
            started: started.to_string(),
            links: self.fleet.sessions().fold(Links::default(), add),
            text_bytes: ledger.said_so_far() * u64::from(config.size),
            network: self.fleet.done().map(|Done { up, down }| Network { up, down }),
        }
    }

    /// Waits for the answers to joins under way. Who gave up on one now might be let in all the
    /// same, and then nobody would say goodbye: the name would be taken until it expires.
    fn await_answers(&mut self) -> Result<(), Error> {
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

    /// Says goodbye for everybody who is in. A second Ctrl-C ends the program all the same.
    fn leave(&mut self) -> Result<(), Error> {
        self.await_answers()?;
        let deadline = self.fleet.now().mono + LEAVE_DEADLINE;
        let mut leaving = BTreeSet::new();
        let mut staying = 0..self.fleet.len();
        loop {
            while leaving.len() < AT_ONCE
                && let Some(index) = staying.next()
            {
                self.fleet.act(index, Session::leave);
                leaving.insert(index);
            }
            leaving.retain(|index| !self.fleet.session(*index).is_closed());
            while self.fleet.poll_event().is_some() {}
            let late = self.fleet.now().mono >= deadline;
            if late || (leaving.is_empty() && staying.is_empty()) {
                // One word each, even if nobody waits for the answer.
                staying.for_each(|index| self.fleet.act(index, Session::leave));
                return Ok(());
            }
            self.wait(deadline)?;
        }
    }
}

/// Adds what one session's link has counted, in both directions.
fn add(sum: Links, session: &Session) -> Links {
    let Some(report) = session.report() else { return sum };
    let link = report.link;
    Links {
        sent: sum.sent + link.sent,
        sent_bytes: sum.sent_bytes + link.sent_bytes,
        received: sum.received + link.received,
        received_bytes: sum.received_bytes + link.received_bytes,
        missing: sum.missing + link.received_missing,
        lost: sum.lost + link.sent_lost + link.received_missing,
        duplicated: sum.duplicated + link.duplicated,
        reordered: sum.reordered + link.reordered,
        retransmitted: sum.retransmitted + link.retransmitted,
        redundant: sum.redundant + link.redundant,
        corrupt: sum.corrupt + report.corrupt,
    }
}

/// The `percent`th percentile of sorted microseconds, by nearest rank.
fn percentile(sorted: &[u32], percent: usize) -> Option<Duration> {
    let rank = (sorted.len() * percent).div_ceil(100);
    let micros = sorted.get(rank.checked_sub(1)?)?;
    Some(Duration::from_micros(u64::from(*micros)))
}
