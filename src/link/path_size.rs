//! Datagram Packetization Layer Path MTU Discovery (DPLPMTUD, RFC 8899): the largest datagram that
//! the path carries in this end's direction. Sizes are bytes of UDP payload.
//!
//! Every path carries `base` bytes. A larger size is proven by a *probe*: a datagram of that size
//! without content (§4.1), when its acknowledgment arrives. The first probe has the largest size,
//! so a path that carries it costs one datagram per session. Until then, and while a size is in
//! doubt, datagrams of `base` bytes carry all messages: the search delays none.
//!
//! ```text
//!          probe of the largest size arrives
//! BASE ──────────────────────────────────────────► SEARCH_COMPLETE, for good
//!   │ three are lost                                ▲ │ a large datagram is lost (§4.3), and none
//!   ▼                                               │ ▼ as large that left later arrived
//! SEARCHING, by halves ──► SEARCH_COMPLETE,         DOUBT: base again, until a probe of the size
//!                          until PATH_RAISE         that passed arrives, or three are lost
//! ```

use crate::protocol::limits::{
    BASE_DATAGRAM, MAX_DATAGRAM, PATH_PROBE_PAUSE, PATH_PROBES, PATH_RAISE, PATH_STEP,
};
use crate::time::Timestamp;

/// A datagram larger than the base: its size and departure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Large {
    pub(super) at: Timestamp,
    pub(super) bytes: usize,
}

/// The search for one direction of a path.
#[derive(Debug)]
pub(super) struct PathSize {
    base: usize,
    /// Largest size that arrived.
    proven: usize,
    /// Smallest size that does not pass.
    too_large: usize,
    /// Whether the path may have become narrower than `proven`.
    doubted: bool,
    /// The search is over; the next probe tests whether the path has become wider (§5.1.1).
    raising: bool,
    /// Number and size of the probe in flight.
    probing: Option<(u64, usize)>,
    probes: u64,
    /// Lost probes of the current size.
    lost: u32,
    /// When the next probe may leave.
    due: Option<Timestamp>,
    /// Start on this path: losses of earlier datagrams are ignored.
    since: Timestamp,
    /// The last large datagram that arrived.
    arrived: Option<Large>,
}

impl PathSize {
    /// Starts on a path that carries `base` bytes.
    pub(super) fn new(base: usize, now: Timestamp) -> Self {
        Self {
            base,
            proven: base,
            too_large: MAX_DATAGRAM + 1,
            doubted: false,
            raising: false,
            probing: None,
            probes: 0,
            lost: 0,
            due: (base < MAX_DATAGRAM).then_some(now),
            since: now,
            arrived: None,
        }
    }

    /// Starts over on another path.
    pub(super) fn start_over(&mut self, base: usize, now: Timestamp) {
        let probes = self.probes;
        *self = Self { probes, ..Self::new(base, now) };
    }

    /// The size that every path carries.
    pub(super) fn base(&self) -> usize {
        self.base
    }

    /// The size for datagrams with content.
    pub(super) fn usable(&self) -> usize {
        if self.doubted { self.base } else { self.proven }
    }

    /// When the next probe may leave.
    pub(super) fn due(&self) -> Option<Timestamp> {
        self.due.filter(|_| self.probing.is_none())
    }

    /// Starts a probe; returns its number and size.
    pub(super) fn probe(&mut self) -> (u64, usize) {
        let size = if self.doubted {
            self.proven
        } else if self.raising {
            self.too_large
        } else if self.too_large > MAX_DATAGRAM {
            MAX_DATAGRAM
        } else {
            (self.proven + self.too_large) / 2
        };
        self.probes += 1;
        self.probing = Some((self.probes, size));
        (self.probes, size)
    }

    /// Takes the acknowledgment of a probe.
    pub(super) fn probe_arrived(&mut self, number: u64, now: Timestamp) {
        let Some((_, size)) = self.probing.take_if(|probing| probing.0 == number) else { return };
        if std::mem::take(&mut self.raising) {
            self.too_large = MAX_DATAGRAM + 1;
        }
        self.doubted = false;
        self.proven = self.proven.max(size);
        self.search(now);
    }

    /// Takes the loss of a probe. It is no signal of congestion (§4.1).
    pub(super) fn probe_lost(&mut self, number: u64, now: Timestamp) {
        let Some((_, size)) = self.probing.take_if(|probing| probing.0 == number) else { return };
        self.lost += 1;
        if self.lost < PATH_PROBES {
            self.due = Some(now + PATH_PROBE_PAUSE);
        } else {
            self.is_too_large(size, now);
        }
    }

    /// Takes the local kernel's refusal of this size (`EMSGSIZE`): an interface became narrower.
    pub(super) fn refused(&mut self, size: usize, now: Timestamp) {
        if size > self.base && size < self.too_large {
            self.is_too_large(size, now);
        }
    }

    /// Takes the arrival of a large datagram.
    pub(super) fn arrived(&mut self, large: Large) {
        if self.arrived.is_none_or(|last| last.at <= large.at) {
            self.arrived = Some(large);
        }
    }

    /// Takes the loss of a large datagram. If a later one of at least its size arrived, the loss
    /// was random; otherwise the path may be a black hole for this size (§4.3).
    pub(super) fn lost(&mut self, large: Large, now: Timestamp) {
        let chance = self.arrived.is_some_and(|it| it.at > large.at && it.bytes >= large.bytes);
        let relevant =
            large.at >= self.since && (self.base + 1..=self.proven).contains(&large.bytes);
        if relevant && !chance && !self.doubted {
            self.doubted = true;
            (self.raising, self.probing, self.lost) = (false, None, 0);
            self.due = Some(now);
        }
    }

    fn is_too_large(&mut self, size: usize, now: Timestamp) {
        self.too_large = size.min(self.too_large);
        if self.proven >= self.too_large {
            self.proven = self.base;
        }
        (self.doubted, self.probing) = (false, None);
        self.search(now);
    }

    /// Continues the search, or waits to test for a wider path.
    fn search(&mut self, now: Timestamp) {
        self.lost = 0;
        self.raising = self.too_large <= MAX_DATAGRAM && self.too_large - self.proven <= PATH_STEP;
        self.due = if self.raising {
            Some(now + PATH_RAISE)
        } else {
            (self.proven < MAX_DATAGRAM).then_some(now + PATH_PROBE_PAUSE)
        };
    }
}

impl Default for PathSize {
    fn default() -> Self {
        Self::new(BASE_DATAGRAM, Timestamp::ZERO)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_micros(ms * 1_000)
    }

    /// Sends the probes due by now over a path that carries `width`. Returns their number.
    fn search(size: &mut PathSize, width: usize, mut now: Timestamp) -> usize {
        let mut probes = 0;
        while let Some(due) = size.due().filter(|due| *due <= now + PATH_PROBE_PAUSE) {
            now = now.max(due);
            let (number, bytes) = size.probe();
            assert!(bytes > size.base() && bytes <= MAX_DATAGRAM && size.due().is_none());
            if bytes <= width {
                size.probe_arrived(number, now);
            } else {
                size.probe_lost(number, now);
            }
            probes += 1;
        }
        probes
    }

    #[test]
    fn a_path_that_carries_everything_costs_one_probe() {
        let mut size = PathSize::new(BASE_DATAGRAM, at(0));
        assert_eq!(size.usable(), BASE_DATAGRAM);
        assert_eq!(search(&mut size, MAX_DATAGRAM, at(0)), 1);
        assert_eq!((size.usable(), size.due()), (MAX_DATAGRAM, None));
        let known = PathSize::new(MAX_DATAGRAM, at(0));
        assert_eq!((known.usable(), known.due()), (MAX_DATAGRAM, None));
    }

    #[test]
    fn every_width_is_found_and_found_again_after_it_grows() {
        for width in BASE_DATAGRAM..=MAX_DATAGRAM {
            let mut size = PathSize::new(BASE_DATAGRAM, at(0));
            assert!(search(&mut size, width, at(0)) <= 1 + 6 * PATH_PROBES as usize);
            let found = size.usable();
            assert!(found <= width && width < found + PATH_STEP, "{found} of {width}");
            if found < MAX_DATAGRAM {
                let later = size.due().unwrap();
                assert!(later >= at(0) + PATH_RAISE);
                assert_eq!(search(&mut size, width.max(found), later), PATH_PROBES as usize);
                assert_eq!(size.usable(), found);
                let later = size.due().unwrap();
                assert!(search(&mut size, MAX_DATAGRAM, later) <= 2);
                assert_eq!((size.usable(), size.due()), (MAX_DATAGRAM, None));
            }
        }
    }

    #[test]
    fn a_lost_datagram_raises_doubt_unless_a_later_large_one_arrived() {
        let mut size = PathSize::new(BASE_DATAGRAM, at(0));
        search(&mut size, MAX_DATAGRAM, at(0));
        let large = |ms, bytes| Large { at: at(ms), bytes };
        size.arrived(large(20, 1_100));
        size.lost(large(10, 1_100), at(30));
        size.lost(large(25, BASE_DATAGRAM), at(30));
        assert_eq!(size.usable(), MAX_DATAGRAM);
        size.lost(large(10, 1_101), at(30));
        assert_eq!((size.usable(), size.due()), (BASE_DATAGRAM, Some(at(30))));
        // The loss was random.
        assert_eq!(search(&mut size, MAX_DATAGRAM, at(30)), 1);
        assert_eq!((size.usable(), size.due()), (MAX_DATAGRAM, None));
        // The path has become narrow.
        size.lost(large(40, 800), at(50));
        search(&mut size, 700, at(50));
        assert!((669..=700).contains(&size.usable()));
        // A datagram that left over the old path tells nothing about the new one.
        size.start_over(BASE_DATAGRAM, at(60));
        search(&mut size, MAX_DATAGRAM, at(60));
        size.lost(large(55, 1_200), at(70));
        assert_eq!(size.usable(), MAX_DATAGRAM);
    }

    #[test]
    fn a_size_the_kernel_refuses_is_not_probed_before_path_raise() {
        let mut size = PathSize::new(BASE_DATAGRAM, at(0));
        let (number, bytes) = size.probe();
        size.refused(bytes, at(1));
        let (next, smaller) = size.probe();
        assert!(smaller < bytes);
        size.probe_lost(number, at(2));
        assert_eq!(size.due(), None, "that size is known");
        size.probe_arrived(next, at(3));
        assert_eq!(size.usable(), smaller);
        size.refused(smaller, at(4));
        assert_eq!(size.usable(), BASE_DATAGRAM);
        size.refused(BASE_DATAGRAM, at(5));
        assert_eq!(size.usable(), BASE_DATAGRAM);
    }
}
