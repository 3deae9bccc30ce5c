//! The largest datagram that a path carries, found by trying: packetization layer path MTU discovery
//! for datagrams (DPLPMTUD, RFC 8899), of what this end sends. Sizes are bytes of UDP payload.
//!
//! A path carries `base` bytes, which no IP network refuses; whatever is larger has to be proven by
//! a *probe*: a datagram of that size whose acknowledgment comes, and with nothing in it that would
//! be missed (§4.1). Probes of the largest size leave first, so a path that carries it costs one
//! datagram a session. Until then, and while a size is in doubt, datagrams of `base` bytes carry
//! everything: nobody waits for a search.
//!
//! ```text
//!          probe of the largest size arrives
//! BASE ──────────────────────────────────────────► SEARCH_COMPLETE, for good
//!   │ three are lost                                    ▲ │ a large datagram is lost (§4.3)
//!   ▼                                                   │ ▼ and none as large that left later arrived
//! SEARCHING: halves what is between ──► SEARCH_COMPLETE, DOUBT: base again, until a probe of the
//!            passes and does not        until PATH_RAISE size that passed arrives, or three are lost
//! ```

use crate::protocol::limits::{
    BASE_DATAGRAM, MAX_DATAGRAM, PATH_PROBE_PAUSE, PATH_PROBES, PATH_RAISE, PATH_STEP,
};
use crate::time::Timestamp;

/// A datagram larger than the base, and when it left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Large {
    pub(super) at: Timestamp,
    pub(super) bytes: usize,
}

/// What is known of one direction of a path.
#[derive(Debug)]
pub(super) struct PathSize {
    base: usize,
    /// The largest that passed.
    proven: usize,
    /// The smallest that did not.
    too_large: usize,
    /// Whether `proven` may not pass any more.
    doubted: bool,
    /// The search is over, and the next probe asks whether the path has become wider.
    raising: bool,
    /// The number and size of the probe that is on its way.
    probing: Option<(u64, usize)>,
    probes: u64,
    /// Probes of this size that were lost.
    lost: u32,
    /// When the next probe may leave.
    due: Option<Timestamp>,
    /// What left before did so on another path.
    since: Timestamp,
    /// The last large datagram that is known to have arrived.
    arrived: Option<Large>,
}

impl PathSize {
    /// Of a path that carries `base` bytes.
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

    /// The path is another one now.
    pub(super) fn start_over(&mut self, base: usize, now: Timestamp) {
        let probes = self.probes;
        *self = Self { probes, ..Self::new(base, now) };
    }

    /// What every datagram may have.
    pub(super) fn base(&self) -> usize {
        self.base
    }

    /// What a datagram may have of which the loss does no harm.
    pub(super) fn usable(&self) -> usize {
        if self.doubted { self.base } else { self.proven }
    }

    /// When the next probe may leave.
    pub(super) fn due(&self) -> Option<Timestamp> {
        self.due.filter(|_| self.probing.is_none())
    }

    /// A probe leaves: its number and size.
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

    /// A probe arrived.
    pub(super) fn probe_arrived(&mut self, number: u64, now: Timestamp) {
        let Some((_, size)) = self.probing.take_if(|probing| probing.0 == number) else { return };
        if std::mem::take(&mut self.raising) {
            self.too_large = MAX_DATAGRAM + 1;
        }
        self.doubted = false;
        self.proven = self.proven.max(size);
        self.search(now);
    }

    /// A probe was lost. That is no sign of congestion (§4.1).
    pub(super) fn probe_lost(&mut self, number: u64, now: Timestamp) {
        let Some((_, size)) = self.probing.take_if(|probing| probing.0 == number) else { return };
        self.lost += 1;
        if self.lost < PATH_PROBES {
            self.due = Some(now + PATH_PROBE_PAUSE);
        } else {
            self.is_too_large(size, now);
        }
    }

    /// This end's own kernel will not send a datagram of this size: an interface has become narrow.
    pub(super) fn refused(&mut self, size: usize, now: Timestamp) {
        if size > self.base && size < self.too_large {
            self.is_too_large(size, now);
        }
    }

    /// A large datagram arrived.
    pub(super) fn arrived(&mut self, large: Large) {
        if self.arrived.is_none_or(|last| last.at <= large.at) {
            self.arrived = Some(large);
        }
    }

    /// A large datagram was lost. By chance, if one that left later was no smaller and arrived; else
    /// who knows (§4.3).
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

    /// Goes on, if there is more to be found, or else waits for the path to become wider.
    fn search(&mut self, now: Timestamp) {
        self.lost = 0;
        self.raising = self.too_large <= MAX_DATAGRAM && self.too_large - self.proven <= PATH_STEP;
        self.due = match self.raising {
            true => Some(now + PATH_RAISE),
            false => (self.proven < MAX_DATAGRAM).then_some(now + PATH_PROBE_PAUSE),
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

    /// Sends what probes are due by now over a path that carries `width`. How many that were.
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
    fn any_width_is_found_and_found_again_when_it_grows() {
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
    fn a_lost_datagram_is_a_doubt_unless_one_as_large_came_after_it() {
        let mut size = PathSize::new(BASE_DATAGRAM, at(0));
        search(&mut size, MAX_DATAGRAM, at(0));
        let large = |ms, bytes| Large { at: at(ms), bytes };
        size.arrived(large(20, 1_100));
        size.lost(large(10, 1_100), at(30));
        size.lost(large(25, BASE_DATAGRAM), at(30));
        assert_eq!(size.usable(), MAX_DATAGRAM);
        size.lost(large(10, 1_101), at(30));
        assert_eq!((size.usable(), size.due()), (BASE_DATAGRAM, Some(at(30))));
        // It was chance after all.
        assert_eq!(search(&mut size, MAX_DATAGRAM, at(30)), 1);
        assert_eq!((size.usable(), size.due()), (MAX_DATAGRAM, None));
        // It was not.
        size.lost(large(40, 800), at(50));
        search(&mut size, 700, at(50));
        assert!((669..=700).contains(&size.usable()));
        // Nor does what left before the path was another one say anything of it.
        size.start_over(BASE_DATAGRAM, at(60));
        search(&mut size, MAX_DATAGRAM, at(60));
        size.lost(large(55, 1_200), at(70));
        assert_eq!(size.usable(), MAX_DATAGRAM);
    }

    #[test]
    fn what_the_kernel_refuses_is_not_tried_again_before_the_path_may_be_wider() {
        let mut size = PathSize::new(BASE_DATAGRAM, at(0));
        let (number, bytes) = size.probe();
        size.refused(bytes, at(1));
        let (next, smaller) = size.probe();
        assert!(smaller < bytes);
        size.probe_lost(number, at(2));
        assert_eq!(size.due(), None, "that one is known");
        size.probe_arrived(next, at(3));
        assert_eq!(size.usable(), smaller);
        size.refused(smaller, at(4));
        assert_eq!(size.usable(), BASE_DATAGRAM);
        size.refused(BASE_DATAGRAM, at(5));
        assert_eq!(size.usable(), BASE_DATAGRAM);
    }
}
