//! The lines that were shown. Epoch and position identify a line, so none is shown twice: live, in
//! a replay, or from the cache.

use crate::protocol::Mark;
use crate::protocol::limits::REPLAY_WINDOW;
use std::collections::{HashSet, VecDeque};

/// Twice the server's log, to recognise all lines of a full replay.
const MOST: usize = 2 * REPLAY_WINDOW as usize;

/// The positions of the most recent lines, and up to where they are complete.
#[derive(Debug)]
pub(super) struct Seen {
    /// Epoch of the positions.
    epoch: u64,
    order: VecDeque<u64>,
    positions: HashSet<u64>,
    /// All lines up to this one were shown. It may be of an earlier log until this one has a line.
    reached: Mark,
}

impl Default for Seen {
    /// Full capacity at once, to avoid reallocation.
    fn default() -> Self {
        let (order, positions) =
            (VecDeque::with_capacity(MOST + 1), HashSet::with_capacity(MOST + 1));
        Self { epoch: 0, order, positions, reached: Mark::default() }
    }
}

impl Seen {
    /// Starts a session whose log has this epoch and end. True if the epoch is new.
    ///
    /// A log can end before a line that was shown, if its file was truncated or replaced by an
    /// older copy. Later lines at these positions are different ones.
    pub(super) fn begin(&mut self, latest: Mark) -> bool {
        if self.epoch != latest.epoch {
            self.epoch = latest.epoch;
            self.order.clear();
            self.positions.clear();
            return true;
        }
        self.order.retain(|position| *position <= latest.position);
        self.positions.retain(|position| *position <= latest.position);
        if self.reached.epoch == self.epoch {
            self.reached = self.reached.min(latest);
        }
        false
    }

    /// Records a line. False if it was shown before.
    pub(super) fn insert(&mut self, position: u64) -> bool {
        if !self.positions.insert(position) {
            return false;
        }
        self.order.push_back(position);
        if self.order.len() > MOST
            && let Some(old) = self.order.pop_front()
        {
            self.positions.remove(&old);
        }
        true
    }

    /// Records that all lines up to this one were shown, or are older than a newcomer's replay.
    pub(super) fn advance(&mut self, position: u64) {
        if self.reached.epoch != self.epoch || self.reached.position < position {
            self.reached = self.mark(position);
        }
    }

    /// The line up to which all were shown; the default mark if none was.
    pub(super) fn reached(&self) -> Mark {
        self.reached
    }

    /// A position in the log of this session.
    pub(super) fn mark(&self, position: u64) -> Mark {
        Mark { epoch: self.epoch, position }
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
