//! The slowest reader sets the pace of the members that say a lot (`proto.md` §7.15). A long queue to a
//! reader is pressure: the hub then stops reading members that are above their allowance, so their
//! windows, or their kernels', close. With a longer one it reads nobody, so no queue of a reader that
//! makes progress overflows, however many members speak at once. A reader that has made no progress
//! for `MOST` exerts no pressure: its queue fills, and it is dropped.

use super::{Hub, Peer};
use crate::protocol::Delivery;
use crate::protocol::limits::MAX_QUEUE_BYTES;
use crate::registry::PeerId;
use crate::time::{Now, Timestamp};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// A queue of this length is pressure, until it is no longer than `LOW`. A room that says less than
/// `HIGH` bytes in `MOST` never waits for a reader that stands still.
const HIGH: usize = MAX_QUEUE_BYTES / 8 * 5;
const LOW: usize = MAX_QUEUE_BYTES / 4;
/// A queue of this length is pressure on everybody. What is on its way through the hub still fits.
const FULL: usize = MAX_QUEUE_BYTES / 4 * 3;
/// Progress is `STEP` bytes within `MOST`, counted from the moment when the reader took something last.
const STEP: usize = 8 * 1024;
const MOST: Duration = Duration::from_secs(2);

/// A queue that is pressure, or was when its reader still made progress.
#[derive(Clone, Copy, Debug)]
struct Long {
    length: usize,
    /// Its length when the present step began.
    from: usize,
    /// The pressure ends then, unless the reader completes the step before.
    until: Timestamp,
}

/// Which members the hub does not read at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Nobody,
    /// Those above their allowance.
    Immodest,
    Everybody,
}

/// The queues that are long, and the members that are held back because of them.
#[derive(Debug, Default)]
pub(super) struct Pressure {
    long: BTreeMap<PeerId, Long>,
    /// Members whose messages wait, in the order in which the hub will read them.
    held: VecDeque<PeerId>,
}

impl Pressure {
    /// The length of the queue to a peer changed. One whose lines may be left out exerts no pressure.
    pub(super) fn feel(&mut self, id: PeerId, peer: &Peer, now: Timestamp) {
        let queued = peer.link.queued_bytes();
        if queued >= HIGH || !self.long.is_empty() {
            let reliable = peer.stream.is_some() || peer.delivery != Delivery::Unreliable;
            let until = || peer.link.stalled_since().unwrap_or(now) + MOST;
            self.note(id, if reliable { queued } else { 0 }, until, now);
        }
    }

    /// The queue to a peer has this length now; if that is pressure, it ends at `until`.
    fn note(&mut self, id: PeerId, length: usize, until: impl Fn() -> Timestamp, now: Timestamp) {
        let Some(long) = self.long.get_mut(&id) else {
            if length >= HIGH {
                self.long.insert(id, Long { length, from: length, until: until() });
            }
            return;
        };
        long.length = length;
        if length <= LOW {
            self.long.remove(&id);
        } else if long.from < length {
            long.from = length;
        } else if length + STEP <= long.from {
            long.from = length;
            // A reader that stood still for `MOST` has to catch up before it exerts pressure again.
            if now < long.until {
                long.until = until();
            }
        }
    }

    /// This server stood still from `before` until `now`, and saw no progress that readers made.
    pub(super) fn resume(&mut self, before: Timestamp, now: Timestamp) {
        for long in self.long.values_mut().filter(|long| before < long.until) {
            long.until = long.until.max(now + MOST);
        }
    }

    /// The peer is gone.
    pub(super) fn forget(&mut self, id: PeerId, held: bool) {
        self.long.remove(&id);
        if held {
            self.held.retain(|it| *it != id);
        }
    }

    fn level(&self, now: Timestamp) -> Level {
        if self.long.is_empty() {
            return Level::Nobody;
        }
        let mut level = Level::Nobody;
        for long in self.long.values().filter(|long| now < long.until) {
            if long.length >= FULL {
                return Level::Everybody;
            }
            level = Level::Immodest;
        }
        level
    }

    /// When the pressure of this level ends at the latest.
    fn over(&self, level: Level) -> Timestamp {
        let least = if level == Level::Everybody { FULL } else { 0 };
        let long = self.long.values().filter(|long| long.length >= least);
        long.map(|long| long.until).max().unwrap_or(Timestamp::ZERO)
    }
}

impl Hub {
    /// Whether the hub leaves this peer's next message unread for now. If so, it reads it in its turn.
    pub(super) fn holds_back(&mut self, id: PeerId, now: Timestamp) -> bool {
        let level = self.pressure.level(now);
        if level == Level::Nobody {
            return false;
        }
        let Some(peer) = self.peers.get_mut(id) else { return false };
        let held = level == Level::Everybody || !peer.allowance.is_modest(now);
        if held && !std::mem::replace(&mut peer.held, true) {
            self.pressure.held.push_back(id);
        }
        held
    }

    /// A datagram of this peer was dropped because of the pressure: tells the peer to wait.
    pub(super) fn shed(&mut self, id: PeerId, now: Timestamp) {
        let wait = self.pressure.over(self.pressure.level(now)).since(now);
        self.slow_down(id, wait, now);
    }

    /// Carries out the messages that a peer's link received, until the pressure holds it back.
    pub(super) fn handle_messages(&mut self, id: PeerId, now: Now) {
        let is_next = |hub: &Self| hub.peers.get(id).is_some_and(|it| it.link.has_received());
        while is_next(self) && !self.holds_back(id, now.mono) && self.handle_next(id, now) {}
    }

    /// Carries out the next message that a peer's link received. False if there is none.
    pub(super) fn handle_next(&mut self, id: PeerId, now: Now) -> bool {
        let received = self.peers.get_mut(id).and_then(|peer| peer.link.poll_received());
        received.as_ref().inspect(|it| self.handle_message(id, &it.payload, now));
        self.deliver_posts();
        received.is_some()
    }

    /// Reads on the members that were held back, a message of each in turn, while the pressure allows it.
    pub(super) fn read_on(&mut self, now: Now) {
        let mut left = self.pressure.held.len();
        while left > 0
            && self.pressure.level(now.mono) != Level::Everybody
            && let Some(id) = self.pressure.held.pop_front()
        {
            left -= 1;
            let Some(peer) = self.peers.get_mut(id) else { continue };
            peer.held = false;
            self.registry.heard(id, now.mono);
            if self.holds_back(id, now.mono) {
                continue;
            }
            self.handle_next(id, now);
            let Some(peer) = self.peers.get_mut(id) else { continue };
            if let Some(link) = peer.link.as_datagrams() {
                link.acknowledge_now(now.mono); // The window grew.
            }
            if peer.link.has_received() {
                peer.held = true;
                self.pressure.held.push_back(id);
                left += 1;
            }
            self.touch(id);
        }
    }

    /// When to call `read_on` next.
    pub(super) fn held_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.pressure.held.front()?;
        let level = self.pressure.level(now);
        let over = self.pressure.over(level);
        match level {
            Level::Nobody => Some(Timestamp::ZERO),
            Level::Everybody => Some(over),
            Level::Immodest => {
                let peers = self.pressure.held.iter().filter_map(|id| self.peers.get(*id));
                let turn = peers.map(|peer| peer.allowance.ready()).min()?;
                Some(turn.min(over))
            }
        }
    }
}
