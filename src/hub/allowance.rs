//! What a member may ask of the server: so much at once, so much a second. Whatever it says counts, for it
//! costs the server as much. Above the limit it is told to wait, and nothing is held back or lost; far above
//! it, where nobody comes who waits, it is dropped (`proto.md` §7.14).

use super::Hub;
use super::accounts::Payer;
use crate::bucket::{Bucket, Limit};
use crate::protocol::limits::{ANSWER_TIMEOUT, FLOOD_HOLD, MAX_QUEUE_BYTES};
use crate::protocol::{LeaveReason, ServerMessage};
use crate::registry::PeerId;
use crate::time::{Timestamp, micros};
use std::time::Duration;

/// A wait that grew by less is not told again.
const SMALL: Duration = Duration::from_secs(1);
/// A client that searches for its path's datagram size waits longer between two probes.
const PATH_PROBE_PAUSE: Duration = Duration::from_millis(200);
/// Bytes of datagrams that are read of one peer in a turn: more than a window of full ones.
const TURN_BYTES: usize = 2 * MAX_QUEUE_BYTES;
/// Questions of one peer to others that may be open. A client has no more (`proto.md` §7.14).
const MAX_PINGS: usize = 8;

/// A question to another peer: whom, which, and when.
#[derive(Clone, Copy, Debug)]
struct Ping {
    to: PeerId,
    number: u16,
    asked: Timestamp,
}

/// What a peer has used of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Allowance {
    bucket: Bucket,
    /// The limit is one. Else the bucket tells those who say no more than people do from others.
    limited: bool,
    /// Until when it has been told to wait.
    told: Timestamp,
    /// A sign of life is free from then on.
    free_at: Timestamp,
    /// The next probe of the path is free from then on.
    path_probe_at: Timestamp,
    /// What it asked others, until they answer: nobody is answered who did not ask.
    pings: [Option<Ping>; MAX_PINGS],
}

impl Allowance {
    /// With a bucket that is full at `full`, which is what is left of that of an earlier session.
    pub(super) fn new(limit: Option<Limit>, full: Timestamp, now: Timestamp) -> Self {
        let bucket = Bucket::full_at(limit.unwrap_or(Limit::USUAL), full.max(now));
        let pings = [None; MAX_PINGS];
        let (told, free_at) = (Timestamp::ZERO, Timestamp::ZERO);
        let path_probe_at = Timestamp::ZERO;
        Self { bucket, limited: limit.is_some(), told, free_at, path_probe_at, pings }
    }

    /// Whether its next message is within the limit; without one, within the usual one.
    pub(super) fn is_modest(&self, now: Timestamp) -> bool {
        self.bucket.ready() <= now
    }

    /// When it is modest again.
    pub(super) fn ready(&self) -> Timestamp {
        self.bucket.ready()
    }

    /// It asks `to`. The oldest of too many questions gets no answer.
    pub(super) fn ask(&mut self, to: PeerId, number: u16, now: Timestamp) {
        let oldest = self.pings.iter_mut().min_by_key(|ping| ping.map(|ping| ping.asked));
        if let Some(place) = oldest {
            *place = Some(Ping { to, number, asked: now });
        }
    }

    /// `from` answers. Whether this is the first answer to a question asked a short time ago.
    pub(super) fn answered(&mut self, from: PeerId, number: u16, now: Timestamp) -> bool {
        let asked = |ping: &Ping| {
            (ping.to, ping.number) == (from, number) && ping.asked + ANSWER_TIMEOUT > now
        };
        let mut open = self.pings.iter_mut().filter(|ping| ping.as_ref().is_some_and(asked));
        open.next().and_then(Option::take).is_some()
    }

    /// When what it said is paid for; nothing is owed without a limit.
    fn full(&self) -> Timestamp {
        if self.limited { self.bucket.full() } else { Timestamp::ZERO }
    }
}

impl Hub {
    /// Takes tokens of a peer. False if they were too many: it is dropped.
    pub(super) fn charge(&mut self, id: PeerId, tokens: usize, now: Timestamp) -> bool {
        let Some(peer) = self.peers.get_mut(id) else { return false };
        let allowance = &mut peer.allowance;
        let bucket = &mut allowance.bucket;
        if !allowance.limited {
            // It has no debts: only what people say is told apart.
            if bucket.ready() <= now {
                bucket.take(tokens, now);
            }
            return true;
        }
        bucket.take(tokens, now);
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
        if bucket.is_owing(now) {
            let debt = bucket.debt(now);
            self.slow_down(id, debt, now);
        }
        true
    }

    /// Takes tokens for signs of life. One is free in half a heartbeat interval.
    pub(super) fn charge_idle(&mut self, id: PeerId, mut tokens: usize, now: Timestamp) {
        let Some(peer) = self.peers.get_mut(id).filter(|_| tokens > 0) else { return };
        if peer.allowance.free_at <= now {
            peer.allowance.free_at = now + self.config.heartbeat / 2;
            tokens -= 1;
        }
        if tokens > 0 && peer.closing.is_none() {
            self.charge(id, tokens, now);
        }
    }

    /// Whether a probe of the path's datagram size (`proto.md` §7.16) comes no sooner than a client that searches
    /// sends one. Such a one is free: nobody counts it who speaks.
    pub(super) fn is_due_path_probe(&mut self, id: PeerId, now: Timestamp) -> bool {
        let Some(peer) = self.peers.get_mut(id) else { return false };
        let due = peer.allowance.path_probe_at <= now;
        if due {
            peer.allowance.path_probe_at = now + PATH_PROBE_PAUSE;
        }
        due
    }

    /// Whether a peer has sent all that is read of one peer before the others have their turn. What is
    /// above is lost, as if a buffer had been full.
    pub(super) fn is_over_budget(&mut self, id: PeerId, bytes: usize) -> bool {
        let Some(peer) = self.peers.get_mut(id) else { return true };
        let (turn, read) = &mut peer.read;
        if *turn != self.turn {
            (*turn, *read) = (self.turn, 0);
        }
        *read += bytes;
        *read > TURN_BYTES
    }

    /// Asks a peer to wait. It is asked again when that is over, or no longer nearly true.
    pub(super) fn slow_down(&mut self, id: PeerId, wait: Duration, now: Timestamp) {
        let Some(peer) = self.peers.get_mut(id) else { return };
        let (told, until) = (peer.allowance.told, now + wait);
        if until > now && (told <= now || told + SMALL <= until) {
            peer.allowance.told = until;
            self.counters.slowed += 1;
            // Rounded up: who waits so long owes nothing.
            let wait_ms = u16::try_from(micros(wait).div_ceil(1_000)).unwrap_or(u16::MAX);
            self.tell(id, &ServerMessage::Slow { wait_ms });
        }
    }

    /// A peer goes. What it used of its bucket stays with its address and the owner of its name.
    pub(super) fn settle(&mut self, id: PeerId, reason: LeaveReason, now: Timestamp) {
        let (Some(peer), Some(entry)) = (self.peers.get(id), self.registry.entry(id)) else {
            return;
        };
        let (full, address) = (peer.allowance.full(), Payer::at(peer.path.remote.ip()));
        self.accounts.leave([address, Payer::Owner(entry.token)], full, now);
        if reason == LeaveReason::Flood {
            self.accounts.bar(address, now + FLOOD_HOLD, now);
        }
    }

    /// Whether `id` answers what `asker` asked it, and has not answered before.
    pub(super) fn answers(
        &mut self,
        id: PeerId,
        asker: PeerId,
        number: u16,
        now: Timestamp,
    ) -> bool {
        let asker = self.peers.get_mut(asker);
        asker.is_some_and(|asker| asker.allowance.answered(id, number, now))
    }
}
