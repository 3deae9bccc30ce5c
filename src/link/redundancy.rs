//! Copies sent before anything is known to be lost: chat's advantage over a byte stream.
//!
//! Messages are small, so a datagram that leaves anyway has room for those before it that are not
//! acknowledged yet (RFC 4103 §4 does so for typed text). A copy is the same frame with the same
//! id in another datagram, and the receiver drops what it has: the wire knows nothing of this.
//!
//! **The rule.** Every small message that is unacknowledged is to be on its way in [`copies`]
//! datagrams: as many as it takes, at the loss this link measures, for all of them to be lost
//! only once in hundreds of times; four at most. The first is the message itself. The others ride
//! along in datagrams that leave at least half a [`spacing`] later. A ride costs a frame, a datagram
//! of its own costs 82 bytes of headers and a packet besides. So a copy leaves alone only when
//! nothing left within a whole `spacing` and, where messages have a rhythm of 25 ms or less, when the
//! message that was due did not leave either. From 14 % loss on the first copy does not wait for the
//! rhythm. Spread out like this copies survive a short burst of losses. Below a loss of 0.2 % there
//! are none. A receipt ([`Class::Receipt`](super::Class)) has none: its loss delays nobody.
//!
//! **The budget.** Bytes of copies are at most `copies - 1` times the bytes of messages sent for
//! another reason (first or again), and once more for each message that is known to be lost; else
//! later messages would have to wait for theirs. RFC 8085 §3.1 wants what is sent to follow what the
//! path carries, and repair traffic is traffic. Copies count against the congestion window like
//! everything (RFC 9002 §7) and leave room in it for a small message; and a sender that has anything
//! else to send, or would if a window let it, sends none. So a bulk sender never does.
//!
//! **Why not earlier retransmission** (RFC 5827, RFC 8985)? A datagram overtaken by one 1/8 of a
//! round trip younger is found lost already (RFC 9002 §6.1.2), without waiting for three. What
//! remains is the round trip itself, and only a copy sent ahead saves that.

use super::congestion::Congestion;
use super::outbox::FRAME_OVERHEAD;
use super::rtt::Rtt;
use crate::protocol::HEADER_LEN;
use crate::protocol::limits::{
    COPY_CREDIT, GRANULARITY, MAX_ACK_DELAY, MAX_COPIED, MAX_RIDE_WAIT, PAIRED_PROBES,
};
use crate::time::Timestamp;
use std::time::Duration;

#[cfg(test)]
mod tests;

/// Bytes of the congestion window that copies leave free: room for a small message alone.
const WINDOW_RESERVE: usize = HEADER_LEN + FRAME_OVERHEAD + MAX_COPIED;
/// From each of these losses on, one more datagram carries each message: 0.2 %, 2 %, 14 %. All of
/// them are then lost once in 500 times at most, in 2,500, in 360. The bench in `tests` shows what
/// other steps cost in bytes and gain in delay.
const STEPS: [u32; 3] = [Loss::ONE / 500, Loss::ONE / 50, Loss::ONE / 7];
/// What a link supposes before it has seen anything, 0.5 %: about its first 25 datagrams have
/// copies, for those are the ones whose loss would be repaired slowest (§6.2.2 of RFC 9002).
const PRIOR: Loss = Loss { share: Loss::ONE / 200, weight: 16 };
/// A longer pause between two messages counts as this long, so that the rhythm is soon found again.
const MAX_PAUSE: Duration = Duration::from_millis(500);

/// The share of datagrams that were lost on the way out: RFC 7680's loss ratio, of those datagrams
/// that ask for an acknowledgment, with "lost" as RFC 9002 §6 declares it. A moving average: each
/// datagram weighs 1/128, and more among the first, as if there had been 16 before.
#[derive(Clone, Copy, Debug)]
pub(super) struct Loss {
    share: u32,
    weight: u32,
}

impl Default for Loss {
    fn default() -> Self {
        PRIOR
    }
}

impl Loss {
    const ONE: u32 = 1 << 24;
    const WEIGHT: u32 = 128;

    pub(super) fn on_acked(&mut self) {
        self.weight = (self.weight + 1).min(Self::WEIGHT);
        self.share -= self.share / self.weight;
    }

    pub(super) fn on_lost(&mut self) {
        self.weight = (self.weight + 1).min(Self::WEIGHT);
        self.share += (Self::ONE - self.share) / self.weight;
    }

    /// A datagram that was declared lost arrived: takes the loss back, as nearly as a moving average can.
    pub(super) fn on_found(&mut self) {
        let (share, weight) = (u64::from(self.share), u64::from(self.weight));
        let before = (share * weight).saturating_sub(u64::from(Self::ONE)) / (weight - 1).max(1);
        self.share = before as u32;
        self.on_acked();
    }

    /// In thousandths.
    pub(super) fn per_mille(self) -> u32 {
        (u64::from(self.share) * 1_000 / u64::from(Self::ONE)) as u32
    }
}

/// In how many datagrams each message is to be on its way.
pub(super) fn copies(loss: Loss) -> u32 {
    1 + STEPS.iter().take_while(|step| loss.share >= **step).count() as u32
}

/// Datagrams for a probe, the `in_a_row`th.
pub(super) fn probes(loss: Loss, in_a_row: u32) -> u32 {
    if copies(loss) > 1 && in_a_row <= PAIRED_PROBES { 2 } else { 1 }
}

/// How long a message's next copy waits for company: half a round trip where losses are rare,
/// and half of that where it is likely to be needed.
pub(super) fn spacing(rtt: &Rtt, copies: u32) -> Duration {
    let share = if copies > 2 { 4 } else { 2 };
    (rtt.smoothed / share).clamp(GRANULARITY, MAX_ACK_DELAY)
}

/// What the policy remembers.
#[derive(Clone, Debug)]
pub(super) struct Redundancy {
    credit: u64,
    rhythm: Rhythm,
}

impl Default for Redundancy {
    fn default() -> Self {
        Self { credit: COPY_CREDIT, rhythm: Rhythm::default() }
    }
}

/// How often new messages leave: when the next datagram with room for copies is to be expected.
#[derive(Clone, Copy, Debug, Default)]
struct Rhythm {
    last: Option<Timestamp>,
    /// Moving average of the pauses, each of which weighs a quarter.
    interval: Option<Duration>,
}

impl Rhythm {
    fn on_departure(&mut self, now: Timestamp) {
        if let Some(last) = self.last.replace(now) {
            let pause = now.since(last).min(MAX_PAUSE);
            self.interval = Some(self.interval.map_or(pause, |mean| (3 * mean + pause) / 4));
        }
    }

    /// When the next message will have left, if the rhythm holds and that is soon.
    fn next(self) -> Option<Timestamp> {
        let interval = self.interval.filter(|interval| *interval <= MAX_RIDE_WAIT)?;
        Some(self.last? + interval * 5 / 4)
    }
}

impl Redundancy {
    /// New messages left.
    pub(super) fn on_departure(&mut self, now: Timestamp) {
        self.rhythm.on_departure(now);
    }

    /// When the next copy of a message leaves alone that left `sent` times, last at `last_sent`, if no
    /// datagram takes it along before. Where the rhythm promises one soon, the copy waits for it; but
    /// not the first copy where losses are frequent.
    pub(super) fn copy_leaves(
        &self,
        last_sent: Timestamp,
        sent: u32,
        rtt: &Rtt,
        copies: u32,
    ) -> Timestamp {
        let due = last_sent + spacing(rtt, copies);
        if sent == 1 && copies > STEPS.len() as u32 {
            return due;
        }
        let latest = last_sent + 2 * MAX_RIDE_WAIT;
        self.rhythm.next().map_or(due, |next| due.max(next.min(latest)))
    }

    /// Messages left, but not as copies.
    pub(super) fn on_sent(&mut self, bytes: usize, copies: u32) {
        let earned = bytes as u64 * u64::from(copies - 1);
        self.credit = (self.credit + earned).min(COPY_CREDIT);
    }

    /// A datagram with messages was lost, and they are still wanted: others are to take its place.
    pub(super) fn on_lost(&mut self, bytes: usize) {
        self.credit = (self.credit + bytes as u64).min(COPY_CREDIT);
    }

    /// A copy left.
    pub(super) fn on_copied(&mut self, bytes: usize) {
        self.credit = self.credit.saturating_sub(bytes as u64);
    }

    /// Whether a copy of so many bytes may leave in a datagram that has `before` without it.
    pub(super) fn allows(&self, bytes: usize, before: usize, congestion: &Congestion) -> bool {
        let reserve = WINDOW_RESERVE;
        bytes as u64 <= self.credit
            && before + FRAME_OVERHEAD + bytes + reserve <= congestion.room()
    }
}
