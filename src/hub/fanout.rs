//! From the room's posts to the links of those they are for.
//!
//! What is for everybody is kept here first, and given to each link when that link is about to transmit:
//! so a link's memory is visited once for many lines, and not once for each. What is for one peer goes
//! to its link at once, after all that came before it.

use super::{Hub, Peer};
use crate::registry::PeerId;
use crate::room::{Post, Recipients};

/// Bounds of what is kept back, so that queues which are felt as pressure are not felt too late.
const MAX_POSTS: usize = 64;
const MAX_BYTES: usize = 32 * 1024;

/// Posts to everybody that not all links may have yet.
#[derive(Debug, Default)]
pub(super) struct Fanout {
    posts: Vec<Post>,
    bytes: usize,
    /// The number of `posts[0]`, counted from the beginning.
    first: u64,
    /// Everybody is in the queue of those who may have something to send.
    announced: bool,
}

impl Fanout {
    /// The number that the next post will have: what a newcomer has to begin with.
    pub(super) fn next(&self) -> u64 {
        self.first + self.posts.len() as u64
    }

    /// Gives a peer's link all that it does not have. How many posts the link did not take.
    pub(super) fn give(&self, id: PeerId, peer: &mut Peer) -> u64 {
        let known = peer.taken.saturating_sub(self.first) as usize;
        peer.taken = self.next();
        let posts = self.posts.iter().skip(known);
        let meant = posts.filter(|post| post.to != Recipients::AllBut(id));
        meant.map(|post| u64::from(!peer.take(post))).sum()
    }

    /// Not everybody is in that queue any more.
    pub(super) fn left_out(&mut self) {
        self.announced = false;
    }

    /// Everybody has all of it.
    pub(super) fn clear(&mut self) {
        self.first = self.next();
        self.posts.clear();
        self.bytes = 0;
        self.announced = false;
    }

    fn is_full(&self) -> bool {
        self.posts.len() >= MAX_POSTS || self.bytes >= MAX_BYTES
    }
}

impl Hub {
    /// Takes in what the room wants delivered.
    pub(super) fn deliver_posts(&mut self) {
        while let Some(post) = self.room.poll_post() {
            if let Recipients::One(id) = post.to {
                self.deliver(id, &post);
                continue;
            }
            if !std::mem::replace(&mut self.fanout.announced, true) {
                for (id, peer) in &mut self.peers {
                    peer.touch(*id, &mut self.dirty);
                }
            }
            self.fanout.bytes += post.payload.len();
            self.fanout.posts.push(post);
            if self.fanout.is_full() {
                self.distribute();
            }
        }
    }

    /// Gives a post for one peer to its link.
    pub(super) fn deliver(&mut self, id: PeerId, post: &Post) {
        if let Some(peer) = self.peers.get_mut(&id) {
            let refused = self.fanout.give(id, peer) + u64::from(!peer.take(post));
            self.counters.overflowed += refused;
            self.pressure.feel(id, peer, self.now);
            peer.touch(id, &mut self.dirty);
        }
    }

    /// Gives this peer's link what everybody was told: to be called before anything else is queued there.
    pub(super) fn catch_up(&mut self, id: PeerId) {
        if let Some(peer) = self.peers.get_mut(&id).filter(|it| it.taken != self.fanout.next()) {
            self.counters.overflowed += self.fanout.give(id, peer);
            self.pressure.feel(id, peer, self.now);
        }
    }

    fn distribute(&mut self) {
        for (id, peer) in &mut self.peers {
            self.counters.overflowed += self.fanout.give(*id, peer);
            self.pressure.feel(*id, peer, self.now);
        }
        let announced = self.fanout.announced;
        self.fanout.clear();
        self.fanout.announced = announced;
    }
}
