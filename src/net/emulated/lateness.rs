//! How late packets leave the router.

use crate::time::micros;
use std::time::Duration;

/// Width of a step of the histogram, microseconds, and the number of steps.
const STEP_US: u64 = 100;
const STEPS: usize = 10_000;

/// A histogram of lateness.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lateness {
    counts: Vec<u32>,
    max: Duration,
}

impl Default for Lateness {
    fn default() -> Self {
        Self { counts: vec![0; STEPS], max: Duration::ZERO }
    }
}

impl Lateness {
    pub(super) fn note(&mut self, late: Duration) {
        let step = usize::try_from(micros(late) / STEP_US).unwrap_or(STEPS).min(STEPS - 1);
        self.counts[step] = self.counts[step].saturating_add(1);
        self.max = self.max.max(late);
    }

    pub(super) fn merge(&mut self, other: &Self) {
        for (mine, its) in self.counts.iter_mut().zip(&other.counts) {
            *mine = mine.saturating_add(*its);
        }
        self.max = self.max.max(other.max);
    }

    /// The largest lateness.
    #[must_use]
    pub fn max(&self) -> Duration {
        self.max
    }

    /// The 99th percentile by nearest rank, rounded up to 100 µs; zero without packets.
    #[must_use]
    pub fn p99(&self) -> Duration {
        let total: u64 = self.counts.iter().copied().map(u64::from).sum();
        let rank = (total * 99).div_ceil(100);
        let mut seen = 0;
        for (count, step) in self.counts.iter().zip(1..) {
            seen += u64::from(*count);
            if seen >= rank && total > 0 {
                return Duration::from_micros(step * STEP_US).min(self.max);
            }
        }
        Duration::ZERO
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_percentile_is_that_of_all_packets() {
        let mut up = Lateness::default();
        assert_eq!((up.p99(), up.max()), (Duration::ZERO, Duration::ZERO));
        (0..98).for_each(|_| up.note(Duration::from_micros(40)));
        let mut down = Lateness::default();
        down.note(Duration::from_micros(7_010));
        down.note(Duration::from_secs(90));
        up.merge(&down);
        assert_eq!((up.p99(), up.max()), (Duration::from_micros(7_100), Duration::from_secs(90)));
    }
}
