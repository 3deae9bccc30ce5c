//! How much may be on its way: NewReno as in RFC 9002 §7. A chat is hardly ever limited by it;
//! a bulk sender is, and so leaves room for others (RFC 8085 §3.1).

use crate::protocol::limits::MAX_DATAGRAM;
use crate::time::Timestamp;

const INITIAL_WINDOW: u64 = 10 * MAX_DATAGRAM as u64;
const MINIMUM_WINDOW: u64 = 2 * MAX_DATAGRAM as u64;

/// The controller. Sizes are bytes of UDP payload.
#[derive(Clone, Debug)]
pub(super) struct Congestion {
    window: u64,
    threshold: u64,
    in_flight: u64,
    recovery_start: Option<Timestamp>,
}

impl Default for Congestion {
    fn default() -> Self {
        Self { window: INITIAL_WINDOW, threshold: u64::MAX, in_flight: 0, recovery_start: None }
    }
}

impl Congestion {
    /// Whether `waiting` bytes may leave in one datagram, or a full one if they are more. Less
    /// does not leave: a sender held back sends few and full datagrams (as RFC 9293 §3.8.6.2.1).
    pub(super) fn has_room_for(&self, waiting: usize) -> bool {
        waiting.min(MAX_DATAGRAM) <= self.room()
    }

    /// Bytes that may leave now.
    pub(super) fn room(&self) -> usize {
        self.window.saturating_sub(self.in_flight) as usize
    }

    /// The congestion window, bytes.
    pub(super) fn window(&self) -> u64 {
        self.window
    }

    /// A datagram that asks for an acknowledgment left.
    pub(super) fn on_sent(&mut self, bytes: u64) {
        self.in_flight += bytes;
    }

    /// It was acknowledged (§7.3.1, §7.3.3). A window that was not in use does not grow (§7.8).
    pub(super) fn on_acked(&mut self, bytes: u64, sent: Timestamp) {
        let was_limited = 2 * self.in_flight >= self.window;
        self.in_flight = self.in_flight.saturating_sub(bytes);
        if !was_limited || self.in_recovery(sent) {
            return;
        }
        self.window += if self.window < self.threshold {
            bytes
        } else {
            (MAX_DATAGRAM as u64 * bytes / self.window).max(1)
        };
    }

    /// It was lost (§7.3.2): once per round trip the window halves.
    pub(super) fn on_lost(&mut self, bytes: u64, sent: Timestamp, now: Timestamp) {
        self.in_flight = self.in_flight.saturating_sub(bytes);
        if self.in_recovery(sent) {
            return;
        }
        self.recovery_start = Some(now);
        self.window = (self.window / 2).max(MINIMUM_WINDOW);
        self.threshold = self.window;
    }

    /// Everything sent over a long time was lost (§7.6.2).
    pub(super) fn on_persistent_congestion(&mut self) {
        self.window = MINIMUM_WINDOW;
        self.recovery_start = None;
    }

    fn in_recovery(&self, sent: Timestamp) -> bool {
        self.recovery_start.is_some_and(|start| sent <= start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_halves_once_per_round_trip_and_never_below_two_datagrams() {
        let mut congestion = Congestion::default();
        let at = Timestamp::from_micros;
        congestion.on_lost(1_200, at(10), at(20));
        congestion.on_lost(1_200, at(15), at(21));
        assert_eq!(congestion.window(), INITIAL_WINDOW / 2);
        for moment in 30..60 {
            congestion.on_lost(1_200, at(moment), at(moment));
        }
        assert_eq!(congestion.window(), MINIMUM_WINDOW);
    }

    #[test]
    fn what_waits_leaves_when_all_of_it_fits_or_a_full_datagram() {
        let mut congestion = Congestion::default();
        congestion.on_sent(INITIAL_WINDOW - 200);
        assert!(congestion.has_room_for(200) && !congestion.has_room_for(201));
        assert!(!congestion.has_room_for(5_000));
        congestion.on_acked(1_000, Timestamp::ZERO);
        assert!(congestion.has_room_for(5_000));
    }

    #[test]
    fn only_a_used_window_grows() {
        let mut congestion = Congestion::default();
        congestion.on_sent(100);
        congestion.on_acked(100, Timestamp::ZERO);
        assert_eq!(congestion.window(), INITIAL_WINDOW);
        congestion.on_sent(INITIAL_WINDOW);
        congestion.on_acked(INITIAL_WINDOW, Timestamp::ZERO);
        assert_eq!(congestion.window(), 2 * INITIAL_WINDOW);
    }
}
