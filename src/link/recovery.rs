//! Loss detection (RFC 9002 §6): which of this end's datagrams arrived, which are lost. The
//! contents of a datagram are opaque here.

mod sent;
#[cfg(test)]
mod tests;

pub(super) use sent::Asks;
use sent::{Sent, State, newer};

use super::congestion::Congestion;
use super::contents::{Content, Contents};
use super::fifo::Fifo;
use super::path_size::Large;
use super::redundancy::{self, Loss};
use super::rtt::Rtt;
use crate::protocol::limits::{
    ACK_BITMAP, ACK_INTERVAL, LAZY_ACK_DELAY, MAX_ACK_DELAY, MAX_PROBE_INTERVAL, PACKET_THRESHOLD,
    PERSISTENT_CONGESTION, REMEMBERED_DATAGRAMS, REORDERING_PERSISTS,
};
use crate::protocol::unwrap32;
use crate::time::Timestamp;
use std::time::Duration;

/// Largest ack delay of a round-trip sample. A longer one means that the first acknowledgment was
/// lost: its repetition gives no sample (Karn's rule, RFC 6298 §3).
const MAX_SAMPLED_DELAY: Duration = ACK_INTERVAL;

/// The contents that an acknowledgment or a timer settled or declared lost.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) acked: Vec<Content>,
    pub(super) lost: Vec<Content>,
    pub(super) lost_datagrams: u64,
    /// Datagrams declared lost whose acknowledgment came later (spurious losses).
    pub(super) found_datagrams: u64,
    pub(super) rtt: Option<Duration>,
    /// The last large datagram that arrived, and the last one lost.
    pub(super) large_arrived: Option<Large>,
    pub(super) large_lost: Option<Large>,
}

/// The sending half of the sequence number space.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Recovery {
    largest_acked: Option<u64>,
    /// Last time a datagram was newly acknowledged.
    progress: Timestamp,
    pub(super) congestion: Congestion,
    pub(super) loss: Loss,
    probes_in_a_row: u32,
    /// Those of them that doubled the interval.
    doublings: u32,
    outstanding: u32,
    /// Of `outstanding`, those with [`Asks::Soon`].
    outstanding_soon: u32,
    /// When the last datagram with [`Asks::Soon`] left.
    last_soon: Timestamp,
    last_eliciting: Timestamp,
    loss_time: Option<Timestamp>,
    /// Confirmed losses since the last reordered datagram.
    lost_in_order: u32,
    /// Last round-trip sample.
    sampled: Timestamp,
    /// Sequence number of `sent[0]`; earlier datagrams are acknowledged or lost.
    first: u64,
    sent: Fifo<Sent>,
    pub(super) rtt: Rtt,
}

impl Recovery {
    pub(super) fn new(first: u32, now: Timestamp) -> Self {
        Self {
            largest_acked: None,
            progress: now,
            congestion: Congestion::default(),
            loss: Loss::default(),
            probes_in_a_row: 0,
            doublings: 0,
            outstanding: 0,
            outstanding_soon: 0,
            last_soon: now,
            last_eliciting: now,
            loss_time: None,
            lost_in_order: 0,
            sampled: now,
            first: u64::from(first),
            sent: Fifo::default(),
            rtt: Rtt::default(),
        }
    }

    /// Sequence number of the next datagram.
    pub(super) fn next_sequence(&self) -> u64 {
        self.first + self.sent.len() as u64
    }

    /// Whether no ack-eliciting datagram has left yet.
    pub(super) fn has_sent_nothing(&self) -> bool {
        self.sent.is_empty() && self.rtt.min.is_none()
    }

    /// Probes since the last acknowledgment (the `pto_count` of RFC 9002 §A.3).
    pub(super) fn probes_in_a_row(&self) -> u32 {
        self.probes_in_a_row
    }

    /// Departure of the oldest outstanding datagram.
    pub(super) fn oldest(&self) -> Option<Timestamp> {
        if self.outstanding == 0 {
            return None;
        }
        self.sent.iter().find(|sent| sent.state == State::Outstanding).map(|sent| sent.at)
    }

    /// Last time a datagram was newly acknowledged.
    pub(super) fn last_progress(&self) -> Timestamp {
        self.progress
    }

    /// Departure of the last ack-eliciting datagram.
    pub(super) fn last_eliciting(&self) -> Timestamp {
        self.last_eliciting
    }

    /// Prefetches the place where the next datagram is recorded.
    pub(super) fn prefetch_queue(&self) {
        self.sent.prefetch_end();
    }

    /// Records a departing datagram. Only an ack-eliciting one can be declared lost (§2).
    pub(super) fn on_sent(&mut self, now: Timestamp, bytes: usize, asks: Asks, contents: Contents) {
        let eliciting = asks != Asks::No;
        if eliciting {
            if self.outstanding == 0
                && now.since(self.last_eliciting) > self.rtt.probe_timeout(MAX_ACK_DELAY)
            {
                self.congestion.on_idle();
            }
            self.outstanding += 1;
            self.last_eliciting = now;
            self.congestion.on_sent(bytes as u64);
        } else if self.sent.is_empty() {
            self.first += 1;
            return;
        }
        if asks == Asks::Soon {
            self.outstanding_soon += 1;
            self.last_soon = now;
        }
        let bytes = bytes as u16;
        let state = if eliciting { State::Outstanding } else { State::Unasked };
        self.sent.push_back(Sent { at: now, contents, bytes, asks, state });
    }

    /// Records a probe of the path's datagram size. It is no sign of life and no signal of
    /// congestion (RFC 8899 §4.1), so no counter includes it.
    pub(super) fn on_path_probe_sent(&mut self, now: Timestamp, number: u64) {
        self.outstanding += 1;
        self.outstanding_soon += 1;
        self.last_soon = now;
        let contents = Contents::One(Content::PathProbe(number));
        let sent =
            Sent { at: now, contents, bytes: 0, asks: Asks::Soon, state: State::Outstanding };
        self.sent.push_back(sent);
    }

    /// Takes an acknowledgment of `ack` and of the datagrams in `bitmap` (§5, §6.1).
    pub(super) fn on_ack(
        &mut self,
        ack: u32,
        bitmap: u64,
        delay: Duration,
        now: Timestamp,
        outcome: &mut Outcome,
    ) {
        let next = self.next_sequence();
        let largest = unwrap32(ack, next);
        if largest >= next {
            return; // an acknowledgment of a datagram that was never sent
        }
        let newly = self.mark_arrived(largest, now, outcome);
        if let Some(at) = newly.filter(|_| delay <= MAX_SAMPLED_DELAY) {
            let sample = now.since(at);
            self.rtt.sample(sample, delay);
            self.sampled = now;
            outcome.rtt = Some(sample);
        }
        let mut progress = newly.is_some();
        let mut bits = bitmap;
        while bits != 0 {
            let i = u64::from(bits.trailing_zeros());
            bits &= bits - 1;
            // Datagrams before `first` are forgotten.
            let Some(sequence) = largest.checked_sub(1 + i).filter(|it| *it >= self.first) else {
                break;
            };
            progress |= self.mark_arrived(sequence, now, outcome).is_some();
        }
        if progress {
            (self.probes_in_a_row, self.doublings) = (0, 0);
            self.progress = now;
        }
        self.largest_acked = self.largest_acked.max(Some(largest));
        self.detect_losses(now, outcome);
    }

    /// Age of the newest round-trip sample, if there is one.
    pub(super) fn sample_age(&self, now: Timestamp) -> Option<Duration> {
        self.rtt.min.map(|_| now.since(self.sampled))
    }

    /// Makes room for one more datagram, at [`REMEMBERED_DATAGRAMS`] by declaring the oldest lost:
    /// the memory is bounded even if the peer acknowledges nothing.
    pub(super) fn make_room(&mut self, now: Timestamp) -> Option<Outcome> {
        if self.sent.len() < REMEMBERED_DATAGRAMS {
            return None;
        }
        let mut outcome = Outcome::default();
        if self.sent.front().is_some_and(|sent| sent.state == State::Outstanding) {
            self.lose(0, now, &mut outcome);
        }
        self.sent.pop_front();
        self.first += 1;
        Some(outcome)
    }

    /// Frees unused memory.
    pub(super) fn tidy(&mut self) {
        self.sent.tidy();
    }

    /// The loss detection timer (RFC 9002 §6.2).
    pub(super) fn timeout(&self) -> Option<Timestamp> {
        if self.loss_time.is_some() {
            self.loss_time
        } else if self.outstanding_soon > 0 {
            Some(self.last_soon + self.probe_interval(MAX_ACK_DELAY))
        } else if self.outstanding > 0 {
            Some(self.last_eliciting + self.probe_interval(LAZY_ACK_DELAY))
        } else {
            None
        }
    }

    /// Handles the timer. Returns the number of datagrams of the probe to send (§6.2.4), if any.
    /// Each message leaves in `copies` datagrams.
    pub(super) fn on_timeout(
        &mut self,
        now: Timestamp,
        copies: u32,
        outcome: &mut Outcome,
    ) -> Option<u32> {
        if self.loss_time.is_some_and(|at| at <= now) {
            self.detect_losses(now, outcome);
            return None;
        }
        if self.loss_time.is_some() || self.timeout().is_none_or(|at| at > now) {
            return None;
        }
        self.probes_in_a_row += 1;
        // The interval restarts even if the congestion window holds the probe back.
        self.last_eliciting = now;
        self.last_soon = now;
        if redundancy::pairs_probe(copies, self.probes_in_a_row) {
            return Some(2);
        }
        self.doublings += 1;
        Some(1)
    }

    fn probe_interval(&self, ack_delay: Duration) -> Duration {
        let undoubled = self.rtt.probe_timeout(ack_delay);
        if self.doublings == 0 {
            return undoubled;
        }
        let doubled = undoubled * (1 << self.doublings.min(10));
        // Without a sample the round trip may be longer than any limit, and each probe only
        // lengthens the queue that it waits in (RFC 8085 §3.1.1).
        if self.rtt.min.is_none() {
            doubled
        } else {
            doubled.min(MAX_PROBE_INTERVAL.max(undoubled))
        }
    }

    /// Marks a datagram as arrived. Returns its departure, if it was not acknowledged before.
    fn mark_arrived(
        &mut self,
        sequence: u64,
        now: Timestamp,
        outcome: &mut Outcome,
    ) -> Option<Timestamp> {
        let index = usize::try_from(sequence.checked_sub(self.first)?).ok()?;
        let sent = self.sent.get_mut(index)?;
        let was = std::mem::replace(&mut sent.state, State::Acked);
        let (at, bytes, asks) = (sent.at, u64::from(sent.bytes), sent.asks);
        if matches!(was, State::Unasked | State::Acked) {
            sent.state = was;
            return None;
        }
        let contents = std::mem::take(&mut sent.contents);
        outcome.acked.extend(contents.as_slice());
        if was == State::Outstanding {
            self.outstanding_soon -= u32::from(asks == Asks::Soon);
            self.outstanding -= 1;
        }
        if !contents.is_path_probe() {
            newer(&mut outcome.large_arrived, sent);
            if was == State::Outstanding {
                self.congestion.on_acked(bytes, at, now, self.rtt.smoothed);
                self.loss.on_acked();
            } else {
                outcome.found_datagrams += 1;
                self.congestion.on_found(at);
                self.loss.on_found();
            }
        }
        // A later datagram was acknowledged before this one: the path reorders.
        if self.largest_acked.is_some_and(|largest| sequence < largest) {
            self.rtt.reordered(now.since(at));
            self.lost_in_order = 0;
        }
        Some(at)
    }

    /// Declares datagrams lost by packet and time threshold (§6.1), with larger thresholds on a
    /// path that reorders (RFC 8985 §6.2).
    fn detect_losses(&mut self, now: Timestamp, outcome: &mut Outcome) {
        self.loss_time = None;
        self.forget_settled();
        if self.outstanding == 0 {
            return; // the usual case
        }
        let delay = self.rtt.loss_delay();
        let threshold = if self.rtt.reorders() { ACK_BITMAP + 1 } else { PACKET_THRESHOLD };
        let overtaken = self.largest_acked.map_or(0, |largest| largest.saturating_sub(self.first));
        let persistent = self.rtt.probe_timeout(MAX_ACK_DELAY) * PERSISTENT_CONGESTION;
        // Since when every ack-eliciting datagram was lost (RFC 9002 §7.6.2).
        let mut lost_since: Option<Timestamp> = None;
        for index in 0.. {
            let index64 = index as u64;
            if index64 >= overtaken {
                break;
            }
            let Some(sent) = self.sent.get_mut(index) else { break };
            match sent.state {
                State::Unasked => continue,
                State::Acked => {
                    lost_since = None;
                    continue;
                }
                State::Lost if sent.contents.is_path_probe() => continue,
                State::Lost => {
                    lost_since = lost_since.or(Some(sent.at));
                    continue;
                }
                State::Outstanding => {}
            }
            let by_count = index64 + threshold <= overtaken;
            if !by_count && sent.at + delay > now {
                let at = sent.at + delay;
                self.loss_time = Some(self.loss_time.map_or(at, |earlier| earlier.min(at)));
                lost_since = None;
                continue;
            }
            let (at, probe) = (sent.at, sent.contents.is_path_probe());
            self.lose(index, now, outcome);
            if probe {
                continue;
            }
            let since = *lost_since.get_or_insert(at);
            if self.rtt.min.is_some() && at.since(since) > persistent {
                self.congestion.on_persistent_congestion();
            }
        }
        self.forget_settled();
    }

    /// Declares an outstanding datagram lost.
    fn lose(&mut self, index: usize, now: Timestamp, outcome: &mut Outcome) {
        let Some(sent) = self.sent.get_mut(index) else { return };
        sent.state = State::Lost;
        self.outstanding_soon -= u32::from(sent.asks == Asks::Soon);
        self.outstanding -= 1;
        outcome.lost.extend(sent.contents.as_slice());
        if sent.contents.is_path_probe() {
            return;
        }
        newer(&mut outcome.large_lost, sent);
        outcome.lost_datagrams += 1;
        self.congestion.on_lost(sent.bytes.into(), sent.at, now);
        self.loss.on_lost();
    }

    /// Forgets the datagrams that no acknowledgment can change any more.
    fn forget_settled(&mut self) {
        let named = self.largest_acked.map_or(0, |largest| largest.saturating_sub(ACK_BITMAP));
        while let Some(sent) = self.sent.front() {
            match sent.state {
                State::Unasked | State::Acked => {}
                State::Lost if sent.contents.is_path_probe() && self.first < named => {}
                State::Lost if self.first < named => {
                    self.lost_in_order += 1;
                    self.rtt.not_reordered();
                    if self.lost_in_order >= REORDERING_PERSISTS {
                        self.rtt.forget_reordering();
                    }
                }
                State::Lost | State::Outstanding => break,
            }
            self.sent.pop_front();
            self.first += 1;
        }
    }
}
