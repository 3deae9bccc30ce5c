//! Posts to everybody on their way to the links: a value, without access to the hub.
//!
//! A post waits here until each link is about to transmit, so the memory of a link is visited once
//! for many lines and not once for each. All links that get the same posts share one batch of them.

use super::peer::Peer;
use crate::protocol::Batch;
use crate::registry::PeerId;
use crate::room::{Kind, Post, Recipients};
use crate::time::Timestamp;
use std::time::Duration;

/// Bounds of what waits here, so that pressure notices a long queue early enough.
const MAX_POSTS: usize = 64;
const MAX_BYTES: usize = 32 * 1024;

/// Prefetch only after an idle gap of `RARE`, or with at least `MANY` peers, whose links never all
/// fit in the cache. A link that is in the cache gains less from a prefetch than that costs.
const RARE: Duration = Duration::from_millis(1);
const MANY: usize = 256;

/// A longer run of posts is copied for a link that cannot share it.
const COPIED: usize = 2;

/// Posts to everybody that not all links may have yet.
#[derive(Debug, Default)]
pub(super) struct Fanout {
    groups: Vec<Group>,
    bytes: usize,
    /// The number of the first post, counted from the beginning.
    first: u64,
    /// The number that the next post will have.
    next: u64,
    /// Every peer is in the queue of peers that may have something to send.
    announced: bool,
    /// When the peers were put there.
    announced_at: Timestamp,
    /// The memory of most links was probably in no cache then.
    cold: bool,
}

/// Consecutive posts of one kind.
#[derive(Debug)]
struct Group {
    /// The number of the first post.
    first: u64,
    kind: Kind,
    to: Vec<Recipients>,
    /// Each in a batch of its own.
    messages: Vec<Batch>,
    /// All messages in one batch. Then the group takes no more posts.
    joined: Option<Batch>,
}

impl Group {
    /// Hands over the posts for this peer, without the first `skip`.
    fn give(&self, skip: usize, id: PeerId, mut take: impl FnMut(Batch)) {
        if let [to] = self.to[skip..] {
            // The usual case: one line.
            let message = self.messages.get(skip).filter(|_| to != Recipients::AllBut(id));
            return message.cloned().into_iter().for_each(take);
        }
        let mut from = skip;
        for run in self.to[skip..].split(|to| *to == Recipients::AllBut(id)) {
            let range = from..from + run.len();
            from = range.end + 1;
            match &self.joined {
                Some(all) if run.len() == self.to.len() => take(all.clone()),
                // A slow link that keeps a small part must not keep the whole batch in memory.
                Some(all) if run.len() > self.to.len() / 4 => take(all.part(range)),
                // One element in the link's queues costs less than many.
                _ if run.len() > COPIED => take(Batch::join(&self.messages[range])),
                _ => self.messages[range].iter().cloned().for_each(&mut take),
            }
        }
    }
}

impl Fanout {
    /// The number that the next post will have. A newcomer begins with it.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// Gives a peer's link all posts that it does not have. Returns how many the link refused.
    pub(super) fn give(&self, peer: &mut Peer) -> u64 {
        let from = std::mem::replace(&mut peer.taken, self.next);
        let mut refused = 0;
        for group in &self.groups {
            let skip = from.saturating_sub(group.first) as usize;
            if skip < group.to.len() {
                group.give(skip, peer.id, |batch| refused += peer.take(batch, group.kind));
            }
        }
        refused
    }

    /// Joins the last group into one batch, which most links are about to share.
    pub(super) fn seal(&mut self) {
        if let Some(group) = self.groups.last_mut()
            && group.joined.is_none()
        {
            group.joined = Some(Batch::join(&group.messages));
        }
    }

    /// Whether to prefetch links before they transmit.
    pub(super) fn is_cold(&self) -> bool {
        self.cold
    }

    /// A post to everybody came, and there are `peers`. Returns whether all have to be put in the
    /// queue of peers that may have something to send; false if they are there already.
    pub(super) fn announce(&mut self, peers: usize, now: Timestamp) -> bool {
        if std::mem::replace(&mut self.announced, true) {
            return false;
        }
        self.cold = peers >= MANY || self.announced_at + RARE <= now;
        self.announced_at = now;
        true
    }

    /// A peer has left that queue.
    pub(super) fn left_out(&mut self) {
        self.announced = false;
    }

    /// All links have all posts.
    pub(super) fn clear(&mut self) {
        self.first = self.next;
        self.groups.clear();
        self.bytes = 0;
    }

    pub(super) fn push(&mut self, post: Post) {
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

    /// Whether the links are to be given the posts now.
    pub(super) fn is_full(&self) -> bool {
        self.next - self.first >= MAX_POSTS as u64 || self.bytes >= MAX_BYTES
    }
}
