//! An emulated bad network: loss, delay, jitter, duplicates, bit errors, limited rate.
//!
//! [`Spec`] configures both directions, [`Impairment`] impairs the packets of one, and [`Counts`]
//! reports the result. Sans-IO: packets are bytes of any protocol, and time is an argument. The
//! owner of the sockets pushes incoming packets and pops those that are due.
//!
//! # The path of a packet
//!
//! ```text
//! lost? ─no─► bottleneck (rate, limit) ─► bit error? ─► duplicate? ─► delay ± jitter ─► out
//!   │             │ queue full                            └ copy: bottleneck, delay ± own jitter
//!   └► dropped    └► dropped
//! ```
//!
//! # Determinism
//!
//! Loss (random, listed or every nth), jitter, duplication and bit errors depend only on the seed,
//! the direction and the packet's index (see [`prng`]). Each packet that enters takes the next
//! index, from 0, even if it is lost, so no decision affects a later one. Two effects depend on
//! time: blackhole windows, which count from the first packet, and the overflow of
//! a full queue.

mod counts;
mod fate;
mod loss;
mod network;
pub mod prng;
mod queue;
mod ranges;
mod script;
mod spec;

pub use counts::{Counts, MAX_DROP_RANGES, TRUNCATED};
pub use fate::{Cause, Departure, Fate};
pub use network::{Network, Refused};
pub use queue::MAX_HELD;
pub use ranges::Ranges;
pub use script::{Change, MAX_CHANGES, Scope, Script, ScriptError, ScriptProblem};
pub use spec::{Burst, DEFAULT_LIMIT, Loss, PRESETS, Profile, Share, Spec, SpecError, SpecProblem};

use crate::time::{Timestamp, micros};
use counts::Drops;
use loss::Losses;
use prng::{Purpose, Stream};
use queue::{Bottleneck, DelayLine, Held};
use std::time::Duration;

/// The direction of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the client to the server.
    Up = 0,
    /// From the server to the client.
    Down = 1,
}

/// The emulated network in one direction. A packet is any byte container.
#[derive(Clone, Debug)]
pub struct Impairment<P = Vec<u8>> {
    losses: Losses,
    bottleneck: Option<Bottleneck>,
    delay_line: DelayLine<P>,
    delay: Duration,
    jitter: Duration,
    duplicate: Share,
    corrupt: Share,
    streams: Streams,
    first: Option<Timestamp>,
    /// The largest index delivered so far.
    max_delivered: u64,
    counts: Counts,
    drops: Drops,
}

/// One stream of random draws for each purpose except loss.
#[derive(Clone, Copy, Debug)]
struct Streams {
    jitter: Stream,
    copy_jitter: Stream,
    duplicate: Stream,
    corrupt: Stream,
    bit: Stream,
}

impl<P: AsRef<[u8]> + AsMut<[u8]> + Clone> Impairment<P> {
    /// A network that has carried no packet yet.
    #[must_use]
    pub fn new(profile: &Profile, seed: u64, direction: Direction) -> Self {
        let stream = |purpose| Stream::new(seed, direction, purpose);
        Self {
            losses: Losses::new(profile, seed, direction),
            bottleneck: bottleneck(profile),
            delay_line: DelayLine::default(),
            delay: profile.delay,
            jitter: profile.jitter,
            duplicate: profile.duplicate,
            corrupt: profile.corrupt,
            streams: Streams {
                jitter: stream(Purpose::Jitter),
                copy_jitter: stream(Purpose::CopyJitter),
                duplicate: stream(Purpose::Duplicate),
                corrupt: stream(Purpose::Corrupt),
                bit: stream(Purpose::Bit),
            },
            first: None,
            max_delivered: 0,
            counts: Counts::default(),
            drops: Drops::default(),
        }
    }

    /// Changes the conditions of later packets. Those on their way keep their delay.
    pub(crate) fn set_profile(&mut self, profile: &Profile, seed: u64, direction: Direction) {
        let Profile { delay, jitter, duplicate, corrupt, .. } = *profile;
        (self.delay, self.jitter, self.duplicate, self.corrupt) =
            (delay, jitter, duplicate, corrupt);
        self.losses = Losses::new(profile, seed, direction);
        self.bottleneck = bottleneck(profile);
    }

    /// Enters the next packet and returns its fate. It, or its copy, may be due at once: call
    /// [`Self::pop`] afterwards.
    pub fn push(&mut self, packet: P, now: Timestamp) -> Fate {
        self.push_as(self.counts.packets, packet, now)
    }

    /// Like [`Self::push`], for a packet with this index, larger than that of any packet before.
    pub(crate) fn push_as(&mut self, index: u64, mut packet: P, now: Timestamp) -> Fate {
        let elapsed = now.since(*self.first.get_or_insert(now));
        self.counts.packets += 1;
        let length = packet.as_ref().len();
        self.counts.bytes += length as u64;
        if let Some(cause) = self.losses.cause(index, elapsed) {
            self.counts.lost += 1;
            self.drops.note(index);
            return Fate::Lost(cause);
        }
        let Some(sent) = self.transmit(length, now) else { return Fate::Overflowed };
        let flipped = self.flip_bit(index, packet.as_mut());
        let copy = self.streams.duplicate.happens(index, self.duplicate).then(|| packet.clone());
        let due = sent + self.draw_delay(self.streams.jitter, index);
        self.delay_line.insert(due, false, Held { index, entered: now, packet });
        let copy = copy.map(|packet| {
            self.counts.duplicated += 1;
            let due =
                self.transmit(length, now)? + self.draw_delay(self.streams.copy_jitter, index);
            self.delay_line.insert(due, true, Held { index, entered: now, packet });
            Some(due.since(now))
        });
        Fate::Forwarded { delay: due.since(now), flipped, copy }
    }

    /// Removes the earliest packet that is due by `now`. Call it until it returns `None`.
    pub fn pop(&mut self, now: Timestamp) -> Option<P> {
        self.depart(now).map(|(packet, _)| packet)
    }

    /// Like [`Self::pop`], with the index of the packet.
    pub fn depart(&mut self, now: Timestamp) -> Option<(P, Departure)> {
        let (is_copy, Held { index, entered, packet }) = self.delay_line.pop(now)?;
        self.counts.delivered += 1;
        self.counts.delivered_bytes += packet.as_ref().len() as u64;
        let delay = now.since(entered);
        self.counts.delay_sum_us = self.counts.delay_sum_us.saturating_add(micros(delay));
        self.counts.reordered += u64::from(index < self.max_delivered);
        self.max_delivered = self.max_delivered.max(index);
        Some((packet, Departure { index, is_copy, delay }))
    }

    /// The time at which the next packet is due; `None` if no packet is held. It may be in the
    /// past.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        self.delay_line.next_due()
    }

    /// The packets that have entered, which is the index of the next one.
    #[must_use]
    pub fn entered(&self) -> u64 {
        self.counts.packets
    }

    /// The counters so far. This formats the list of drops, so do not call it for every packet.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts { drops: self.drops.text(), ..self.counts.clone() }
    }

    /// The time at which the packet leaves the bottleneck. Returns `None`, and counts an overflow,
    /// if the queue is full.
    fn transmit(&mut self, bytes: usize, now: Timestamp) -> Option<Timestamp> {
        let sent = match &mut self.bottleneck {
            _ if self.delay_line.is_full() => None,
            Some(bottleneck) => bottleneck.send(bytes, now),
            None => Some(now),
        };
        self.counts.overflowed += u64::from(sent.is_none());
        sent
    }

    /// Draws a delay, uniform over the whole microseconds of [delay - jitter, delay + jitter] and
    /// clamped to 0.
    fn draw_delay(&self, stream: Stream, index: u64) -> Duration {
        let width = micros(self.jitter).saturating_mul(2).saturating_add(1);
        let place = Duration::from_micros(stream.below(index, width));
        self.delay.saturating_add(place).saturating_sub(self.jitter)
    }

    /// Flips one random bit and returns its number; bit 0 is the least significant bit of the first
    /// byte.
    fn flip_bit(&mut self, index: u64, packet: &mut [u8]) -> Option<u64> {
        if !self.streams.corrupt.happens(index, self.corrupt) {
            return None;
        }
        let bit = self.streams.bit.below(index, packet.len() as u64 * 8);
        *packet.get_mut((bit / 8) as usize)? ^= 1 << (bit % 8);
        self.counts.corrupted += 1;
        Some(bit)
    }
}

fn bottleneck(profile: &Profile) -> Option<Bottleneck> {
    let limit = profile.limit.unwrap_or(DEFAULT_LIMIT);
    profile.rate.map(|rate| Bottleneck::new(rate, limit))
}
