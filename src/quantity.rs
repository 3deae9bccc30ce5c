//! Parses quantities: one syntax and one set of bounds for each, in options, the environment,
//! `--impair` and a lab's plan.
//!
//! Decimal numbers are parsed exactly, without floating point.

use crate::time::micros;
use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

/// A unit's name and its value in the smallest unit.
pub(crate) type Unit = (&'static str, u64);

/// Units of shares, in billionths.
pub(crate) const SHARES: [Unit; 1] = [("%", 10_000_000)];
/// Units of burst lengths, in thousandths of a packet.
pub(crate) const BURSTS: [Unit; 1] = [("", 1_000)];
/// Units of times, in microseconds.
pub(crate) const TIMES: [Unit; 3] = [("s", 1_000_000), ("ms", 1_000), ("us", 1)];
/// Units of bit rates, in bits per second, named as in tc.
pub(crate) const RATES: [Unit; 4] =
    [("gbit", 1_000_000_000), ("mbit", 1_000_000), ("kbit", 1_000), ("bit", 1)];

/// A share of 100 %, in billionths.
const ALL: u64 = 1_000_000_000;
const DAY: Duration = Duration::from_secs(86_400);

/// Bounds of timeouts.
pub const TIMEOUT: RangeInclusive<Duration> = Duration::from_millis(10)..=DAY.saturating_mul(30);
/// Bounds of the server's flush interval.
pub const PACE: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(1);
/// Bounds of a lab run's duration.
pub const RUN: RangeInclusive<Duration> = Duration::from_millis(10)..=DAY;
/// Bounds of an emulated delay.
pub const DELAY: RangeInclusive<Duration> = Duration::ZERO..=DAY;
/// Bounds of an emulated delay in a plan. TCP's retransmission timeout ends at 120 s.
pub const LAB_DELAY: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(60);
/// Bounds of the number of peers in a lab run.
pub const PEERS: RangeInclusive<u32> = 1..=10_000;
/// Bounds of the repetitions of a condition.
pub const REPETITIONS: RangeInclusive<u32> = 1..=1_000;
/// Bounds of the packets in a bandwidth's queue.
pub const QUEUES: RangeInclusive<u32> = 1..=10_000;
/// Bounds of a lab message's text, bytes: its number, and the limit of a line (`proto.md` §9).
pub const SIZES: RangeInclusive<u32> = 16..=1_000;

/// Why a text is no such quantity, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A share outside its bounds.
    #[error("a share is between 0% and 100%")]
    Share,
    /// A length of bursts outside its bounds.
    #[error("a burst is from 1 to 1000000 packets long")]
    Burst,
    /// A bit rate outside its bounds.
    #[error("a rate is between 1bit and 100gbit, per second")]
    BitRate,
    /// Another quantity outside its bounds.
    #[error("{text} is not between {low} and {high}")]
    Range {
        /// The text as written.
        text: String,
        /// The smallest allowed.
        low: String,
        /// The largest allowed, with its unit.
        high: String,
    },
    /// No decimal number.
    #[error("{text} is not a number; write for example {example}")]
    NotANumber {
        /// The text as written.
        text: String,
        /// A correct number.
        example: String,
    },
    /// No whole number.
    #[error("{text} is not a whole number of {what}")]
    NotACount {
        /// The text as written.
        text: String,
        /// The things that are counted.
        what: String,
    },
    /// No time.
    #[error("{0} is not a time; write it as 500ms, 2s or 1h 30m")]
    NotATime(String),
    /// A number without a unit.
    #[error("{number} has no unit; write {instead}")]
    NoUnit {
        /// The text as written.
        number: String,
        /// The same with the possible units.
        instead: String,
    },
    /// A number with a unit that the quantity does not have.
    #[error("unknown unit {unit}; write {instead}")]
    UnknownUnit {
        /// The text as written.
        unit: String,
        /// The number with the possible units.
        instead: String,
    },
    /// A time finer than a microsecond.
    #[error("{0} is not a whole number of microseconds")]
    Microseconds(String),
    /// A time that overflows.
    #[error("{0} is too long")]
    TooLong(String),
    /// A time that overflows, perhaps by its decimals.
    #[error("{0} is too long or has too many decimals")]
    TooLongOrPrecise(String),
    /// A number that overflows.
    #[error("{0} is too large")]
    TooLarge(String),
    /// A number finer than the smallest unit.
    #[error("{0} has too many decimals")]
    TooPrecise(String),
}

/// Parses a share or probability, in billionths; `5%`, `5 %` and `5` are the same.
///
/// # Errors
/// `text` is not a share from 0 % to 100 %.
pub fn share(text: &str) -> Result<u64, Error> {
    if text.trim_start().starts_with('-') {
        return Err(Error::Share);
    }
    let billionths = amount(text, &SHARES, Some(SHARES[0].1))?;
    within(billionths, &(0..=ALL)).ok_or(Error::Share)
}

/// Parses a share, in percent.
///
/// # Errors
/// Those of [`share`].
pub fn percent(text: &str) -> Result<f64, Error> {
    share(text).map(|billionths| billionths as f64 / SHARES[0].1 as f64)
}

/// Parses a time with its unit, such as 500ms, 2s, 5m or 1h 30m, to a microsecond.
///
/// # Errors
/// `text` is not a time, or outside `range`.
pub fn duration(text: &str, range: &RangeInclusive<Duration>) -> Result<Duration, Error> {
    let duration = any_duration(text)?;
    within(duration, range).ok_or_else(|| {
        let end = |end: &Duration| humantime::format_duration(*end).to_string();
        Error::Range {
            text: text.trim().to_owned(),
            low: end(range.start()),
            high: end(range.end()),
        }
    })
}

/// Like [`duration`], without bounds.
///
/// # Errors
/// `text` is not a time in whole microseconds.
pub fn any_duration(text: &str) -> Result<Duration, Error> {
    let text = text.trim();
    let duration = humantime::parse_duration(text).map_err(|error| match error {
        humantime::DurationError::NumberOverflow if text.contains('.') => {
            Error::TooLongOrPrecise(text.to_owned())
        }
        humantime::DurationError::NumberOverflow => Error::TooLong(text.to_owned()),
        humantime::DurationError::UnknownUnit { unit, value, .. } if unit.is_empty() => {
            let instead = format!("{value}ms, {value}s or {value}m");
            Error::NoUnit { number: value.to_string(), instead }
        }
        _ => Error::NotATime(text.to_owned()),
    })?;
    if duration.subsec_nanos() % 1_000 != 0 {
        return Err(Error::Microseconds(text.to_owned()));
    }
    Ok(duration)
}

/// Parses a time in milliseconds for an option with that unit in its name; `25` and `25ms` are the
/// same.
///
/// # Errors
/// Those of [`duration`].
pub fn milliseconds(text: &str, range: &RangeInclusive<Duration>) -> Result<f64, Error> {
    duration(&with_unit(text, "ms"), range).map(|time| micros(time) as f64 / 1e3)
}

/// Parses a time in seconds for an option with that unit in its name; `2` and `2s` are the same.
///
/// # Errors
/// Those of [`duration`].
pub fn seconds(text: &str, range: &RangeInclusive<Duration>) -> Result<f64, Error> {
    duration(&with_unit(text, "s"), range).map(|time| micros(time) as f64 / 1e6)
}

fn with_unit(text: &str, unit: &str) -> String {
    let bare = text.trim_end().ends_with(|c: char| c.is_ascii_digit());
    if bare { format!("{}{unit}", text.trim()) } else { text.to_owned() }
}

/// Parses the mean length of a loss burst, in thousandths of a packet.
///
/// # Errors
/// `text` is not a number of packets from 1 to 1,000,000.
pub fn burst(text: &str) -> Result<u64, Error> {
    let thousandths = amount(text, &BURSTS, None)?;
    within(thousandths, &(1_000..=1_000_000_000)).ok_or(Error::Burst)
}

/// Parses a bit rate such as 2mbit, in bits per second.
///
/// # Errors
/// `text` is not a rate from 1bit to 100gbit.
pub(crate) fn bit_rate(text: &str) -> Result<u64, Error> {
    within(amount(text, &RATES, None)?, &(1..=100_000_000_000)).ok_or(Error::BitRate)
}

/// Parses messages per second, such as 50 or 0.5, with at most ten decimals: an `f64` tells all
/// such numbers apart, so that it prints as what was parsed.
///
/// # Errors
/// `text` is not a rate from 0.01 to 100,000 messages per second.
pub fn message_rate(text: &str) -> Result<f64, Error> {
    const ONE: u64 = 10_000_000_000;
    let rate = amount(text, &[("/s", ONE)], Some(ONE))?;
    within(rate, &(ONE / 100..=100_000 * ONE)).map(|rate| rate as f64 / ONE as f64).ok_or_else(
        || Error::Range {
            text: text.trim().to_owned(),
            low: "0.01".to_owned(),
            high: "100000 messages a second".to_owned(),
        },
    )
}

/// Parses a whole number of `what`.
///
/// # Errors
/// `text` is not a whole number in `range`.
pub fn count(text: &str, range: &RangeInclusive<u32>, what: &str) -> Result<u32, Error> {
    let text = text.trim();
    let count = text
        .parse()
        .map_err(|_| Error::NotACount { text: text.to_owned(), what: what.to_owned() })?;
    within(count, range).ok_or_else(|| Error::Range {
        text: text.to_owned(),
        low: range.start().to_string(),
        high: format!("{} {what}", range.end()),
    })
}

fn within<T: PartialOrd>(value: T, range: &RangeInclusive<T>) -> Option<T> {
    range.contains(&value).then_some(value)
}

/// Parses a decimal number with one of `units`. `bare` is the value of a number without a unit.
fn amount(text: &str, units: &[Unit], bare: Option<u64>) -> Result<u64, Error> {
    let text = text.trim();
    let digits = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let (number, unit) = (&text[..text.len() - digits.len()], digits.trim_start());
    let names = || units.iter().map(|(name, _)| format!("{number}{name}")).collect::<Vec<_>>();
    let instead = || names().join(" or ");
    let not_a_number =
        |text: &str, example: String| Error::NotANumber { text: text.to_owned(), example };
    if number.is_empty() {
        let example: Vec<_> = units.iter().map(|(name, _)| format!("5{name}")).collect();
        return Err(not_a_number(text, example.join(" or ")));
    }
    let known = units.iter().find(|(name, _)| *name == unit).map(|(_, size)| *size);
    let Some(size) = known.or(bare.filter(|_| unit.is_empty())) else {
        return Err(match unit {
            "" => Error::NoUnit { number: number.to_owned(), instead: instead() },
            unit => Error::UnknownUnit { unit: unit.to_owned(), instead: instead() },
        });
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let (whole, value) = (whole.parse::<u64>(), fraction.trim_end_matches('0'));
    let (Ok(whole), false) = (whole, fraction.is_empty() || fraction.contains('.')) else {
        return Err(not_a_number(number, "2 or 0.5".to_owned()));
    };
    let mut total = whole.checked_mul(size).ok_or_else(|| Error::TooLarge(text.to_owned()))?;
    let mut place = size;
    for digit in value.bytes() {
        if place % 10 != 0 {
            return Err(Error::TooPrecise(text.to_owned()));
        }
        place /= 10;
        total = total.saturating_add(u64::from(digit - b'0') * place);
    }
    Ok(total)
}

/// The largest of the descending `units` that is at most `value`; the smallest if there is none.
#[must_use]
pub(crate) fn largest(value: u64, units: &[Unit]) -> &Unit {
    let fallback = &units[units.len() - 1];
    units.iter().find(|(_, size)| value >= *size).unwrap_or(fallback)
}

/// Writes `value` in `unit`, with the decimals it needs.
///
/// # Errors
/// The formatter fails.
pub(crate) fn write_amount(f: &mut fmt::Formatter<'_>, value: u64, unit: &Unit) -> fmt::Result {
    let (name, size) = *unit;
    let digits = size.ilog10() as usize;
    let fraction = format!("{:0digits$}", value % size);
    let fraction = fraction.trim_end_matches('0');
    let point = if fraction.is_empty() { "" } else { "." };
    write!(f, "{}{point}{fraction}{name}", value / size)
}

/// Writes a time in its largest unit; zero is `0s`.
///
/// # Errors
/// The formatter fails.
pub(crate) fn write_time(f: &mut fmt::Formatter<'_>, time: Duration) -> fmt::Result {
    let value = micros(time);
    let unit = if value == 0 { &TIMES[0] } else { largest(value, &TIMES) };
    write_amount(f, value, unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_the_same_with_and_without_its_sign() {
        for text in ["5", "5%", "5 %", " 5.0 % "] {
            assert_eq!(share(text), Ok(50_000_000), "{text}");
            assert_eq!(percent(text), Ok(5.0), "{text}");
        }
        assert_eq!((share("0"), share("100")), (Ok(0), Ok(ALL)));
        for wrong in ["-1", "100.1%", "5 percent", "nan", "1e1", "", "%", "18446744073709551615"] {
            assert!(share(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_time_has_a_unit_and_bounds_and_does_not_overflow() {
        let patience = |text| duration(text, &TIMEOUT);
        assert_eq!(patience("1h 30m"), Ok(Duration::from_secs(5_400)));
        assert_eq!(patience("0.5s"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("2ms", &PACE), Ok(Duration::from_millis(2)));
        for wrong in ["5", "2ms", "31days", "18446744073709551616s", "9999999999999y", "-1s", ""] {
            assert!(patience(wrong).is_err(), "{wrong}");
        }
        assert!(patience("5").unwrap_err().to_string().contains("5ms"));
        assert!(patience("31days").unwrap_err().to_string().contains("between 10ms and 30days"));
        assert!(duration("0.5us", &DELAY).is_err(), "finer than a packet's time");
        assert_eq!(milliseconds("25", &LAB_DELAY), milliseconds("25 ms", &LAB_DELAY));
        assert_eq!((seconds("4", &RUN), seconds("0.5s", &RUN)), (Ok(4.0), Ok(0.5)));
    }

    #[test]
    fn rates_and_counts_have_bounds() {
        assert_eq!(message_rate("0.5"), Ok(0.5));
        assert_eq!(message_rate("50/s"), Ok(50.0));
        for exact in ["33.3333333333", "99999.9999999999", "0.0100000001", "100000"] {
            assert_eq!(message_rate(exact).unwrap().to_string(), exact);
        }
        assert!(message_rate("33.33333333333").is_err());
        assert!(message_rate("0").is_err() && message_rate("nan").is_err());
        assert_eq!(count(" 64 ", &SIZES, "bytes"), Ok(64));
        assert!(count("4294967296", &SIZES, "bytes").is_err());
        assert!(count("0", &PEERS, "peers").unwrap_err().to_string().contains("1 and 10000 peers"));
        assert_eq!(bit_rate("2 mbit"), Ok(2_000_000));
    }
}
