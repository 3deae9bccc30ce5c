//! Detects steps of the system clock. Lines show that clock, but nothing else depends on it.

use crate::time::{Now, WallTime, micros};
use std::time::Duration;

/// Smaller steps are normal clock discipline.
const STEP: Duration = Duration::from_secs(10);

/// Difference of the two clocks at the last reading.
#[derive(Debug, Default)]
pub(super) struct ClockSteps {
    last: Option<Now>,
}

impl ClockSteps {
    /// A message if the wall clock stepped since the last call.
    pub(super) fn look(&mut self, now: Now) -> Option<String> {
        let last = self.last.replace(now)?;
        let expected = WallTime(last.wall.0.saturating_add(micros(now.mono.since(last.mono))));
        let step = now.wall.micros_since(expected);
        if step.unsigned_abs() < micros(STEP) {
            return None;
        }
        let seconds = step.unsigned_abs() / 1_000_000;
        Some(if step < 0 {
            format!(
                "the clock of this machine was put back by {seconds} s: lines keep their order, \
                 and later ones may be dated earlier"
            )
        } else {
            format!(
                "the clock of this machine was put forward by {seconds} s, or this machine slept: \
                 lines keep their order"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Timestamp;

    #[test]
    fn a_step_is_reported_once_and_drift_is_not() {
        let mut steps = ClockSteps::default();
        let mut told = |mono, wall| {
            let now = Now { mono: Timestamp::from_micros(mono), wall: WallTime(wall) };
            steps.look(now)
        };
        let hour = 3_600_000_000;
        assert_eq!(told(0, 9 * hour), None);
        assert_eq!(told(1_000_000, 9 * hour + 1_500_000), None);
        assert!(told(2_000_000, 8 * hour).is_some_and(|text| text.contains("back by 3602 s")));
        assert_eq!(told(3_000_000, 8 * hour + 1_000_000), None);
        assert!(told(4_000_000, 90 * hour).is_some_and(|text| text.contains("forward by")));
        assert!(told(5_000_000, 0).is_some_and(|text| text.contains("back by")));
    }
}
