//! Which of the other end's datagrams have arrived, and what to acknowledge: the receiving half
//! of the sequence number (RFC 9000 §13.2; the replay window as in RFC 4303 §3.4.3).

use crate::protocol::limits::{MAX_ACK_DELAY, REPLAY_WINDOW};
use crate::protocol::unwrap32;
use crate::time::Timestamp;
use std::time::Duration;

const WORDS: usize = (REPLAY_WINDOW / 64) as usize;
/// An acknowledgment leaves at the latest with every second datagram (RFC 9000 §13.2.2).
const ACK_EVERY: u8 = 2;

/// What a sequence number turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// Not seen before. `expected` is false when it came early or late (RFC 4737 §3).
    New { early: bool, late: bool },
    /// Seen before.
    Duplicate,
    /// So far behind the largest that nobody remembers.
    TooOld,
}

/// The state of one direction of reception.
#[derive(Clone, Debug, Default)]
pub(super) struct Arrivals {
    largest: Option<u64>,
    first: u64,
    unique: u64,
    largest_at: Timestamp,
    /// Bit `sequence % REPLAY_WINDOW`; valid for the window that ends at `largest`.
    seen: [u64; WORDS],
    unacknowledged: u8,
    due: Option<Timestamp>,
}

impl Arrivals {
    /// Takes note of a sequence number from the wire.
    pub(super) fn register(&mut self, wire: u32, now: Timestamp) -> Arrival {
        let Some(largest) = self.largest else {
            // One cycle up, so that an earlier one that was overtaken has room below.
            let sequence = (1 << 32) + u64::from(wire);
            self.largest = Some(sequence);
            self.first = sequence;
            self.accept(sequence, now);
            return Arrival::New { early: false, late: false };
        };
        let sequence = unwrap32(wire, largest);
        if sequence > largest {
            for skipped in (largest + 1..=sequence).take(REPLAY_WINDOW as usize) {
                self.set(skipped, false);
            }
            if sequence - largest > REPLAY_WINDOW {
                self.seen = [0; WORDS];
            }
            self.largest = Some(sequence);
            self.accept(sequence, now);
            return Arrival::New { early: sequence != largest + 1, late: false };
        }
        if largest - sequence >= REPLAY_WINDOW {
            return Arrival::TooOld;
        }
        if self.is_set(sequence) {
            return Arrival::Duplicate;
        }
        self.first = self.first.min(sequence);
        self.set(sequence, true);
        self.unique += 1;
        Arrival::New { early: false, late: true }
    }

    /// Whether a sequence number from the wire would be larger than all so far.
    pub(super) fn is_newer(&self, wire: u32) -> bool {
        self.largest.is_none_or(|largest| unwrap32(wire, largest) > largest)
    }

    /// The datagram just registered asks for an acknowledgment: now, or when there is company.
    pub(super) fn elicit(&mut self, at_once: bool, now: Timestamp) {
        self.unacknowledged = self.unacknowledged.saturating_add(1);
        let due =
            if at_once || self.unacknowledged >= ACK_EVERY { now } else { now + MAX_ACK_DELAY };
        self.due = Some(self.due.map_or(due, |earlier| earlier.min(due)));
    }

    /// When an acknowledgment has to leave, if one does.
    pub(super) fn due(&self) -> Option<Timestamp> {
        self.due
    }

    /// The header fields: acknowledgment, bitmap, delay. They leave now, so nothing is due.
    pub(super) fn acknowledge(&mut self, now: Timestamp) -> Option<(u32, u64, Duration)> {
        let largest = self.largest?;
        let bitmap = (0..64)
            .filter(|i| largest > *i && self.is_set(largest - 1 - i))
            .fold(0, |bits, i| bits | 1 << i);
        let delay = now.since(self.largest_at);
        self.due = None;
        self.unacknowledged = 0;
        Some((largest as u32, bitmap, delay))
    }

    /// Datagrams that were sent to this end, as far as their numbers tell, and did not arrive.
    pub(super) fn missing(&self) -> u64 {
        self.largest.map_or(0, |largest| (largest - self.first + 1).saturating_sub(self.unique))
    }

    fn accept(&mut self, sequence: u64, now: Timestamp) {
        self.set(sequence, true);
        self.unique += 1;
        self.largest_at = now;
    }

    fn is_set(&self, sequence: u64) -> bool {
        let bit = sequence % REPLAY_WINDOW;
        self.seen[(bit / 64) as usize] >> (bit % 64) & 1 == 1
    }

    fn set(&mut self, sequence: u64, value: bool) {
        let bit = sequence % REPLAY_WINDOW;
        let mask = 1 << (bit % 64);
        let word = &mut self.seen[(bit / 64) as usize];
        *word = if value { *word | mask } else { *word & !mask };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(early: bool, late: bool) -> Arrival {
        Arrival::New { early, late }
    }

    #[test]
    fn each_number_counts_once_across_a_wrap() {
        let mut arrivals = Arrivals::default();
        let at = Timestamp::ZERO;
        assert_eq!(arrivals.register(u32::MAX, at), new(false, false));
        assert_eq!(arrivals.register(1, at), new(true, false));
        assert_eq!(arrivals.register(0, at), new(false, true));
        assert_eq!(arrivals.register(0, at), Arrival::Duplicate);
        assert_eq!(arrivals.register(u32::MAX, at), Arrival::Duplicate);
        assert_eq!(arrivals.register(u32::MAX - 1, at), new(false, true));
        assert_eq!(arrivals.missing(), 0);
        assert_eq!(arrivals.acknowledge(at), Some((1, 0b111, Duration::ZERO)));
    }

    #[test]
    fn a_jump_forgets_what_is_too_far_behind() {
        let mut arrivals = Arrivals::default();
        let at = Timestamp::ZERO;
        arrivals.register(10, at);
        assert_eq!(arrivals.register(10 + 5_000, at), new(true, false));
        assert_eq!(arrivals.register(10, at), Arrival::TooOld);
        assert_eq!(arrivals.register(5_009, at), new(false, true));
        assert_eq!(arrivals.register(10 + 5_000 - 1_023, at), new(false, true));
        assert_eq!(arrivals.missing(), 5_001 - 4);
    }

    #[test]
    fn the_second_datagram_is_acknowledged_at_once_the_first_a_little_later() {
        let mut arrivals = Arrivals::default();
        let at = Timestamp::from_micros(1_000);
        arrivals.register(0, at);
        arrivals.elicit(false, at);
        assert_eq!(arrivals.due(), Some(at + MAX_ACK_DELAY));
        arrivals.register(1, at);
        arrivals.elicit(false, at);
        assert_eq!(arrivals.due(), Some(at));
        let later = at + Duration::from_millis(3);
        assert_eq!(arrivals.acknowledge(later), Some((1, 1, Duration::from_millis(3))));
        assert_eq!(arrivals.due(), None);
    }
}
