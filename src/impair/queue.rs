//! Where packets wait: for their turn on a slow line, then for their delay to pass.

use crate::time::Timestamp;
use std::collections::{BTreeMap, VecDeque};

/// How many packets are held at once, as netem's usual limits go. What comes on top overflows.
pub const MOST_HELD: usize = 10_000;

/// A packet on its way.
#[derive(Clone, Debug)]
pub(super) struct Held<P> {
    pub(super) index: u64,
    pub(super) entered: Timestamp,
    pub(super) packet: P,
}

/// Packets by the moment they are due; of those due together, by index, the copy last.
#[derive(Clone, Debug)]
pub(super) struct DelayLine<P>(BTreeMap<(Timestamp, u64, bool), Held<P>>);

impl<P> Default for DelayLine<P> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<P> DelayLine<P> {
    pub(super) fn is_full(&self) -> bool {
        self.0.len() >= MOST_HELD
    }

    pub(super) fn insert(&mut self, due: Timestamp, copy: bool, held: Held<P>) {
        self.0.insert((due, held.index, copy), held);
    }

    pub(super) fn next_due(&self) -> Option<Timestamp> {
        self.0.first_key_value().map(|(&(due, ..), _)| due)
    }

    pub(super) fn pop(&mut self, now: Timestamp) -> Option<Held<P>> {
        self.next_due().filter(|&due| due <= now)?;
        self.0.pop_first().map(|(_, held)| held)
    }
}

/// A line of a given rate with a queue before it: first in, first out, tail drop.
#[derive(Clone, Debug)]
pub(super) struct Bottleneck {
    bits_per_second: u64,
    limit: usize,
    /// When the line has sent all it has, nanoseconds: small packets on a fast line take less than a
    /// microsecond, and the error would add up.
    free_at: u128,
    /// When each packet in the queue will have been sent, the one on the line included.
    leaving: VecDeque<Timestamp>,
}

impl Bottleneck {
    pub(super) fn new(bits_per_second: u64, limit: usize) -> Self {
        let bits_per_second = bits_per_second.max(1);
        Self { bits_per_second, limit, free_at: 0, leaving: VecDeque::new() }
    }

    /// When the last bit of a packet leaves the line; nothing if the queue is full.
    pub(super) fn send(&mut self, bytes: usize, now: Timestamp) -> Option<Timestamp> {
        while self.leaving.front().is_some_and(|&gone| gone <= now) {
            self.leaving.pop_front();
        }
        if self.leaving.len() >= self.limit {
            return None;
        }
        let takes = (bytes as u128 * 8_000_000_000).div_ceil(self.bits_per_second.into());
        self.free_at = self.free_at.max(u128::from(now.as_micros()) * 1_000) + takes;
        let micros = u64::try_from(self.free_at.div_ceil(1_000)).unwrap_or(u64::MAX);
        let sent = Timestamp::from_micros(micros);
        self.leaving.push_back(sent);
        Some(sent)
    }
}
