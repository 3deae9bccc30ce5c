//! The load with the clients of another author: each is a process that takes lines and prints some.
//!
//! Beside the senders and receivers one more client takes part. The load kills it in the middle of
//! the run, as when a user closes the window: a server has to survive that.

use super::crew::{Crew, Taken};
use super::ledger::Ledger;
use super::machine::Ticks;
use super::schedule::Schedule;
use super::{Config, Error, Outcome, START_DELAY, STOP_CHECK, outcome};
use crate::lab::program::token::{Seen, Token};
use crate::lab::program::{Program, start_hint};
use crate::lab::record::{Conduct, RecordWriter};
use crate::time::{Timestamp, WallTime, micros};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The client that the load kills in the middle of the run.
const LEAVER: &str = "x1";
/// The load begins this long and four round trips after the clients' start at the latest.
const READY_DEADLINE: Duration = Duration::from_secs(10);
/// Interval between the lines that a sender says before the load.
const PROBE_INTERVAL: Duration = Duration::from_millis(500);
/// The run ends after this long and a round trip without a delivery, or after [`QUIET_FACTOR`]
/// times the largest latency if that is longer.
const QUIET_TIME: Duration = Duration::from_secs(3);
const QUIET_FACTOR: u32 = 4;
/// Limit on the time after the last intended message.
const DRAIN_DEADLINE: Duration = Duration::from_secs(60);
/// A receiver is silent if it printed nothing of the last messages: of this time, and of this many.
const SILENT_TIME: Duration = Duration::from_secs(1);
const SILENT_MESSAGES: usize = 10;
/// Output that a client may print, in bytes: this much, and a multiple of the load's text.
const FREE_OUTPUT: u64 = 1 << 20;
const OUTPUT_FACTOR: u64 = 8;
/// Bytes that a program may print around a message.
const AROUND: u64 = 128;

/// Runs the load with the program's clients, which join `server`.
pub(super) fn measure(
    config: &Config,
    program: &Program,
    server: SocketAddr,
    stop: &AtomicBool,
) -> Result<Outcome, Error> {
    let mut random = [0; 4];
    getrandom::fill(&mut random)
        .map_err(|error| Error::Network { peers: 0, cause: std::io::Error::other(error) })?;
    let token = Token::new(u32::from_ne_bytes(random), config.size);
    let names = |letter, count| (1..=count).map(move |k| format!("{letter}{k}").into());
    let senders: Vec<Arc<str>> = names('s', config.senders).collect();
    let receivers: Vec<Arc<str>> = names('r', config.receivers).collect();
    let schedule = Schedule::new(senders.len(), config.rate, config.duration, config.seed);
    let load = schedule.total().saturating_mul(u64::from(config.size) + AROUND);
    let limit = FREE_OUTPUT.saturating_add(load.saturating_mul(OUTPUT_FACTOR));
    let crew = Crew::new(token.clone(), &config.out, limit, config.duration)?;
    let mut run = Run { config, stop, crew, token, senders, receivers, probes: 0 };
    run.start(program, server)?;
    let unheard = run.await_ready()?;
    let outcome = run.send_and_record(program, schedule, unheard)?;
    run.crew.end()?;
    Ok(outcome)
}

/// A run in progress. Senders have the first indices, receivers the next, and the leaver the last.
struct Run<'a> {
    config: &'a Config,
    stop: &'a AtomicBool,
    crew: Crew,
    token: Token,
    senders: Vec<Arc<str>>,
    receivers: Vec<Arc<str>>,
    /// Lines that each sender has said before the load.
    probes: u32,
}

impl Run<'_> {
    fn leaver(&self) -> usize {
        self.senders.len() + self.receivers.len()
    }

    fn start(&mut self, program: &Program, server: SocketAddr) -> Result<(), Error> {
        let names: Vec<_> = self.senders.iter().chain(&self.receivers).cloned().collect();
        for name in names.iter().map(|it| &**it).chain([LEAVER]) {
            self.crew.start(program, name, server).map_err(|cause| Error::Program {
                command: program.client.to_string(),
                hint: start_hint(&cause),
                cause,
            })?;
        }
        Ok(())
    }

    fn wait(&mut self, until: Timestamp) -> Result<(), Error> {
        let until = until.min(self.crew.now().mono + STOP_CHECK);
        self.crew.wait(until)?;
        if self.stop.load(Ordering::Relaxed) { Err(Error::Stopped) } else { Ok(()) }
    }

    /// Lets each sender say lines until each receiver has printed one of each, or until the
    /// deadline. Returns the pairs in which it has not.
    fn await_ready(&mut self) -> Result<Vec<String>, Error> {
        let (senders, receivers) = (self.senders.len(), self.receivers.len());
        let mut heard = vec![false; senders * receivers];
        let deadline = self.crew.now().mono + READY_DEADLINE + 4 * self.config.round_trip();
        let mut due = Timestamp::ZERO;
        loop {
            let now = self.crew.now().mono;
            let is_open = |pair: usize| {
                !heard[pair]
                    && self.crew.is_running(pair % senders)
                    && self.crew.is_running(senders + pair / senders)
            };
            if now >= deadline || !(0..heard.len()).any(is_open) {
                break;
            }
            if now >= due && (0..=self.leaver()).all(|index| self.crew.is_settled(index)) {
                for sender in 0..senders {
                    self.crew.say(sender, &self.token.probe(sender, self.probes));
                }
                self.probes += 1;
                due = now + PROBE_INTERVAL;
            }
            self.wait(if due > now { due.min(deadline) } else { deadline })?;
            while let Some((index, seen, _)) = self.crew.poll_event() {
                let receiver = index.checked_sub(senders).filter(|it| *it < receivers);
                if let (Some(receiver), Seen::Probe { sender }) = (receiver, seen)
                    && sender < senders
                {
                    heard[receiver * senders + sender] = true;
                }
            }
        }
        let missing = (0..heard.len()).filter(|pair| !heard[*pair]);
        let name = |pair: usize| {
            format!("{} from {}", self.receivers[pair / senders], self.senders[pair % senders])
        };
        Ok(missing.map(name).collect())
    }

    fn send_and_record(
        &mut self,
        program: &Program,
        schedule: Schedule,
        unheard: Vec<String>,
    ) -> Result<Outcome, Error> {
        let config = self.config;
        let writer = RecordWriter::create(&config.out, config.format)?;
        let now = self.crew.now();
        let epoch = now.mono + START_DELAY;
        let started = WallTime(now.wall.0 + micros(START_DELAY));
        self.crew.set_epoch(epoch)?;
        let names = (self.senders.clone(), self.receivers.clone());
        let mut ledger = Ledger::new(writer, &config.name, config.mode, schedule, names, epoch);
        let before = Ticks::now();
        let result = self.run_until_done(&mut ledger, epoch);
        let ticks = before.zip(Ticks::now());
        // Rows recorded before a failure are kept.
        ledger.flush()?;
        result?;
        self.crew.finish_output()?;
        self.record_events(&mut ledger)?;
        let conduct = self.conduct(program, &ledger, unheard);
        let mut info = outcome::info(config, &ledger, started);
        info.program = Some(conduct);
        info.machine.steal = ticks.and_then(|(before, now)| now.stolen_since(before));
        outcome::finish(info, ledger)
    }

    fn run_until_done(&mut self, ledger: &mut Ledger, epoch: Timestamp) -> Result<(), Error> {
        let mut leaves = Some(epoch + self.config.duration / 2);
        loop {
            ledger.flush_due()?;
            let next = self.send_due(ledger);
            self.record_events(ledger)?;
            let now = self.crew.now().mono;
            if leaves.is_some_and(|at| now >= at) {
                leaves = None;
                self.crew.dismiss(self.leaver());
            }
            if (ledger.is_complete() && leaves.is_none()) || self.is_over(ledger) {
                return Ok(());
            }
            let never = Timestamp::from_micros(u64::MAX);
            self.wait(next.unwrap_or(never).min(leaves.unwrap_or(never)))?;
        }
    }

    /// Says the messages that are due. Returns the time of the next one.
    fn send_due(&mut self, ledger: &mut Ledger) -> Option<Timestamp> {
        let mut soonest: Option<Timestamp> = None;
        for sender in 0..self.senders.len() {
            while let Some((id, at)) = ledger.next(sender) {
                let now = self.crew.now().mono;
                if at > now {
                    ledger.note_idle(sender);
                    soonest = Some(soonest.map_or(at, |soonest| soonest.min(at)));
                    break;
                }
                match self.crew.say(sender, &self.token.text(sender, id)) {
                    Taken::Line => ledger.note_sent(sender, now),
                    // Offered again when there is room; a closed input takes nothing any more.
                    Taken::Full | Taken::Closed => {
                        ledger.note_refused(sender);
                        break;
                    }
                }
            }
        }
        soonest
    }

    /// Records what the receivers have printed.
    fn record_events(&mut self, ledger: &mut Ledger) -> Result<(), Error> {
        while let Some((index, seen, at)) = self.crew.poll_event() {
            let receiver = index.checked_sub(self.senders.len());
            let receiver = receiver.filter(|it| *it < self.receivers.len());
            if let (Some(receiver), Seen::Message { sender, id }) = (receiver, seen) {
                ledger.note_delivered(receiver, sender, id, Duration::ZERO, at)?;
            }
        }
        Ok(())
    }

    /// Returns true when the messages still missing count as lost.
    fn is_over(&self, ledger: &Ledger) -> bool {
        let now = self.crew.now().mono;
        let end = ledger.end();
        let limit = QUIET_TIME + self.config.round_trip();
        let limit = limit.max(ledger.max_latency() * QUIET_FACTOR);
        let quiet = now.since(ledger.last_delivery().max(end)) >= limit;
        now >= end && (quiet || now.since(end) >= DRAIN_DEADLINE)
    }

    fn conduct(&self, program: &Program, ledger: &Ledger, unheard: Vec<String>) -> Conduct {
        let senders = self.senders.len();
        let stopped = |index: usize| match index.checked_sub(senders) {
            Some(receiver) => ledger.is_silent(receiver, SILENT_TIME, SILENT_MESSAGES),
            None => ledger.next(index).is_some(),
        };
        let hung = (0..self.leaver()).filter(|it| self.crew.is_running(*it) && stopped(*it));
        let names: Vec<_> = self.senders.iter().chain(&self.receivers).collect();
        let hung = hung.map(|it| names[it].to_string()).collect();
        let ([fused, cut], [fused_sample, cut_sample]) = self.crew.faults(senders..self.leaver());
        Conduct {
            program: program.clone(),
            nonce: self.token.nonce().to_owned(),
            fused,
            cut,
            fused_sample,
            cut_sample,
            hung,
            ended: self.crew.ended(),
            unheard,
            errors: self.crew.errors(),
        }
    }
}
