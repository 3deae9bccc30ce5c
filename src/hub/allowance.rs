//! What a member may ask of the server: so much at once, so much a second. Whatever it says counts, for it
//! costs the server as much. Above the limit it is told to wait, and nothing is held back or lost; far above
//! it, where nobody comes who waits, it is dropped (`proto.md` §7.14).

use super::Hub;
use crate::bucket::{Bucket, Limit};
use crate::protocol::limits::FLOOD_HOLD;
use crate::protocol::{ClientMessage, LeaveReason, ServerMessage};
use crate::registry::PeerId;
use crate::time::{Timestamp, micros};
use std::time::Duration;

/// A debt that is no matter: it is soon paid, and anybody may have it.
const SMALL: Duration = Duration::from_secs(1);

/// What a peer has used of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Allowance {
    bucket: Bucket,
    /// The limit is one. Else the bucket tells those who say no more than people do from others.
    limited: bool,
    /// Until when it has been told to wait.
    told: Timestamp,
    /// Answers to pings of others that it was asked for and has not given: these are free.
    owed: u16,
}

impl Allowance {
    pub(super) fn new(limit: Option<Limit>, now: Timestamp) -> Self {
        let bucket = Bucket::new(limit.unwrap_or(Limit::USUAL), now);
        Self { bucket, limited: limit.is_some(), told: Timestamp::ZERO, owed: 0 }
    }

    /// Where there is no limit: whether its next message is among those that would be within the usual
    /// one. Where there is one all are.
    pub(super) fn is_modest(&mut self, now: Timestamp) -> bool {
        let modest = self.limited || self.bucket.ready() <= now;
        if modest && !self.limited {
            self.bucket.take(now);
        }
        modest
    }

    /// When it will be modest again, unless there is a limit anyway.
    pub(super) fn ready(&self) -> Option<Timestamp> {
        (!self.limited).then(|| self.bucket.ready())
    }

    /// The peer is asked for an answer.
    pub(super) fn asked(&mut self) {
        self.owed = self.owed.saturating_add(1);
    }

    /// The peer answers. False if nobody had asked.
    pub(super) fn answered(&mut self) -> bool {
        let asked = self.owed > 0;
        self.owed = self.owed.saturating_sub(1);
        asked
    }

    fn debt(&self, now: Timestamp) -> Duration {
        if self.limited { self.bucket.debt(now) } else { Duration::ZERO }
    }
}

impl Hub {
    /// Counts a message. False if it was one too many: its peer is dropped.
    pub(super) fn charge(
        &mut self,
        id: PeerId,
        message: Option<&ClientMessage<'_>>,
        now: Timestamp,
    ) -> bool {
        let Some(peer) = self.peers.get_mut(&id) else { return false };
        let allowance = &mut peer.allowance;
        let free = match message {
            Some(ClientMessage::Pong { .. }) => allowance.answered(),
            Some(ClientMessage::Leave { .. }) => true,
            _ => false,
        };
        if free || !allowance.limited {
            return true;
        }
        let bucket = &mut allowance.bucket;
        bucket.take(now);
        if bucket.is_broken(now) {
            self.counters.flooders += 1;
            log::info!("peer {} says more than it may, and does not wait: dropped", id.0);
            let detail = format!(
                "dropped for flooding: {} lines at once and {} a second are the limit here",
                bucket.limit().burst(),
                bucket.limit().rate()
            );
            self.close(id, LeaveReason::Flood, &detail, now);
            return false;
        }
        let debt = bucket.debt(now);
        self.slow_down(id, debt, now);
        true
    }

    /// Asks a peer to wait. It is asked again when that is over, or no longer nearly true.
    pub(super) fn slow_down(&mut self, id: PeerId, wait: Duration, now: Timestamp) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let (told, until) = (peer.allowance.told, now + wait);
        if until > now && (told <= now || told + SMALL <= until) {
            peer.allowance.told = until;
            self.counters.slowed += 1;
            // Rounded up: who waits so long owes nothing.
            let wait_ms = u16::try_from(micros(wait).div_ceil(1_000)).unwrap_or(u16::MAX);
            self.tell(id, &ServerMessage::Slow { wait_ms });
        }
    }

    /// A peer goes. A bucket is not emptied by leaving: what is owed keeps its address out.
    pub(super) fn settle(&mut self, id: PeerId, reason: LeaveReason, now: Timestamp) {
        let Some(peer) = self.peers.get(&id) else { return };
        let hold = match peer.allowance.debt(now) {
            debt if reason == LeaveReason::Flood => debt.max(FLOOD_HOLD),
            debt => debt,
        };
        if hold > SMALL {
            self.registry.keep_out(id, hold, now);
        }
    }
}
