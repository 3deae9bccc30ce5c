//! Counters of the emulated network.

use super::Ranges;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::AddAssign;

/// Limit on the remembered ranges of lost packets.
pub const MAX_DROP_RANGES: usize = 100_000;

/// Last item of a list of drops that exceeded [`MAX_DROP_RANGES`].
pub const TRUNCATED: &str = "…";

/// Counters of the packets of one direction. At any time, `packets + duplicated = lost +
/// overflowed + delivered +` the packets still held.
///
/// Networks with fewer counters, such as netem, omit the others; a missing counter reads as 0.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    /// Packets that entered.
    pub packets: u64,
    /// Bytes that entered.
    pub bytes: u64,
    /// Packets lost at random, by list, every nth, or in a blackhole.
    pub lost: u64,
    /// Packets and copies dropped because the queue was full.
    pub overflowed: u64,
    /// Copies made of packets that were neither lost nor dropped.
    pub duplicated: u64,
    /// Packets, neither lost nor dropped, in which a bit was flipped. A copy repeats the error and
    /// is not counted again.
    pub corrupted: u64,
    /// Packets and copies delivered after one with a larger index.
    pub reordered: u64,
    /// Packets and copies that left.
    pub delivered: u64,
    /// Bytes that left.
    pub delivered_bytes: u64,
    /// Time from entry to exit, summed over delivered packets, microseconds. It includes the time
    /// until the caller pops a due packet.
    pub delay_sum_us: u64,
    /// Indices of the `lost` packets, as `5,17-19`. It ends with `,…` after more than
    /// [`MAX_DROP_RANGES`] ranges. Overflowed packets are not listed: they depend on time.
    pub drops: String,
}

/// Adds those of another network, without its list of drops.
impl AddAssign<&Counts> for Counts {
    fn add_assign(&mut self, other: &Counts) {
        self.packets += other.packets;
        self.bytes += other.bytes;
        self.lost += other.lost;
        self.overflowed += other.overflowed;
        self.duplicated += other.duplicated;
        self.corrupted += other.corrupted;
        self.reordered += other.reordered;
        self.delivered += other.delivered;
        self.delivered_bytes += other.delivered_bytes;
        self.delay_sum_us = self.delay_sum_us.saturating_add(other.delay_sum_us);
    }
}

/// One line for people; counters at 0 are omitted, except `lost`.
impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} packets, {} lost", self.packets, self.lost)?;
        for (count, what) in [
            (self.overflowed, "found the queue full"),
            (self.duplicated, "duplicated"),
            (self.corrupted, "corrupted"),
            (self.reordered, "reordered"),
        ] {
            if count > 0 {
                write!(f, ", {count} {what}")?;
            }
        }
        let Some(mean) = self.delay_sum_us.checked_div(self.delivered).filter(|it| *it >= 100)
        else {
            return Ok(());
        };
        write!(f, ", {:.1} ms on the way on average", mean as f64 / 1e3)
    }
}

/// Indices lost so far, bounded.
#[derive(Clone, Debug, Default)]
pub(super) struct Drops {
    ranges: Ranges,
    truncated: bool,
}

impl Drops {
    pub(super) fn note(&mut self, index: u64) {
        self.truncated = self.truncated || self.ranges.append(index, MAX_DROP_RANGES).is_err();
    }

    pub(super) fn text(&self) -> String {
        if self.truncated {
            format!("{},{TRUNCATED}", self.ranges)
        } else {
            self.ranges.to_string()
        }
    }
}
