//! From the room's posts to the links of those they are for.
//!
//! What is for everybody is kept here first, and given to each link when that link is about to transmit:
//! so a link's memory is visited once for many lines, and not once for each. All links that get the same lines then
//! share one batch of them. What is for one peer goes to its link at once, after all that came before it.

use super::{Hub, Peer};
use crate::protocol::{Batch, ServerMessage, encode_message};
use crate::registry::PeerId;
use crate::room::{Kind, Post, Recipients};
use crate::time::Timestamp;
use std::time::Duration;

/// Bounds of what is kept back, so that queues which are felt as pressure are not felt too late.
const MAX_POSTS: usize = 64;
const MAX_BYTES: usize = 32 * 1024;

/// After so long the links' memory is likely to be in no cache any more, and that of so many never all is.
const RARE: Duration = Duration::from_millis(1);
const MANY: usize = 256;

/// Posts to everybody that not all links may have yet.
#[derive(Debug, Default)]
pub(super) struct Fanout {
    groups: Vec<Group>,
    bytes: usize,
    /// The number of the first post, counted from the beginning.
    first: u64,
    /// The number that the next post will have.
    next: u64,
    /// Everybody is in the queue of those who may have something to send.
    announced: bool,
    /// When they were put there, and whether their links' memory was likely to be in no cache then.
    announced_at: Timestamp,
    cold: bool,
}

/// Posts of one kind in a row.
#[derive(Debug)]
struct Group {
    /// The number of the first.
    first: u64,
    kind: Kind,
    to: Vec<Recipients>,
    /// Each in a batch of its own.
    messages: Vec<Batch>,
    /// All of them in one, when there are to be no more.
    joined: Option<Batch>,
}

impl Group {
    /// Hands over those for this peer, without the first `skip` posts.
    fn give(&self, skip: usize, id: PeerId, mut take: impl FnMut(Batch)) {
        if let [to] = self.to[skip..] {
            // Nearly always it is one line.
            let message = self.messages.get(skip).filter(|_| to != Recipients::AllBut(id));
            return message.cloned().into_iter().for_each(take);
        }
        let mut from = skip;
        for run in self.to[skip..].split(|to| *to == Recipients::AllBut(id)) {
            let range = from..from + run.len();
            from = range.end + 1;
            match &self.joined {
                Some(all) if run.len() == self.to.len() => take(all.clone()),
                // Who keeps few of many for long is not to keep all of them.
                Some(all) if run.len() > self.to.len() / 4 => take(all.part(range)),
                _ => self.messages[range].iter().cloned().for_each(&mut take),
            }
        }
    }
}

impl Fanout {
    /// The number that the next post will have: what a newcomer has to begin with.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// Gives a peer's link all that it does not have. How many posts the link did not take.
    pub(super) fn give(&self, id: PeerId, peer: &mut Peer) -> u64 {
        let from = std::mem::replace(&mut peer.taken, self.next);
        let mut refused = 0;
        for group in &self.groups {
            let skip = from.saturating_sub(group.first) as usize;
            if skip < group.to.len() {
                group.give(skip, id, |batch| refused += peer.take(batch, group.kind));
            }
        }
        refused
    }

    /// From now on all who are given something share it: for when most are given it.
    pub(super) fn seal(&mut self) {
        if let Some(group) = self.groups.last_mut()
            && group.joined.is_none()
        {
            group.joined = Some(Batch::join(&group.messages));
        }
    }

    /// Whether links are worth asking for before they transmit: where they are at hand that costs more than it saves.
    pub(super) fn is_cold(&self) -> bool {
        self.cold
    }

    /// Whether everybody, that is so many, has to be put in the queue of those who may have something to send: not if
    /// they are there already.
    fn announce(&mut self, peers: usize, now: Timestamp) -> bool {
        if std::mem::replace(&mut self.announced, true) {
            return false;
        }
        self.cold = peers >= MANY || self.announced_at + RARE <= now;
        self.announced_at = now;
        true
    }

    /// Not everybody is in that queue any more.
    pub(super) fn left_out(&mut self) {
        self.announced = false;
    }

    /// Everybody has all of it.
    pub(super) fn clear(&mut self) {
        self.first = self.next;
        self.groups.clear();
        self.bytes = 0;
        self.announced = false;
    }

    fn push(&mut self, post: Post) {
        let open = self.groups.last().is_some_and(|it| it.kind == post.kind && it.joined.is_none());
        if !open {
            self.seal();
            let (first, kind) = (self.next, post.kind);
            let (to, messages) = (Vec::new(), Vec::new());
            self.groups.push(Group { first, kind, to, messages, joined: None });
        }
        self.next += 1;
        self.bytes += post.messages.bytes();
        if let Some(group) = self.groups.last_mut() {
            group.to.push(post.to);
            group.messages.push(post.messages);
        }
    }

    fn is_full(&self) -> bool {
        self.next - self.first >= MAX_POSTS as u64 || self.bytes >= MAX_BYTES
    }
}

impl Hub {
    /// Takes in what the room wants delivered.
    pub(super) fn deliver_posts(&mut self) {
        while let Some(post) = self.room.poll_post() {
            if let Recipients::One(id) = post.to {
                self.deliver(id, post);
                continue;
            }
            if self.fanout.announce(self.peers.len(), self.now) {
                for (id, peer) in self.peers.iter_mut() {
                    peer.touch(id, &mut self.dirty);
                }
            }
            self.fanout.push(post);
            if self.fanout.is_full() {
                self.distribute();
            }
        }
    }

    /// Gives what is for one peer to its link.
    fn deliver(&mut self, id: PeerId, post: Post) {
        if let Some(peer) = self.peers.get_mut(id) {
            let refused = self.fanout.give(id, peer) + peer.take(post.messages, post.kind);
            self.counters.overflowed += refused;
            self.pressure.feel(id, peer, self.now);
            peer.touch(id, &mut self.dirty);
        }
    }

    /// Tells one peer something that is no line of the chat.
    pub(super) fn tell(&mut self, id: PeerId, message: &ServerMessage<'_>) {
        if let Some(messages) = Batch::of(&encode_message(message)) {
            self.deliver(id, Post { to: Recipients::One(id), kind: Kind::Control, messages });
        }
    }

    /// Gives this peer's link what everybody was told: to be called before anything else is queued there.
    pub(super) fn catch_up(&mut self, id: PeerId) {
        if let Some(peer) = self.peers.get_mut(id).filter(|it| it.taken != self.fanout.next()) {
            self.counters.overflowed += self.fanout.give(id, peer);
            self.pressure.feel(id, peer, self.now);
        }
    }

    fn distribute(&mut self) {
        self.fanout.seal();
        for (id, peer) in self.peers.iter_mut() {
            self.counters.overflowed += self.fanout.give(id, peer);
            self.pressure.feel(id, peer, self.now);
        }
        let announced = self.fanout.announced;
        self.fanout.clear();
        self.fanout.announced = announced;
    }
}
