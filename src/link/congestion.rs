//! How much may be on its way: CUBIC (RFC 9438), in the frame of RFC 9002 §7. It is what the kernel's
//! TCP does, so neither starves the other on a shared bottleneck (RFC 8085 §3.1). A chat is hardly
//! ever limited by it; a bulk sender is.

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

/// The controller. Sizes are bytes of UDP payload.
#[derive(Clone, Debug)]
#[repr(C)]
pub(super) struct Congestion {
    epoch: Option<Epoch>,
    /// The window before the last decrease, bytes.
    w_max: f64,
    recovery_start: Option<Timestamp>,
    /// What the last decrease took, until it is sure that the losses were real.
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
    /// Datagrams lost in this round trip that have not turned up since.
    lost: u32,
}

/// Growth since the last decrease.
#[derive(Clone, Copy, Debug)]
struct Epoch {
    start: Timestamp,
    /// Where the curve is flat, bytes.
    plateau: f64,
    /// Seconds until the curve is back at `w_max` (§4.2).
    k: f64,
    /// What a Reno sender would have by now, bytes (§4.3).
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
    /// Whether `waiting` bytes may leave in one datagram, or a full one if they are more, after `before`
    /// bytes that leave as well. Less does not leave: a sender held back sends few and full datagrams
    /// (as RFC 9293 §3.8.6.2.1).
    pub(super) fn has_room_for(&self, before: usize, waiting: usize) -> bool {
        before + waiting.min(MAX_DATAGRAM) <= self.room()
    }

    /// Whether half of the window is in use when so many bytes have left.
    pub(super) fn is_half_used(&self, bytes: usize) -> bool {
        2 * (self.in_flight + bytes as u64) > self.window
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

    /// It was acknowledged. A window that was not in use does not grow (RFC 9002 §7.8).
    pub(super) fn on_acked(&mut self, bytes: u64, sent: Timestamp, now: Timestamp, rtt: Duration) {
        let (used, window) = (self.in_flight, self.window);
        self.in_flight = self.in_flight.saturating_sub(bytes);
        if 4 * used < window {
            self.epoch = None; // time without anything to send is no time on the curve (§5.8)
        } else if 2 * used >= window && !self.in_recovery(sent) {
            if self.window < self.threshold {
                self.window += bytes; // slow start (RFC 9002 §7.3.1)
            } else {
                self.avoid_congestion(bytes as f64, now, rtt);
            }
        }
    }

    /// It was lost: once per round trip the window shrinks (RFC 9002 §7.3.2, RFC 9438 §4.6, §4.7).
    pub(super) fn on_lost(&mut self, bytes: u64, sent: Timestamp, now: Timestamp) {
        self.in_flight = self.in_flight.saturating_sub(bytes);
        if self.in_recovery(sent) {
            self.before.iter_mut().for_each(|before| before.lost += 1);
            return;
        }
        let (window, threshold, w_max) = (self.window, self.threshold, self.w_max);
        self.before = Some(Decrease { window, threshold, w_max, lost: 1 });
        let window = self.window as f64;
        // Fast convergence: who shrinks twice running makes room for a newcomer.
        self.w_max = if window < self.w_max { window * (1.0 + BETA) / 2.0 } else { window };
        self.recovery_start = Some(now);
        self.epoch = None;
        self.window = ((window * BETA) as u64).max(MINIMUM_WINDOW);
        self.threshold = self.window;
    }

    /// Everything sent over a long time was lost (RFC 9002 §7.6.2).
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

    /// A datagram declared lost arrived after all: if all of that round trip did, the window shrank
    /// for nothing (RFC 9438 §4.9.2).
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

    /// Nothing was on its way for longer than a probe timeout: what is sent next starts from no more
    /// than the initial window, for the path may have changed (RFC 9002 §7.8, RFC 5681 §4.1).
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

    /// A sender that always fills its window, for some round trips; the window after each.
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
    fn what_waits_leaves_when_all_of_it_fits_or_a_full_datagram() {
        let mut congestion = Congestion::default();
        congestion.on_sent(INITIAL_WINDOW - 200);
        assert!(congestion.has_room_for(0, 200) && !congestion.has_room_for(1, 200));
        assert!(!congestion.has_room_for(0, 5_000));
        congestion.on_acked(1_000, at(0), at(100), RTT);
        assert!(congestion.has_room_for(0, 5_000));
    }

    #[test]
    fn only_a_used_window_grows() {
        let mut congestion = Congestion::default();
        congestion.on_sent(100);
        congestion.on_acked(100, at(0), at(100), RTT);
        assert_eq!(congestion.window(), INITIAL_WINDOW);
        congestion.on_sent(INITIAL_WINDOW);
        congestion.on_acked(INITIAL_WINDOW, at(0), at(100), RTT);
        assert_eq!(congestion.window(), 2 * INITIAL_WINDOW);
    }

    #[test]
    fn the_window_comes_back_to_where_it_was_and_lingers_there() {
        let mut congestion = Congestion { window: 120_000, ..Congestion::default() };
        congestion.on_lost(0, at(0), at(1));
        // K = cbrt(100 * 0.3 / 0.4) = 4.2 s: at the plateau after 42 round trips, beyond it later.
        let windows = run(&mut congestion, 2, 70);
        assert!(windows.is_sorted());
        assert!((110_000..125_000).contains(&windows[41]), "{}", windows[41]);
        assert!(windows[69] > 130_000, "{}", windows[69]);
    }

    #[test]
    fn a_small_window_grows_at_least_as_fast_as_reno_would_let_it() {
        let mut congestion = Congestion { window: 6_000, ..Congestion::default() };
        congestion.on_lost(0, at(0), at(1));
        let before = congestion.window();
        let windows = run(&mut congestion, 2, 10);
        assert!(windows[9] >= before + 4 * 1_200, "{windows:?}");
    }

    #[test]
    fn after_idle_time_no_more_leaves_at_once_than_at_first() {
        let mut congestion = Congestion { window: 120_000, ..Congestion::default() };
        congestion.on_idle();
        assert_eq!((congestion.window(), congestion.threshold), (INITIAL_WINDOW, 120_000));
        let mut small = Congestion { window: 5_000, ..Congestion::default() };
        small.on_idle();
        assert_eq!(small.window(), 5_000);
    }

    #[test]
    fn a_window_that_shrank_for_nothing_comes_back_when_all_losses_are_taken_back() {
        let mut congestion = Congestion::default();
        congestion.on_lost(1_200, at(10), at(20));
        congestion.on_lost(1_200, at(15), at(21));
        congestion.on_found(at(10));
        assert_eq!(congestion.window(), 8_400);
        congestion.on_found(at(15));
        assert_eq!(congestion.window(), INITIAL_WINDOW);
    }
}
