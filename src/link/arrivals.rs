//! The receiving half of the sequence number space (RFC 9000 §13.2): duplicates, gaps, and when to
//! acknowledge. The replay window is that of RFC 4303 §3.4.3.

use crate::protocol::limits::{
    ACK_BYTES, ACK_DATAGRAMS, ACK_INTERVAL, LAZY_ACK_DELAY, MAX_ACK_DELAY, REPLAY_WINDOW, STEADY,
};
use crate::protocol::unwrap32;
use crate::time::Timestamp;
use std::time::Duration;

const WORDS: usize = (REPLAY_WINDOW / 64) as usize;

/// How long an acknowledgment may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Urgency {
    /// `LAZY_ACK_DELAY`: the sender retransmits nothing of it.
    Lazy,
    /// `MAX_ACK_DELAY`: the sender keeps its messages until then.
    Soon,
    /// Not at all: the sender asked for it.
    AtOnce,
    /// Not at all: something is missing.
    Missing,
}

/// Classification of a sequence number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// Not seen before; `early` or `late` if out of order (RFC 4737 §3).
    New { early: bool, late: bool },
    /// Seen before.
    Duplicate,
    /// Below the replay window.
    TooOld,
}

/// The state of the receiving direction.
#[derive(Clone, Debug, Default)]
#[repr(C)]
pub(super) struct Arrivals {
    /// Bit `sequence % REPLAY_WINDOW`; valid for the window that ends at `largest`.
    seen: [u64; WORDS],
    first: u64,
    unique: u64,
    largest: Option<u64>,
    /// Bit i: `largest - 1 - i` has arrived.
    bitmap: u64,
    largest_at: Timestamp,
    /// Ack-eliciting datagrams since the last acknowledgment, and their bytes.
    unacknowledged: u32,
    unacknowledged_bytes: u32,
    /// Of these, those with [`Urgency::Soon`].
    unacknowledged_soon: u32,
    /// Datagrams since the last pause, late datagram or loss that had to be repaired.
    steady: u32,
    /// Datagrams since the last late one.
    since_late: Option<u32>,
    /// Departure of the last acknowledgment.
    acknowledged_at: Option<Timestamp>,
    due: Option<Timestamp>,
}

impl Arrivals {
    /// Registers a sequence number from the wire.
    pub(super) fn register(&mut self, wire: u32, now: Timestamp) -> Arrival {
        let Some(largest) = self.largest else {
            // One cycle up, so that earlier numbers can follow.
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
            let step = u32::try_from(sequence - largest).unwrap_or(u32::MAX);
            let newest = 1_u64.checked_shl(step - 1).unwrap_or(0);
            self.bitmap = self.bitmap.checked_shl(step).unwrap_or(0) | newest;
            self.largest = Some(sequence);
            let streams = now.since(self.largest_at) < ACK_INTERVAL;
            self.steady = if streams { self.steady.saturating_add(1) } else { 0 };
            self.accept(sequence, now);
            self.since_late = self.since_late.map(|since| since.saturating_add(1));
            return Arrival::New { early: sequence != largest + 1, late: false };
        }
        if largest - sequence >= REPLAY_WINDOW {
            return Arrival::TooOld;
        }
        if self.is_set(sequence) {
            return Arrival::Duplicate;
        }
        self.first = self.first.min(sequence);
        self.bitmap |= 1_u64.checked_shl((largest - sequence - 1) as u32).unwrap_or(0);
        self.set(sequence, true);
        self.unique += 1;
        self.steady = 0;
        self.since_late = Some(0);
        Arrival::New { early: false, late: true }
    }

    /// Whether datagrams came late recently: then an early one is no sign of loss.
    pub(super) fn reorders(&self) -> bool {
        self.since_late.is_some_and(|since| since < STEADY)
    }

    /// Whether a sequence number from the wire is larger than all so far.
    pub(super) fn is_newer(&self, wire: u32) -> bool {
        self.largest.is_none_or(|largest| unwrap32(wire, largest) > largest)
    }

    /// The datagram just registered, of `bytes` bytes, is ack-eliciting. An acknowledgment costs a
    /// datagram, so it waits: for a datagram that leaves anyway, for others to acknowledge, and
    /// longer where nothing depends on it (RFC 9000 §13.2.2 leaves this to the receiver).
    pub(super) fn elicit(&mut self, urgency: Urgency, bytes: usize, now: Timestamp) {
        if urgency == Urgency::Missing {
            self.steady = 0;
        }
        self.unacknowledged += 1;
        self.unacknowledged_bytes = self.unacknowledged_bytes.saturating_add(bytes as u32);
        self.unacknowledged_soon += u32::from(urgency == Urgency::Soon);
        // After a loss or reordering the sender needs the acknowledgment sooner.
        let interval = if self.steady >= STEADY { ACK_INTERVAL } else { MAX_ACK_DELAY };
        let many = self.unacknowledged >= ACK_DATAGRAMS || self.unacknowledged_bytes >= ACK_BYTES;
        let due = match urgency {
            _ if many => now,
            Urgency::AtOnce | Urgency::Missing => now,
            // The second datagram is acknowledged at once (RFC 9000 §13.2.2), but in a steady
            // stream only every `ACK_INTERVAL`.
            Urgency::Soon if self.unacknowledged_soon > 1 => {
                self.acknowledged_at.map_or(now, |last| now.max(last + interval))
            }
            Urgency::Soon => {
                let due = now + MAX_ACK_DELAY;
                self.acknowledged_at.map_or(due, |last| due.max(last + interval))
            }
            Urgency::Lazy => now + LAZY_ACK_DELAY,
        };
        self.due = Some(self.due.map_or(due, |earlier| earlier.min(due)));
    }

    /// When an acknowledgment is due, if one is.
    pub(super) fn due(&self) -> Option<Timestamp> {
        self.due
    }

    /// The header fields: acknowledgment, bitmap, delay.
    pub(super) fn newest(&self, now: Timestamp) -> Option<(u32, u64, Duration)> {
        Some((self.largest? as u32, self.bitmap, now.since(self.largest_at)))
    }

    /// The same for a departing datagram: no acknowledgment is due afterwards.
    pub(super) fn acknowledge(&mut self, now: Timestamp) -> Option<(u32, u64, Duration)> {
        let newest = self.newest(now)?;
        self.due = None;
        (self.unacknowledged, self.unacknowledged_bytes) = (0, 0);
        self.unacknowledged_soon = 0;
        self.acknowledged_at = Some(now);
        Some(newest)
    }

    /// Datagrams missing among the sequence numbers up to the largest.
    pub(super) fn missing(&self) -> u64 {
        self.largest.map_or(0, |largest| (largest - self.first + 1).saturating_sub(self.unique))
    }

    /// Share of missing datagrams among the 64 before the largest sequence number and itself, in
    /// thousandths; `None` before the second number.
    pub(super) fn loss_per_mille(&self) -> Option<u32> {
        let span = (self.largest? - self.first).min(64) as u32;
        let mask = u64::MAX.checked_shr(64 - span).unwrap_or(0);
        let missing = span.checked_sub((self.bitmap & mask).count_ones())?;
        (span > 0).then(|| missing * 1_000 / (span + 1))
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
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn new(early: bool, late: bool) -> Arrival {
        Arrival::New { early, late }
    }

    #[test]
    fn each_sequence_number_counts_once_across_a_wrap() {
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
    fn the_recent_loss_is_that_of_the_newest_and_forgives_late_ones() {
        let at = Timestamp::ZERO;
        let mut arrivals = Arrivals::default();
        arrivals.register(0, at);
        assert_eq!(arrivals.loss_per_mille(), None);
        arrivals.register(3, at);
        assert_eq!(arrivals.loss_per_mille(), Some(500), "two of four");
        arrivals.register(1, at);
        assert_eq!(arrivals.loss_per_mille(), Some(250), "late is not lost");
        (4..68).for_each(|sequence| _ = arrivals.register(sequence, at));
        assert_eq!(arrivals.loss_per_mille(), Some(0), "no one of the newest is missing");
    }

    #[test]
    fn the_bitmap_is_right_at_every_offset_of_the_window() {
        let at = Timestamp::ZERO;
        let mut arrivals = Arrivals::default();
        let arrived = |sequence: u32| !sequence.is_multiple_of(3) && !sequence.is_multiple_of(7);
        for sequence in (0..3_000).filter(|sequence| arrived(*sequence)) {
            arrivals.register(sequence, at);
            let (ack, bitmap, _) = arrivals.acknowledge(at).unwrap();
            let expected = (0..64).filter(|i| *i < sequence && arrived(sequence - 1 - i));
            assert_eq!((ack, bitmap), (sequence, expected.fold(0, |bits, i| bits | 1 << i)));
        }
    }

    #[test]
    fn a_jump_forgets_numbers_below_the_replay_window() {
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
    fn acknowledgments_are_delayed_within_their_bounds() {
        use Urgency::{AtOnce, Lazy, Soon};
        let at = Timestamp::from_micros(1_000_000);
        let pause = Duration::from_millis(10);
        // Sizes and urgency of datagrams, and when the acknowledgment is due if the last left a
        // pause ago.
        let cases: [(&[(usize, Urgency)], Duration); 7] = [
            (&[(100, Soon)], MAX_ACK_DELAY),
            (&[(100, Soon), (100, Soon)], MAX_ACK_DELAY - pause),
            (&[(100, Lazy), (100, Lazy)], LAZY_ACK_DELAY),
            (&[(100, Lazy), (100, Soon), (100, Lazy)], MAX_ACK_DELAY),
            (&[(100, Lazy), (100, AtOnce)], Duration::ZERO),
            (&[(1_200, Lazy); 8], Duration::ZERO),
            (&[(100, Soon); 32], Duration::ZERO),
        ];
        for (datagrams, wait) in cases {
            let mut arrivals =
                Arrivals { acknowledged_at: Some(at - pause), ..Arrivals::default() };
            for (sequence, (bytes, urgency)) in datagrams.iter().enumerate() {
                assert!(arrivals.due() != Some(at), "not yet: {datagrams:?}");
                arrivals.register(sequence as u32, at);
                arrivals.elicit(*urgency, *bytes, at);
            }
            assert_eq!(arrivals.due(), Some(at + wait), "{datagrams:?}");
            let later = at + Duration::from_millis(3);
            let (ack, _, delay) = arrivals.acknowledge(later).unwrap();
            assert_eq!((ack as usize, delay.as_millis()), (datagrams.len() - 1, 3));
            assert_eq!(arrivals.due(), None);
        }
        let mut fresh = Arrivals::default();
        for sequence in 0..2 {
            fresh.register(sequence, at);
            fresh.elicit(Soon, 100, at);
        }
        assert_eq!(fresh.due(), Some(at), "the second of all");
    }

    #[test]
    fn a_steady_stream_is_acknowledged_less_often_until_a_message_is_missing() {
        use Urgency::{Missing, Soon};
        let mut arrivals = Arrivals::default();
        // `lost` does not arrive; what its successor says about that is `after`.
        let mut acknowledged = |from: u32, to: u32, lost: Option<u32>, after| {
            let mut count = 0;
            for sequence in from..to {
                let at = Timestamp::from_micros(u64::from(sequence) * 20_000);
                if arrivals.due().is_some_and(|due| due <= at) {
                    arrivals.acknowledge(at);
                    count += 1;
                }
                if Some(sequence) != lost {
                    arrivals.register(sequence, at);
                    let urgency = if sequence.checked_sub(1) == lost { after } else { Soon };
                    arrivals.elicit(urgency, 100, at);
                }
            }
            count
        };
        let first = acknowledged(0, 60, None, Soon);
        acknowledged(60, 100, None, Soon);
        let steady = acknowledged(100, 160, None, Soon);
        assert!(first > steady, "{first} > {steady}");
        assert!(steady <= 60 / 3 + 1, "{steady}");
        assert!(acknowledged(160, 220, Some(165), Soon) <= steady, "copies repaired it");
        assert!(acknowledged(220, 280, Some(225), Missing) >= 60 / 2 - 2);
    }

    /// Each line and its copies, with pauses: the sender's probe timeout counts on `MAX_ACK_DELAY`.
    #[test]
    fn messages_with_pauses_are_no_steady_stream() {
        let mut arrivals = Arrivals::default();
        for sequence in 0..3 * STEADY {
            let millis = u64::from(200 * (sequence / 3) + 12 * (sequence % 3));
            let at = Timestamp::from_micros(1_000 * millis);
            if arrivals.due().is_some_and(|due| due <= at) {
                arrivals.acknowledge(at);
            }
            arrivals.register(sequence, at);
            arrivals.elicit(Urgency::Soon, 100, at);
            assert!(arrivals.due().is_some_and(|due| due <= at + MAX_ACK_DELAY), "{sequence}");
        }
    }
}
