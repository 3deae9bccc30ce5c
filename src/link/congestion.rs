//! Congestion control: CUBIC (RFC 9438) in the frame of RFC 9002 §7. The kernel's TCP uses it too,
//! so neither starves the other on a shared bottleneck (RFC 8085 §3.1). It limits a bulk sender,
//! hardly ever a chat.

use crate::protocol::limits::{INITIAL_WINDOW, MAX_DATAGRAM, MINIMUM_WINDOW};
use crate::time::Timestamp;
use std::time::Duration;

const SEGMENT: f64 = MAX_DATAGRAM as f64;
/// Multiplicative decrease (RFC 9438 §4.6).
const BETA: f64 = 0.7;
/// Aggressiveness, segments per second cubed (§5.1).
const C: f64 = 0.4;
/// The additive increase of a Reno sender that decreases by `BETA` (§4.3).
const ALPHA: f64 = 3.0 * (1.0 - BETA) / (1.0 + BETA);

/// The congestion controller. Sizes are bytes of UDP payload.
#[derive(Clone, Debug)]
#[repr(C)]
pub(super) struct Congestion {
    epoch: Option<Epoch>,
    /// The window before the last decrease, bytes.
    w_max: f64,
    recovery_start: Option<Timestamp>,
    /// State before the last decrease, until its losses are known to be real.
    before: Option<Decrease>,
    threshold: u64,
    window: u64,
    in_flight: u64,
}

/// A decrease of the window that may have to be undone (RFC 9438 §4.9.2).
#[derive(Clone, Copy, Debug)]
struct Decrease {
    window: u64,
    threshold: u64,
    w_max: f64,
    /// Losses of this round trip without a late acknowledgment.
    lost: u32,
}

/// Growth since the last decrease.
#[derive(Clone, Copy, Debug)]
struct Epoch {
    start: Timestamp,
    /// The plateau of the curve, bytes.
    plateau: f64,
    /// Seconds until the curve is back at `w_max` (§4.2).
    k: f64,
    /// Window of a Reno sender, bytes (§4.3).
    w_est: f64,
}

impl Default for Congestion {
    fn default() -> Self {
        Self {
            epoch: None,
            w_max: 0.0,
            recovery_start: None,
            before: None,
            threshold: u64::MAX,
            window: INITIAL_WINDOW,
            in_flight: 0,
        }
    }
}

impl Congestion {
    /// Whether a datagram of `waiting` bytes, or a full one if more wait, may leave after `before`
    /// bytes. A smaller one does not leave: a sender that the window limits sends full datagrams
    /// (sender-side silly window avoidance, RFC 9293 §3.8.6.2.1).
    pub(super) fn has_room_for(&self, before: usize, waiting: usize) -> bool {
        before + waiting.min(MAX_DATAGRAM) <= self.room()
    }

    /// Whether less than one part in `parts` of the window is left with `bytes` more in flight.
    pub(super) fn leaves_less_than(&self, parts: u64, bytes: usize) -> bool {
        (self.room().saturating_sub(bytes) as u64) * parts < self.window
    }

    /// Room in the window, bytes.
    pub(super) fn room(&self) -> usize {
        self.window.saturating_sub(self.in_flight) as usize
    }

    /// The congestion window, bytes.
    pub(super) fn window(&self) -> u64 {
        self.window
    }

    /// Counts a departing ack-eliciting datagram.
    pub(super) fn on_sent(&mut self, bytes: u64) {
        self.in_flight += bytes;
    }

    /// Takes an acknowledgment. An underused window does not grow (RFC 9002 §7.8).
    pub(super) fn on_acked(&mut self, bytes: u64, sent: Timestamp, now: Timestamp, rtt: Duration) {
        let (used, window) = (self.in_flight, self.window);
        self.in_flight = self.in_flight.saturating_sub(bytes);
        if 4 * used < window {
            self.epoch = None; // application-limited time is no time on the curve (§5.8)
        } else if 2 * used >= window && !self.in_recovery(sent) {
            if self.window < self.threshold {
                self.window += bytes; // slow start (RFC 9002 §7.3.1)
            } else {
                self.avoid_congestion(bytes as f64, now, rtt);
            }
        }
    }

    /// Takes a loss: the window shrinks once per round trip (RFC 9002 §7.3.2, RFC 9438 §4.6, §4.7).
    pub(super) fn on_lost(&mut self, bytes: u64, sent: Timestamp, now: Timestamp) {
        self.in_flight = self.in_flight.saturating_sub(bytes);
        if self.in_recovery(sent) {
            self.before.iter_mut().for_each(|before| before.lost += 1);
            return;
        }
        let (window, threshold, w_max) = (self.window, self.threshold, self.w_max);
        self.before = Some(Decrease { window, threshold, w_max, lost: 1 });
        let window = self.window as f64;
        // Fast convergence: two decreases in a row make room for a new flow.
        self.w_max = if window < self.w_max { window * (1.0 + BETA) / 2.0 } else { window };
        self.recovery_start = Some(now);
        self.epoch = None;
        self.window = ((window * BETA) as u64).max(MINIMUM_WINDOW);
        self.threshold = self.window;
    }

    /// Persistent congestion (RFC 9002 §7.6.2).
    pub(super) fn on_persistent_congestion(&mut self) {
        self.window = MINIMUM_WINDOW;
        self.before = None;
        self.recovery_start = None;
        self.epoch = None;
    }

    fn avoid_congestion(&mut self, acked: f64, now: Timestamp, rtt: Duration) {
        let window = self.window as f64;
        let plateau = self.w_max.max(window);
        let epoch = self.epoch.get_or_insert_with(|| Epoch {
            start: now,
            plateau,
            k: ((plateau - window) / SEGMENT / C).cbrt(),
            w_est: window,
        });
        let t = (now.since(epoch.start) + rtt).as_secs_f64();
        let cubic = C * (t - epoch.k).powi(3) * SEGMENT + epoch.plateau;
        let target = cubic.clamp(window, 1.5 * window);
        let alpha = if epoch.w_est < epoch.plateau { ALPHA } else { 1.0 };
        epoch.w_est += alpha * SEGMENT * acked / window;
        let grown = window + (target - window) * acked / window;
        self.window = grown.max(epoch.w_est) as u64;
    }

    /// Takes a spurious loss: if all losses of the round trip were spurious, the decrease is undone
    /// (RFC 9438 §4.9.2).
    pub(super) fn on_found(&mut self, sent: Timestamp) {
        if !self.in_recovery(sent) {
            return;
        }
        let Some(before) = &mut self.before else { return };
        before.lost -= 1;
        if before.lost == 0 {
            self.window = self.window.max(before.window);
            self.threshold = self.threshold.max(before.threshold);
            self.w_max = before.w_max;
            self.epoch = None;
            self.before = None;
        }
    }

    /// After idling for longer than a probe timeout the window is at most the initial one, because
    /// the path may have changed (RFC 9002 §7.8, RFC 5681 §4.1).
    pub(super) fn on_idle(&mut self) {
        if self.window > INITIAL_WINDOW {
            self.threshold = self.threshold.min(self.window).max(INITIAL_WINDOW);
            self.window = INITIAL_WINDOW;
            self.epoch = None;
        }
    }

    fn in_recovery(&self, sent: Timestamp) -> bool {
        self.recovery_start.is_some_and(|start| sent <= start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RTT: Duration = Duration::from_millis(100);

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_micros(millis * 1_000)
    }

    /// Runs a sender that fills its window for some round trips; returns the window after each.
    fn run(congestion: &mut Congestion, from: u64, round_trips: u64) -> Vec<u64> {
        (0..round_trips)
            .map(|i| {
                let now = at(from + 100 * i);
                for _ in 0..congestion.window() / 1_200 {
                    congestion.on_sent(congestion.room() as u64);
                    congestion.on_acked(1_200, now, now + RTT, RTT);
                }
                congestion.window()
            })
            .collect()
    }

    #[test]
    fn the_window_shrinks_once_per_round_trip_and_never_below_two_datagrams() {
        let mut congestion = Congestion::default();
        congestion.on_lost(1_200, at(10), at(20));
        congestion.on_lost(1_200, at(15), at(21));
        assert_eq!(congestion.window(), 8_400);
        for moment in 30..60 {
            congestion.on_lost(1_200, at(moment), at(moment));
        }
        assert_eq!(congestion.window(), MINIMUM_WINDOW);
    }

    #[test]
    fn a_datagram_leaves_when_it_is_full_or_nothing_more_waits() {
        let mut congestion = Congestion::default();
        congestion.on_sent(INITIAL_WINDOW - 200);
        assert!(congestion.has_room_for(0, 200) && !congestion.has_room_for(1, 200));
        assert!(!congestion.has_room_for(0, 5_000));
        congestion.on_acked(1_000, at(0), at(100), RTT);
        assert!(congestion.has_room_for(0, 5_000));
    }

    #[test]
    fn an_underused_window_does_not_grow() {
        let mut congestion = Congestion::default();
        congestion.on_sent(100);
        congestion.on_acked(100, at(0), at(100), RTT);
        assert_eq!(congestion.window(), INITIAL_WINDOW);
        congestion.on_sent(INITIAL_WINDOW);
        congestion.on_acked(INITIAL_WINDOW, at(0), at(100), RTT);
        assert_eq!(congestion.window(), 2 * INITIAL_WINDOW);
    }

    #[test]
    fn the_window_returns_to_its_plateau_and_stays() {
        let mut congestion = Congestion { window: 120_000, ..Congestion::default() };
        congestion.on_lost(0, at(0), at(1));
        // K = cbrt(100 * 0.3 / 0.4) = 4.2 s: at the plateau after 42 round trips, beyond it later.
        let windows = run(&mut congestion, 2, 70);
        assert!(windows.is_sorted());
        assert!((110_000..125_000).contains(&windows[41]), "{}", windows[41]);
        assert!(windows[69] > 130_000, "{}", windows[69]);
    }

    #[test]
    fn a_small_window_grows_at_least_as_fast_as_reno() {
        let mut congestion = Congestion { window: 6_000, ..Congestion::default() };
        congestion.on_lost(0, at(0), at(1));
        let before = congestion.window();
        let windows = run(&mut congestion, 2, 10);
        assert!(windows[9] >= before + 4 * 1_200, "{windows:?}");
    }

    #[test]
    fn idle_time_limits_the_window_to_the_initial_one() {
        let mut congestion = Congestion { window: 120_000, ..Congestion::default() };
        congestion.on_idle();
        assert_eq!((congestion.window(), congestion.threshold), (INITIAL_WINDOW, 120_000));
        let mut small = Congestion { window: 5_000, ..Congestion::default() };
        small.on_idle();
        assert_eq!(small.window(), 5_000);
    }

    #[test]
    fn spurious_losses_restore_the_window() {
        let mut congestion = Congestion::default();
        congestion.on_lost(1_200, at(10), at(20));
        congestion.on_lost(1_200, at(15), at(21));
        congestion.on_found(at(10));
        assert_eq!(congestion.window(), 8_400);
        congestion.on_found(at(15));
        assert_eq!(congestion.window(), INITIAL_WINDOW);
    }
}
