//! How often a condition is measured.

use crate::lab::metrics::ENOUGH;
use crate::quantity;
use serde::{Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// Runs per condition and mode.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Repetitions {
    /// This many.
    Fixed(u32),
    /// Until the interval of each figure is narrow.
    Auto {
        /// The largest width of an interval, in percent of its median.
        percent: f64,
        /// The limit on repetitions.
        most: u32,
    },
}

impl Repetitions {
    /// `auto` without its parts.
    pub const AUTO: Self = Self::Auto { percent: 10.0, most: 20 };

    /// The limit on repetitions.
    #[must_use]
    pub const fn most(self) -> u32 {
        match self {
            Self::Fixed(number) | Self::Auto { most: number, .. } => number,
        }
    }

    /// The largest width of an interval, in percent of its median; `None` for a fixed number.
    #[must_use]
    pub const fn percent(self) -> Option<f64> {
        match self {
            Self::Fixed(_) => None,
            Self::Auto { percent, .. } => Some(percent),
        }
    }
}

impl fmt::Display for Repetitions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(number) => number.fmt(f),
            Self::Auto { percent, most } => write!(f, "auto:{percent}%:{most}"),
        }
    }
}

impl FromStr for Repetitions {
    type Err = quantity::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let count = |text: &str, range| quantity::count(text, range, "repetitions");
        let mut parts = text.trim().splitn(3, ':');
        let Self::Auto { percent, most } = Self::AUTO else { return Ok(Self::AUTO) };
        if parts.next() != Some("auto") {
            return count(text, &quantity::REPETITIONS).map(Self::Fixed);
        }
        let percent = parts.next().map_or(Ok(percent), quantity::percent)?;
        let range = ENOUGH..=*quantity::REPETITIONS.end();
        let most = parts.next().map_or(Ok(most), |text| count(text, &range))?;
        Ok(Self::Auto { percent, most })
    }
}

/// A number, or the text that parses to the same value.
impl Serialize for Repetitions {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Fixed(number) => to.serialize_u32(*number),
            Self::Auto { .. } => to.collect_str(self),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_has_a_width_and_a_limit() {
        let read = |text: &str| text.parse::<Repetitions>();
        assert_eq!(read(" 5 "), Ok(Repetitions::Fixed(5)));
        assert_eq!(read("auto"), Ok(Repetitions::AUTO));
        let fine = Repetitions::Auto { percent: 2.5, most: 20 };
        assert_eq!((read("auto:2.5"), fine.to_string()), (Ok(fine), "auto:2.5%:20".to_owned()));
        let long = Repetitions::Auto { percent: 5.0, most: 200 };
        assert_eq!((read("auto:5%:200"), read(&long.to_string())), (Ok(long), Ok(long)));
        for wrong in ["", "0", "automatic", "auto:x", "auto:5:5", "auto:5:1001", "auto:5:9:9"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
