//! The state of a receiver after each datagram of the hub (§7.3, §7.4).

use crate::grade::trace::{Seen, Trace};
use crate::protocol::Frame;
use crate::protocol::limits::{ACK_BITMAP, MESSAGE_WINDOW};
use std::collections::BTreeSet;

/// A receiver.
#[derive(Clone, Debug, Default)]
pub(in crate::grade) struct Receiver {
    numbers: BTreeSet<u32>,
    ids: BTreeSet<u16>,
    parts: BTreeSet<(u16, u16)>,
}

impl Receiver {
    /// Takes in a datagram. Scenarios are short, so no counter wraps.
    pub(super) fn take(&mut self, seen: &Seen<'_>) {
        if !self.numbers.insert(seen.header.sequence) {
            return;
        }
        for frame in &seen.frames {
            match *frame {
                Frame::Unordered { id, .. } | Frame::Ordered { id, .. } => self.keep(id),
                Frame::Part { id, part, .. } => {
                    self.parts.insert((id, part.index));
                    if (0..part.count).all(|index| self.parts.contains(&(id, index))) {
                        self.keep(id);
                    }
                }
                _ => {}
            }
        }
    }

    fn keep(&mut self, id: u16) {
        if u64::from(id) < u64::from(self.next()) + MESSAGE_WINDOW {
            self.ids.insert(id);
        }
    }

    /// The smallest id not received.
    pub(super) fn next(&self) -> u16 {
        (0..).find(|id| !self.ids.contains(id)).unwrap_or_default()
    }

    /// The largest number received.
    pub(super) fn largest(&self) -> Option<u32> {
        self.numbers.last().copied()
    }

    /// The bitmap that belongs to it.
    pub(super) fn bitmap(&self) -> u64 {
        let Some(largest) = self.largest() else { return 0 };
        let bits = (0..ACK_BITMAP as u32).filter(|bit| {
            largest.checked_sub(1 + bit).is_some_and(|number| self.numbers.contains(&number))
        });
        bits.fold(0, |bitmap, bit| bitmap | 1 << bit)
    }
}

/// The datagrams that the client's receiver takes in: those of its session from `Welcome` on.
pub(super) fn arrivals(trace: &Trace) -> Vec<Seen<'_>> {
    let Some((welcome, session)) = trace.welcome() else { return Vec::new() };
    trace
        .received()
        .filter(|seen| seen.index >= welcome && seen.header.session == session)
        .collect()
}

/// The id of the next message that the client expects.
pub(in crate::grade) fn next_id(trace: &Trace) -> u16 {
    let mut receiver = Receiver::default();
    arrivals(trace).iter().for_each(|seen| receiver.take(seen));
    receiver.next()
}
