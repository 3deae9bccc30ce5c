//! Redundancy: copies of messages sent ahead of a loss, which a byte stream cannot do.
//!
//! Messages are small: a datagram that leaves anyway has room for earlier ones without an
//! acknowledgment (RFC 4103 §4 does so for typed text). A copy is the same frame with the same id
//! in another datagram; the receiver drops duplicates, so the wire needs nothing new.
//!
//! **The rule.** [`copies`] datagrams carry each small unacknowledged message: at most four, and
//! enough that all are lost only once in hundreds of times at the measured loss. The first is the
//! message itself. The others ride in datagrams that leave at least half a [`spacing`] later, which
//! costs a frame; a datagram of its own costs 82 bytes of headers. So a copy leaves alone only when
//! nothing left within a `spacing` and, where messages have a rhythm of 25 ms or less, when the
//! expected message did not leave. From 14 % loss on the first copy does not wait for the rhythm.
//! Spread out like this copies survive a short burst of losses. Messages of a rhythm that leave
//! together are late already: an earlier hop lost a datagram. They leave twice, because a second
//! loss would cost another interval. Below 0.2 % loss there are no copies. A receipt
//! ([`Class::Receipt`](super::Class)) has none, because its loss delays no message.
//!
//! **The budget.** Bytes of copies are at most `copies - 1` times the bytes of messages sent for
//! another reason, first or again, and once more for each lost message, so that repairs do not use
//! up the budget of later messages. RFC 8085 §3.1 demands congestion control of all traffic: copies
//! count against the congestion window (RFC 9002 §7) and leave room in it for another message like
//! theirs. The loss that copies answer keeps that window small: a sender of copies asks for an
//! acknowledgment before it is full. A sender with anything else to send, or held back by a window,
//! sends none; so a bulk sender never does.
//!
//! **Why not early retransmission** (RFC 5827, RFC 8985)? A datagram overtaken by one 1/8 of a
//! round trip younger is declared lost already (RFC 9002 §6.1.2), before three have overtaken it.
//! The round trip itself remains, and only a copy sent ahead saves it.

use super::congestion::Congestion;
use super::outbox::FRAME_OVERHEAD;
use super::rtt::Rtt;
use crate::protocol::HEADER_LEN;
use crate::protocol::limits::{
    COPY_CREDIT, GRANULARITY, MAX_ACK_DELAY, MAX_RIDE_WAIT, PAIRED_PROBES,
};
use crate::time::Timestamp;
use std::time::Duration;

#[cfg(test)]
mod tests;

/// Loss thresholds for one more copy each: 0.2 %, 2 %, 14 %. All copies are then lost once in 500
/// times at most, in 2,500, in 360. The bench in `tests` shows bytes and delay of other steps.
const STEPS: [u32; 3] = [Loss::ONE / 500, Loss::ONE / 50, Loss::ONE / 7];
/// Loss assumed at the start, 0.5 %: about the first 25 datagrams have copies, because their loss
/// would be repaired slowest (RFC 9002 §6.2.2).
const PRIOR: Loss = Loss { share: Loss::ONE / 200, weight: 16 };
/// Longest pause that counts for the rhythm, so that the average recovers soon.
const MAX_PAUSE: Duration = Duration::from_millis(500);

/// The loss ratio of outgoing ack-eliciting datagrams (RFC 7680), with "lost" as in RFC 9002 §6. A
/// moving average: each datagram weighs 1/128, and more at the start, as if 16 had gone before.
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

    /// Takes back a spurious loss, as nearly as a moving average can.
    pub(super) fn on_found(&mut self) {
        let (share, weight) = (u64::from(self.share), u64::from(self.weight));
        let before = (share * weight).saturating_sub(u64::from(Self::ONE)) / (weight - 1).max(1);
        self.share = before as u32;
        self.on_acked();
    }

    /// The ratio in thousandths.
    pub(super) fn per_mille(self) -> u32 {
        (u64::from(self.share) * 1_000 / u64::from(Self::ONE)) as u32
    }
}

/// Datagrams that should carry each message at this loss.
pub(super) fn copies(loss: Loss) -> u32 {
    1 + STEPS.iter().take_while(|step| loss.share >= **step).count() as u32
}

/// Whether the `in_a_row`th probe without an acknowledgment is two datagrams and does not double
/// the interval, where a message leaves in `copies` datagrams.
pub(super) fn pairs_probe(copies: u32, in_a_row: u32) -> bool {
    copies > 1 && in_a_row <= PAIRED_PROBES
}

/// How long the next copy of a message waits for a datagram that leaves anyway: all leave within a
/// round trip.
pub(super) fn spacing(rtt: &Rtt, copies: u32) -> Duration {
    (rtt.smoothed / (copies + 1)).clamp(GRANULARITY, MAX_ACK_DELAY)
}

/// The state of the policy.
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

/// The rhythm of new messages: it predicts the next datagram with room for copies.
#[derive(Clone, Copy, Debug, Default)]
struct Rhythm {
    last: Option<Timestamp>,
    /// Moving average of the time from one message to the next; each pause weighs a quarter.
    interval: Option<Duration>,
    /// Whether several messages left together last.
    together: bool,
}

impl Rhythm {
    fn on_departure(&mut self, messages: u32, now: Timestamp) {
        self.together = messages > 1;
        if let Some(last) = self.last.replace(now) {
            let pause = now.since(last).min(MAX_PAUSE) / messages;
            self.interval = Some(self.interval.map_or(pause, |mean| (3 * mean + pause) / 4));
        }
    }

    /// When the next message should have left, if the rhythm is short enough.
    fn next(self) -> Option<Timestamp> {
        let interval = self.interval.filter(|interval| *interval <= MAX_RIDE_WAIT)?;
        Some(self.last? + interval * 5 / 4)
    }
}

impl Redundancy {
    /// Counts the departure of new messages in one datagram.
    pub(super) fn on_departure(&mut self, messages: u32, now: Timestamp) {
        self.rhythm.on_departure(messages, now);
    }

    /// When the next copy of a message, sent `sent` times and last at `last_sent`, leaves in a
    /// datagram of its own. It waits for a datagram that the rhythm predicts, except the first copy
    /// at high loss, or of messages that left together.
    pub(super) fn copy_leaves(
        &self,
        last_sent: Timestamp,
        sent: u32,
        rtt: &Rtt,
        copies: u32,
    ) -> Timestamp {
        let due = last_sent + spacing(rtt, copies);
        match self.rhythm.next() {
            Some(_) if sent == 1 && self.rhythm.together => last_sent + GRANULARITY,
            Some(next) if sent > 1 || copies <= STEPS.len() as u32 => due.max(next),
            _ => due,
        }
    }

    /// Counts departing messages that are no copies.
    pub(super) fn on_sent(&mut self, bytes: usize, copies: u32) {
        let earned = bytes as u64 * u64::from(copies - 1);
        self.credit = (self.credit + earned).min(COPY_CREDIT);
    }

    /// Counts lost bytes that are still wanted, to replace their copies.
    pub(super) fn on_lost(&mut self, bytes: usize) {
        self.credit = (self.credit + bytes as u64).min(COPY_CREDIT);
    }

    /// Counts a departing copy.
    pub(super) fn on_copied(&mut self, bytes: usize) {
        self.credit = self.credit.saturating_sub(bytes as u64);
    }

    /// Whether a copy of `bytes` bytes may join a datagram of `before` bytes. It leaves room in the
    /// congestion window for another such message, alone.
    pub(super) fn allows(&self, bytes: usize, before: usize, congestion: &Congestion) -> bool {
        let needed = before + HEADER_LEN + 2 * (FRAME_OVERHEAD + bytes);
        bytes as u64 <= self.credit && needed <= congestion.room()
    }
}
