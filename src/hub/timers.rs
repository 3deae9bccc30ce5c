//! Timers: a priority queue of peers. A timer that is put off stays where it is in the queue, and
//! is set again when it comes up too early. A value, without access to the hub.

use crate::registry::PeerId;
use crate::time::Timestamp;
use std::collections::BTreeSet;

/// The timer of a peer.
#[derive(Debug, Default)]
pub(super) struct Timer {
    /// When the peer wants to be called, if at all.
    wanted: Option<Timestamp>,
    /// The time in the queue: `wanted` or earlier.
    queued: Option<Timestamp>,
}

/// Every operation is O(log n). Putting a timer off is O(1), because each datagram does that.
#[derive(Debug, Default)]
pub(super) struct Timers {
    queue: BTreeSet<(Timestamp, PeerId)>,
}

impl Timers {
    /// Sets, moves or (with `None`) removes the time of a peer.
    pub(super) fn set(&mut self, id: PeerId, timer: &mut Timer, wanted: Option<Timestamp>) {
        timer.wanted = wanted;
        let Some(at) = wanted else { return };
        match timer.queued {
            Some(queued) if queued <= at => return,
            Some(queued) => {
                self.queue.remove(&(queued, id));
            }
            None => {}
        }
        self.queue.insert((at, id));
        timer.queued = Some(at);
    }

    /// Takes out a peer whose timer may be due: ask [`Self::is_due`].
    pub(super) fn pop(&mut self, now: Timestamp) -> Option<PeerId> {
        let (at, id) = self.queue.first().copied().filter(|(at, _)| *at <= now)?;
        self.queue.remove(&(at, id));
        Some(id)
    }

    /// Whether the timer of a peer that was taken out is due. If not, it is in the queue again.
    pub(super) fn is_due(&mut self, id: PeerId, timer: &mut Timer, now: Timestamp) -> bool {
        timer.queued = None;
        let due = timer.wanted.is_some_and(|wanted| wanted <= now);
        let later = timer.wanted.take().filter(|_| !due);
        self.set(id, timer, later);
        due
    }

    /// The peer has gone.
    pub(super) fn forget(&mut self, id: PeerId, timer: &Timer) {
        if let Some(queued) = timer.queued {
            self.queue.remove(&(queued, id));
        }
    }

    /// When to look again: the earliest time, or one before it.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.queue.first().map(|(at, _)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timer_fires_once_never_early_and_also_after_a_postponement() {
        let at = Timestamp::from_micros;
        let (a, b) = (PeerId(1), PeerId(2));
        let (mut of_a, mut of_b) = (Timer::default(), Timer::default());
        let mut timers = Timers::default();
        timers.set(a, &mut of_a, Some(at(10)));
        timers.set(b, &mut of_b, Some(at(20)));
        timers.set(a, &mut of_a, Some(at(30)));
        assert_eq!(timers.pop(at(9)), None);
        assert_eq!(timers.pop(at(20)), Some(a));
        assert!(!timers.is_due(a, &mut of_a, at(20)), "it was postponed");
        assert_eq!(timers.pop(at(20)), Some(b));
        assert!(timers.is_due(b, &mut of_b, at(20)));
        timers.set(a, &mut of_a, Some(at(25)));
        assert_eq!(timers.next(), Some(at(25)));
        assert_eq!(timers.pop(at(25)), Some(a));
        assert!(timers.is_due(a, &mut of_a, at(25)));
        assert_eq!((timers.pop(at(99)), timers.next()), (None, None));
        timers.set(a, &mut of_a, Some(at(40)));
        timers.forget(a, &of_a);
        assert_eq!(timers.next(), None);
    }
}
