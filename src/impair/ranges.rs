//! A set of packet indices, stored and written as ranges: `5,17-19`.

use super::{SpecError, SpecProblem};
use std::{fmt, str::FromStr};

/// Packet indices (from 0) as ascending ranges with gaps between them. The text form is `5,17-19`;
/// that of the empty set is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranges(Vec<(u64, u64)>);

/// The set would have more ranges than it may have.
#[derive(Debug)]
pub(super) struct TooManyRanges;

impl Ranges {
    /// Returns true if the set contains `index`.
    #[must_use]
    pub fn contains(&self, index: u64) -> bool {
        let after = self.0.partition_point(|&(first, _)| first <= index);
        after > 0 && index <= self.0[after - 1].1
    }

    /// Returns true if the set is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first and last index of each range, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.0.iter().copied()
    }

    /// Adds an index larger than all others, unless that takes more than `most` ranges.
    pub(super) fn append(&mut self, index: u64, most: usize) -> Result<(), TooManyRanges> {
        let full = self.0.len() >= most;
        match self.0.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(index) => *last = index,
            _ if full => return Err(TooManyRanges),
            _ => self.0.push((index, index)),
        }
        Ok(())
    }
}

/// Ranges may be unordered and may overlap.
impl FromIterator<(u64, u64)> for Ranges {
    fn from_iter<I: IntoIterator<Item = (u64, u64)>>(ranges: I) -> Self {
        let mut sorted: Vec<_> = ranges.into_iter().collect();
        sorted.sort_unstable();
        let mut merged: Vec<(u64, u64)> = Vec::new();
        for (first, last) in sorted {
            match merged.last_mut() {
                Some((_, end)) if first <= end.saturating_add(1) => *end = last.max(*end),
                _ => merged.push((first, last)),
            }
        }
        Self(merged)
    }
}

impl fmt::Display for Ranges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (first, last)) in self.iter().enumerate() {
            let comma = if place > 0 { "," } else { "" };
            write!(f, "{comma}{first}")?;
            if last > first {
                write!(f, "-{last}")?;
            }
        }
        Ok(())
    }
}

/// # Errors
/// An item that is neither an index nor a range, or the mark of a truncated list.
impl FromStr for Ranges {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        text.split(',').map(|piece| range(piece.trim())).collect()
    }
}

fn range(piece: &str) -> Result<(u64, u64), SpecError> {
    let problem = |problem| Err(SpecError::new(piece, problem));
    if piece == super::TRUNCATED {
        return problem(SpecProblem::Truncated);
    }
    let (first, last) = piece.split_once('-').unwrap_or((piece, piece));
    match (index(first), index(last)) {
        (Some(first), Some(last)) if first <= last => Ok((first, last)),
        (Some(first), Some(last)) => problem(SpecProblem::RangeReversed { first, last }),
        _ => problem(SpecProblem::NotAnIndex),
    }
}

/// Digits only: `parse` would also accept a sign.
fn index(text: &str) -> Option<u64> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_merged_and_sorted() {
        let ranges: Ranges = "19, 5,17-18,6-6,17".parse().unwrap();
        assert_eq!(ranges.to_string(), "5-6,17-19");
        let held: Vec<u64> = (0..30).filter(|&i| ranges.contains(i)).collect();
        assert_eq!(held, [5, 6, 17, 18, 19]);
        assert_eq!("".parse(), Ok(Ranges::default()));
        assert!("0-18446744073709551615".parse::<Ranges>().unwrap().contains(u64::MAX));
    }

    #[test]
    fn errors_name_the_item_and_the_syntax() {
        let say = |text: &str| text.parse::<Ranges>().unwrap_err().to_string();
        assert_eq!(say("5,9-7"), "9-7: ends before it begins; write 7-9");
        assert_eq!(say("1,x"), "x: write a packet index, from 0, or a range such as 17-19");
        assert_eq!(say("1,+2"), "+2: write a packet index, from 0, or a range such as 17-19");
        assert_eq!(say("1,…"), "…: the list is truncated here, so the rest is unknown");
    }

    #[test]
    fn appending_stops_at_the_limit() {
        let mut ranges = Ranges::default();
        assert!([3, 4, 9, 10].into_iter().all(|index| ranges.append(index, 2).is_ok()));
        assert!(ranges.append(12, 2).is_err());
        assert_eq!(ranges.to_string(), "3-4,9-10");
    }
}
