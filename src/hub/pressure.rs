//! The slowest reader sets the pace of those who say a lot (`proto.md` §7.15). Half a queue full to a reader
//! that takes it is pressure: then what a sender says above its allowance is not read any further, so that
//! its window, or its kernel's, does not open. At three quarters nobody is read, so no queue of a reader
//! that makes progress overflows, however many speak at once. A reader that makes none exerts no pressure.

use super::{Hub, Peer};
use crate::protocol::Delivery;
use crate::protocol::limits::MAX_QUEUE_BYTES;
use crate::registry::PeerId;
use crate::time::{Now, Timestamp};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// A queue this long is pressure, until it is no longer than `LOW`.
const HIGH: usize = MAX_QUEUE_BYTES / 2;
const LOW: usize = MAX_QUEUE_BYTES / 4;
/// A queue this long is pressure on everybody. What is on its way through the hub still fits.
const FULL: usize = MAX_QUEUE_BYTES / 4 * 3;
/// Who does not take `STEP` bytes within `PATIENCE`, or three round trips, for what is lost takes its time, holds
/// up nobody any more: it stands still, or is too slow. Nor does anybody for longer than `MOST`. Over datagrams
/// that time begins when it took something last.
const STEP: usize = 8 * 1024;
const PATIENCE: Duration = Duration::from_millis(250);
const MOST: Duration = Duration::from_secs(2);

/// A long queue.
#[derive(Clone, Copy, Debug)]
struct Long {
    length: usize,
    /// Its length when the next step was begun.
    from: usize,
    /// It is pressure until then, unless the step is done before.
    until: Timestamp,
}

/// Who is not read at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Nobody,
    /// Those who say more than they may.
    Immodest,
    Everybody,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Pressure {
    long: BTreeMap<PeerId, Long>,
    /// Whose messages wait, in the order in which they will be read.
    held: VecDeque<PeerId>,
}

impl Pressure {
    /// The queue to a peer is longer or shorter now. One whose lines may be left out exerts no pressure.
    pub(super) fn feel(&mut self, id: PeerId, peer: &Peer, now: Timestamp) {
        let queued = peer.link.queued_bytes();
        if queued >= HIGH || !self.long.is_empty() {
            let reliable = peer.stream.is_some() || peer.delivery != Delivery::Unreliable;
            let until = || {
                let rtt = peer.link.stats().rtt_smoothed.unwrap_or_default();
                // Who has taken nothing for so long already stands still.
                peer.link.stalled_since().unwrap_or(now) + (3 * rtt).clamp(PATIENCE, MOST)
            };
            self.note(id, if reliable { queued } else { 0 }, until, now);
        }
    }

    /// The queue to a peer has this length now; if that is pressure, it is until then.
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
            // Who stood still has to catch up first.
            if now < long.until {
                long.until = until();
            }
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

    /// When it is over at the latest; the pressure on everybody, while there is some.
    fn over(&self, level: Level) -> Timestamp {
        let least = if level == Level::Everybody { FULL } else { 0 };
        let long = self.long.values().filter(|long| long.length >= least);
        long.map(|long| long.until).max().unwrap_or(Timestamp::ZERO)
    }
}

impl Hub {
    /// Whether what this peer says next is not to be read now, but in its turn.
    pub(super) fn holds_back(&mut self, id: PeerId, now: Timestamp) -> bool {
        let level = self.pressure.level(now);
        if level == Level::Nobody {
            return false;
        }
        let Some(peer) = self.peers.get_mut(&id) else { return false };
        let held = level == Level::Everybody || !peer.allowance.is_modest(now);
        if held && !std::mem::replace(&mut peer.held, true) {
            self.pressure.held.push_back(id);
        }
        held
    }

    /// What this peer said was not even received: it should wait, and lose no more.
    pub(super) fn shed(&mut self, id: PeerId, now: Timestamp) {
        let wait = self.pressure.over(self.pressure.level(now)).since(now);
        self.slow_down(id, wait, now);
    }

    /// Carries out what a peer's link received, as far as it may go on.
    pub(super) fn handle_messages(&mut self, id: PeerId, now: Now) {
        let is_next = |hub: &Self| hub.peers.get(&id).is_some_and(|it| it.link.has_received());
        while is_next(self) && !self.holds_back(id, now.mono) && self.handle_next(id, now) {}
    }

    /// Carries out the next message that a peer's link received, if there is one.
    pub(super) fn handle_next(&mut self, id: PeerId, now: Now) -> bool {
        let received = self.peers.get_mut(&id).and_then(|peer| peer.link.poll_received());
        received.as_ref().inspect(|it| self.handle_message(id, &it.payload, now));
        self.deliver_posts();
        received.is_some()
    }

    /// Reads on what was held back, as far as that is possible now: of each a message in turn.
    pub(super) fn read_on(&mut self, now: Now) {
        let mut left = self.pressure.held.len();
        while left > 0
            && self.pressure.level(now.mono) != Level::Everybody
            && let Some(id) = self.pressure.held.pop_front()
        {
            left -= 1;
            let Some(peer) = self.peers.get_mut(&id) else { continue };
            peer.held = false;
            self.registry.heard(id, now.mono);
            if self.holds_back(id, now.mono) {
                continue;
            }
            self.handle_next(id, now);
            let Some(peer) = self.peers.get_mut(&id) else { continue };
            if let Some(link) = peer.link.as_datagrams() {
                link.acknowledge_now(now.mono); // its window is larger
            }
            if peer.link.has_received() {
                peer.held = true;
                self.pressure.held.push_back(id);
                left += 1;
            }
            self.touch(id);
        }
    }

    /// When to `read_on`.
    pub(super) fn held_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.pressure.held.front()?;
        let level = self.pressure.level(now);
        let over = self.pressure.over(level);
        match level {
            Level::Nobody => Some(Timestamp::ZERO),
            Level::Everybody => Some(over),
            Level::Immodest => {
                let peers = self.pressure.held.iter().filter_map(|id| self.peers.get(id));
                let turn = peers.map(|peer| peer.allowance.ready()).min()?;
                Some(turn.min(over))
            }
        }
    }
}
