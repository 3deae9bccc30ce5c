//! Messages that have left, whole or in parts, and how they are put into a datagram.

use super::Class;
use crate::link::parts::{Parts, count, fits, part};
use crate::protocol::limits::MAX_PARTS;
use crate::protocol::{Batch, DatagramWriter, Frame};
use crate::time::Timestamp;
use std::ops::Range;

/// Messages that have left, with ids in a row.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) first: u64,
    pub(super) batch: Batch,
    pub(super) ordered: bool,
    pub(super) class: Class,
    pub(super) first_sent: Timestamp,
    pub(super) last_sent: Timestamp,
    /// Datagrams with them, as a whole, that are neither acknowledged nor lost.
    pub(super) copies: u32,
    pub(super) acked: bool,
    /// If it is one message, and parts of it have left by themselves.
    pub(super) pieces: Option<Box<Pieces>>,
}

/// What became of a message's parts.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    pub(super) acked: Parts,
    pub(super) left: Parts,
    /// As in `Outgoing`, for each part.
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

    /// What the other end is not known to have.
    pub(super) fn unacknowledged(&self) -> Parts {
        match self.pieces.as_deref().map_or(Parts::NONE, |pieces| pieces.acked) {
            Parts::NONE => Parts::WHOLE,
            acked => Parts::all(self.batch.bytes()).without(acked),
        }
    }

    /// Of that, what is in no datagram on its way.
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

/// A reliable message ready to be put into a frame.
#[derive(Debug)]
pub(in crate::link) struct Reliable<'a> {
    pub(in crate::link) id: u64,
    pub(in crate::link) ordered: bool,
    pub(in crate::link) payload: &'a [u8],
    /// What of it has to leave.
    pub(in crate::link) wanted: Parts,
}

impl Reliable<'_> {
    /// Adds what has to leave to a datagram, as far as it fits: the whole, or parts where the datagram could not
    /// carry that in any case. Says what it added.
    pub(in crate::link) fn write(&self, writer: &mut DatagramWriter<'_>) -> Parts {
        let (id, payload) = (self.id as u16, self.payload);
        if self.wanted == Parts::WHOLE && fits(payload.len(), writer.limit()) {
            let frame = match self.ordered {
                true => Frame::Ordered { id, payload },
                false => Frame::Unordered { id, payload },
            };
            return if writer.push(&frame) { Parts::WHOLE } else { Parts::NONE };
        }
        let mut written = Parts::NONE;
        let (ordered, count) = (self.ordered, count(payload.len()));
        for index in self.parts().indices() {
            let payload = part(payload, index);
            if !writer.push(&Frame::Part { id, ordered, index, count, payload }) {
                break;
            }
            written.insert(index);
        }
        written
    }

    /// Whether that is all that has to leave.
    pub(in crate::link) fn is_all(&self, written: Parts) -> bool {
        written == Parts::WHOLE || written == self.parts()
    }

    fn parts(&self) -> Parts {
        self.wanted.of(Parts::all(self.payload.len()))
    }

    /// Bytes of what has to leave.
    pub(super) fn bytes(&self) -> usize {
        match self.wanted {
            Parts::WHOLE => self.payload.len(),
            parts => parts.indices().map(|index| part(self.payload, index).len()).sum(),
        }
    }
}
