//! Messages on their way out: those sent until acknowledged, by id and within the other end's
//! window, and those sent once. Both queues are bounded in bytes.

use super::fifo::Fifo;
use crate::protocol::limits::{MAX_DATAGRAM, MAX_QUEUE_BYTES, MESSAGE_WINDOW};
use crate::protocol::{Frame, HEADER_LEN, unwrap16};
use crate::time::Timestamp;
use std::collections::BTreeSet;
use std::ops::RangeInclusive;

/// What a message costs in the queue beyond its bytes, so that empty ones are not free.
const OVERHEAD: usize = 32;
/// What a frame adds to a message at most: its number, an id and a length.
pub(super) const FRAME_OVERHEAD: usize = 1 + 3 + 3;

/// A message that has not left yet. There can be many for many peers, so it is small.
#[derive(Debug)]
struct Waiting<P> {
    payload: P,
    ordered: bool,
}

/// A message that has left.
#[derive(Debug)]
struct Outgoing<P> {
    payload: P,
    first_sent: Timestamp,
    last_sent: Timestamp,
    /// Datagrams with it that are neither acknowledged nor lost.
    copies: u32,
    ordered: bool,
    acked: bool,
}

/// A reliable message ready to be put into a frame.
#[derive(Debug)]
pub(super) struct Reliable<'a> {
    pub(super) id: u64,
    pub(super) ordered: bool,
    pub(super) payload: &'a [u8],
}

impl<'a> Reliable<'a> {
    pub(super) fn frame(&self) -> Frame<'a> {
        let (id, payload) = (self.id as u16, self.payload);
        if self.ordered { Frame::Ordered { id, payload } } else { Frame::Unordered { id, payload } }
    }
}

/// A message left in a datagram.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Departure {
    /// Its length.
    pub(super) bytes: usize,
    /// Not for the first time.
    pub(super) again: bool,
}

/// The queues of one direction.
#[derive(Debug)]
pub(super) struct Outbox<P> {
    /// The id of `sent[0]`: all before are acknowledged.
    first: u64,
    sent: Fifo<Outgoing<P>>,
    /// Those after them, never sent.
    waiting: Fifo<Waiting<P>>,
    lost: BTreeSet<u64>,
    /// The largest id the other end is ready for.
    limit: u64,
    once: Fifo<(P, Option<u64>)>,
    bytes: usize,
}

impl<P> Default for Outbox<P> {
    fn default() -> Self {
        Self {
            first: 0,
            sent: Fifo::default(),
            waiting: Fifo::default(),
            lost: BTreeSet::new(),
            limit: MESSAGE_WINDOW - 1,
            once: Fifo::default(),
            bytes: 0,
        }
    }
}

impl<P: AsRef<[u8]>> Outbox<P> {
    /// Whether the bounds leave no room for one more message.
    pub(super) fn is_full(&self) -> bool {
        self.bytes >= MAX_QUEUE_BYTES
    }

    /// Bytes waiting or unacknowledged.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether anything has not been sent, or has to be sent again, whatever keeps it from leaving.
    pub(super) fn has_waiting(&self) -> bool {
        !(self.lost.is_empty() && self.once.is_empty() && self.waiting.is_empty())
    }

    /// Queues a message to be sent until acknowledged.
    pub(super) fn push_reliable(&mut self, payload: P, ordered: bool) {
        self.bytes += payload.as_ref().len() + OVERHEAD;
        self.waiting.push_back(Waiting { payload, ordered });
    }

    /// Queues a message to be sent once.
    pub(super) fn push_once(&mut self, payload: P, tag: Option<u64>) {
        self.bytes += payload.as_ref().len() + OVERHEAD;
        self.once.push_back((payload, tag));
    }

    /// The other end is ready for ids up to `window` (modulo 2^16). It never takes that back.
    pub(super) fn raise_limit(&mut self, window: u16) {
        self.limit = self.limit.max(unwrap16(window, self.limit));
    }

    /// The reliable message to send next: a lost one, else a new one inside the window.
    pub(super) fn next_reliable(&self) -> Option<Reliable<'_>> {
        self.sendable().next()
    }

    /// The reliable messages that may be sent now: lost ones, then new ones inside the window.
    fn sendable(&self) -> impl Iterator<Item = Reliable<'_>> {
        let lost = self.lost.iter().filter_map(|id| self.message(*id));
        let end = (self.limit + 1).min(self.first + MESSAGE_WINDOW);
        let new = (self.unsent()..end).zip(0..).map_while(|(id, place)| {
            let Waiting { payload, ordered } = self.waiting.get(place)?;
            Some(Reliable { id, ordered: *ordered, payload: payload.as_ref() })
        });
        lost.chain(new)
    }

    /// The first id never sent.
    fn unsent(&self) -> u64 {
        self.first + self.sent.len() as u64
    }

    /// The oldest unacknowledged messages that were sent before, for probes and for spare room.
    pub(super) fn unacknowledged(&self) -> impl Iterator<Item = (Reliable<'_>, Timestamp)> {
        (self.first..self.unsent()).filter_map(|id| {
            let outgoing = self.sent.get((id - self.first) as usize)?;
            if outgoing.acked { None } else { Some((self.message(id)?, outgoing.last_sent)) }
        })
    }

    /// Bytes of the datagram that would carry all that may be sent now, as far as one can.
    pub(super) fn waiting_bytes(&self) -> usize {
        let reliable = self.sendable().map(|message| message.payload.len());
        let once = self.once.iter().map(|(payload, _)| payload.as_ref().len());
        let mut bytes = HEADER_LEN;
        for length in reliable.chain(once) {
            bytes += FRAME_OVERHEAD + length;
            if bytes >= MAX_DATAGRAM {
                break;
            }
        }
        bytes
    }

    /// Messages of which more datagrams could be on their way, the newest first, and when the last
    /// left. None while anything waits to be sent at all.
    pub(super) fn wanting_copies(
        &self,
        copies: u32,
        longest: usize,
    ) -> impl Iterator<Item = (Reliable<'_>, Timestamp)> {
        let ids = if copies > 1 && !self.has_waiting() { self.first..self.unsent() } else { 0..0 };
        ids.rev().filter_map(move |id| {
            let outgoing = self.sent.get((id - self.first) as usize)?;
            let wanted = !outgoing.acked
                && outgoing.copies < copies
                && outgoing.payload.as_ref().len() <= longest;
            if wanted { Some((self.message(id)?, outgoing.last_sent)) } else { None }
        })
    }

    /// Whether any message is unacknowledged, sent or not.
    pub(super) fn has_reliable(&self) -> bool {
        !(self.sent.is_empty() && self.waiting.is_empty())
    }

    /// The message sent once that is next.
    pub(super) fn next_once(&self) -> Option<&[u8]> {
        self.once.front().map(|(payload, _)| payload.as_ref())
    }

    /// That message left; this is its sender's tag.
    pub(super) fn once_sent(&mut self) -> Option<u64> {
        let (payload, tag) = self.once.pop_front()?;
        self.bytes -= payload.as_ref().len() + OVERHEAD;
        tag
    }

    /// Message `id`, the next one or one sent before, left in a datagram.
    pub(super) fn reliable_sent(&mut self, id: u64, now: Timestamp) -> Departure {
        let again = id < self.unsent();
        if again {
            self.lost.remove(&id);
        } else if let Some(Waiting { payload, ordered }) = self.waiting.pop_front() {
            let (first_sent, last_sent, copies, acked) = (now, now, 0, false);
            self.sent.push_back(Outgoing {
                payload,
                first_sent,
                last_sent,
                copies,
                ordered,
                acked,
            });
        }
        let Some(outgoing) = self.slot(id) else { return Departure::default() };
        outgoing.last_sent = now;
        outgoing.copies += 1;
        Departure { bytes: outgoing.payload.as_ref().len(), again }
    }

    /// A datagram with these messages arrived.
    pub(super) fn acked(&mut self, ids: RangeInclusive<u64>) {
        for id in ids {
            if !self.lost.is_empty() {
                self.lost.remove(&id);
            }
            if let Some(outgoing) = self.slot(id) {
                outgoing.acked = true;
            }
        }
        while self.sent.front().is_some_and(|outgoing| outgoing.acked) {
            if let Some(outgoing) = self.sent.pop_front() {
                self.bytes -= outgoing.payload.as_ref().len() + OVERHEAD;
            }
            self.first += 1;
        }
    }

    /// A datagram with message `id` was lost: with the last copy the message is.
    /// The length of what may need another copy for that.
    pub(super) fn lost(&mut self, id: u64) -> Option<usize> {
        let outgoing = self.slot(id).filter(|outgoing| !outgoing.acked)?;
        outgoing.copies = outgoing.copies.saturating_sub(1);
        let bytes = outgoing.payload.as_ref().len();
        if outgoing.copies > 0 {
            return Some(bytes);
        }
        self.lost.insert(id);
        None
    }

    /// Gives back what is not in use.
    pub(super) fn tidy(&mut self) {
        self.sent.tidy();
        self.waiting.tidy();
        self.once.tidy();
    }

    /// When the oldest unacknowledged message was first sent.
    pub(super) fn oldest(&self) -> Option<Timestamp> {
        self.sent.front().map(|outgoing| outgoing.first_sent)
    }

    fn message(&self, id: u64) -> Option<Reliable<'_>> {
        let outgoing = self.sent.get(usize::try_from(id.checked_sub(self.first)?).ok()?)?;
        Some(Reliable { id, ordered: outgoing.ordered, payload: outgoing.payload.as_ref() })
    }

    fn slot(&mut self, id: u64) -> Option<&mut Outgoing<P>> {
        self.sent.get_mut(usize::try_from(id.checked_sub(self.first)?).ok()?)
    }
}
