//! When each peer wants to be called: a priority queue whose entries can be moved.

use crate::registry::PeerId;
use crate::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// At most one entry for each peer; every operation is O(log n).
#[derive(Debug, Default)]
pub(super) struct Timers {
    queue: BTreeSet<(Timestamp, PeerId)>,
    at: BTreeMap<PeerId, Timestamp>,
}

impl Timers {
    /// Sets, moves or (with `None`) removes the entry of a peer.
    pub(super) fn set(&mut self, id: PeerId, at: Option<Timestamp>) {
        let old = match at {
            Some(at) => self.at.insert(id, at),
            None => self.at.remove(&id),
        };
        if old == at {
            return;
        }
        if let Some(old) = old {
            self.queue.remove(&(old, id));
        }
        self.queue.extend(at.map(|at| (at, id)));
    }

    /// Takes out a peer whose time has come.
    pub(super) fn pop_due(&mut self, now: Timestamp) -> Option<PeerId> {
        let (at, id) = self.queue.first().copied()?;
        if at > now {
            return None;
        }
        self.set(id, None);
        Some(id)
    }

    /// The earliest entry.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.queue.first().map(|(at, _)| *at)
    }
}
