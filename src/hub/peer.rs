//! What the hub keeps of one peer.

use super::StreamId;
use super::allowance::Allowance;
use super::timers::Timer;
use crate::link::{Channel, Class};
use crate::path::Path;
use crate::protocol::{Batch, Delivery, Transport};
use crate::registry::PeerId;
use crate::room::Kind;
use crate::time::Timestamp;
use std::collections::VecDeque;

/// Bytes in a queue behind which no probe is put.
const MAX_BEFORE_PROBE: usize = 16 * 1024;

#[derive(Debug)]
pub(super) struct Peer {
    pub(super) link: Channel,
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
    /// The turn in which it was read last, and bytes read in it.
    pub(super) read: (u64, usize),
    /// It has said goodbye, or was told to go: forgotten at this time at the latest.
    pub(super) closing: Option<Timestamp>,
    /// Something that must not be lost did not fit the queue: to be dropped.
    pub(super) too_slow: bool,
    /// What it said waits to be read: it is in the queue of the pressure.
    pub(super) held: bool,
    /// Queued in `dirty`.
    pub(super) dirty: bool,
}

impl Peer {
    /// Queues messages for this peer, who may be about to go. How many the queue did not take.
    pub(super) fn take(&mut self, batch: Batch, kind: Kind) -> u64 {
        if self.closing.is_some() {
            return 0;
        }
        let count = batch.len();
        // A probe that waits measures the queue, and has no share in what lines may take of it.
        if kind == Kind::Probe && self.link.queued_bytes() > MAX_BEFORE_PROBE {
            return count as u64;
        }
        let taken = match kind {
            Kind::Line => self.link.send_batch(batch, self.delivery, Class::Content),
            Kind::Receipt => self.link.send_batch(batch, self.delivery, Class::Receipt),
            Kind::Control => self.link.send_batch(batch, Delivery::ReliableOrdered, Class::Content),
            Kind::Probe => self.link.send_batch(batch, Delivery::Unreliable, Class::Content),
            Kind::Briefing => {
                self.link.send_regardless(batch);
                count
            }
        };
        if taken < count {
            log::debug!(
                "{} messages were not queued: the queue to this peer is full",
                count - taken
            );
            // What is promised to arrive cannot be left out: the session is over instead, and the peer
            // told so by a `Reset` when it is heard again.
            self.too_slow |= match kind {
                Kind::Line | Kind::Receipt => self.delivery != Delivery::Unreliable,
                Kind::Probe => false,
                Kind::Control | Kind::Briefing => true,
            };
        }
        (count - taken) as u64
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
