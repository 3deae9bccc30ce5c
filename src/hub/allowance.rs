//! The rate limit of a member (`proto.md` §7.14): a burst, then a rate. Every message costs,
//! because every message costs the server as much. A member above its limit is asked to wait, and
//! nothing is held back or lost. The server drops a member far above the limit; a member that waits
//! as asked never gets there.

use crate::bucket::{Bucket, Limit};
use crate::protocol::limits::{ANSWER_TIMEOUT, FREE_PATH_PROBE, MAX_PINGS, SLOW_AGAIN, TURN_BYTES};
use crate::registry::PeerId;
use crate::time::{Timestamp, micros};
use std::time::Duration;

/// A question to another peer.
#[derive(Clone, Copy, Debug)]
struct Ping {
    to: PeerId,
    number: u16,
    asked: Timestamp,
}

/// The result of a charge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Charge {
    /// The peer is within its limit.
    Paid,
    /// The peer should wait this long.
    Owing(Duration),
    /// The server drops the peer, whose limit this was.
    Flooding(Limit),
}

/// The used part of a peer's allowance.
#[derive(Clone, Copy, Debug)]
pub(super) struct Allowance {
    bucket: Bucket,
    /// Whether the limit is enforced. If not, the bucket only finds the senders above it.
    limited: bool,
    /// The end of the last wait that the server asked for.
    told: Timestamp,
    /// The next sign of life is free from then on.
    free_at: Timestamp,
    /// The next probe of the path is free from then on.
    path_probe_at: Timestamp,
    /// The turn in which it was read last, and the bytes read in it.
    read: (u64, usize),
    /// Its pings without an answer. The server drops any other answer.
    pings: [Option<Ping>; MAX_PINGS],
}

impl Allowance {
    /// An allowance whose bucket is full at `full`, as earlier sessions left it.
    pub(super) fn new(limit: Option<Limit>, full: Timestamp, now: Timestamp) -> Self {
        Self {
            bucket: Bucket::full_at(limit.unwrap_or(Limit::USUAL), full.max(now)),
            limited: limit.is_some(),
            told: Timestamp::ZERO,
            free_at: Timestamp::ZERO,
            path_probe_at: Timestamp::ZERO,
            read: (0, 0),
            pings: [None; MAX_PINGS],
        }
    }

    /// Takes tokens.
    pub(super) fn charge(&mut self, tokens: usize, now: Timestamp) -> Charge {
        if !self.limited {
            // Debts would never be paid: the sender is not asked to wait.
            if self.bucket.ready() <= now {
                self.bucket.take(tokens, now);
            }
            return Charge::Paid;
        }
        self.bucket.take(tokens, now);
        if self.bucket.is_broken(now) {
            Charge::Flooding(self.bucket.limit())
        } else if self.bucket.is_owing(now) {
            Charge::Owing(self.bucket.debt(now))
        } else {
            Charge::Paid
        }
    }

    /// Takes tokens for signs of life. One in each `interval` is free.
    pub(super) fn charge_idle(
        &mut self,
        mut tokens: usize,
        interval: Duration,
        now: Timestamp,
    ) -> Charge {
        if tokens > 0 && self.free_at <= now {
            self.free_at = now + interval;
            tokens -= 1;
        }
        if tokens > 0 { self.charge(tokens, now) } else { Charge::Paid }
    }

    /// Takes in a probe of the path's datagram size (`proto.md` §7.16). Returns whether it is free:
    /// no earlier than a searching client sends one.
    pub(super) fn takes_path_probe(&mut self, now: Timestamp) -> bool {
        let due = self.path_probe_at <= now;
        if due {
            self.path_probe_at = now + FREE_PATH_PROBE;
        }
        due
    }

    /// Counts bytes received in this turn. Returns whether to read them: bytes above the budget of
    /// a turn are lost, as if a buffer had been full, so that the other peers have their turn.
    pub(super) fn takes_bytes(&mut self, bytes: usize, turn: u64) -> bool {
        if self.read.0 != turn {
            self.read = (turn, 0);
        }
        self.read.1 += bytes;
        self.read.1 <= TURN_BYTES
    }

    /// Whether its next message is within the limit; without a limit, within the usual one.
    pub(super) fn is_within_limit(&self, now: Timestamp) -> bool {
        self.bucket.ready() <= now
    }

    /// When it is within the limit again.
    pub(super) fn ready(&self) -> Timestamp {
        self.bucket.ready()
    }

    /// When the bucket is full again. Without a limit it always is.
    pub(super) fn full(&self) -> Timestamp {
        if self.limited { self.bucket.full() } else { Timestamp::ZERO }
    }

    /// How many milliseconds to ask the peer to wait. `None` if an earlier request still covers
    /// nearly all of it.
    pub(super) fn ask_to_wait(&mut self, wait: Duration, now: Timestamp) -> Option<u16> {
        let until = now + wait;
        if until <= now || (self.told > now && until < self.told + SLOW_AGAIN) {
            return None;
        }
        self.told = until;
        // Rounded up: a peer that waits this long owes nothing.
        Some(u16::try_from(micros(wait).div_ceil(1_000)).unwrap_or(u16::MAX))
    }

    /// It asks `to`. A question above `MAX_PINGS` takes the place of the oldest.
    pub(super) fn ask(&mut self, to: PeerId, number: u16, now: Timestamp) {
        let oldest = self.pings.iter_mut().min_by_key(|ping| ping.map(|ping| ping.asked));
        if let Some(place) = oldest {
            *place = Some(Ping { to, number, asked: now });
        }
    }

    /// `from` answers. Returns whether it was asked a short time ago and has not answered before.
    pub(super) fn answered(&mut self, from: PeerId, number: u16, now: Timestamp) -> bool {
        let asked = |ping: &Ping| {
            (ping.to, ping.number) == (from, number) && ping.asked + ANSWER_TIMEOUT > now
        };
        let mut open = self.pings.iter_mut().filter(|ping| ping.as_ref().is_some_and(asked));
        open.next().and_then(Option::take).is_some()
    }
}
