//! The states of a session (`proto.md` §7.1), and one function for each edge between them.
//!
//! ```text
//!              take_over: a new session of the same member
//!                  ┌────┐
//!           enter  │    ▼    close                   finish
//!   (none) ────────► Active ────────► Closing ──────────────► Gone
//!                      │                 │
//!                      └─────────────────┴──────────────────► Gone
//!                                     lose
//! ```
//!
//! | edge | cause |
//! |---|---|
//! | `enter` | an admitted join |
//! | `take_over` | a join with the token of an active member |
//! | `close` | `Leave`, a flood, or a shutdown: the peer is told, and the others are |
//! | `finish` | the peer has acknowledged `Closing`, or `LEAVE_TIMEOUT` has passed |
//! | `lose` | expiry, a failed link, or a connection that ended: the others are told |
//!
//! A session that is gone is not in [`Peers`](super::peers::Peers).

use super::accounts::Payer;
use super::handshake::Origin;
use super::peer::Peer;
use super::{Event, Hub};
use crate::protocol::limits::{FLOOD_HOLD, LEAVE_TIMEOUT};
use crate::protocol::{Join, LeaveReason, ServerMessage};
use crate::registry::{Entry, PeerId};
use crate::time::Timestamp;

/// The state of a session that is not gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Active,
    /// `Closing` is the last message of the session. At `until` it is gone, acknowledged or not.
    Closing {
        until: Timestamp,
    },
}

impl Hub {
    /// none → Active, after the registry has taken the peer. The others, and not the newcomer, are
    /// told first of a departed peer with its name (`proto.md` §7.17): the newcomer takes what is
    /// sent after it was made.
    pub(super) fn enter(&mut self, id: PeerId, join: &Join<'_>, origin: Origin) {
        if let Some(entry) = self.registry.entry(id) {
            self.room.announce_predecessor(entry.nickname.as_str());
            self.deliver_posts();
        }
        let peer = self.new_peer(id, join, origin);
        let old = self.begin(peer);
        debug_assert!(old.is_none(), "an id is never used again");
    }

    /// Active → Active in a new session. The member stays, so no other peer is told.
    pub(super) fn take_over(&mut self, id: PeerId, join: &Join<'_>, origin: Origin) {
        let mut peer = self.new_peer(id, join, origin);
        // A new session is no new allowance.
        if let Some(old) = self.peers.get(id) {
            peer.allowance = old.allowance;
        }
        if let Some(old) = self.begin(peer) {
            self.forget(&old, origin.now.mono);
        }
    }

    /// Active → Closing. `Closing` leaves behind all that was queued before it.
    pub(super) fn close(&mut self, id: PeerId, reason: LeaveReason, detail: &str, now: Timestamp) {
        let Some(mut peer) = self.peers.get_mut(id).filter(|peer| !peer.is_closing()) else {
            return;
        };
        self.outgoing.send_last(&mut peer, &ServerMessage::Closing { reason, detail });
        peer.state = State::Closing { until: now + LEAVE_TIMEOUT };
        peer.touch();
        self.keep_account(id, reason, now);
        self.registry.retire(id);
        self.announce_departure(id, reason, reason == LeaveReason::Restart);
    }

    /// Closing → Gone.
    pub(super) fn finish(&mut self, id: PeerId, now: Timestamp) {
        self.registry.remove(id);
        self.peers.remove(id).inspect(|peer| self.forget(peer, now));
    }

    /// Active or Closing → Gone, without the peer. The registry holds the name for its owner.
    pub(super) fn lose(&mut self, id: PeerId, now: Timestamp) {
        self.keep_account(id, LeaveReason::Timeout, now);
        let owned = self.registry.entry(id).is_some_and(Entry::is_owned);
        self.registry.lose(id, now);
        self.peers.remove(id).inspect(|peer| self.forget(peer, now));
        self.announce_departure(id, LeaveReason::Timeout, owned);
    }

    /// Takes the edge that is due. Without one, the peer may have something to send.
    pub(super) fn advance(&mut self, id: PeerId, now: Timestamp) {
        let Some(mut peer) = self.peers.get_mut(id) else { return };
        self.observer.iter_mut().for_each(|it| it.look_at(&mut peer, now));
        match peer.state {
            State::Closing { until } if until <= now || peer.link.is_idle() => {
                self.finish(id, now);
            }
            _ if peer.too_slow || peer.link.has_failed() => {
                log::info!("peer {} does not take what is sent to it: dropped", id.0);
                self.lose(id, now);
            }
            _ => peer.touch(),
        }
    }

    /// Begins a session. Returns the peer as it was in its session before.
    fn begin(&mut self, peer: Peer) -> Option<Peer> {
        self.counters.joins += 1;
        self.nonces.begin(peer.nonce, peer.id);
        self.peers.insert(peer)
    }

    /// Leaves the allowance of a departing peer with its address and the owner of its
    /// name (`proto.md` §7.14).
    fn keep_account(&mut self, id: PeerId, reason: LeaveReason, now: Timestamp) {
        let (Some(peer), Some(entry)) = (self.peers.get(id), self.registry.entry(id)) else {
            return;
        };
        let (full, address) = (peer.allowance.full(), Payer::at(peer.path.remote.ip()));
        self.accounts.leave([address, Payer::Owner(entry.token)], full, now);
        if reason == LeaveReason::Flood {
            self.accounts.bar(address, now + FLOOD_HOLD, now);
        }
    }

    /// Tells the others, once: a closing peer is not in the room any more. An engine tells them
    /// when it has committed the departure, and may `hold` the name for its owner.
    fn announce_departure(&mut self, id: PeerId, reason: LeaveReason, hold: bool) {
        if self.engine.is_some() {
            self.give_up_seat(id, reason, hold);
        } else if let Some(nickname) = self.room.leave(id, reason) {
            let peers = self.room.len();
            self.events.push_back(Event::Left { nickname, reason, peers });
        }
    }

    /// Releases everything that a past session had outside of [`Peers`](super::peers::Peers).
    fn forget(&mut self, peer: &Peer, now: Timestamp) {
        self.outgoing.pressure.forget(peer.id);
        self.ended.keep(peer.transport(), peer.link.stats());
        self.nonces.end(peer.nonce, now);
        if let Some(stream) = peer.stream {
            self.streams.close(stream);
        }
    }
}
