//! Which lines were shown. Ids name lines for good, so no line is shown twice, whether it comes as
//! a line, as history after a break, or from the cache.

use crate::protocol::limits::REPLAY_WINDOW;
use crate::time::WallTime;
use std::collections::{HashSet, VecDeque};

/// Twice the server's log, so that a full replay finds everything it repeats.
const MOST: usize = 2 * REPLAY_WINDOW as usize;

/// The ids of the most recent lines, and how far they are complete.
#[derive(Debug)]
pub(super) struct Seen {
    order: VecDeque<WallTime>,
    ids: HashSet<WallTime>,
    largest: WallTime,
}

impl Default for Seen {
    /// With all the room it will need: no line has it copied.
    fn default() -> Self {
        let (order, ids) = (VecDeque::with_capacity(MOST + 1), HashSet::with_capacity(MOST + 1));
        Self { order, ids, largest: WallTime::default() }
    }
}

impl Seen {
    /// Takes note of a line. False when it was there before.
    pub(super) fn insert(&mut self, id: WallTime) -> bool {
        if !self.ids.insert(id) {
            return false;
        }
        self.order.push_back(id);
        if self.order.len() > MOST
            && let Some(old) = self.order.pop_front()
        {
            self.ids.remove(&old);
        }
        true
    }

    /// All lines up to this one are known, or older than what the server tells newcomers.
    pub(super) fn advance(&mut self, id: WallTime) {
        self.largest = self.largest.max(id);
    }

    /// The largest line up to which all are known; zero when there was none.
    pub(super) fn largest(&self) -> WallTime {
        self.largest
    }
}
