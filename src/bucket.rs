//! A token bucket: how fast a peer may speak. Both ends keep one. The client waits until its bucket
//! has a token; the server charges each message to its own.
//!
//! A bucket is one moment: that at which it will be full (the virtual scheduling form of the
//! generic cell rate algorithm, ITU-T I.371). A message moves that moment on by one interval, and
//! passing time brings it nearer. Nothing is rounded, and nothing has to be refilled.

use crate::protocol::limits::{BURST, FLOOD_TOLERANCE, RATE, SLOW_DEBT};
use crate::time::Timestamp;
use std::time::Duration;

/// A burst of messages at once, then a rate in messages a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    burst: u16,
    rate: u16,
}

impl Limit {
    /// The default of a server.
    pub const USUAL: Self = Self { burst: BURST, rate: RATE };

    /// `None` if either is 0, which means no limit on the wire.
    #[must_use]
    pub const fn new(burst: u16, rate: u16) -> Option<Self> {
        if burst == 0 || rate == 0 { None } else { Some(Self { burst, rate }) }
    }

    /// Messages at once.
    #[must_use]
    pub const fn burst(self) -> u16 {
        self.burst
    }

    /// Messages a second after that.
    #[must_use]
    pub const fn rate(self) -> u16 {
        self.rate
    }

    /// The time in which `count` tokens come.
    #[must_use]
    pub(crate) fn time_for(self, count: usize) -> Duration {
        Duration::from_secs(1) / u32::from(self.rate) * u32::try_from(count).unwrap_or(u32::MAX)
    }
}

/// A token bucket.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    limit: Limit,
    full: Timestamp,
}

impl Bucket {
    /// A full bucket.
    #[must_use]
    pub(crate) fn new(limit: Limit, now: Timestamp) -> Self {
        Self { limit, full: now }
    }

    /// A bucket that will be full at `full`.
    #[must_use]
    pub(crate) fn full_at(limit: Limit, full: Timestamp) -> Self {
        Self { limit, full }
    }

    /// When it is full.
    #[must_use]
    pub(crate) fn full(&self) -> Timestamp {
        self.full
    }

    /// The same bucket under another limit: used tokens stay used.
    #[must_use]
    pub(crate) fn limited_to(self, limit: Limit) -> Self {
        Self { limit, ..self }
    }

    /// The limit that it enforces.
    #[must_use]
    pub(crate) fn limit(&self) -> Limit {
        self.limit
    }

    /// Takes tokens, whether they are there or not.
    pub(crate) fn take(&mut self, tokens: usize, now: Timestamp) {
        self.full = self.full.max(now) + self.limit.time_for(tokens);
    }

    /// When there is a token.
    #[must_use]
    pub(crate) fn ready(&self) -> Timestamp {
        self.ready_for(1)
    }

    /// When there are this many tokens, or all that the bucket holds.
    #[must_use]
    pub(crate) fn ready_for(&self, tokens: usize) -> Timestamp {
        self.full - self.limit.time_for(usize::from(self.limit.burst).saturating_sub(tokens))
    }

    /// How long it takes to pay for all tokens that were taken without being there.
    #[must_use]
    pub(crate) fn debt(&self, now: Timestamp) -> Duration {
        self.full.since(now).saturating_sub(self.limit.time_for(self.limit.burst.into()))
    }

    /// Whether the debt is more than jitter and a few questions explain. Then the sender is asked
    /// to wait.
    #[must_use]
    pub(crate) fn is_owing(&self, now: Timestamp) -> bool {
        self.debt(now) > self.limit.time_for(SLOW_DEBT)
    }

    /// Whether the debt is more than that of a sender that keeps to the limit, whatever the network
    /// does.
    #[must_use]
    pub(crate) fn is_broken(&self, now: Timestamp) -> bool {
        self.debt(now) > self.limit.time_for(FLOOD_TOLERANCE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_micros(1_000_000 + millis * 1_000)
    }

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_burst_at_once_and_then_one_after_another() {
        let mut bucket = Bucket::new(Limit::USUAL, at(0));
        for _ in 0..20 {
            assert!(bucket.ready() <= at(0));
            bucket.take(1, at(0));
        }
        for turn in 1..50 {
            assert_eq!((bucket.ready(), bucket.debt(at(turn * 100))), (at(turn * 100), ms(0)));
            bucket.take(1, at(turn * 100));
        }
        assert_eq!(bucket.ready(), at(5_000));
    }

    #[test]
    fn no_more_than_a_burst_is_ever_saved_up() {
        let mut bucket = Bucket::new(Limit::USUAL, at(0));
        for _ in 0..20 {
            bucket.take(1, at(3_600_000));
        }
        assert_eq!(bucket.ready(), at(3_600_100));
    }

    #[test]
    fn debts_are_paid_with_time_and_end_in_a_break() {
        let mut bucket = Bucket::new(Limit::USUAL, at(0));
        (0..25).for_each(|_| bucket.take(1, at(0)));
        assert_eq!((bucket.debt(at(0)), bucket.debt(at(400))), (ms(500), ms(100)));
        assert_eq!((bucket.debt(at(500)), bucket.ready()), (ms(0), at(600)));
        (0..FLOOD_TOLERANCE - 5).for_each(|_| bucket.take(1, at(0)));
        assert!(!bucket.is_broken(at(0)));
        bucket.take(1, at(0));
        assert!(bucket.is_broken(at(0)) && !bucket.is_broken(at(100)));
    }

    #[test]
    fn a_bucket_of_one_is_ready_one_interval_later() {
        let limit = Limit::new(1, 1).unwrap();
        let mut bucket = Bucket::new(limit, at(0));
        bucket.take(1, at(0));
        assert_eq!((bucket.ready(), bucket.debt(at(0))), (at(1_000), ms(0)));
        assert_eq!((Limit::new(0, 1), Limit::new(1, 0)), (None, None));
    }
}
