//! The round-trip time: RFC 9002 §5, and the probe timeout that follows from it (§6.2.1).

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
    /// The longest that a datagram took to be acknowledged which others had overtaken; none while the
    /// path keeps the order.
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
    /// Takes in a sample and how long the other end says it sat on the acknowledgment (§5.3).
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

    /// The probe timeout before any doubling, if the other end may keep back an acknowledgment for so
    /// long.
    pub(super) fn probe_timeout(&self, ack_delay: Duration) -> Duration {
        self.smoothed + (4 * self.variation).max(GRANULARITY) + ack_delay
    }

    /// How long after a datagram was declared lost its acknowledgment is not to be expected any more,
    /// whatever the path does: the user is told then, and not before.
    pub(super) fn verdict_delay(&self) -> Duration {
        (self.probe_timeout(LAZY_ACK_DELAY) * 2).clamp(MIN_VERDICT_DELAY, MAX_VERDICT_DELAY)
    }

    /// A datagram that others had overtaken was acknowledged this long after it left.
    pub(super) fn reordered(&mut self, after: Duration) {
        self.reordered = self.reordered.max(Some(after));
    }

    /// A datagram that others had overtaken was lost indeed: one in eight less is supposed of the path.
    pub(super) fn not_reordered(&mut self) {
        self.reordered = self.reordered.map(|after| after * 7 / 8);
    }

    /// The path keeps the order, as far as is known.
    pub(super) fn forget_reordering(&mut self) {
        self.reordered = None;
    }

    /// Whether the path is known to reorder.
    pub(super) fn reorders(&self) -> bool {
        self.reordered.is_some()
    }

    /// A datagram overtaken by one acknowledged this long after it was sent is lost (§6.1.2). Where the
    /// path reorders the delay grows to what was seen (RFC 8985 §6.2). It bounds that by the smoothed
    /// round-trip time; but samples come from those that overtook the others, and are too small here.
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
