//! The peers, and their queues: to send, to be read, and by timeout.

use super::peer::Peer;
use super::timers::{Timer, Timers};
use crate::registry::{PeerId, PeerMap};
use crate::time::Timestamp;
use std::collections::{HashMap, VecDeque};
use std::ops::{Deref, DerefMut};

/// Prefetch distances, in queue positions ahead of the transmitting peer: first its link, later
/// what the link points to. A cache line takes about as long as two or three peers need to send.
const PREFETCH_DISTANCE: [usize; 2] = [4, 2];

/// All peers by number and by session. Iteration follows the order of arrival.
#[derive(Debug, Default)]
pub(super) struct Peers {
    map: PeerMap<Peer>,
    sessions: HashMap<u64, PeerId>,
    queues: Queues,
}

#[derive(Debug, Default)]
struct Queues {
    /// Peers whose link may have something to send.
    sending: VecDeque<PeerId>,
    /// Peers whose received messages wait, in the order in which they are read.
    held: VecDeque<PeerId>,
    timers: Timers,
}

/// The queues that a peer is in, at most once in each.
#[derive(Debug, Default)]
pub(super) struct Standing {
    sending: bool,
    held: bool,
    timer: Timer,
}

impl Standing {
    /// Whether messages of the peer wait to be read.
    pub(super) fn is_held(&self) -> bool {
        self.held
    }
}

/// A peer, with access to the queues.
#[derive(Debug)]
pub(super) struct PeerMut<'a> {
    peer: &'a mut Peer,
    queues: &'a mut Queues,
}

impl Deref for PeerMut<'_> {
    type Target = Peer;

    fn deref(&self) -> &Peer {
        self.peer
    }
}

impl DerefMut for PeerMut<'_> {
    fn deref_mut(&mut self) -> &mut Peer {
        self.peer
    }
}

impl PeerMut<'_> {
    /// The link may have something to send, or another timeout.
    pub(super) fn touch(&mut self) {
        if !std::mem::replace(&mut self.peer.standing.sending, true) {
            self.queues.sending.push_back(self.peer.id);
        }
    }

    /// Puts the peer in the queue of those that wait to be read.
    pub(super) fn hold(&mut self) {
        if !std::mem::replace(&mut self.peer.standing.held, true) {
            self.queues.held.push_back(self.peer.id);
        }
    }

    /// This peer, the first in the queue, has nothing more to send before `wake`.
    pub(super) fn sent(&mut self, wake: Option<Timestamp>) {
        self.peer.standing.sending = false;
        self.queues.sending.pop_front();
        self.queues.timers.set(self.peer.id, &mut self.peer.standing.timer, wake);
    }
}

impl Peers {
    pub(super) fn len(&self) -> usize {
        self.map.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    /// How many sessions there are.
    pub(super) fn sessions(&self) -> usize {
        self.sessions.len()
    }

    pub(super) fn has_session(&self, session: u64) -> bool {
        self.sessions.contains_key(&session)
    }

    pub(super) fn get(&self, id: PeerId) -> Option<&Peer> {
        self.map.get(id)
    }

    pub(super) fn get_mut(&mut self, id: PeerId) -> Option<PeerMut<'_>> {
        let peer = self.map.get_mut(id)?;
        Some(PeerMut { peer, queues: &mut self.queues })
    }

    /// The peer of a session.
    pub(super) fn of_session(&mut self, session: u64) -> Option<PeerMut<'_>> {
        let id = *self.sessions.get(&session)?;
        self.get_mut(id)
    }

    /// The peer that has this number now.
    pub(super) fn numbered(&mut self, number: u16) -> Option<PeerMut<'_>> {
        self.get_mut(self.map.numbered(number)?)
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = PeerId> {
        self.map.ids()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Peer> {
        self.map.values()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Peer> {
        self.map.values_mut()
    }

    /// Adds a peer, which has something to send. Returns the peer that had this id before: its
    /// session is over, and the new peer takes its place in the order.
    pub(super) fn insert(&mut self, mut peer: Peer) -> Option<Peer> {
        let (id, session) = (peer.id, peer.link.session());
        let before = self.map.get_mut(id).map(|before| std::mem::take(&mut before.standing));
        if let Some(standing) = before {
            peer.standing.sending = standing.sending;
            self.queues.leave(id, &standing);
        }
        self.sessions.insert(session, id);
        let before = self.map.insert(id, peer);
        before.as_ref().map(|before| self.sessions.remove(&before.link.session()));
        self.touch(id);
        before
    }

    /// Removes a peer and its session.
    pub(super) fn remove(&mut self, id: PeerId) -> Option<Peer> {
        let peer = self.map.remove(id)?;
        self.sessions.remove(&peer.link.session());
        self.queues.leave(id, &peer.standing);
        Some(peer)
    }

    /// [`PeerMut::touch`] for the peer that is returned.
    pub(super) fn touch(&mut self, id: PeerId) -> Option<PeerMut<'_>> {
        let mut peer = self.get_mut(id)?;
        peer.touch();
        Some(peer)
    }

    /// [`PeerMut::touch`] for all peers.
    pub(super) fn touch_all(&mut self) {
        for peer in self.map.values_mut() {
            PeerMut { peer, queues: &mut self.queues }.touch();
        }
    }

    /// The first peer that may have something to send. It stays first until [`PeerMut::sent`].
    pub(super) fn next_to_send(&mut self) -> Option<PeerMut<'_>> {
        let Self { map, queues, .. } = self;
        while let Some(id) = queues.sending.front() {
            if map.contains(*id) {
                break;
            }
            queues.sending.pop_front();
        }
        let peer = map.get_mut(*queues.sending.front()?)?;
        Some(PeerMut { peer, queues })
    }

    /// Whether no peer may have something to send.
    pub(super) fn is_silent(&self) -> bool {
        self.queues.sending.is_empty()
    }

    /// Prefetches the memory of the peers that send next.
    pub(super) fn prefetch(&self) {
        let [link, queue] = PREFETCH_DISTANCE
            .map(|distance| self.queues.sending.get(distance).and_then(|id| self.map.get(*id)));
        link.inspect(|peer| peer.link.prefetch());
        queue.inspect(|peer| peer.link.prefetch_queue());
    }

    /// Takes the first peer out of the queue of those that wait to be read.
    pub(super) fn next_held(&mut self) -> Option<PeerMut<'_>> {
        let id = self.queues.held.pop_front()?;
        let mut peer = self.get_mut(id)?;
        peer.standing.held = false;
        Some(peer)
    }

    /// The peers that wait to be read.
    pub(super) fn held(&self) -> impl ExactSizeIterator<Item = Option<&Peer>> {
        self.queues.held.iter().map(|id| self.map.get(*id))
    }

    /// Takes out a peer whose timer is due.
    pub(super) fn next_due(&mut self, now: Timestamp) -> Option<PeerMut<'_>> {
        let Self { map, queues, .. } = self;
        let id = loop {
            let id = queues.timers.pop(now)?;
            if let Some(peer) = map.get_mut(id)
                && queues.timers.is_due(id, &mut peer.standing.timer, now)
            {
                break id;
            }
        };
        self.get_mut(id)
    }

    /// When to call `next_due` next.
    pub(super) fn next_timer(&self) -> Option<Timestamp> {
        self.queues.timers.next()
    }
}

impl Queues {
    /// Removes a departed peer from the queues. `next_to_send` skips its entry in `sending`.
    fn leave(&mut self, id: PeerId, standing: &Standing) {
        self.timers.forget(id, &standing.timer);
        if standing.held {
            self.held.retain(|it| *it != id);
        }
    }
}
