//! Outgoing messages: reliable ones, sent by id and within the other end's window until
//! acknowledged, and those sent once. Both queues are bounded in bytes.
//!
//! The queues hold runs of messages: those queued together that left in one datagram are one entry,
//! split only where their fates differ.
//!
//! A message too long for the path leaves in parts, each acknowledged or lost on its own.

mod once;
mod outgoing;
#[cfg(test)]
mod tests;

use super::fifo::Fifo;
use super::parts::{Parts, part};
use crate::protocol::limits::{MAX_QUEUE_BYTES, MESSAGE_WINDOW};
use crate::protocol::{Batch, HEADER_LEN, unwrap16};
use crate::time::Timestamp;
use std::collections::BTreeMap;
use std::ops::Range;

use once::Once;
pub(super) use once::OncePart;
pub(super) use outgoing::Reliable;
use outgoing::{Outgoing, Pieces};

/// Queue cost of a message beyond its bytes, so that empty messages are bounded too.
const OVERHEAD: usize = 32;
/// Largest overhead of a frame: its type, an id and a length.
pub(super) const FRAME_OVERHEAD: usize = 1 + 3 + 3;

/// How urgent a message is, in any delivery mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// Content: leaves at once, and is copied on a path that loses datagrams.
    Content,
    /// Confirms a message of the other end, which has that on screen already. A receipt leaves with
    /// the acknowledgment that is due, or at once if none is, and is never copied ahead of a loss.
    Receipt,
}

/// Reliable messages that have not left yet.
#[derive(Debug)]
struct Waiting {
    batch: Batch,
    ordered: bool,
    class: Class,
}

/// The messages of a departing datagram.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Departure {
    /// Their bytes.
    pub(super) bytes: usize,
    /// Messages of content.
    pub(super) content: usize,
    /// Their bytes, which count for the budget of copies.
    pub(super) copyable: usize,
    /// Messages that had left before.
    pub(super) again: usize,
}

impl Departure {
    fn add(&mut self, batch: &Batch, class: Class) {
        self.bytes += batch.bytes();
        if class == Class::Content {
            self.content += batch.len();
            self.copyable += batch.bytes();
        }
    }
}

/// The queues of the outgoing direction.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Outbox {
    sent: Fifo<Outgoing>,
    /// Id of the first message in `sent`; all before are acknowledged.
    first: u64,
    /// The smallest id that was never sent.
    unsent: u64,
    /// The largest id in the other end's window.
    limit: u64,
    /// Parts of the messages in `sent` that have to leave: lost ones, and ones that never left.
    lost: BTreeMap<u64, Parts>,
    bytes: usize,
    /// Of `bytes`, those outside the bound.
    regardless: usize,
    /// New messages; the first has the id `unsent`.
    waiting: Fifo<Waiting>,
    once: Fifo<Once>,
    /// Entries of `waiting` and `once` with content, not receipts.
    pressing: usize,
    /// Number of the next message sent once in parts, and the parts of it that have left.
    once_cut: u16,
    once_parts: u16,
}

impl Default for Outbox {
    fn default() -> Self {
        Self {
            sent: Fifo::default(),
            first: 0,
            unsent: 0,
            limit: MESSAGE_WINDOW - 1,
            lost: BTreeMap::new(),
            bytes: 0,
            regardless: 0,
            waiting: Fifo::default(),
            once: Fifo::default(),
            pressing: 0,
            once_cut: 0,
            once_parts: 0,
        }
    }
}

impl Outbox {
    /// Whether the bound leaves no room for another message.
    pub(super) fn is_full(&self) -> bool {
        self.bytes - self.regardless >= MAX_QUEUE_BYTES
    }

    /// Messages of a batch that fit below the bound.
    pub(super) fn room_for(&self, batch: &Batch) -> usize {
        let mut bytes = self.bytes - self.regardless;
        if bytes + cost(batch) <= MAX_QUEUE_BYTES {
            return batch.len();
        }
        let fitting = batch.iter().take_while(|message| {
            let fits = bytes < MAX_QUEUE_BYTES;
            bytes += message.len() + OVERHEAD;
            fits
        });
        fitting.count()
    }

    /// Bytes that wait or are unacknowledged, with overhead.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether anything waits for its first departure or for retransmission, held back by a window
    /// or not.
    pub(super) fn has_waiting(&self) -> bool {
        !(self.lost.is_empty() && self.once.is_empty() && self.waiting.is_empty())
    }

    /// Queues reliable messages.
    pub(super) fn push_reliable(&mut self, batch: Batch, ordered: bool, class: Class) {
        self.bytes += cost(&batch);
        self.pressing += usize::from(class == Class::Content);
        self.waiting.push_back(Waiting { batch, ordered, class });
    }

    /// Queues ordered messages outside the bound: they leave as much room for others.
    pub(super) fn push_regardless(&mut self, batch: Batch) {
        self.regardless += cost(&batch);
        let ordered = true;
        self.push_reliable(batch, ordered, Class::Content);
    }

    /// Raises the window to ids up to `window` (modulo 2^16). It never shrinks.
    pub(super) fn raise_limit(&mut self, window: u16) {
        self.limit = self.limit.max(unwrap16(window, self.limit));
    }

    /// Whether only receipts wait.
    pub(super) fn has_only_receipts(&self) -> bool {
        self.pressing == 0 && self.lost.is_empty()
    }

    /// Whether the window lets a reliable message leave.
    pub(super) fn has_sendable(&self) -> bool {
        let end = (self.limit + 1).min(self.first + MESSAGE_WINDOW);
        !self.lost.is_empty() || (self.unsent < end && !self.waiting.is_empty())
    }

    /// The reliable messages that may leave now: lost ones, then new ones inside the window.
    pub(super) fn sendable(&self) -> impl Iterator<Item = Reliable<'_>> {
        let lost = self.lost.iter().filter_map(|(id, wanted)| {
            let wanted = *wanted;
            self.message(*id).map(|message| Reliable { wanted, ..message })
        });
        let end = (self.limit + 1).min(self.first + MESSAGE_WINDOW);
        let waiting = self.waiting.iter().flat_map(|Waiting { batch, ordered, .. }| {
            batch.iter().map(|payload| (*ordered, payload))
        });
        let new = (self.unsent..end).zip(waiting);
        let wanted = Parts::WHOLE;
        lost.chain(new.map(move |(id, (ordered, payload))| Reliable {
            id,
            ordered,
            payload,
            wanted,
        }))
    }

    /// The unacknowledged messages that were sent, oldest first, for probes.
    pub(super) fn unacknowledged(&self) -> impl Iterator<Item = Reliable<'_>> {
        self.sent.iter().filter(|outgoing| !outgoing.acked).flat_map(Outgoing::messages)
    }

    /// Size of the datagram that would carry all that may leave now, at most `limit`.
    pub(super) fn waiting_bytes(&self, limit: usize) -> usize {
        let reliable = self.sendable().map(|message| message.bytes());
        let once = self.once.iter().flat_map(|once| once.batch.iter()).map(<[u8]>::len);
        let mut bytes = HEADER_LEN;
        for length in reliable.chain(once) {
            bytes += FRAME_OVERHEAD + length;
            if bytes >= limit {
                return limit;
            }
        }
        bytes
    }

    /// Messages with fewer than `copies` copies in flight, newest first, with their last departure.
    /// None while anything else waits.
    pub(super) fn wanting_copies(
        &self,
        copies: u32,
        longest: usize,
    ) -> impl Iterator<Item = (Reliable<'_>, Timestamp, u32)> {
        let idle = copies > 1 && !self.has_waiting();
        let sent = self.sent.iter().rev().take(if idle { self.sent.len() } else { 0 });
        let wanting = sent.filter(move |outgoing| {
            !outgoing.acked && outgoing.copies < copies && outgoing.class == Class::Content
        });
        wanting.flat_map(move |outgoing| {
            let messages: Vec<_> = outgoing.messages().collect();
            let short = messages.into_iter().rev().filter(move |it| it.payload.len() <= longest);
            short.map(|message| (message, outgoing.last_sent, outgoing.copies))
        })
    }

    /// Whether any reliable message is unacknowledged, sent or not.
    pub(super) fn has_reliable(&self) -> bool {
        !(self.sent.is_empty() && self.waiting.is_empty())
    }

    /// Records the departure of these messages, old or new.
    pub(super) fn reliable_sent(&mut self, ids: Range<u64>, now: Timestamp) -> Departure {
        let mut departure = Departure::default();
        for outgoing in self.runs(ids.start..ids.end.min(self.unsent)) {
            outgoing.last_sent = now;
            outgoing.copies += 1;
            departure.again += outgoing.batch.len();
            departure.add(&outgoing.batch, outgoing.class);
        }
        self.forget_lost(&ids);
        while self.unsent < ids.end
            && let Some(front) = self.waiting.front_mut()
        {
            let count = (ids.end - self.unsent) as usize;
            let (ordered, class) = (front.ordered, front.class);
            let batch = if count < front.batch.len() {
                front.batch.split_to(count)
            } else if let Some(Waiting { batch, .. }) = self.waiting.pop_front() {
                self.pressing -= usize::from(class == Class::Content);
                batch
            } else {
                break;
            };
            departure.add(&batch, class);
            let (first, first_sent, last_sent) = (self.unsent, now, now);
            self.unsent += batch.len() as u64;
            let (copies, acked, pieces) = (1, false, None);
            self.sent.push_back(Outgoing {
                first,
                batch,
                ordered,
                class,
                first_sent,
                last_sent,
                copies,
                acked,
                pieces,
            });
        }
        departure
    }

    /// Records the departure of parts of this message, old or new.
    pub(super) fn parts_sent(&mut self, id: u64, parts: Parts, now: Timestamp) -> Departure {
        let new = id == self.unsent;
        if new {
            self.reliable_sent(id..id + 1, now);
        }
        let Some(outgoing) = self.runs(id..id + 1).next() else { return Departure::default() };
        outgoing.last_sent = now;
        let whole = if new { Parts::NONE } else { Parts::WHOLE };
        let pieces = outgoing
            .pieces
            .get_or_insert_with(|| Box::new(Pieces { left: whole, ..Pieces::default() }));
        let again = usize::from(!pieces.left.of(parts).is_empty());
        pieces.left = pieces.left.with(parts);
        let mut bytes = 0;
        for index in parts.indices() {
            pieces.copies[usize::from(index)] += 1;
            bytes += outgoing
                .batch
                .iter()
                .next()
                .map_or(0, |message| part(message, index).payload.len());
        }
        let all = Parts::all(outgoing.batch.bytes());
        if new {
            outgoing.copies = 0; // counted by part
            self.lost.insert(id, all);
        }
        self.forget_lost_parts(id, parts, all);
        // Messages long enough for parts are not copied.
        Departure { bytes, again, ..Departure::default() }
    }

    /// Records the acknowledgment of these messages.
    pub(super) fn acked(&mut self, ids: Range<u64>) {
        self.forget_lost(&ids);
        for outgoing in self.runs(ids) {
            outgoing.acked = true;
        }
        while self.sent.front().is_some_and(|outgoing| outgoing.acked)
            && let Some(outgoing) = self.sent.pop_front()
        {
            self.bytes -= cost(&outgoing.batch);
            // Messages outside the bound are a session's first, and so acknowledged first, and its
            // last.
            self.regardless = self.regardless.saturating_sub(cost(&outgoing.batch));
            self.first = outgoing.ids().end;
        }
    }

    /// Records the acknowledgment of parts of this message.
    pub(super) fn parts_acked(&mut self, id: u64, parts: Parts) {
        let Some(outgoing) = self.runs(id..id + 1).next() else { return };
        let pieces = outgoing.pieces.get_or_insert_default();
        pieces.acked = pieces.acked.with(parts);
        let all = Parts::all(outgoing.batch.bytes());
        if pieces.acked == all {
            self.acked(id..id + 1);
        } else {
            self.forget_lost_parts(id, parts, all);
        }
    }

    /// Records the loss of a datagram with these messages. A message is lost with its last copy.
    /// Returns the bytes of unacknowledged messages.
    pub(super) fn lost(&mut self, ids: Range<u64>) -> usize {
        let mut bytes = 0;
        let mut lost = Vec::new();
        for outgoing in self.runs(ids).filter(|outgoing| !outgoing.acked) {
            outgoing.copies = outgoing.copies.saturating_sub(1);
            bytes += outgoing.batch.bytes();
            lost.push((outgoing.ids(), outgoing.lost()));
        }
        for (ids, parts) in lost.into_iter().filter(|(_, parts)| !parts.is_empty()) {
            self.lost.extend(ids.map(|id| (id, parts)));
        }
        bytes
    }

    /// Records the loss of parts of this message. Returns the bytes of unacknowledged ones.
    pub(super) fn parts_lost(&mut self, id: u64, parts: Parts) -> usize {
        let Some(outgoing) = self.runs(id..id + 1).next().filter(|it| !it.acked) else { return 0 };
        let pieces = outgoing.pieces.get_or_insert_default();
        for index in parts.indices() {
            let copies = &mut pieces.copies[usize::from(index)];
            *copies = copies.saturating_sub(1);
        }
        let wanted = parts.without(pieces.acked);
        let lost = outgoing.lost();
        let message = outgoing.batch.iter().next().unwrap_or_default();
        let bytes = wanted.indices().map(|index| part(message, index).payload.len()).sum();
        if !lost.is_empty() {
            self.lost.insert(id, lost);
        }
        bytes
    }

    /// Frees unused memory.
    pub(super) fn tidy(&mut self) {
        self.sent.tidy();
        self.waiting.tidy();
        self.once.tidy();
    }

    /// First departure of the oldest unacknowledged message.
    pub(super) fn oldest(&self) -> Option<Timestamp> {
        self.sent.front().map(|outgoing| outgoing.first_sent)
    }

    fn forget_lost(&mut self, ids: &Range<u64>) {
        if !self.lost.is_empty() {
            for id in ids.clone() {
                self.lost.remove(&id);
            }
        }
    }

    /// These parts, of `all`, do not have to leave any more.
    fn forget_lost_parts(&mut self, id: u64, parts: Parts, all: Parts) {
        if let Some(lost) = self.lost.get_mut(&id) {
            *lost = lost.of(all).without(parts);
            if lost.is_empty() {
                self.lost.remove(&id);
            }
        }
    }

    fn message(&self, id: u64) -> Option<Reliable<'_>> {
        let index = self.sent.partition_point(|outgoing| outgoing.ids().end <= id);
        self.sent.get(index)?.messages().find(|message| message.id == id)
    }

    /// The entries of exactly these messages, split off where necessary.
    fn runs(&mut self, ids: Range<u64>) -> impl Iterator<Item = &mut Outgoing> {
        let from = self.cut(ids.start);
        let to = self.cut(ids.end).max(from);
        self.sent.range_mut(from..to)
    }

    /// The index of the entry that begins with this message, after splitting.
    fn cut(&mut self, id: u64) -> usize {
        let index = match self.sent.front() {
            Some(front) if front.first < id => {
                self.sent.partition_point(|outgoing| outgoing.ids().end <= id)
            }
            _ => return 0,
        };
        let Some(outgoing) = self.sent.get_mut(index).filter(|it| it.first < id) else {
            return index;
        };
        let batch = outgoing.batch.split_to((id - outgoing.first) as usize);
        // An entry with pieces is a single message and never split.
        let before = Outgoing { batch, pieces: None, ..*outgoing };
        outgoing.first = id;
        self.sent.insert(index, before);
        index + 1
    }
}

/// Queue cost of a batch.
fn cost(batch: &Batch) -> usize {
    batch.bytes() + batch.len() * OVERHEAD
}
