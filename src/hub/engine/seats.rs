//! The seats of the room, and the members that have them. A value, without access to the hub.

use crate::engine::Fence;
use crate::registry::{PeerId, PeerMap};
use std::collections::BTreeMap;

#[derive(Clone, Copy, Debug)]
struct Held {
    fence: Fence,
    /// The peer is at this server, and was not asked to leave.
    here: bool,
}

#[derive(Debug, Default)]
pub(super) struct Seats {
    peers: BTreeMap<Fence, PeerId>,
    held: PeerMap<Held>,
}

impl Seats {
    /// A member has a seat.
    pub(super) fn add(&mut self, fence: Fence, peer: PeerId, here: bool) {
        self.peers.insert(fence, peer);
        self.held.insert(peer, Held { fence, here });
    }

    /// A seat is gone. Returns the member that had it.
    pub(super) fn remove(&mut self, fence: Fence) -> Option<PeerId> {
        let peer = self.peers.remove(&fence)?;
        self.held.remove(peer);
        Some(peer)
    }

    /// The member that has a seat.
    pub(super) fn peer(&self, fence: Fence) -> Option<PeerId> {
        self.peers.get(&fence).copied()
    }

    /// The seat of a member.
    pub(super) fn of(&self, peer: PeerId) -> Option<Fence> {
        self.held.get(peer).map(|held| held.fence)
    }

    /// The seat of a member that is at this server.
    pub(super) fn here(&self, peer: PeerId) -> Option<Fence> {
        self.held.get(peer).filter(|held| held.here).map(|held| held.fence)
    }

    /// A member that is at this server leaves. Returns its seat, once.
    pub(super) fn give_up(&mut self, peer: PeerId) -> Option<Fence> {
        let held = self.held.get_mut(peer).filter(|held| held.here)?;
        held.here = false;
        Some(held.fence)
    }
}
