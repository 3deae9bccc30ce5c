//! Decimal numbers with units, exactly: no floating point on the way in or out.

use crate::time::micros;
use std::fmt;
use std::time::Duration;

/// A unit's name and how many of the smallest there are in one.
pub(super) type Unit = (&'static str, u64);

/// Shares, in billionths.
pub(super) const SHARES: [Unit; 1] = [("%", 10_000_000)];
/// Lengths of bursts, in thousandths of a packet.
pub(super) const BURSTS: [Unit; 1] = [("", 1_000)];
/// Times, in microseconds.
pub(super) const TIMES: [Unit; 3] = [("s", 1_000_000), ("ms", 1_000), ("us", 1)];
/// Rates, in bits per second, as tc names them.
pub(super) const RATES: [Unit; 4] =
    [("gbit", 1_000_000_000), ("mbit", 1_000_000), ("kbit", 1_000), ("bit", 1)];

/// The value of `text`, a decimal number and one of `units`, or what is wrong with it.
pub(super) fn amount(text: &str, units: &[Unit]) -> Result<u64, String> {
    let digits = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let (number, unit) = (&text[..text.len() - digits.len()], digits);
    let names = || units.iter().map(|(name, _)| format!("{number}{name}")).collect::<Vec<_>>();
    let instead = || format!("write {}", names().join(" or "));
    if number.is_empty() {
        let example: Vec<_> = units.iter().map(|(name, _)| format!("5{name}")).collect();
        return Err(format!("{text} is no amount; write for example {}", example.join(" or ")));
    }
    let Some(&(_, size)) = units.iter().find(|(name, _)| *name == unit) else {
        let problem = if unit.is_empty() { "without a unit".into() } else { format!("in {unit}") };
        return Err(format!("{number} {problem} is not understood; {}", instead()));
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let (whole, value) = (whole.parse::<u64>(), fraction.trim_end_matches('0'));
    let (Ok(whole), false) = (whole, fraction.is_empty() || fraction.contains('.')) else {
        return Err(format!("{number} is no number, such as 2 or 0.5"));
    };
    let mut total = whole.checked_mul(size).ok_or(format!("{text} is too much"))?;
    let mut place = size;
    for digit in value.bytes() {
        if place % 10 != 0 {
            return Err(format!("{text} has more decimals than can be kept"));
        }
        place /= 10;
        total = total.saturating_add(u64::from(digit - b'0') * place);
    }
    Ok(total)
}

/// The largest of `units`, which descend, of which `value` holds at least one; or the smallest.
pub(super) fn largest(value: u64, units: &[Unit]) -> &Unit {
    let fallback = &units[units.len() - 1];
    units.iter().find(|(_, size)| value >= *size).unwrap_or(fallback)
}

/// Writes `value` in `unit` with the decimals it needs.
pub(super) fn write_amount(f: &mut fmt::Formatter<'_>, value: u64, unit: &Unit) -> fmt::Result {
    let (name, size) = *unit;
    let digits = size.ilog10() as usize;
    let fraction = format!("{:0digits$}", value % size);
    let fraction = fraction.trim_end_matches('0');
    let point = if fraction.is_empty() { "" } else { "." };
    write!(f, "{}{point}{fraction}{name}", value / size)
}

/// Writes a time in its largest unit; nothing is `0s`.
pub(super) fn write_time(f: &mut fmt::Formatter<'_>, time: Duration) -> fmt::Result {
    let value = micros(time);
    let unit = if value == 0 { &TIMES[0] } else { largest(value, &TIMES) };
    write_amount(f, value, unit)
}
