//! Counters of a link. Loss and reordering as in RFC 4737 and RFC 7680, jitter as in RFC 3550
//! §6.4.1.

use crate::percentile::nearest_rank;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::ops::AddAssign;
use std::time::Duration;

/// Round-trip samples kept for the percentile.
const SAMPLES: usize = 256;

/// Counters of one link since it was made. "Sent" is this end's direction, "received" the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Stats {
    /// Datagrams sent.
    pub sent: u64,
    /// Ack-eliciting datagrams sent; the fate of others is unknown.
    pub sent_eliciting: u64,
    /// Bytes of UDP payload sent.
    pub sent_bytes: u64,
    /// Bytes of messages queued to be sent, each counted once.
    pub sent_message_bytes: u64,
    /// Datagrams sent that were declared lost.
    pub sent_lost: u64,
    /// Messages retransmitted after a loss or by a probe.
    pub retransmitted: u64,
    /// Copies of messages, sent ahead of a loss.
    pub redundant: u64,
    /// Bytes of those copies.
    pub redundant_bytes: u64,
    /// Current budget of copies: this many times the bytes of messages sent for another reason.
    pub redundancy: u32,
    /// Moving average of the outgoing loss, in thousandths.
    pub loss_per_mille: u32,
    /// Distinct datagrams received.
    pub received: u64,
    /// Bytes of UDP payload received.
    pub received_bytes: u64,
    /// Datagrams whose sequence numbers were skipped and have not arrived since.
    pub received_missing: u64,
    /// Share of missing ones among the newest 64, in thousandths.
    pub received_loss_per_mille: Option<u32>,
    /// Duplicates received.
    pub duplicated: u64,
    /// Datagrams received after one with a larger sequence number (RFC 4737 §3).
    pub reordered: u64,
    /// Valid frames that break a rule of the protocol.
    pub malformed: u64,
    /// The smallest round-trip time.
    pub rtt_min: Option<Duration>,
    /// The smoothed round-trip time (RFC 9002 §5.3).
    pub rtt_smoothed: Option<Duration>,
    /// The 99th percentile (nearest rank) of the last 256 round-trip times, at a client.
    pub rtt_p99: Option<Duration>,
    /// Interarrival jitter (RFC 3550 §6.4.1), from the first pair of datagrams on.
    pub jitter: Option<Duration>,
    /// Congestion window, bytes.
    pub congestion_window: u64,
    /// Largest datagram this end sends: the proven size of the path.
    pub datagram_size: usize,
}

/// Counters of several links, added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Totals {
    /// Datagrams sent; over TCP chunks.
    pub sent: u64,
    /// Their bytes.
    pub sent_bytes: u64,
    /// Distinct datagrams received; over TCP frames.
    pub received: u64,
    /// Their bytes.
    pub received_bytes: u64,
    /// Datagrams sent that were declared lost.
    pub lost: u64,
    /// Datagrams from the other ends that were skipped and have not arrived since.
    pub missing: u64,
    /// Duplicates received.
    pub duplicated: u64,
    /// Datagrams received after one that was sent later.
    pub reordered: u64,
    /// Messages retransmitted after a loss or by a probe.
    pub retransmitted: u64,
    /// Copies of messages, sent ahead of a loss.
    pub redundant: u64,
}

impl AddAssign<&Stats> for Totals {
    fn add_assign(&mut self, link: &Stats) {
        self.sent += link.sent;
        self.sent_bytes += link.sent_bytes;
        self.received += link.received;
        self.received_bytes += link.received_bytes;
        self.lost += link.sent_lost;
        self.missing += link.received_missing;
        self.duplicated += link.duplicated;
        self.reordered += link.reordered;
        self.retransmitted += link.retransmitted;
        self.redundant += link.redundant;
    }
}

/// Interarrival jitter on 32-bit microsecond timestamps.
#[derive(Clone, Debug, Default)]
pub(super) struct Jitter {
    last_transit: Option<u32>,
    /// Sixteen times the estimate in microseconds, as in RFC 3550 §A.8.
    scaled: Option<u64>,
}

impl Jitter {
    pub(super) fn arrived(&mut self, timestamp: u32, now: Timestamp) {
        let transit = now.low_bits().wrapping_sub(timestamp);
        if let Some(last) = self.last_transit {
            let difference = u64::from((transit.wrapping_sub(last) as i32).unsigned_abs());
            let scaled = self.scaled.unwrap_or(0);
            self.scaled = Some(scaled + difference - ((scaled + 8) >> 4));
        }
        self.last_transit = Some(transit);
    }

    pub(super) fn estimate(&self) -> Option<Duration> {
        self.scaled.map(|scaled| Duration::from_micros(scaled >> 4))
    }
}

/// The most recent round-trip times.
#[derive(Clone, Debug, Default)]
pub(super) struct RecentRtts {
    samples: Vec<u32>,
    oldest: usize,
}

impl RecentRtts {
    pub(super) fn add(&mut self, rtt: Duration) {
        let micros = u32::try_from(rtt.as_micros()).unwrap_or(u32::MAX);
        if self.samples.len() < SAMPLES {
            self.samples.push(micros);
        } else {
            self.samples[self.oldest] = micros;
            self.oldest = (self.oldest + 1) % SAMPLES;
        }
    }

    /// The 99th percentile by nearest rank.
    pub(super) fn p99(&self) -> Option<Duration> {
        let mut sorted = self.samples.clone();
        sorted.sort_unstable();
        nearest_rank(&sorted, 99).map(|micros| Duration::from_micros(micros.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_starts_with_the_first_pair_and_follows_rfc_3550() {
        let mut jitter = Jitter::default();
        jitter.arrived(0, Timestamp::from_micros(5_000));
        assert_eq!(jitter.estimate(), None);
        jitter.arrived(20_000, Timestamp::from_micros(26_600));
        // D = 1,600 us, so J = 1,600 / 16.
        assert_eq!(jitter.estimate(), Some(Duration::from_micros(100)));
    }

    #[test]
    fn a_timestamp_wrap_is_no_jitter() {
        let mut jitter = Jitter::default();
        for i in 0..50_u32 {
            let sent = (u32::MAX - 100_000).wrapping_add(i * 20_000);
            jitter.arrived(sent, Timestamp::from_micros(u64::from(i) * 20_000));
        }
        assert_eq!(jitter.estimate(), Some(Duration::ZERO));
    }

    #[test]
    fn the_percentile_is_the_nearest_rank_of_the_kept_samples() {
        let mut recent = RecentRtts::default();
        assert_eq!(recent.p99(), None);
        (1..=100).for_each(|ms| recent.add(Duration::from_millis(ms)));
        assert_eq!(recent.p99(), Some(Duration::from_millis(99)));
        (0..256).for_each(|_| recent.add(Duration::from_millis(7)));
        assert_eq!(recent.p99(), Some(Duration::from_millis(7)));
    }
}
