//! Messages longer than a datagram of the path: cutting and reassembly.
//!
//! A message is cut after every [`PART_SIZE`] bytes, whatever the path carries. So the parts of two
//! transmissions agree although the path changed in between, and no two parts overlap: RFC 8900 §3
//! lists attacks with overlapping fragments.

use super::outbox::FRAME_OVERHEAD;
use crate::protocol::limits::{MAX_ASSEMBLIES, MAX_PARTS, PART_SIZE, REASSEMBLY};
use crate::protocol::{HEADER_LEN, Part};
use crate::time::Timestamp;
use std::collections::VecDeque;

/// Whether a message of this length fits whole into a datagram of `limit` bytes.
pub(super) fn fits(length: usize, limit: usize) -> bool {
    HEADER_LEN + FRAME_OVERHEAD + length <= limit
}

/// Number of parts of a message of this length.
pub(super) fn count(length: usize) -> u16 {
    length.div_ceil(PART_SIZE) as u16
}

/// One part of a message.
pub(super) fn part(message: &[u8], index: u16) -> Part<'_> {
    let payload = message.chunks(PART_SIZE).nth(index.into()).unwrap_or_default();
    Part { index, count: count(message.len()), payload }
}

/// A set of parts of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Parts(u8);

impl Parts {
    pub(super) const NONE: Self = Self(0);
    /// The whole message, for any number of parts.
    pub(super) const WHOLE: Self = Self(u8::MAX);

    /// Every part of a message of this length.
    pub(super) fn all(length: usize) -> Self {
        Self((1 << count(length)) - 1)
    }

    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(super) fn has(self, index: u16) -> bool {
        self.0 >> index & 1 == 1
    }

    pub(super) fn insert(&mut self, index: u16) {
        self.0 |= 1 << index;
    }

    pub(super) fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub(super) fn of(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(super) fn indices(self) -> impl Iterator<Item = u16> {
        (0..MAX_PARTS as u16).filter(move |index| self.has(*index))
    }
}

/// A message with some parts received.
#[derive(Debug)]
pub(super) struct Assembly {
    count: u16,
    parts: [Option<Box<[u8]>>; MAX_PARTS],
}

impl Assembly {
    /// Makes an empty assembly for the message of this part.
    pub(super) fn new(part: &Part<'_>) -> Self {
        Self { count: part.count, parts: Default::default() }
    }

    /// Adds a sound part; returns the message with the last one. A part with another count is
    /// ignored: it contradicts the first.
    pub(super) fn add(&mut self, part: &Part<'_>) -> Option<Vec<u8>> {
        if part.count == self.count {
            self.parts[usize::from(part.index)] = Some(part.payload.into());
        }
        let parts = &self.parts[..self.count.into()];
        let complete = parts.iter().all(Option::is_some);
        complete.then(|| parts.iter().flatten().flat_map(|part| part.iter().copied()).collect())
    }
}

/// Incomplete messages that were sent once. Their number and age are bounded, because a lost part
/// does not come again.
#[derive(Debug, Default)]
pub(super) struct Assemblies {
    begun: VecDeque<(u16, Timestamp, Assembly)>,
}

impl Assemblies {
    /// Takes in a sound part of a message; returns the message with the last one.
    pub(super) fn receive(
        &mut self,
        number: u16,
        part: &Part<'_>,
        now: Timestamp,
    ) -> Option<Vec<u8>> {
        self.forget_old(now);
        let known = self.begun.iter().position(|(other, ..)| *other == number);
        let index = known.unwrap_or_else(|| {
            if self.begun.len() == MAX_ASSEMBLIES {
                self.begun.pop_front();
            }
            self.begun.push_back((number, now, Assembly::new(part)));
            self.begun.len() - 1
        });
        let message = self.begun.get_mut(index)?.2.add(part)?;
        self.begun.remove(index);
        Some(message)
    }

    /// Drops the messages older than [`REASSEMBLY`].
    pub(super) fn forget_old(&mut self, now: Timestamp) {
        while self.begun.front().is_some_and(|(_, since, _)| *since + REASSEMBLY <= now) {
            self.begun.pop_front();
        }
        if self.begun.is_empty() && self.begun.capacity() > 0 {
            self.begun = VecDeque::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::limits::MAX_MESSAGE;

    fn parts(message: &[u8]) -> Vec<Part<'_>> {
        (0..count(message.len())).map(|index| part(message, index)).collect()
    }

    #[test]
    fn parts_are_sound_and_reassemble_in_any_order() {
        for length in [PART_SIZE + 1, 2 * PART_SIZE, 2 * PART_SIZE + 1, MAX_MESSAGE] {
            let message: Vec<_> = (0..length).map(|at| (at % 251) as u8).collect();
            let parts = parts(&message);
            assert!(parts.len() <= MAX_PARTS && parts.iter().all(Part::is_sound));
            for first in 0..parts.len() {
                let mut assembly = Assembly::new(&parts[0]);
                let turned = parts[first..].iter().chain(&parts[..first]);
                // Each part comes twice; the duplicate changes nothing.
                let joined: Vec<_> =
                    turned.flat_map(|it| [it, it]).filter_map(|it| assembly.add(it)).collect();
                assert!(joined.iter().all(|it| *it == message) && !joined.is_empty());
            }
        }
    }

    #[test]
    fn parts_cut_against_the_rules_are_refused() {
        let full = [7; PART_SIZE + 1];
        let sound =
            |index, count, length| Part { index, count, payload: &full[..length] }.is_sound();
        assert!(sound(0, 2, PART_SIZE) && sound(1, 2, 1) && sound(1, 2, PART_SIZE));
        assert!(!sound(0, 1, PART_SIZE) && !sound(0, 0, PART_SIZE), "not cut");
        assert!(!sound(2, 2, 1) && !sound(u16::MAX, u16::MAX, 1), "no such part");
        assert!(!sound(0, MAX_PARTS as u16 + 1, PART_SIZE), "too many");
        assert!(!sound(0, 2, PART_SIZE - 1) && !sound(0, 2, PART_SIZE + 1), "cut elsewhere");
        assert!(!sound(1, 2, 0) && !sound(1, 2, PART_SIZE + 1), "cut elsewhere");
        let left = MAX_MESSAGE - 2 * PART_SIZE;
        assert!(sound(2, 3, left) && !sound(2, 3, left + 1), "too long");
    }

    #[test]
    fn incomplete_messages_expire() {
        let at = |seconds: u64| Timestamp::from_micros(seconds * 1_000_000);
        let message = [7; PART_SIZE + 1];
        let parts = parts(&message);
        let mut assemblies = Assemblies::default();
        for number in 0..1_000 {
            assert_eq!(assemblies.receive(number, &parts[0], at(0)), None);
            assert!(assemblies.begun.len() <= MAX_ASSEMBLIES);
        }
        assert_eq!(assemblies.receive(999, &parts[1], at(1)), Some(message.to_vec()));
        assert_eq!(assemblies.receive(991, &parts[1], at(1)), None, "its first part has expired");
        assert_eq!(assemblies.receive(998, &parts[1], at(5)), None, "it is too old");
        assemblies.forget_old(at(10));
        assert!(assemblies.begun.is_empty());
    }
}
