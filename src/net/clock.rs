//! The only code of the library that reads clocks.

use crate::time::{Now, Timestamp, WallTime, micros};
use std::time::{Duration, Instant, SystemTime};

/// Both clocks; the monotonic one starts at 0.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    epoch: Instant,
}

impl Clock {
    /// Starts a clock, whose epoch is now.
    #[must_use]
    pub fn start() -> Self {
        Self { epoch: Instant::now() }
    }

    /// Reads both clocks. A wall clock before 1970 reads as 1970.
    #[must_use]
    pub fn now(&self) -> Now {
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Now {
            mono: Timestamp::from_micros(micros(self.epoch.elapsed())),
            wall: WallTime(micros(wall)),
        }
    }

    /// The time left until `deadline`; zero if it has passed.
    #[must_use]
    pub fn until(&self, deadline: Timestamp) -> Duration {
        deadline.since(self.now().mono)
    }
}
