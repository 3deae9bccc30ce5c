//! What a network is asked to do, as values and as text.
//!
//! # The text
//!
//! Items after commas: `loss 5%, delay 25ms, jitter 5ms`. They hold for both directions, or for one
//! after its name: `up: loss 5%; down: delay 10ms`. What is for both comes first and each direction may
//! then differ. The first item may be one of [`PRESETS`] or `none`; what follows overrides it.
//!
//! | item | meaning |
//! |---|---|
//! | `loss 5%` | each packet is lost with this probability, whatever happened to the others |
//! | `loss 5% burst 3` | the same share, in bursts of 3 packets on average (Gilbert) |
//! | `gilbert P R [BAD [GOOD]]` | Gilbert-Elliott: to the bad state with P, back with R; loss there (100%) and in the good one (0%). netem's `gemodel` takes the same four |
//! | `drop 5,17-19` | these packets are lost; the first is 0 |
//! | `every 10` | every 10th packet is lost: 9, 19, 29… |
//! | `blackhole 2s-5s` | all that enters from 2 s until before 5 s after the first packet is lost |
//! | `delay 25ms` | one way |
//! | `jitter 5ms` | each packet's delay is uniform within delay ± jitter, and packets leave when they are due: those closer together than twice the jitter change places |
//! | `duplicate 1%` | a copy follows, with its own place in the jitter |
//! | `corrupt 1%` | one bit is flipped |
//! | `rate 2mbit` | bits of what is pushed, 1 mbit = 1,000,000 bit/s, as in tc |
//! | `limit 100` | packets the queue before that line holds, the one being sent included |
//!
//! A share is the same with and without its `%`, and a space may stand before a unit.
//!
//! Losses of several kinds add up: any reason is enough. Without `burst` the mean burst is
//! 1/(1 - loss), hardly above 1; `burst 1` is not the same, it means never two in a row.
//!
//! Shares are exact to a billionth, times to a microsecond; what is finer is refused, so that what
//! `Display` writes is what was asked, and reads back as the same.

mod parse;

use super::Ranges;
use crate::quantity::{self, RATES, SHARES, write_amount, write_time};
use std::fmt;
use std::num::NonZeroU64;
use std::ops::Range;
use std::time::Duration;

/// Packets that a `rate` without a `limit` lets wait.
pub const DEFAULT_LIMIT: usize = 100;

/// Networks by name: plausible, not measured. Each is a text that may be written in its place.
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

/// What the network does in each direction. The default does nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spec {
    /// To the packets of the client.
    pub up: Profile,
    /// To the packets of the server.
    pub down: Profile,
}

/// What the network does in one direction. The default does nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    /// Loss by chance.
    pub loss: Loss,
    /// Packets lost by their index.
    pub drop: Ranges,
    /// Every how manieth packet is lost.
    pub every: Option<NonZeroU64>,
    /// Times since the first packet in which all is lost.
    pub blackholes: Vec<Range<Duration>>,
    /// From entering (or leaving the slow line) to leaving, one way.
    pub delay: Duration,
    /// How far the delay goes to either side.
    pub jitter: Duration,
    /// Packets that a copy follows.
    pub duplicate: Share,
    /// Packets in which a bit flips.
    pub corrupt: Share,
    /// Bits per second of the line; unlimited if there is none.
    pub rate: Option<u64>,
    /// Packets in the queue before that line; [`DEFAULT_LIMIT`] if there is none.
    pub limit: Option<usize>,
}

/// How chance takes packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Each on its own.
    Independent(Share),
    /// In bursts: a Gilbert chain that loses all in its bad state and nothing in its good one.
    Burst {
        /// Over a long time.
        loss: Share,
        /// Mean length of a run of losses.
        mean: Burst,
    },
    /// The Gilbert-Elliott chain, by its parameters.
    Gilbert {
        /// Probability to go from good to bad, per packet.
        p: Share,
        /// Probability to go from bad to good, per packet.
        r: Share,
        /// Loss in the bad state.
        bad: Share,
        /// Loss in the good state.
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

    /// So many billionths, at most all of them.
    pub const fn from_billionths(billionths: u64) -> Self {
        if billionths < Self::ALL.0 as u64 { Self(billionths as u32) } else { Self::ALL }
    }

    /// The nearest share to a ratio (0.05 is 5%), clamped to 0..=1.
    pub fn from_ratio(ratio: f64) -> Self {
        Self::from_billionths((ratio * 1e9).round() as u64)
    }

    /// 0 to 1,000,000,000.
    pub const fn billionths(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_amount(f, u64::from(self.0), &SHARES[0])
    }
}

/// The mean length of a burst, in thousandths of a packet; at least 1 packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Burst(u32);

impl Burst {
    /// So many thousandths of a packet, from 1 to 1,000,000 packets.
    pub fn from_thousandths(thousandths: u64) -> Self {
        Self(thousandths.clamp(1_000, 1_000_000_000) as u32)
    }

    /// The nearest to so many packets, from 1 to 1,000,000.
    pub fn from_packets(packets: f64) -> Self {
        Self::from_thousandths((packets * 1e3).round() as u64)
    }

    /// The chain with this mean burst and share of loss: the probabilities p (to the bad state) and r
    /// (back), each to the nearest billionth. r = 1/mean; p = loss * r / (1 - loss), from loss =
    /// p/(p+r). See [`Burst::fits`].
    pub fn chain(self, loss: Share) -> (Share, Share) {
        let (r, p) = (1_000_000_000_000_u64, u64::from(loss.0));
        let r = (r + u64::from(self.0) / 2) / u64::from(self.0);
        let good = u64::from(Share::ALL.0 - loss.0).max(1);
        (Share::from_billionths((p * r + good / 2) / good), Share::from_billionths(r))
    }

    /// Whether such short bursts can make up so much loss: one good packet at least lies between
    /// two, so loss is at most mean/(mean + 1).
    pub fn fits(self, loss: Share) -> bool {
        let (mean, loss, all) = (u64::from(self.0), u64::from(loss.0), u64::from(Share::ALL.0));
        loss * (mean + 1_000) <= all * mean
    }
}

/// A text that says no impairment: what in it, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{item}: {problem}")]
pub struct SpecError {
    item: String,
    problem: String,
}

impl SpecError {
    /// `item` is quoted short and without what could move a terminal's cursor.
    pub(super) fn new(item: &str, problem: impl Into<String>) -> Self {
        const LONGEST: usize = 48;
        let printable = |c: char| if c.is_control() { '\u{fffd}' } else { c };
        let mut quoted: String = item.chars().take(LONGEST).map(printable).collect();
        if item.chars().nth(LONGEST).is_some() {
            quoted.push('…');
        }
        Self { item: quoted, problem: problem.into() }
    }
}

/// The shortest text that reads back as the same.
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

/// Its items in the order of the table in [`Spec`]'s module; `none` without any.
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

struct Time(Duration);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_time(f, self.0)
    }
}

struct Rate(u64);

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_amount(f, self.0, quantity::largest(self.0, &RATES))
    }
}
