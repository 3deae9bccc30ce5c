//! quinn-proto's time.

use crate::time::Timestamp;
use std::time::{Duration, Instant};

/// Timestamps as quinn-proto's instants. An instant has no origin of its own, so one reading of
/// the clock stands for the first timestamp; only differences matter.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    origin: Instant,
    at: Timestamp,
}

impl Clock {
    pub(super) fn new(at: Timestamp) -> Self {
        Self { origin: Instant::now(), at }
    }

    pub(super) fn instant(&self, now: Timestamp) -> Instant {
        self.origin + now.since(self.at)
    }

    /// Rounded up: at this time the instant has passed.
    pub(super) fn timestamp(&self, instant: Instant) -> Timestamp {
        let since = instant.saturating_duration_since(self.origin);
        let up = Duration::from_nanos(999);
        self.at + since.saturating_add(up)
    }
}
