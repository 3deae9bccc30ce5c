//! Reliable messages that have left, and how to write them into a datagram.

use super::{Class, Outbox};
use crate::link::parts::{Parts, fits, part};
use crate::protocol::limits::MAX_PARTS;
use crate::protocol::{Batch, DatagramWriter, Frame};
use crate::time::Timestamp;
use std::ops::Range;

/// A run of messages that have left, with consecutive ids.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) first: u64,
    pub(super) batch: Batch,
    pub(super) ordered: bool,
    pub(super) class: Class,
    pub(super) first_sent: Timestamp,
    pub(super) last_sent: Timestamp,
    /// Datagrams in flight that carry the whole run.
    pub(super) copies: u32,
    pub(super) acked: bool,
    /// State of the parts, if the run is one message that leaves in parts.
    pub(super) pieces: Option<Box<Pieces>>,
}

/// The state of a message's parts.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    pub(super) acked: Parts,
    pub(super) left: Parts,
    /// Datagrams in flight that carry each part.
    pub(super) copies: [u32; MAX_PARTS],
}

impl Outgoing {
    pub(super) fn ids(&self) -> Range<u64> {
        self.first..self.first + self.batch.len() as u64
    }

    pub(super) fn messages(&self) -> impl Iterator<Item = Reliable<'_>> {
        let (ordered, wanted) = (self.ordered, self.unacknowledged());
        self.ids().zip(self.batch.iter()).map(move |(id, payload)| Reliable {
            id,
            ordered,
            payload,
            wanted,
        })
    }

    /// The parts without an acknowledgment.
    pub(super) fn unacknowledged(&self) -> Parts {
        match self.pieces.as_deref().map_or(Parts::NONE, |pieces| pieces.acked) {
            Parts::NONE => Parts::WHOLE,
            acked => Parts::all(self.batch.bytes()).without(acked),
        }
    }

    /// The parts without an acknowledgment that no datagram in flight carries.
    pub(super) fn lost(&self) -> Parts {
        let mut under_way = Parts::NONE;
        for (copies, index) in self.pieces.iter().flat_map(|it| it.copies).zip(0..) {
            if copies > 0 {
                under_way.insert(index);
            }
        }
        match under_way {
            _ if self.copies > 0 => Parts::NONE,
            Parts::NONE => self.unacknowledged(),
            _ => self.unacknowledged().of(Parts::all(self.batch.bytes())).without(under_way),
        }
    }
}

impl Outbox {
    /// The smallest id that was never sent.
    pub(in crate::link) fn unsent(&self) -> u64 {
        self.unsent
    }

    /// The id of the next reliable message that is queued.
    pub(in crate::link) fn next_id(&self) -> u64 {
        self.unsent + self.waiting.iter().map(|it| it.batch.len() as u64).sum::<u64>()
    }

    /// Whether parts of this message are all that lack an acknowledgment.
    pub(in crate::link) fn lacks_only(&self, id: u64, parts: Parts) -> bool {
        let index = self.sent.partition_point(|outgoing| outgoing.ids().end <= id);
        self.sent.get(index).is_some_and(|outgoing| {
            let all = Parts::all(outgoing.batch.bytes());
            !outgoing.acked && outgoing.unacknowledged().of(all).without(parts).is_empty()
        })
    }
}

/// A reliable message to write into a frame.
#[derive(Debug)]
pub(in crate::link) struct Reliable<'a> {
    pub(in crate::link) id: u64,
    pub(in crate::link) ordered: bool,
    pub(in crate::link) payload: &'a [u8],
    /// The parts to send.
    pub(in crate::link) wanted: Parts,
}

impl Reliable<'_> {
    /// Writes the parts to send into a datagram, as many as fit: the whole message where any
    /// datagram of the path can carry it. Returns what it wrote.
    pub(in crate::link) fn write(&self, writer: &mut DatagramWriter<'_>) -> Parts {
        let (id, payload) = (self.id as u16, self.payload);
        if self.wanted == Parts::WHOLE && fits(payload.len(), writer.limit()) {
            let frame = if self.ordered {
                Frame::Ordered { id, payload }
            } else {
                Frame::Unordered { id, payload }
            };
            return if writer.push(&frame) { Parts::WHOLE } else { Parts::NONE };
        }
        let mut written = Parts::NONE;
        let ordered = self.ordered;
        for index in self.parts().indices() {
            let part = part(payload, index);
            if !writer.push(&Frame::Part { id, ordered, part }) {
                break;
            }
            written.insert(index);
        }
        written
    }

    /// Whether `written` is all that has to leave.
    pub(in crate::link) fn is_all(&self, written: Parts) -> bool {
        written == Parts::WHOLE || written == self.parts()
    }

    fn parts(&self) -> Parts {
        self.wanted.of(Parts::all(self.payload.len()))
    }

    /// Bytes of the parts to send.
    pub(super) fn bytes(&self) -> usize {
        match self.wanted {
            Parts::WHOLE => self.payload.len(),
            parts => parts.indices().map(|index| part(self.payload, index).payload.len()).sum(),
        }
    }
}
