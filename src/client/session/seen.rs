//! The lines that were shown. Epoch and position identify a line, so none is shown twice: live, in
//! a replay, or from the cache.

use crate::protocol::Mark;
use crate::protocol::limits::REPLAY_WINDOW;
use std::collections::{HashSet, VecDeque};

/// Twice the server's log, to recognise all lines of a full replay.
const MOST: usize = 2 * REPLAY_WINDOW as usize;

/// The most recent lines, and up to where they are complete. Those of other logs are among them: a
/// client moves between the servers that its user named, and comes back.
#[derive(Debug)]
pub(super) struct Seen {
    /// The log of this session.
    epoch: u64,
    order: VecDeque<Mark>,
    lines: HashSet<Mark>,
    /// All lines up to this one were shown. It may be of an earlier log until this one has a line.
    reached: Mark,
}

impl Default for Seen {
    /// Full capacity at once, to avoid reallocation.
    fn default() -> Self {
        let (order, lines) = (VecDeque::with_capacity(MOST + 1), HashSet::with_capacity(MOST + 1));
        Self { epoch: 0, order, lines, reached: Mark::default() }
    }
}

impl Seen {
    /// Starts a session whose log has this epoch and end. True if no line of it is known.
    ///
    /// A log can end before a line that was shown, if its file was truncated or replaced by an
    /// older copy. Later lines at these positions are different ones.
    pub(super) fn begin(&mut self, latest: Mark) -> bool {
        let Mark { epoch, position } = latest;
        let is_other = std::mem::replace(&mut self.epoch, epoch) != epoch;
        let is_new = is_other && self.order.iter().all(|line| line.epoch != epoch);
        let stays = |line: &Mark| line.epoch != epoch || line.position <= position;
        self.order.retain(stays);
        self.lines.retain(stays);
        if self.reached.epoch == epoch {
            self.reached = self.reached.min(latest);
        }
        is_new
    }

    /// Records a line. False if it was shown before.
    pub(super) fn insert(&mut self, position: u64) -> bool {
        let line = self.mark(position);
        if !self.lines.insert(line) {
            return false;
        }
        self.order.push_back(line);
        if self.order.len() > MOST
            && let Some(old) = self.order.pop_front()
        {
            self.lines.remove(&old);
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
    fn lines_of_earlier_logs_are_known_when_a_client_comes_back_to_them() {
        let mut seen = Seen::default();
        for epoch in 1..=6 {
            assert!(seen.begin(at(epoch, 9)));
            assert!(seen.insert(3) && seen.insert(7));
            seen.advance(7);
        }
        assert!(!seen.begin(at(1, 9)) && !seen.insert(7));
        assert!(!seen.begin(at(4, 5)) && seen.reached() == at(6, 7));
        assert!(!seen.insert(3) && seen.insert(7), "the log has lost its end");
        for position in 100..100 + MOST as u64 {
            assert!(seen.insert(position));
        }
        assert!(seen.begin(at(1, 9)), "newer lines take the place of all others");
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
