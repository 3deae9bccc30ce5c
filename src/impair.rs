//! A bad network, on purpose and on demand: loss, delay, jitter, duplicates, damage, a slow line.
//!
//! [`Spec`] says what is wanted in each direction, [`Impairment`] does it to the packets of one, and
//! [`Counts`] says what was done. Sans-IO: packets are bytes, time is an argument, and no protocol is
//! known here; whoever owns the sockets pushes what comes in and pops what is due.
//!
//! # What a packet goes through
//!
//! ```text
//! lost? ─no─► slow line (rate, limit) ─► damaged? ─► duplicated? ─► delay ± jitter ─► out
//!   │            │ queue full                           └ copy: slow line ─► delay ± its own jitter ─► out
//!   └► gone      └► gone
//! ```
//!
//! # What it depends on
//!
//! Whether a packet is lost by chance, list or every nth, its jitter, its copy and its damage depend
//! on the seed, the direction and the packet's index alone (see [`prng`]). Every packet that enters
//! takes the next index, from 0, also if it is lost; no decision moves another. Two things depend on
//! time by their nature: blackhole windows (counted from the first packet) and the overflow of a full
//! queue.

mod counts;
mod loss;
pub mod prng;
mod queue;
mod ranges;
mod spec;

pub use counts::{CUT, Counts, MOST_DROPS};
pub use queue::MOST_HELD;
pub use ranges::Ranges;
pub use spec::{Burst, DEFAULT_LIMIT, Loss, PRESETS, Profile, Share, Spec, SpecError};

use crate::time::{Timestamp, micros};
use counts::Drops;
use loss::Losses;
use prng::{Purpose, Stream};
use queue::{Bottleneck, DelayLine, Held};
use std::time::Duration;

/// Which way a packet travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the client to the server.
    Up = 0,
    /// From the server to the client.
    Down = 1,
}

/// The network in one direction. A packet is anything that has bytes.
#[derive(Clone, Debug)]
pub struct Impairment<P = Vec<u8>> {
    losses: Losses,
    bottleneck: Option<Bottleneck>,
    line: DelayLine<P>,
    delay: Duration,
    jitter: Duration,
    duplicate: Share,
    corrupt: Share,
    dice: Dice,
    first: Option<Timestamp>,
    /// The largest index delivered so far.
    furthest: u64,
    counts: Counts,
    drops: Drops,
}

/// One stream of draws for each purpose but loss.
#[derive(Clone, Copy, Debug)]
struct Dice {
    jitter: Stream,
    copy_jitter: Stream,
    duplicate: Stream,
    corrupt: Stream,
    bit: Stream,
}

impl<P: AsRef<[u8]> + AsMut<[u8]> + Clone> Impairment<P> {
    /// A network that has carried nothing yet.
    pub fn new(profile: &Profile, seed: u64, direction: Direction) -> Self {
        let stream = |purpose| Stream::new(seed, direction, purpose);
        Self {
            losses: Losses::new(profile, seed, direction),
            bottleneck: profile
                .rate
                .map(|rate| Bottleneck::new(rate, profile.limit.unwrap_or(DEFAULT_LIMIT))),
            line: DelayLine::default(),
            delay: profile.delay,
            jitter: profile.jitter,
            duplicate: profile.duplicate,
            corrupt: profile.corrupt,
            dice: Dice {
                jitter: stream(Purpose::Jitter),
                copy_jitter: stream(Purpose::CopyJitter),
                duplicate: stream(Purpose::Duplicate),
                corrupt: stream(Purpose::Corrupt),
                bit: stream(Purpose::Bit),
            },
            first: None,
            furthest: 0,
            counts: Counts::default(),
            drops: Drops::default(),
        }
    }

    /// The next packet enters and takes the next index. It, and a copy, may be due at once: pop then.
    pub fn push(&mut self, mut packet: P, now: Timestamp) {
        let index = self.counts.packets;
        let elapsed = now.since(*self.first.get_or_insert(now));
        self.counts.packets += 1;
        let length = packet.as_ref().len();
        self.counts.bytes += length as u64;
        if self.losses.takes(index, elapsed) {
            self.counts.lost += 1;
            self.drops.note(index);
            return;
        }
        let Some(sent) = self.send(length, now) else { return };
        self.damage(index, packet.as_mut());
        let copy = self.dice.duplicate.happens(index, self.duplicate).then(|| packet.clone());
        let due = sent + self.wait(self.dice.jitter, index);
        self.line.insert(due, false, Held { index, entered: now, packet });
        if let Some(packet) = copy {
            self.counts.duplicated += 1;
            let Some(sent) = self.send(length, now) else { return };
            let due = sent + self.wait(self.dice.copy_jitter, index);
            self.line.insert(due, true, Held { index, entered: now, packet });
        }
    }

    /// The first of the packets that are due by now, if any. To be called until there is none.
    pub fn pop(&mut self, now: Timestamp) -> Option<P> {
        let Held { index, entered, packet } = self.line.pop(now)?;
        self.counts.delivered += 1;
        self.counts.delivered_bytes += packet.as_ref().len() as u64;
        let delay = micros(now.since(entered));
        self.counts.delay_sum_us = self.counts.delay_sum_us.saturating_add(delay);
        self.counts.reordered += u64::from(index < self.furthest);
        self.furthest = self.furthest.max(index);
        Some(packet)
    }

    /// When the next packet is due; nothing is held if there is none. It may have passed.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        self.line.next_due()
    }

    /// What was done so far. Writes the list of drops each time, so not for every packet.
    pub fn counts(&self) -> Counts {
        Counts { drops: self.drops.text(), ..self.counts.clone() }
    }

    /// When a packet will have left the slow line; without one, at once. Counts it if there is no
    /// room for it.
    fn send(&mut self, bytes: usize, now: Timestamp) -> Option<Timestamp> {
        let sent = match &mut self.bottleneck {
            _ if self.line.is_full() => None,
            Some(bottleneck) => bottleneck.send(bytes, now),
            None => Some(now),
        };
        self.counts.overflowed += u64::from(sent.is_none());
        sent
    }

    /// Delay and jitter: uniform over the whole microseconds of [delay - jitter, delay + jitter],
    /// and what would be below zero is zero.
    fn wait(&self, stream: Stream, index: u64) -> Duration {
        let width = micros(self.jitter).saturating_mul(2).saturating_add(1);
        let place = Duration::from_micros(stream.below(index, width));
        self.delay.saturating_add(place).saturating_sub(self.jitter)
    }

    /// Flips one bit, drawn from all; bit 0 is the least significant of the first byte.
    fn damage(&mut self, index: u64, packet: &mut [u8]) {
        if !self.dice.corrupt.happens(index, self.corrupt) {
            return;
        }
        let bit = self.dice.bit.below(index, packet.len() as u64 * 8);
        if let Some(byte) = packet.get_mut((bit / 8) as usize) {
            *byte ^= 1 << (bit % 8);
            self.counts.corrupted += 1;
        }
    }
}
