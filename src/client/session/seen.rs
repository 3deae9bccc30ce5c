//! The lines that were shown. Epoch and position identify a line, so none is shown twice: live, in
//! a replay, or from the cache.

use crate::protocol::Mark;
use crate::protocol::limits::REPLAY_WINDOW;
use std::collections::{HashSet, VecDeque};

/// Twice the server's log, to recognise all lines of a full replay.
const MOST: usize = 2 * REPLAY_WINDOW as usize;
/// Logs whose lines are known, besides that of the session: a client moves between the servers
/// that its user named, and comes back.
const MOST_LOGS: usize = 4;

/// The positions of the most recent lines, and up to where they are complete.
#[derive(Debug)]
pub(super) struct Seen {
    shown: Shown,
    /// Lines of earlier logs, the newest log last.
    earlier: VecDeque<Shown>,
    /// All lines up to this one were shown. It may be of an earlier log until this one has a line.
    reached: Mark,
}

/// The most recent lines of one log.
#[derive(Debug)]
struct Shown {
    epoch: u64,
    order: VecDeque<u64>,
    positions: HashSet<u64>,
}

impl Shown {
    /// Full capacity at once, to avoid reallocation.
    fn of(epoch: u64) -> Self {
        let (order, positions) =
            (VecDeque::with_capacity(MOST + 1), HashSet::with_capacity(MOST + 1));
        Self { epoch, order, positions }
    }
}

impl Default for Seen {
    fn default() -> Self {
        Self { shown: Shown::of(0), earlier: VecDeque::new(), reached: Mark::default() }
    }
}

impl Seen {
    /// Starts a session whose log has this epoch and end. True if the epoch is new.
    ///
    /// A log can end before a line that was shown, if its file was truncated or replaced by an
    /// older copy. Later lines at these positions are different ones.
    pub(super) fn begin(&mut self, latest: Mark) -> bool {
        let mut new = false;
        if self.shown.epoch != latest.epoch {
            let known = self.earlier.iter().position(|it| it.epoch == latest.epoch);
            let next = known.and_then(|at| self.earlier.remove(at));
            new = next.is_none();
            let next = next.unwrap_or_else(|| Shown::of(latest.epoch));
            let before = std::mem::replace(&mut self.shown, next);
            if !before.order.is_empty() {
                self.earlier.push_back(before);
            }
            if self.earlier.len() > MOST_LOGS {
                self.earlier.pop_front();
            }
        }
        self.shown.order.retain(|position| *position <= latest.position);
        self.shown.positions.retain(|position| *position <= latest.position);
        if self.reached.epoch == latest.epoch {
            self.reached = self.reached.min(latest);
        }
        new
    }

    /// Records a line. False if it was shown before.
    pub(super) fn insert(&mut self, position: u64) -> bool {
        let Shown { order, positions, .. } = &mut self.shown;
        if !positions.insert(position) {
            return false;
        }
        order.push_back(position);
        if order.len() > MOST
            && let Some(old) = order.pop_front()
        {
            positions.remove(&old);
        }
        true
    }

    /// Records that all lines up to this one were shown, or are older than a newcomer's replay.
    pub(super) fn advance(&mut self, position: u64) {
        if self.reached.epoch != self.shown.epoch || self.reached.position < position {
            self.reached = self.mark(position);
        }
    }

    /// The line up to which all were shown; the default mark if none was.
    pub(super) fn reached(&self) -> Mark {
        self.reached
    }

    /// A position in the log of this session.
    pub(super) fn mark(&self, position: u64) -> Mark {
        Mark { epoch: self.shown.epoch, position }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(epoch: u64, position: u64) -> Mark {
        Mark { epoch, position }
    }

    #[test]
    fn a_new_log_is_replayed_from_its_beginning_until_it_has_a_line() {
        let mut seen = Seen::default();
        assert!(seen.begin(at(7, 3)));
        assert!(seen.insert(3) && !seen.insert(3));
        seen.advance(3);
        assert!(seen.begin(at(8, 2)));
        assert_eq!(seen.reached(), at(7, 3));
        assert!(seen.insert(3), "another line, for the log is another");
        seen.advance(1);
        assert_eq!(seen.reached(), at(8, 1));
    }

    #[test]
    fn lines_of_some_earlier_logs_are_known_when_a_client_comes_back_to_them() {
        let mut seen = Seen::default();
        for epoch in 1..=6 {
            assert!(seen.begin(at(epoch, 9)));
            assert!(seen.insert(3) && seen.insert(7));
            seen.advance(7);
        }
        assert!(seen.begin(at(1, 9)) && seen.insert(7), "the oldest is forgotten");
        assert!(!seen.begin(at(4, 5)) && seen.reached() == at(6, 7));
        assert!(!seen.insert(3) && seen.insert(7), "the log has lost its end");
        assert!(seen.earlier.len() <= MOST_LOGS);
    }

    #[test]
    fn positions_beyond_the_end_of_the_log_are_forgotten() {
        let mut seen = Seen::default();
        seen.begin(at(7, 0));
        assert!(seen.insert(4) && seen.insert(5));
        seen.advance(5);
        assert!(!seen.begin(at(7, 4)));
        assert_eq!(seen.reached(), at(7, 4));
        assert!(!seen.insert(4) && seen.insert(5));
    }
}
