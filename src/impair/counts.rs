//! What the emulated network did.

use super::Ranges;
use serde::{Deserialize, Serialize};
use std::fmt;

/// How many ranges of lost packets are remembered.
pub const MOST_DROPS: usize = 100_000;

/// Ends a list of drops that was longer than [`MOST_DROPS`].
pub const CUT: &str = "…";

/// What was done to the packets of one direction, as opposed to what was asked for. At any moment
/// `packets + duplicated = lost + overflowed + delivered +` those still held.
///
/// A network that counts less, such as netem, leaves out what it does not know; that reads as nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    /// Packets that entered.
    pub packets: u64,
    /// Bytes that entered.
    pub bytes: u64,
    /// Packets lost by chance, list, every nth or blackhole.
    pub lost: u64,
    /// Packets and copies that found the queue full.
    pub overflowed: u64,
    /// Copies made of packets that were neither lost nor overflowed.
    pub duplicated: u64,
    /// Packets, neither lost nor overflowed, in which a bit was flipped; a copy repeats the damage
    /// and is not counted again.
    pub corrupted: u64,
    /// Packets and copies delivered after one with a larger index.
    pub reordered: u64,
    /// Packets and copies that left.
    pub delivered: u64,
    /// Bytes that left.
    pub delivered_bytes: u64,
    /// Time from entering to leaving, summed over what was delivered, microseconds. Real time: a
    /// driver that comes late to take a packet makes it longer.
    pub delay_sum_us: u64,
    /// The indices of the `lost`, as `5,17-19`; ends with `,…` when there were more than
    /// [`MOST_DROPS`] ranges. Those that overflowed are not among them: they depend on time.
    pub drops: String,
}

/// What was done, in one line for people; what never happened is left out.
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

/// The indices lost so far, bounded.
#[derive(Clone, Debug, Default)]
pub(super) struct Drops {
    ranges: Ranges,
    cut: bool,
}

impl Drops {
    pub(super) fn note(&mut self, index: u64) {
        self.cut = self.cut || !self.ranges.append(index, MOST_DROPS);
    }

    pub(super) fn text(&self) -> String {
        if self.cut { format!("{},{CUT}", self.ranges) } else { self.ranges.to_string() }
    }
}
