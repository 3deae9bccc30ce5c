//! What was said, and what of it came to whom, written down as it happens.

use super::schedule::{Schedule, number};
use crate::lab::record::{self, Mode, Record, RecordWriter, Verdict};
use crate::time::{Timestamp, micros};
use std::sync::Arc;
use std::time::Duration;

/// See the module.
#[derive(Debug)]
pub(super) struct Ledger {
    writer: RecordWriter,
    run: Arc<str>,
    mode: Mode,
    epoch: Timestamp,
    schedule: Schedule,
    senders: Vec<Arc<str>>,
    receivers: Vec<Arc<str>>,
    /// For each sender, when its messages were said, in order.
    sent: Vec<Vec<u64>>,
    /// For each receiver and sender, one bit for each message that came.
    came: Vec<Vec<u64>>,
    /// Latencies of what came, in microseconds.
    latencies: Vec<u32>,
    largest: u32,
    newest: Timestamp,
}

impl Ledger {
    pub(super) fn new(
        writer: RecordWriter,
        run: &str,
        mode: Mode,
        schedule: Schedule,
        (senders, receivers): (Vec<Arc<str>>, Vec<Arc<str>>),
        epoch: Timestamp,
    ) -> Self {
        let words = usize::try_from(schedule.each().div_ceil(64)).unwrap_or(usize::MAX);
        Self {
            writer,
            run: run.into(),
            mode,
            epoch,
            sent: vec![Vec::new(); senders.len()],
            came: vec![vec![0; words]; senders.len() * receivers.len()],
            schedule,
            senders,
            receivers,
            latencies: Vec::new(),
            largest: 0,
            newest: epoch,
        }
    }

    /// What a sender has to say next, and when.
    pub(super) fn next(&self, sender: usize) -> Option<(u64, Timestamp)> {
        let id = self.sent[sender].len() as u64;
        let intended = self.schedule.intended(sender, id)?;
        Some((id, self.epoch + Duration::from_micros(intended)))
    }

    /// The next message of a sender was said.
    pub(super) fn said(&mut self, sender: usize, now: Timestamp) {
        self.sent[sender].push(micros(now.since(self.epoch)));
    }

    /// A receiver was shown a line, which may be anybody's.
    pub(super) fn shown(
        &mut self,
        receiver: usize,
        from: &str,
        text: &str,
        held: Duration,
        now: Timestamp,
    ) -> Result<(), record::Error> {
        let Some(sender) = self.senders.iter().position(|name| &**name == from) else {
            return Ok(());
        };
        // What was not said yet is an echo of some other run.
        let Some(id) = number(text).filter(|id| *id < self.sent[sender].len() as u64) else {
            return Ok(());
        };
        let delivered = micros(now.since(self.epoch));
        let arrived = micros((now - held).since(self.epoch));
        let verdict = if self.mark(receiver, sender, id) {
            let intended = self.schedule.intended(sender, id).unwrap_or(delivered);
            let latency = u32::try_from(delivered.saturating_sub(intended)).unwrap_or(u32::MAX);
            self.latencies.push(latency);
            self.largest = self.largest.max(latency);
            self.newest = now;
            Verdict::Delivered
        } else {
            Verdict::Duplicate
        };
        self.write(receiver, sender, id, Some((arrived, delivered)), verdict)
    }

    /// Writes down what did not come, and gives the latencies of what did, in microseconds, sorted.
    pub(super) fn close(mut self) -> Result<Vec<u32>, record::Error> {
        for sender in 0..self.senders.len() {
            for id in 0..self.schedule.each() {
                for receiver in 0..self.receivers.len() {
                    if self.mark(receiver, sender, id) {
                        self.write(receiver, sender, id, None, Verdict::Lost)?;
                    }
                }
            }
        }
        self.writer.finish()?;
        self.latencies.sort_unstable();
        Ok(self.latencies)
    }

    /// Puts on the disk what was written.
    pub(super) fn flush(&mut self) -> Result<(), record::Error> {
        self.writer.flush()
    }

    /// As `flush`, but only what has waited long enough.
    pub(super) fn flush_due(&mut self) -> Result<(), record::Error> {
        self.writer.flush_due()
    }

    /// How many messages were said so far.
    pub(super) fn said_so_far(&self) -> u64 {
        self.sent.iter().map(|sent| sent.len() as u64).sum()
    }

    /// How many messages there are to be said in all.
    pub(super) fn to_say(&self) -> u64 {
        self.schedule.total()
    }

    /// When the last message is to be said.
    pub(super) fn end(&self) -> Timestamp {
        self.epoch + Duration::from_micros(self.schedule.end())
    }

    /// When something new came last; the epoch when nothing did.
    pub(super) fn newest(&self) -> Timestamp {
        self.newest
    }

    /// The largest latency of all.
    pub(super) fn largest(&self) -> Duration {
        Duration::from_micros(self.largest.into())
    }

    /// Whether everything came to everybody.
    pub(super) fn is_complete(&self) -> bool {
        self.latencies.len() as u64 == self.to_come()
    }

    /// Messages times receivers.
    pub(super) fn to_come(&self) -> u64 {
        self.schedule.total() * self.receivers.len() as u64
    }

    /// Notes that a message came. False when it had before.
    fn mark(&mut self, receiver: usize, sender: usize, id: u64) -> bool {
        let words = &mut self.came[receiver * self.senders.len() + sender];
        let (word, bit) = (&mut words[(id / 64) as usize], 1 << (id % 64));
        let new = *word & bit == 0;
        *word |= bit;
        new
    }

    fn write(
        &mut self,
        receiver: usize,
        sender: usize,
        id: u64,
        times: Option<(u64, u64)>,
        verdict: Verdict,
    ) -> Result<(), record::Error> {
        self.writer.write(&Record {
            run: self.run.clone(),
            mode: self.mode,
            sender: self.senders[sender].clone(),
            receiver: self.receivers[receiver].clone(),
            id,
            intended_us: self.schedule.intended(sender, id).unwrap_or(0),
            sent_us: usize::try_from(id).ok().and_then(|id| self.sent[sender].get(id).copied()),
            arrived_us: times.map(|(arrived, _)| arrived),
            delivered_us: times.map(|(_, delivered)| delivered),
            verdict,
        })
    }
}
