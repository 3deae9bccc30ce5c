//! Which lines were shown. A mark names a line for good, so no line is shown twice, whether it comes as
//! a line, as history after a break, or from the cache.

use crate::protocol::Mark;
use crate::protocol::limits::REPLAY_WINDOW;
use std::collections::{HashSet, VecDeque};

/// Twice the server's log, so that a full replay finds everything it repeats.
const MOST: usize = 2 * REPLAY_WINDOW as usize;

/// The positions of the most recent lines, and how far they are complete.
#[derive(Debug)]
pub(super) struct Seen {
    /// The log that the positions are in.
    epoch: u64,
    order: VecDeque<u64>,
    positions: HashSet<u64>,
    /// All lines up to this one are known. It may be in an earlier log, until this one tells something.
    reached: Mark,
}

impl Default for Seen {
    /// With all the room it will need: no line has it copied.
    fn default() -> Self {
        let (order, positions) =
            (VecDeque::with_capacity(MOST + 1), HashSet::with_capacity(MOST + 1));
        Self { epoch: 0, order, positions, reached: Mark::default() }
    }
}

impl Seen {
    /// A session begins with a server whose log is of this epoch, and ends at this position. True when it
    /// is another log than before.
    ///
    /// A log can end before a line that was seen: its file lost its end, or was replaced by an older copy.
    /// What stands there later is another line.
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

    /// Takes note of a line. False when it was there before.
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

    /// All lines up to this one are known, or older than what the server tells newcomers.
    pub(super) fn advance(&mut self, position: u64) {
        if self.reached.epoch != self.epoch || self.reached.position < position {
            self.reached = self.mark(position);
        }
    }

    /// The line up to which all are known; that of no log when there was none.
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
    fn a_new_log_is_asked_for_from_its_beginning_until_it_tells_something() {
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
    fn what_a_log_has_lost_is_forgotten() {
        let mut seen = Seen::default();
        seen.begin(at(7, 0));
        assert!(seen.insert(4) && seen.insert(5));
        seen.advance(5);
        assert!(!seen.begin(at(7, 4)));
        assert_eq!(seen.reached(), at(7, 4));
        assert!(!seen.insert(4) && seen.insert(5));
    }
}
