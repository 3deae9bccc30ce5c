//! Messages that are sent once (unreliable delivery), whole or in parts.

use super::{Class, Outbox, cost};
use crate::link::parts::{count, fits, part};
use crate::protocol::{Batch, Frame};

/// Messages to send once.
#[derive(Debug)]
pub(super) struct Once {
    pub(super) batch: Batch,
    tag: Option<u64>,
    class: Class,
}

/// A departing part of a message with a tag.
#[derive(Clone, Copy, Debug)]
pub(in crate::link) struct OncePart {
    /// The sender's tag.
    pub(in crate::link) tag: u64,
    /// Number of parts of the message.
    pub(in crate::link) count: u16,
    /// Whether it is the first part.
    pub(in crate::link) is_first: bool,
}

impl Outbox {
    /// Queues messages to send once; with a tag, exactly one.
    pub(in crate::link) fn push_once(&mut self, batch: Batch, tag: Option<u64>, class: Class) {
        self.bytes += cost(&batch);
        self.pressing += usize::from(class == Class::Content);
        self.once.push_back(Once { batch, tag, class });
    }

    /// The next messages to send once.
    pub(in crate::link) fn next_once(&self) -> Option<&Batch> {
        self.once.front().map(|once| &once.batch)
    }

    /// The next part of the next message, if a datagram of `limit` bytes is too small for the whole
    /// or a part has left already.
    pub(in crate::link) fn next_once_part(&self, limit: usize) -> Option<Frame<'_>> {
        let message = self.next_once()?.iter().next()?;
        let (number, index) = (self.once_cut, self.once_parts);
        if index == 0 && fits(message.len(), limit) {
            return None;
        }
        Some(Frame::OncePart { number, part: part(message, index) })
    }

    /// Records the departure of that part. Returns it, if the message has a tag.
    pub(in crate::link) fn once_part_sent(&mut self) -> Option<OncePart> {
        let once = self.once.front()?;
        let (tag, count) = (once.tag, count(once.batch.iter().next()?.len()));
        let is_first = self.once_parts == 0;
        self.once_parts += 1;
        if self.once_parts == count {
            (self.once_cut, self.once_parts) = (self.once_cut.wrapping_add(1), 0);
            self.once_sent(1);
        }
        tag.map(|tag| OncePart { tag, count, is_first })
    }

    /// Records the departure of the next `count` messages. Returns their tag.
    pub(in crate::link) fn once_sent(&mut self, count: usize) -> Option<u64> {
        let once = self.once.front_mut()?;
        let tag = once.tag;
        if count < once.batch.len() {
            self.bytes -= cost(&once.batch.split_to(count));
        } else if let Some(once) = self.once.pop_front() {
            self.bytes -= cost(&once.batch);
            self.pressing -= usize::from(once.class == Class::Content);
        }
        tag
    }
}
