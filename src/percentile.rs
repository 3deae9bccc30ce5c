//! Percentiles by nearest rank, for the statistics of a link and the metrics of a lab.

/// The percentile of ascending values by nearest rank: the value at rank ⌈p·n/100⌉, which is one of
/// them; `None` of no values.
#[must_use]
pub(crate) fn nearest_rank<T: Copy>(sorted: &[T], percent: usize) -> Option<T> {
    sorted.get((sorted.len() * percent).div_ceil(100).checked_sub(1)?).copied()
}
