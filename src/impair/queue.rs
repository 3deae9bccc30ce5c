//! Queues: the bottleneck, then the delay line.

use crate::time::Timestamp;
use std::collections::{BTreeMap, VecDeque};

/// Limit on packets held at once, as common with netem. Further packets overflow.
pub const MAX_HELD: usize = 10_000;

/// A packet in the delay line.
#[derive(Clone, Debug)]
pub(super) struct Held<P> {
    pub(super) index: u64,
    pub(super) entered: Timestamp,
    pub(super) packet: P,
}

/// Packets by due time; at equal times by index, with the copy last.
#[derive(Clone, Debug)]
pub(super) struct DelayLine<P>(BTreeMap<(Timestamp, u64, bool), Held<P>>);

impl<P> Default for DelayLine<P> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<P> DelayLine<P> {
    pub(super) fn is_full(&self) -> bool {
        self.0.len() >= MAX_HELD
    }

    pub(super) fn insert(&mut self, due: Timestamp, copy: bool, held: Held<P>) {
        self.0.insert((due, held.index, copy), held);
    }

    pub(super) fn next_due(&self) -> Option<Timestamp> {
        self.0.first_key_value().map(|(&(due, ..), _)| due)
    }

    /// The next packet that is due, and whether it is a copy.
    pub(super) fn pop(&mut self, now: Timestamp) -> Option<(bool, Held<P>)> {
        self.next_due().filter(|&due| due <= now)?;
        self.0.pop_first().map(|((_, _, copy), held)| (copy, held))
    }
}

/// A link of limited rate behind a FIFO queue with tail drop.
#[derive(Clone, Debug)]
pub(super) struct Bottleneck {
    bits_per_second: u64,
    limit: usize,
    /// When the link becomes idle, nanoseconds. Small packets on a fast link take less than a
    /// microsecond, and rounding errors would accumulate.
    free_at: u128,
    /// When each queued packet will have been sent, including the one being sent.
    leaving: VecDeque<Timestamp>,
}

impl Bottleneck {
    pub(super) fn new(bits_per_second: u64, limit: usize) -> Self {
        let bits_per_second = bits_per_second.max(1);
        Self { bits_per_second, limit, free_at: 0, leaving: VecDeque::new() }
    }

    /// The time at which the packet's last bit leaves the link; `None` if the queue is full.
    pub(super) fn send(&mut self, bytes: usize, now: Timestamp) -> Option<Timestamp> {
        while self.leaving.front().is_some_and(|&gone| gone <= now) {
            self.leaving.pop_front();
        }
        if self.leaving.len() >= self.limit {
            return None;
        }
        let is_lost = (bytes as u128 * 8_000_000_000).div_ceil(self.bits_per_second.into());
        self.free_at = self.free_at.max(u128::from(now.as_micros()) * 1_000) + is_lost;
        let micros = u64::try_from(self.free_at.div_ceil(1_000)).unwrap_or(u64::MAX);
        let sent = Timestamp::from_micros(micros);
        self.leaving.push_back(sent);
        Some(sent)
    }
}
