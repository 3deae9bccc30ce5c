//! Where members have no limit, the slowest reader sets the pace of those who say a lot (`proto.md` §7.15).
//! Half a queue full to somebody who takes it is pressure: then what fast senders say is not read any further,
//! so that their windows, or their kernels', do not open. Those who say no more than people do are not held
//! up; and nobody is, for one who takes nothing.

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
/// Who does not take `STEP` bytes within `PATIENCE`, or three round trips, for what is lost takes its time, holds
/// up nobody any more: it stands still, or is too slow. Nor does anybody for longer than `MOST`. Over datagrams
/// that time begins when it took something last.
const STEP: usize = 8 * 1024;
const PATIENCE: Duration = Duration::from_millis(250);
const MOST: Duration = Duration::from_secs(2);

/// A long queue.
#[derive(Clone, Copy, Debug)]
struct Long {
    /// Its length when the next step was begun.
    from: usize,
    /// It is pressure until then, unless the step is done before.
    until: Timestamp,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Pressure {
    unlimited: bool,
    long: BTreeMap<PeerId, Long>,
    /// Whose messages wait, in the order in which they will be read.
    held: VecDeque<PeerId>,
}

impl Pressure {
    /// With a limit, nobody says so much that readers have to set the pace.
    pub(super) fn new(unlimited: bool) -> Self {
        Self { unlimited, ..Self::default() }
    }

    /// The queue to a peer is longer or shorter now. One whose lines may be left out exerts no pressure.
    pub(super) fn feel(&mut self, id: PeerId, peer: &Peer, now: Timestamp) {
        let queued = peer.link.queued_bytes();
        if self.unlimited && (queued >= HIGH || !self.long.is_empty()) {
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
        match self.long.get_mut(&id) {
            None if length < HIGH => {}
            None => {
                self.long.insert(id, Long { from: length, until: until() });
            }
            Some(_) if length <= LOW => {
                self.long.remove(&id);
            }
            Some(long) if long.from < length => long.from = length,
            Some(long) if length + STEP <= long.from => {
                long.from = length;
                // Who stood still has to catch up first.
                if now < long.until {
                    long.until = until();
                }
            }
            Some(_) => {}
        }
    }

    /// Whether what this peer said waits to be read.
    pub(super) fn holds(&self, id: PeerId) -> bool {
        self.held.contains(&id)
    }

    /// The peer is gone.
    pub(super) fn forget(&mut self, id: PeerId) {
        self.long.remove(&id);
        self.held.retain(|held| *held != id);
    }

    fn is_high(&self, now: Timestamp) -> bool {
        self.long.values().any(|long| now < long.until)
    }

    /// When it is over at the latest.
    fn over(&self) -> Timestamp {
        self.long.values().map(|long| long.until).max().unwrap_or(Timestamp::ZERO)
    }
}

impl Hub {
    /// Whether what this peer says next is not to be read now, but in its turn.
    pub(super) fn holds_back(&mut self, id: PeerId, now: Timestamp) -> bool {
        let modest = self.peers.get_mut(&id).is_none_or(|peer| peer.allowance.is_modest(now));
        let held = !modest && self.pressure.is_high(now);
        if held && !self.pressure.holds(id) {
            self.pressure.held.push_back(id);
        }
        held
    }

    /// What this peer said was not even received: it should wait, and lose no more.
    pub(super) fn shed(&mut self, id: PeerId, now: Timestamp) {
        let wait = self.pressure.over().since(now);
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

    /// Reads on what was held back, as far as that is possible now.
    pub(super) fn read_on(&mut self, now: Now) {
        for id in std::mem::take(&mut self.pressure.held) {
            self.registry.heard(id, now.mono);
            self.handle_messages(id, now);
            if let Some(link) = self.peers.get_mut(&id).and_then(|peer| peer.link.as_datagrams()) {
                link.acknowledge_now(now.mono); // its window is larger
            }
            self.touch(id);
        }
    }

    /// When to `read_on`.
    pub(super) fn held_until(&self) -> Option<Timestamp> {
        let peers = self.pressure.held.iter().filter_map(|id| self.peers.get(id));
        let turn = peers.filter_map(|peer| peer.allowance.ready()).min()?;
        Some(turn.min(self.pressure.over()))
    }
}
