//! Time as a value. The core reads no clock: the driver does (`net::clock`) and passes the reading,
//! so that tests control time.
//!
//! There are two clocks. [`Timestamp`] is monotonic and drives every timer, so a change of the
//! system's date affects no timeout. [`WallTime`] is shown to people and sent to other machines; no
//! timer uses it.

use jiff::fmt::temporal::Pieces;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::num::NonZeroU64;
use std::ops::{Add, Sub};
use std::time::Duration;
use std::{fmt, str::FromStr};

/// Microseconds since the driver's epoch, monotonic. `u64::MAX` saturates to the value before it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(
    /// The microseconds plus 1: this makes `Option<Timestamp>` as small as `Timestamp`, of which a
    /// server has many per peer.
    NonZeroU64,
);

impl Timestamp {
    /// The driver's epoch.
    pub const ZERO: Self = Self(NonZeroU64::MIN);

    /// The time `micros` microseconds after the epoch.
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        Self(NonZeroU64::MIN.saturating_add(micros))
    }

    /// Microseconds since the epoch.
    #[must_use]
    pub const fn as_micros(self) -> u64 {
        self.0.get() - 1
    }

    /// The low 32 bits of the microseconds, as in the header; they wrap after 71 min.
    #[must_use]
    pub const fn low_bits(self) -> u32 {
        self.as_micros() as u32
    }

    /// Time since `earlier`; zero if `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.get().saturating_sub(earlier.0.get()))
    }
}

/// Shows microseconds.
impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Timestamp").field(&self.as_micros()).finish()
    }
}

impl Default for Timestamp {
    fn default() -> Self {
        Self::ZERO
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, rhs: Duration) -> Self {
        Self(self.0.saturating_add(micros(rhs)))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;

    fn sub(self, rhs: Duration) -> Self {
        Self::from_micros(self.as_micros().saturating_sub(micros(rhs)))
    }
}

/// Microseconds since the Unix epoch, UTC, without leap seconds. It may step either way.
///
/// The text form is RFC 3339 in UTC with exactly six fractional digits, so that the order of texts
/// is the order of times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WallTime(pub u64);

/// A text that is not an RFC 3339 time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an RFC 3339 time, such as 2026-01-31T12:00:00Z")]
pub struct NotAMoment;

/// Tolerated difference between the clocks of two machines.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(60);

impl WallTime {
    /// Returns true if this time is later than any message sent by `now` can have: one of the
    /// clocks is or was wrong.
    #[must_use]
    pub fn is_ahead_of(self, now: Self) -> bool {
        self.0 > now.0.saturating_add(micros(CLOCK_TOLERANCE))
    }

    /// Signed microseconds from `earlier` to `self`; the clocks of two machines may disagree.
    #[must_use]
    pub const fn micros_since(self, earlier: Self) -> i64 {
        let (later, difference) = (self.0 >= earlier.0, self.0.abs_diff(earlier.0));
        match (difference <= i64::MAX as u64, later) {
            (true, true) => difference as i64,
            (true, false) => -(difference as i64),
            (false, true) => i64::MAX,
            (false, false) => i64::MIN,
        }
    }
}

/// Saturates at the last time with a four-digit year.
impl fmt::Display for WallTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment = i64::try_from(self.0)
            .ok()
            .and_then(|micros| jiff::Timestamp::from_microsecond(micros).ok())
            .unwrap_or(jiff::Timestamp::MAX);
        write!(f, "{moment:.6}")
    }
}

/// Accepts any offset and any number of fractional digits. Fractions of a microsecond are dropped;
/// times before 1970 become 1970, times too late become the last one.
impl FromStr for WallTime {
    type Err = NotAMoment;

    fn from_str(text: &str) -> Result<Self, NotAMoment> {
        let pieces = Pieces::parse(text).map_err(|_| NotAMoment)?;
        let time = pieces.time().ok_or(NotAMoment)?;
        let offset = pieces.to_numeric_offset().ok_or(NotAMoment)?;
        let civil = pieces.date().to_datetime(time);
        let moment = offset.to_timestamp(civil).unwrap_or(if civil.year() < 1970 {
            jiff::Timestamp::UNIX_EPOCH
        } else {
            jiff::Timestamp::MAX
        });
        Ok(Self(u64::try_from(moment.as_microsecond()).unwrap_or(0)))
    }
}

impl Serialize for WallTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for WallTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(MomentVisitor)
    }
}

struct MomentVisitor;

impl de::Visitor<'_> for MomentVisitor {
    type Value = WallTime;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an RFC 3339 time")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<WallTime, E> {
        text.parse().map_err(E::custom)
    }
}

/// One reading of both clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// For timers.
    pub mono: Timestamp,
    /// For people and other machines.
    pub wall: WallTime,
}

/// A duration in whole microseconds, saturating after 584,000 years.
#[must_use]
pub fn micros(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(1_000_000).saturating_add(duration.subsec_micros().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wall_times_have_six_digits_and_any_offset_is_read() {
        assert_eq!(WallTime(0).to_string(), "1970-01-01T00:00:00.000000Z");
        assert_eq!("1970-01-01T01:00:00.000001+01:00".parse(), Ok(WallTime(1)));
        assert_eq!("1970-01-01".parse::<WallTime>(), Err(NotAMoment));
    }

    #[test]
    fn an_optional_timestamp_is_no_larger() {
        for micros in [0, 1, 1 << 32, u64::MAX - 1] {
            let moment = Timestamp::from_micros(micros);
            assert_eq!((moment.as_micros(), moment.low_bits()), (micros, micros as u32));
            assert_eq!(format!("{moment:?}"), format!("Timestamp({micros})"));
            assert_eq!(moment - Duration::MAX, Timestamp::ZERO);
        }
        assert_eq!(Timestamp::default(), Timestamp::from_micros(0));
        assert_eq!(size_of::<Option<Timestamp>>(), size_of::<Timestamp>());
    }

    #[test]
    fn times_out_of_range_saturate() {
        assert!(WallTime(u64::MAX).to_string().starts_with("9999-12-30"));
        assert_eq!(Timestamp::from_micros(3).since(Timestamp::from_micros(5)), Duration::ZERO);
        assert_eq!(Timestamp::from_micros(1) + Duration::MAX, Timestamp::from_micros(u64::MAX));
    }
}
