//! The configuration of an emulated network, and its text form.
//!
//! # Syntax
//!
//! Items separated by commas: `loss 5%, delay 25ms, jitter 5ms`. They configure both directions, or
//! one direction after its name: `up: loss 5%; down: delay 10ms`. Items for both directions come
//! first and are overridden by those of a direction. The first item may be one of [`PRESETS`] or
//! `none`; later items override it.
//!
//! | item | meaning |
//! |---|---|
//! | `loss 5%` | each packet is lost with this probability, independently |
//! | `loss 5% burst 3` | the same loss rate in bursts of 3 packets on average (Gilbert) |
//! | `gilbert P R [BAD [GOOD]]` | Gilbert-Elliott, as netem's `gemodel`: see below |
//! | `drop 5,17-19` | these packets are lost; the first packet is 0 |
//! | `every 10` | every 10th packet is lost: 9, 19, 29… |
//! | `blackhole 2s-5s` | all packets are lost from 2 s to before 5 s after the first packet |
//! | `delay 25ms` | one-way delay |
//! | `jitter 5ms` | each packet's delay is uniform within delay ± jitter |
//! | `duplicate 1%` | a copy follows, with its own jitter |
//! | `corrupt 1%` | one bit is flipped |
//! | `rate 2mbit` | bits per second of the packets pushed, 1 mbit = 1,000,000 bit/s, as in tc |
//! | `limit 100` | packets in the queue of that rate, including the one being sent |
//!
//! `gilbert` takes the probabilities of entering the bad state (P) and of leaving it (R), and the
//! loss rates in the bad (default 100%) and in the good state (default 0%).
//!
//! Packets leave when they are due: jitter reorders packets that are closer together than twice the
//! jitter.
//!
//! A share may omit its `%`, and a space may precede a unit.
//!
//! Causes of loss are independent of each other: one suffices. Without `burst` the mean burst is
//! 1/(1 - loss), hardly above 1. `burst 1` differs: it never loses two packets in a row.
//!
//! Shares are exact to a billionth and times to a microsecond. Finer values are rejected, so that
//! the output of `Display` parses back to the same value.

mod error;
mod parse;

pub use error::{SpecError, SpecProblem};

use super::Ranges;
use crate::quantity::{self, RATES, SHARES, write_amount, write_time};
use std::fmt;
use std::num::NonZeroU64;
use std::ops::Range;
use std::time::Duration;

/// The `limit` of a `rate` without one, packets.
pub const DEFAULT_LIMIT: usize = 100;

/// Named networks: plausible values, not measurements. Each is shorthand for its text.
pub const PRESETS: [(&str, &str); 5] = [
    ("wifi", "loss 1% burst 2, delay 5ms, jitter 3ms, duplicate 0.1%"),
    (
        "cellular",
        "loss 1% burst 4, delay 40ms, jitter 10ms, limit 200, rate 20mbit; up: rate 5mbit",
    ),
    (
        "satellite",
        "loss 0.5% burst 5, delay 270ms, jitter 5ms, limit 500, rate 20mbit; up: rate 3mbit",
    ),
    ("congested", "loss 3% burst 3, delay 40ms, jitter 20ms, rate 1mbit, limit 50"),
    ("lossy-lab", "loss 20%, delay 20ms, jitter 10ms, duplicate 2%, corrupt 1%"),
];

/// The emulated network. The default impairs nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spec {
    /// From the client to the server.
    pub up: Profile,
    /// From the server to the client.
    pub down: Profile,
}

/// The emulated network in one direction. The default impairs nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    /// Random loss.
    pub loss: Loss,
    /// Packets lost by index.
    pub drop: Ranges,
    /// Every nth packet is lost.
    pub every: Option<NonZeroU64>,
    /// Times since the first packet during which all packets are lost.
    pub blackholes: Vec<Range<Duration>>,
    /// One-way delay, after the bottleneck.
    pub delay: Duration,
    /// Delay variation to either side.
    pub jitter: Duration,
    /// Probability of a duplicate.
    pub duplicate: Share,
    /// Probability of a bit error.
    pub corrupt: Share,
    /// Bits per second of the bottleneck; `None` is unlimited.
    pub rate: Option<u64>,
    /// Packets in the bottleneck's queue; `None` is [`DEFAULT_LIMIT`].
    pub limit: Option<usize>,
}

/// The model of random loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Independent loss.
    Independent(Share),
    /// A Gilbert chain that loses every packet in its bad state and none in its good state.
    Burst {
        /// The long-term loss rate.
        loss: Share,
        /// The mean length of a loss burst.
        mean: Burst,
    },
    /// The Gilbert-Elliott chain by its parameters.
    Gilbert {
        /// Probability of good to bad, per packet.
        p: Share,
        /// Probability of bad to good, per packet.
        r: Share,
        /// Loss rate in the bad state.
        bad: Share,
        /// Loss rate in the good state.
        good: Share,
    },
}

impl Default for Loss {
    fn default() -> Self {
        Self::Independent(Share::NONE)
    }
}

/// A share or probability from 0 to 1, in billionths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(u32);

impl Share {
    /// 0%.
    pub const NONE: Self = Self(0);
    /// 100%.
    pub const ALL: Self = Self(1_000_000_000);

    /// The share of that many billionths, at most 1.
    #[must_use]
    pub const fn from_billionths(billionths: u64) -> Self {
        if billionths < Self::ALL.0 as u64 { Self(billionths as u32) } else { Self::ALL }
    }

    /// The nearest share to a ratio (0.05 is 5%), clamped to 0..=1.
    #[must_use]
    pub fn from_ratio(ratio: f64) -> Self {
        Self::from_billionths((ratio * 1e9).round() as u64)
    }

    /// Billionths, 0 to 1,000,000,000.
    #[must_use]
    pub const fn billionths(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_amount(f, u64::from(self.0), &SHARES[0])
    }
}

/// The mean length of a loss burst, in thousandths of a packet; at least 1 packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Burst(u32);

impl Burst {
    /// The length in thousandths of a packet, clamped to 1 to 1,000,000 packets.
    #[must_use]
    pub fn from_thousandths(thousandths: u64) -> Self {
        Self(thousandths.clamp(1_000, 1_000_000_000) as u32)
    }

    /// The nearest length in packets, clamped to 1 to 1,000,000.
    #[must_use]
    pub fn from_packets(packets: f64) -> Self {
        Self::from_thousandths((packets * 1e3).round() as u64)
    }

    /// The chain of this mean burst and loss rate: the probabilities p (to the bad state) and r
    /// (back), each to the nearest billionth. r = 1/mean; p = loss * r / (1 - loss), from loss =
    /// p/(p+r). The result is exact only if [`Burst::fits`].
    #[must_use]
    pub fn chain(self, loss: Share) -> (Share, Share) {
        let (r, p) = (1_000_000_000_000_u64, u64::from(loss.0));
        let r = (r + u64::from(self.0) / 2) / u64::from(self.0);
        let good = u64::from(Share::ALL.0 - loss.0).max(1);
        (Share::from_billionths((p * r + good / 2) / good), Share::from_billionths(r))
    }

    /// Returns true if bursts of this length can reach the loss rate: at least one good packet
    /// separates two bursts, so the loss is at most mean/(mean + 1).
    #[must_use]
    pub fn fits(self, loss: Share) -> bool {
        let (mean, loss, all) = (u64::from(self.0), u64::from(loss.0), u64::from(Share::ALL.0));
        loss * (mean + 1_000) <= all * mean
    }
}

/// The shortest text that parses back to the same value.
impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nothing = Profile::default();
        match (&self.up, &self.down) {
            (up, down) if up == down => up.fmt(f),
            (up, down) if *down == nothing => write!(f, "up: {up}"),
            (up, down) if *up == nothing => write!(f, "down: {down}"),
            (up, down) => write!(f, "up: {up}; down: {down}"),
        }
    }
}

/// The items in the order of the table above; `none` without any.
impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut items = Vec::new();
        let item = |name: &str, value: String| format!("{name} {value}");
        if self.loss != Loss::default() {
            items.push(self.loss.to_string());
        }
        if !self.drop.is_empty() {
            items.push(item("drop", self.drop.to_string()));
        }
        items.extend(self.every.map(|n| item("every", n.to_string())));
        if !self.blackholes.is_empty() {
            let window = |w: &Range<Duration>| format!("{}-{}", Time(w.start), Time(w.end));
            let windows: Vec<_> = self.blackholes.iter().map(window).collect();
            items.push(item("blackhole", windows.join(",")));
        }
        for (name, time) in [("delay", self.delay), ("jitter", self.jitter)] {
            items.extend((!time.is_zero()).then(|| item(name, Time(time).to_string())));
        }
        for (name, share) in [("duplicate", self.duplicate), ("corrupt", self.corrupt)] {
            items.extend((share > Share::NONE).then(|| item(name, share.to_string())));
        }
        items.extend(self.rate.map(|rate| item("rate", Rate(rate).to_string())));
        items.extend(self.limit.map(|limit| item("limit", limit.to_string())));
        f.write_str(if items.is_empty() { "none" } else { "" })?;
        f.write_str(&items.join(", "))
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Independent(share) => write!(f, "loss {share}"),
            Self::Burst { loss, mean } => {
                write!(f, "loss {loss} burst ")?;
                write_amount(f, u64::from(mean.0), &quantity::BURSTS[0])
            }
            Self::Gilbert { p, r, bad, good } => {
                write!(f, "gilbert {p} {r}")?;
                match (*bad, *good) {
                    (Share::ALL, Share::NONE) => Ok(()),
                    (bad, Share::NONE) => write!(f, " {bad}"),
                    (bad, good) => write!(f, " {bad} {good}"),
                }
            }
        }
    }
}

/// A time in the text form.
pub(super) struct Time(pub(super) Duration);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_time(f, self.0)
    }
}

/// A rate in the text form.
pub(super) struct Rate(pub(super) u64);

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_amount(f, self.0, quantity::largest(self.0, &RATES))
    }
}
