//! The send schedule. It is fixed by the seed before the run begins: an open loop, in which neither
//! an answer nor a wait for one moves a later message.

use crate::protocol::{ClientMessage, Say, encode_message, limits};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::time::Duration;

/// Intended send times, in microseconds since the run's epoch.
#[derive(Debug)]
pub(super) struct Schedule {
    /// Each sender's offset within its first interval, so that senders are not synchronised.
    phases: Vec<u64>,
    rate: f64,
    each: u64,
}

impl Schedule {
    /// `rate` messages per second for each of `senders`, for `duration`; at least one message each.
    pub(super) fn new(senders: usize, rate: f64, duration: Duration, seed: u64) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let interval = 1e6 / rate;
        let mut phase = || ((rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64 * interval) as u64;
        let phases = (0..senders).map(|_| phase()).collect();
        // 0.1 s at 30 per second is 3 messages, although the floating-point product exceeds 3.
        let each = (duration.as_secs_f64() * rate - 1e-6).ceil().max(1.0) as u64;
        Self { phases, rate, each }
    }

    /// Messages per sender.
    pub(super) fn each(&self) -> u64 {
        self.each
    }

    /// Messages of all senders.
    pub(super) fn total(&self) -> u64 {
        self.each * self.phases.len() as u64
    }

    /// The intended time of a message; `None` if there is no such message.
    pub(super) fn intended(&self, sender: usize, id: u64) -> Option<u64> {
        let phase = self.phases.get(sender).filter(|_| id < self.each)?;
        // Not a sum of intervals: rounding errors must not accumulate.
        Some(phase + (id as f64 * 1e6 / self.rate) as u64)
    }

    /// The intended time of the last message.
    pub(super) fn end(&self) -> u64 {
        let last = |sender| self.intended(sender, self.each - 1);
        (0..self.phases.len()).filter_map(last).max().unwrap_or(0)
    }
}

/// A message's text: its number, padded with `x` to `size` bytes.
pub(super) fn text(id: u64, size: u32) -> String {
    let size = size as usize;
    let mut text = format!("{id} ");
    text.extend(std::iter::repeat_n('x', size.saturating_sub(text.len())));
    text
}

/// The tokens that a message of this size takes from the bucket of a server's rate limit.
pub(super) fn tokens(size: u32) -> usize {
    let message = Say { number: 0, sent: 1_800_000_000_000_000, text: &text(0, size) };
    limits::tokens(encode_message(&ClientMessage::Say(message)).len())
}

/// The number at the beginning of a text.
pub(in crate::lab) fn message_id(text: &str) -> Option<u64> {
    text.split_once(' ')?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_evenly_spaced_after_a_phase_within_the_first_interval() {
        let schedule = Schedule::new(20, 30.0, Duration::from_secs(1), 7);
        assert_eq!((schedule.each(), schedule.total()), (30, 600));
        let phases: Vec<_> = (0..20).filter_map(|sender| schedule.intended(sender, 0)).collect();
        assert!(phases.iter().all(|phase| *phase < 33_334), "{phases:?}");
        assert!(phases.iter().any(|phase| *phase != phases[0]), "in chorus");
        assert_eq!(schedule.intended(3, 29), Some(phases[3] + 966_666));
        assert_eq!(schedule.intended(3, 30), None);
        assert_eq!(Some(schedule.end()), phases.iter().max().map(|phase| phase + 966_666));
    }

    #[test]
    fn only_the_seed_decides_the_phases() {
        let phase = |seed| Schedule::new(1, 1.0, Duration::from_secs(1), seed).intended(0, 0);
        assert_eq!(phase(1), phase(1));
        assert_ne!(phase(1), phase(2));
        let each = |rate, millis| Schedule::new(1, rate, Duration::from_millis(millis), 1).each();
        assert_eq!((each(30.0, 100), each(0.1, 100), each(50.0, 5_000)), (3, 1, 250));
    }

    #[test]
    fn a_text_carries_its_number_in_the_given_size() {
        assert_eq!(text(7, 16), "7 xxxxxxxxxxxxxx");
        assert_eq!(message_id(&text(123_456, 1_000)), Some(123_456));
        assert_eq!((message_id("hello there"), message_id("7")), (None, None));
    }
}
