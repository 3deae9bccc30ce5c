//! When each peer wants to be called: a priority queue whose entries come true late rather than move.

use crate::registry::PeerId;
use crate::time::Timestamp;
use std::collections::BTreeSet;

/// What a peer keeps of its timer.
#[derive(Debug, Default)]
pub(super) struct Timer {
    /// When it wants to be called, if at all.
    wanted: Option<Timestamp>,
    /// When the queue has it: at that time or before.
    queued: Option<Timestamp>,
}

/// Every operation is O(log n), and the most frequent one, to put a time off that is still to come,
/// is not even that: a link's timers are put off with each datagram.
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

    /// Takes out a peer whose time may have come; [`Self::is_due`] tells.
    pub(super) fn pop(&mut self, now: Timestamp) -> Option<PeerId> {
        let (at, id) = self.queue.first().copied().filter(|(at, _)| *at <= now)?;
        self.queue.remove(&(at, id));
        Some(id)
    }

    /// Whether the time of a peer that was taken out has come. Else it is in the queue again.
    pub(super) fn is_due(&mut self, id: PeerId, timer: &mut Timer, now: Timestamp) -> bool {
        timer.queued = None;
        let due = timer.wanted.is_some_and(|wanted| wanted <= now);
        let later = timer.wanted.take().filter(|_| !due);
        self.set(id, timer, later);
        due
    }

    /// The peer is gone.
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
    fn a_time_comes_once_never_early_and_also_after_it_was_put_off() {
        let at = Timestamp::from_micros;
        let (a, b) = (PeerId(1), PeerId(2));
        let (mut of_a, mut of_b) = (Timer::default(), Timer::default());
        let mut timers = Timers::default();
        timers.set(a, &mut of_a, Some(at(10)));
        timers.set(b, &mut of_b, Some(at(20)));
        timers.set(a, &mut of_a, Some(at(30)));
        assert_eq!(timers.pop(at(9)), None);
        assert_eq!(timers.pop(at(20)), Some(a));
        assert!(!timers.is_due(a, &mut of_a, at(20)), "it was put off");
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
