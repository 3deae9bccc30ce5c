//! Which messages were sent and delivered, recorded as they happen.

use super::schedule::{Schedule, message_id};
use crate::lab::record::{self, FileSum, Mode, Record, RecordWriter, Verdict};
use crate::percentile::nearest_rank;
use crate::time::{Timestamp, micros};
use std::sync::Arc;
use std::time::Duration;

/// The outcome of each message at each receiver, written as rows.
#[derive(Debug)]
pub(super) struct Ledger {
    writer: RecordWriter,
    run: Arc<str>,
    mode: Mode,
    epoch: Timestamp,
    schedule: Schedule,
    senders: Vec<Arc<str>>,
    receivers: Vec<Arc<str>>,
    /// For each sender, the send times of its messages in microseconds since the epoch.
    sent: Vec<Vec<u64>>,
    /// For each receiver and sender, one bit per delivered message.
    delivered: Vec<Vec<u64>>,
    /// Latencies of delivered messages, microseconds.
    latencies: Vec<u32>,
    /// How late messages were offered to their sessions, microseconds.
    late: Vec<u32>,
    /// Senders whose session had no room: the machine did not make their next message late.
    blocked: Vec<bool>,
    max_latency: u32,
    last_delivery: Timestamp,
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
            late: Vec::new(),
            blocked: vec![false; senders.len()],
            delivered: vec![vec![0; words]; senders.len() * receivers.len()],
            schedule,
            senders,
            receivers,
            latencies: Vec::new(),
            max_latency: 0,
            last_delivery: epoch,
        }
    }

    /// A sender's next message and its intended time.
    pub(super) fn next(&self, sender: usize) -> Option<(u64, Timestamp)> {
        let id = self.sent[sender].len() as u64;
        let intended = self.schedule.intended(sender, id)?;
        Some((id, self.epoch + Duration::from_micros(intended)))
    }

    /// Records that a sender's session had no room for its next message.
    pub(super) fn note_refused(&mut self, sender: usize) {
        self.blocked[sender] = true;
    }

    /// Records that no message of a sender is due: the next one is offered in time or is late
    /// because of the machine.
    pub(super) fn note_idle(&mut self, sender: usize) {
        self.blocked[sender] = false;
    }

    /// How late messages were offered: the 99th percentile and the largest, microseconds.
    pub(super) fn lateness(&self) -> (u64, u64) {
        let mut late = self.late.clone();
        late.sort_unstable();
        let rank = |percent| nearest_rank(&late, percent).unwrap_or(0).into();
        (rank(99), rank(100))
    }

    /// Records that a sender's next message was sent.
    pub(super) fn note_sent(&mut self, sender: usize, now: Timestamp) {
        if !self.blocked[sender]
            && let Some((_, intended)) = self.next(sender)
        {
            self.late.push(u32::try_from(micros(now.since(intended))).unwrap_or(u32::MAX));
        }
        self.sent[sender].push(micros(now.since(self.epoch)));
    }

    /// Records a line shown to a receiver. Lines of peers outside this run are ignored.
    pub(super) fn note_shown(
        &mut self,
        receiver: usize,
        from: &str,
        text: &str,
        held: Duration,
        now: Timestamp,
    ) -> Result<(), record::Error> {
        let sender = self.senders.iter().position(|name| &**name == from);
        let (Some(sender), Some(id)) = (sender, message_id(text)) else { return Ok(()) };
        self.note_delivered(receiver, sender, id, held, now)
    }

    /// Records a message shown to a receiver.
    pub(super) fn note_delivered(
        &mut self,
        receiver: usize,
        sender: usize,
        id: u64,
        held: Duration,
        now: Timestamp,
    ) -> Result<(), record::Error> {
        // A number not yet sent comes from another run.
        if self.sent.get(sender).is_none_or(|sent| id >= sent.len() as u64) {
            return Ok(());
        }
        let delivered = micros(now.since(self.epoch));
        let arrived = micros((now - held).since(self.epoch));
        let verdict = if self.is_first(receiver, sender, id) {
            let intended = self.schedule.intended(sender, id).unwrap_or(delivered);
            let latency = u32::try_from(delivered.saturating_sub(intended)).unwrap_or(u32::MAX);
            self.latencies.push(latency);
            self.max_latency = self.max_latency.max(latency);
            self.last_delivery = now;
            Verdict::Delivered
        } else {
            Verdict::Duplicate
        };
        self.write(receiver, sender, id, Some((arrived, delivered)), verdict)
    }

    /// Writes a row for each message not delivered. Returns the latencies, microseconds, ascending,
    /// and the sums of the files.
    pub(super) fn finish(mut self) -> Result<(Vec<u32>, Vec<FileSum>), record::Error> {
        for sender in 0..self.senders.len() {
            for id in 0..self.schedule.each() {
                for receiver in 0..self.receivers.len() {
                    if self.is_first(receiver, sender, id) {
                        self.write(receiver, sender, id, None, Verdict::Lost)?;
                    }
                }
            }
        }
        let files = self.writer.finish()?;
        self.latencies.sort_unstable();
        Ok((self.latencies, files))
    }

    /// Writes buffered rows to the file.
    pub(super) fn flush(&mut self) -> Result<(), record::Error> {
        self.writer.flush()
    }

    /// Like `flush`, but only when rows have waited long enough.
    pub(super) fn flush_due(&mut self) -> Result<(), record::Error> {
        self.writer.flush_due()
    }

    /// Messages sent so far.
    pub(super) fn sent(&self) -> u64 {
        self.sent.iter().map(|sent| sent.len() as u64).sum()
    }

    /// Messages scheduled in total.
    pub(super) fn scheduled(&self) -> u64 {
        self.schedule.total()
    }

    /// The intended time of the last message.
    pub(super) fn end(&self) -> Timestamp {
        self.epoch + Duration::from_micros(self.schedule.end())
    }

    /// The time of the latest delivery; the epoch without one.
    pub(super) fn last_delivery(&self) -> Timestamp {
        self.last_delivery
    }

    /// The largest latency.
    pub(super) fn max_latency(&self) -> Duration {
        Duration::from_micros(self.max_latency.into())
    }

    /// Returns true when every message was delivered to every receiver.
    pub(super) fn is_complete(&self) -> bool {
        self.latencies.len() as u64 == self.expected()
    }

    /// Messages × receivers.
    pub(super) fn expected(&self) -> u64 {
        self.schedule.total() * self.receivers.len() as u64
    }

    /// Returns true for a receiver that was shown none of the last messages said: those of the last
    /// `time`, or the last `least` if these were fewer.
    #[cfg(target_os = "linux")]
    pub(super) fn is_silent(&self, receiver: usize, time: Duration, least: usize) -> bool {
        let from = self.schedule.end().saturating_sub(micros(time));
        let mut said: Vec<(u64, bool)> = Vec::new();
        for (sender, sent) in self.sent.iter().enumerate() {
            let words = &self.delivered[receiver * self.senders.len() + sender];
            said.extend((0..sent.len() as u64).filter_map(|id| {
                let is_delivered = words[(id / 64) as usize] & 1 << (id % 64) != 0;
                Some((self.schedule.intended(sender, id)?, is_delivered))
            }));
        }
        said.sort_unstable();
        let late = said.partition_point(|(intended, _)| *intended < from);
        let tail = &said[late.min(said.len().saturating_sub(least))..];
        tail.len() >= least && tail.iter().all(|(_, is_delivered)| !is_delivered)
    }

    /// Marks a message as delivered. Returns true if it was not marked before.
    fn is_first(&mut self, receiver: usize, sender: usize, id: u64) -> bool {
        let words = &mut self.delivered[receiver * self.senders.len() + sender];
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
            server_held_us: None,
            verdict,
        })
    }
}
