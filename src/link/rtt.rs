//! The round-trip time (RFC 9002 §5) and the probe timeout (§6.2.1).

use crate::protocol::limits::{
    ACK_INTERVAL, GRANULARITY, INITIAL_RTT, LAZY_ACK_DELAY, MAX_REORDERING,
};
use std::time::Duration;

const MIN_VERDICT_DELAY: Duration = Duration::from_secs(1);
const MAX_VERDICT_DELAY: Duration = Duration::from_secs(5);

/// The estimator. All values are durations on this end's monotonic clock.
#[derive(Clone, Debug)]
pub(super) struct Rtt {
    pub(super) latest: Duration,
    pub(super) smoothed: Duration,
    pub(super) variation: Duration,
    pub(super) min: Option<Duration>,
    /// Longest time to the acknowledgment of a reordered datagram; `None` while the path keeps the
    /// order.
    reordered: Option<Duration>,
}

impl Default for Rtt {
    fn default() -> Self {
        Self {
            latest: Duration::ZERO,
            smoothed: INITIAL_RTT,
            variation: INITIAL_RTT / 2,
            min: None,
            reordered: None,
        }
    }
}

impl Rtt {
    /// Takes a sample and the ack delay that the other end reports (§5.3).
    pub(super) fn sample(&mut self, latest: Duration, ack_delay: Duration) {
        self.latest = latest;
        let Some(min) = self.min else {
            self.min = Some(latest);
            self.smoothed = latest;
            self.variation = latest / 2;
            return;
        };
        let min = min.min(latest);
        self.min = Some(min);
        let ack_delay = ack_delay.min(ACK_INTERVAL);
        let adjusted = if latest >= min + ack_delay { latest - ack_delay } else { latest };
        self.variation = (3 * self.variation + self.smoothed.abs_diff(adjusted)) / 4;
        self.smoothed = (7 * self.smoothed + adjusted) / 8;
    }

    /// The probe timeout without backoff, if the other end delays acknowledgments by up to
    /// `ack_delay`.
    pub(super) fn probe_timeout(&self, ack_delay: Duration) -> Duration {
        self.smoothed + (4 * self.variation).max(GRANULARITY) + ack_delay
    }

    /// How long after a datagram was declared lost an acknowledgment can still be expected. The
    /// user is told of the loss then.
    pub(super) fn verdict_delay(&self) -> Duration {
        (self.probe_timeout(LAZY_ACK_DELAY) * 2).clamp(MIN_VERDICT_DELAY, MAX_VERDICT_DELAY)
    }

    /// Records that a reordered datagram was acknowledged `after` its departure.
    pub(super) fn reordered(&mut self, after: Duration) {
        self.reordered = self.reordered.max(Some(after));
    }

    /// Records a confirmed loss: the reordering extent decays by an eighth.
    pub(super) fn not_reordered(&mut self) {
        self.reordered = self.reordered.map(|after| after * 7 / 8);
    }

    /// Assumes again that the path keeps the order.
    pub(super) fn forget_reordering(&mut self) {
        self.reordered = None;
    }

    /// Whether the path is known to reorder.
    pub(super) fn reorders(&self) -> bool {
        self.reordered.is_some()
    }

    /// The time threshold of loss detection (§6.1.2). On a path that reorders it grows to the
    /// extent seen (RFC 8985 §6.2). That RFC bounds it by the smoothed round-trip time; here the
    /// samples come from datagrams that overtook others, so this bound would be too small.
    pub(super) fn loss_delay(&self) -> Duration {
        let steady = self.latest.max(self.smoothed) * 9 / 8;
        let seen = self.reordered.map_or(steady, |after| after * 9 / 8);
        steady.max(seen.min(MAX_REORDERING)).max(GRANULARITY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::limits::MAX_ACK_DELAY;

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn follows_the_worked_formulas_of_rfc_9002() {
        let mut rtt = Rtt::default();
        assert_eq!(rtt.probe_timeout(MAX_ACK_DELAY), ms(333) + ms(666) + ms(25));
        rtt.sample(ms(80), ms(20));
        assert_eq!((rtt.smoothed, rtt.variation, rtt.min), (ms(80), ms(40), Some(ms(80))));
        rtt.sample(ms(120), ms(16));
        // adjusted 104; variation (3*40 + 24)/4 = 36; smoothed (7*80 + 104)/8 = 83
        assert_eq!((rtt.smoothed, rtt.variation), (ms(83), ms(36)));
        assert_eq!(rtt.loss_delay(), ms(135));
    }

    #[test]
    fn an_ack_delay_never_pushes_a_sample_below_the_minimum() {
        let mut rtt = Rtt::default();
        rtt.sample(ms(50), ms(0));
        rtt.sample(ms(60), ms(25));
        assert_eq!(rtt.smoothed, (7 * ms(50) + ms(60)) / 8);
    }
}
