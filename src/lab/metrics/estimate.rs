//! The estimate of a statistic from its repetitions: their values, the median, an interval.

use serde::Serialize;

/// The coverage that an interval should have.
const WANTED: f64 = 0.95;
/// An interval needs this many repetitions. Two would cover the median like a tossed coin.
const FEWEST: usize = 3;

/// The fewest repetitions whose interval has that coverage.
pub const ENOUGH: u32 = 6;

/// A statistic over repetitions.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// The value of each repetition, in order.
    pub values: Vec<f64>,
    /// Their median; the mean of the two in the middle if their number is even.
    pub median: f64,
    /// An interval for the median; `None` with fewer than three repetitions.
    pub interval: Option<Interval>,
}

/// An interval between two of the values, by order statistics. It assumes no distribution, and
/// reaches no value that did not occur, such as a latency below the path's delay.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// Its lower end: the k-th smallest value.
    pub low: f64,
    /// Its upper end: the k-th largest value.
    pub high: f64,
    /// How often such an interval covers the median of all possible repetitions, 0 to 1. At least
    /// 0.95 from six repetitions on; three to five reach less.
    pub coverage: f64,
}

impl Estimate {
    /// The estimate from one value per repetition; `None` without values.
    #[must_use]
    pub fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (last, middle) = (sorted.len().checked_sub(1)?, sorted.len() / 2);
        let median = f64::midpoint(sorted[last - middle], sorted[middle]);
        let interval = (values.len() >= FEWEST).then(|| {
            let (rank, coverage) = rank_and_coverage(values.len());
            Interval { low: sorted[rank], high: sorted[last - rank], coverage }
        });
        Some(Self { values: values.to_vec(), median, interval })
    }

    /// The width of the interval, as a share of the median; `None` without an interval.
    #[must_use]
    pub fn width(&self) -> Option<f64> {
        let Interval { low, high, .. } = self.interval?;
        Some(if high > low { (high - low) / self.median } else { 0.0 })
    }

    /// Returns true if the interval has the wanted coverage and is at most that wide.
    #[must_use]
    pub fn is_within(&self, percent: f64) -> bool {
        let covers = self.interval.is_some_and(|it| it.coverage >= WANTED);
        covers && self.width().is_some_and(|width| width * 100.0 <= percent)
    }
}

/// The innermost rank, from 0, whose interval still has the wanted coverage, or else the outermost,
/// and that coverage: the number of values below the median is binomial with probability 1/2.
fn rank_and_coverage(n: usize) -> (usize, f64) {
    let mut probability = 0.5_f64.powi(i32::try_from(n).unwrap_or(i32::MAX));
    let mut found = (0, 1.0 - 2.0 * probability);
    let mut tail = probability;
    for below in 1..n.div_ceil(2) {
        probability *= (n - below + 1) as f64 / below as f64;
        tail += probability;
        let coverage = 1.0 - 2.0 * tail;
        if coverage < WANTED {
            break;
        }
        found = (below, coverage);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_lies_between_values_and_says_what_it_covers() {
        assert_eq!(Estimate::of(&[]), None);
        let one = Estimate::of(&[5.0]).unwrap();
        assert_eq!((one.median, one.interval), (5.0, None));
        assert_eq!(Estimate::of(&[4.0, 2.0]).unwrap().median, 3.0);
        let three = Estimate::of(&[4.0, 2.0, 3.0]).unwrap();
        assert_eq!((three.median, &three.values), (3.0, &vec![4.0, 2.0, 3.0]));
        assert_eq!(three.interval, Some(Interval { low: 2.0, high: 4.0, coverage: 0.75 }));
    }

    #[test]
    fn an_interval_is_narrow_only_with_enough_repetitions() {
        let of = |values: &[f64]| Estimate::of(values).unwrap();
        let six = of(&[98.0, 100.0, 102.0, 99.0, 101.0, 100.0]);
        assert_eq!(six.width(), Some(0.04));
        assert!(six.is_within(4.0) && !six.is_within(3.9));
        assert!(!of(&[100.0; 5]).is_within(50.0), "five cover too little");
        assert!(of(&[0.0; 6]).is_within(0.0) && of(&[1.0]).width().is_none());
    }

    /// The ranks and coverages of the table in Conover, Practical Nonparametric Statistics (1999).
    #[test]
    fn ranks_are_those_of_the_sign_test() {
        for (n, rank, coverage) in [
            (3, 0, 0.75),
            (5, 0, 0.9375),
            (6, 0, 0.96875),
            (8, 0, 0.992_187_5),
            (9, 1, 0.960_937_5),
            (20, 5, 0.958_610_5),
            (100, 39, 0.964_799_8),
        ] {
            let (found, is) = rank_and_coverage(n);
            assert!(found == rank && (is - coverage).abs() < 1e-6, "{n}: {found} {is}");
        }
        assert!(rank_and_coverage(1_000).1 >= 0.95);
    }
}
