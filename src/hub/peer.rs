//! What the hub keeps of one peer.

use super::StreamId;
use super::allowance::Allowance;
use super::timers::Timer;
use crate::link::Channel;
use crate::protocol::{Delivery, Transport};
use crate::registry::{Path, PeerId};
use crate::room::{Kind, Payload, Post};
use crate::time::Timestamp;
use std::collections::VecDeque;

#[derive(Debug)]
pub(super) struct Peer {
    pub(super) link: Channel<Payload>,
    /// The connection, if it came over one.
    pub(super) stream: Option<StreamId>,
    /// Where it is; the registry knows it too, and is asked less often.
    pub(super) path: Path,
    pub(super) timer: Timer,
    /// How it wants chat lines delivered.
    pub(super) delivery: Delivery,
    pub(super) nonce: u64,
    /// Number of the next post to everybody that its link does not have.
    pub(super) taken: u64,
    pub(super) allowance: Allowance,
    /// It has said goodbye, or was told to go: forgotten at this time at the latest.
    pub(super) closing: Option<Timestamp>,
    /// Something that must not be lost did not fit the queue: to be dropped.
    pub(super) too_slow: bool,
    /// Queued in `dirty`.
    pub(super) dirty: bool,
}

impl Peer {
    /// Queues a post for this peer, who may be about to go. False when the queue did not take it.
    pub(super) fn take(&mut self, post: &Post) -> bool {
        if self.closing.is_some() {
            return true;
        }
        let payload = post.payload.clone();
        let outcome = match post.kind {
            Kind::Line => self.link.send(payload, self.delivery, None),
            Kind::Control => self.link.send(payload, Delivery::ReliableOrdered, None),
            Kind::Probe => self.link.send(payload, Delivery::Unreliable, None),
            Kind::Briefing => self.link.send_regardless(payload),
        };
        let Err(error) = outcome else { return true };
        log::debug!("a message was not queued: {error}");
        // What is promised to arrive cannot be left out: the session is over instead, and the peer
        // told so by a `Reset` when it is heard again.
        self.too_slow |= match post.kind {
            Kind::Line => self.delivery != Delivery::Unreliable,
            Kind::Probe => false,
            Kind::Control | Kind::Briefing => true,
        };
        false
    }

    /// The link may have something to send, or another timeout.
    pub(super) fn touch(&mut self, id: PeerId, dirty: &mut VecDeque<PeerId>) {
        if !std::mem::replace(&mut self.dirty, true) {
            dirty.push_back(id);
        }
    }

    pub(super) fn transport(&self) -> Transport {
        if self.stream.is_some() { Transport::Tcp } else { Transport::Udp }
    }
}
