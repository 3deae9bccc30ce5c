//! Messages on their way out: those sent until acknowledged, by id and within the other end's
//! window, and those sent once. Both queues are bounded in bytes.

use super::fifo::Fifo;
use super::memory::give_back;
use crate::protocol::limits::{MAX_DATAGRAM, MAX_QUEUE_BYTES, MESSAGE_WINDOW};
use crate::protocol::{Frame, HEADER_LEN, unwrap16};
use crate::time::Timestamp;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

/// An encoded message, shared by all the peers it goes to.
pub type Payload = Arc<[u8]>;

/// What a message costs in the queue beyond its bytes, so that empty ones are not free.
const OVERHEAD: usize = 32;
/// What a frame adds to a message at most: its number, an id and a length.
pub(super) const FRAME_OVERHEAD: usize = 1 + 3 + 3;

#[derive(Debug)]
struct Outgoing {
    payload: Payload,
    ordered: bool,
    first_sent: Option<Timestamp>,
    last_sent: Timestamp,
    /// Datagrams with it that are neither acknowledged nor lost.
    copies: u32,
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
pub(super) struct Outbox {
    /// The id of `reliable[0]`: all before are acknowledged.
    first: u64,
    reliable: Fifo<Outgoing>,
    /// The first id never sent.
    unsent: u64,
    lost: BTreeSet<u64>,
    /// The largest id the other end is ready for.
    limit: u64,
    once: VecDeque<(Payload, Option<u64>)>,
    bytes: usize,
}

impl Default for Outbox {
    fn default() -> Self {
        Self {
            first: 0,
            reliable: Fifo::default(),
            unsent: 0,
            lost: BTreeSet::new(),
            limit: MESSAGE_WINDOW - 1,
            once: VecDeque::new(),
            bytes: 0,
        }
    }
}

impl Outbox {
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
        !self.lost.is_empty()
            || !self.once.is_empty()
            || self.unsent < self.first + self.reliable.len() as u64
    }

    /// Queues a message to be sent until acknowledged.
    pub(super) fn push_reliable(&mut self, payload: Payload, ordered: bool) {
        self.bytes += payload.len() + OVERHEAD;
        self.reliable.push_back(Outgoing {
            payload,
            ordered,
            first_sent: None,
            last_sent: Timestamp::ZERO,
            copies: 0,
            acked: false,
        });
    }

    /// Queues a message to be sent once.
    pub(super) fn push_once(&mut self, payload: Payload, tag: Option<u64>) {
        self.bytes += payload.len() + OVERHEAD;
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
        let end = (self.limit + 1).min(self.first + MESSAGE_WINDOW);
        let new = self.unsent..end.max(self.unsent);
        self.lost.iter().copied().chain(new).map_while(|id| self.message(id))
    }

    /// The oldest unacknowledged messages that were sent before, for probes and for spare room.
    pub(super) fn unacknowledged(&self) -> impl Iterator<Item = (Reliable<'_>, Timestamp)> {
        (self.first..self.unsent).filter_map(|id| {
            let outgoing = self.reliable.get((id - self.first) as usize)?;
            if outgoing.acked { None } else { Some((self.message(id)?, outgoing.last_sent)) }
        })
    }

    /// Bytes of the datagram that would carry all that may be sent now, as far as one can.
    pub(super) fn waiting_bytes(&self) -> usize {
        let reliable = self.sendable().map(|message| message.payload.len());
        let once = self.once.iter().map(|(payload, _)| payload.len());
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
        let ids = if copies > 1 && !self.has_waiting() { self.first..self.unsent } else { 0..0 };
        ids.rev().filter_map(move |id| {
            let outgoing = self.reliable.get((id - self.first) as usize)?;
            let wanted =
                !outgoing.acked && outgoing.copies < copies && outgoing.payload.len() <= longest;
            if wanted { Some((self.message(id)?, outgoing.last_sent)) } else { None }
        })
    }

    /// Whether any message is unacknowledged, sent or not.
    pub(super) fn has_reliable(&self) -> bool {
        !self.reliable.is_empty()
    }

    /// The message sent once that is next.
    pub(super) fn next_once(&self) -> Option<&[u8]> {
        self.once.front().map(|(payload, _)| &**payload)
    }

    /// That message left; this is its sender's tag.
    pub(super) fn once_sent(&mut self) -> Option<u64> {
        let (payload, tag) = self.once.pop_front()?;
        self.bytes -= payload.len() + OVERHEAD;
        give_back(&mut self.once);
        tag
    }

    /// Message `id` left in a datagram.
    pub(super) fn reliable_sent(&mut self, id: u64, now: Timestamp) -> Departure {
        self.lost.remove(&id);
        self.unsent = self.unsent.max(id + 1);
        let Some(outgoing) = self.slot(id) else { return Departure::default() };
        outgoing.last_sent = now;
        outgoing.copies += 1;
        let again = outgoing.first_sent.replace(outgoing.first_sent.unwrap_or(now)).is_some();
        Departure { bytes: outgoing.payload.len(), again }
    }

    /// A datagram with message `id` arrived.
    pub(super) fn acked(&mut self, id: u64) {
        self.lost.remove(&id);
        if let Some(outgoing) = self.slot(id) {
            outgoing.acked = true;
        }
        while self.reliable.front().is_some_and(|outgoing| outgoing.acked) {
            if let Some(outgoing) = self.reliable.pop_front() {
                self.bytes -= outgoing.payload.len() + OVERHEAD;
            }
            self.first += 1;
        }
    }

    /// A datagram with message `id` was lost: with the last copy the message is.
    /// The length of what may need another copy for that.
    pub(super) fn lost(&mut self, id: u64) -> Option<usize> {
        let outgoing = self.slot(id).filter(|outgoing| !outgoing.acked)?;
        outgoing.copies = outgoing.copies.saturating_sub(1);
        let bytes = outgoing.payload.len();
        if outgoing.copies > 0 {
            return Some(bytes);
        }
        self.lost.insert(id);
        None
    }

    /// When the oldest unacknowledged message was first sent.
    pub(super) fn oldest(&self) -> Option<Timestamp> {
        self.reliable.front()?.first_sent
    }

    fn message(&self, id: u64) -> Option<Reliable<'_>> {
        let outgoing = self.reliable.get(usize::try_from(id.checked_sub(self.first)?).ok()?)?;
        Some(Reliable { id, ordered: outgoing.ordered, payload: &outgoing.payload })
    }

    fn slot(&mut self, id: u64) -> Option<&mut Outgoing> {
        self.reliable.get_mut(usize::try_from(id.checked_sub(self.first)?).ok()?)
    }
}
