//! Back pressure from readers to senders (`proto.md` §7.15): which queues are long, and which
//! members are not read meanwhile. A value, without access to the hub.
//!
//! The slowest reader sets the pace of the members that say a lot. A long queue to a reader is
//! pressure: the hub stops reading members that are above their allowance, so their windows, or
//! their kernels', close. With a longer one it reads no member, so no queue of a reader that makes
//! progress overflows, however many members speak at once. A reader that has made no progress for
//! `PRESSURE_WAIT` exerts no pressure: its queue fills, and it is dropped.

use crate::protocol::limits::{
    PRESSURE_FULL, PRESSURE_HIGH, PRESSURE_LOW, PRESSURE_STEP, PRESSURE_WAIT,
};
use crate::registry::PeerId;
use crate::time::Timestamp;
use std::collections::BTreeMap;

/// A queue that exerts pressure, or did while its reader made progress.
#[derive(Clone, Copy, Debug)]
struct Long {
    length: usize,
    /// Its length when the present step began.
    from: usize,
    /// The pressure ends then, unless the reader completes the step before.
    until: Timestamp,
}

/// Which members the hub does not read at the moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    /// The hub reads all members.
    #[default]
    Off,
    /// Members above their limit.
    AboveLimit,
    All,
}

/// The queues that are long.
#[derive(Debug, Default)]
pub(super) struct Pressure {
    long: BTreeMap<PeerId, Long>,
    /// The pressure of the lines that wait for an engine.
    log: Level,
}

impl Pressure {
    /// Whether a queue of this length changes anything.
    pub(super) fn is_concerned(&self, length: usize) -> bool {
        length >= PRESSURE_HIGH || !self.long.is_empty()
    }

    /// The queue to a peer has this length now. The reader has made no progress since
    /// `stalled_since`, if that is known.
    pub(super) fn note(
        &mut self,
        id: PeerId,
        length: usize,
        stalled_since: Option<Timestamp>,
        now: Timestamp,
    ) {
        let until = stalled_since.unwrap_or(now) + PRESSURE_WAIT;
        let Some(long) = self.long.get_mut(&id) else {
            if length >= PRESSURE_HIGH {
                self.long.insert(id, Long { length, from: length, until });
            }
            return;
        };
        long.length = length;
        if length <= PRESSURE_LOW {
            self.long.remove(&id);
        } else if long.from < length {
            long.from = length;
        } else if length + PRESSURE_STEP <= long.from {
            long.from = length;
            // After a stall of `PRESSURE_WAIT` a reader catches up before it exerts pressure again.
            if now < long.until {
                long.until = until;
            }
        }
    }

    /// Extends all deadlines: this server was suspended from `before` until `now`.
    pub(super) fn resume(&mut self, before: Timestamp, now: Timestamp) {
        for long in self.long.values_mut().filter(|long| before < long.until) {
            long.until = long.until.max(now + PRESSURE_WAIT);
        }
    }

    /// Removes a departed peer.
    pub(super) fn forget(&mut self, id: PeerId) {
        self.long.remove(&id);
    }

    /// The lines that wait for an engine exert this pressure from now on.
    pub(super) fn set_log(&mut self, level: Level) {
        self.log = level;
    }

    /// Which members are not read at `now`.
    pub(super) fn level(&self, now: Timestamp) -> Level {
        let mut level = self.log;
        for long in self.long.values().filter(|long| now < long.until) {
            if long.length >= PRESSURE_FULL {
                return Level::All;
            }
            level = level.max(Level::AboveLimit);
        }
        level
    }

    /// When the pressure of this level ends at the latest, as far as that is known.
    pub(super) fn over(&self, level: Level, now: Timestamp) -> Timestamp {
        let least = if level == Level::All { PRESSURE_FULL } else { 0 };
        let long = self.long.values().filter(|long| long.length >= least);
        let proposed = (self.log >= level).then_some(now + PRESSURE_WAIT);
        long.map(|long| long.until).chain(proposed).max().unwrap_or(Timestamp::ZERO)
    }
}
