//! One peer: its session, its link and its allowance.

use super::StreamId;
use super::allowance::Allowance;
use super::lifecycle::State;
use super::observer::Watch;
use super::peers::Standing;
use crate::link::{Channel, Class};
use crate::path::Path;
use crate::protocol::limits::PING_QUEUE;
use crate::protocol::{Batch, Delivery, Transport};
use crate::registry::PeerId;
use crate::room::Kind;
use crate::time::Timestamp;

#[derive(Debug)]
pub(super) struct Peer {
    pub(super) id: PeerId,
    pub(super) state: State,
    pub(super) link: Channel,
    /// The connection, for a peer on TCP or QUIC.
    pub(super) stream: Option<StreamId>,
    /// Its path. The registry keeps the path too; receiving and sending read this copy.
    pub(super) path: Path,
    /// Delivery mode of chat lines to it.
    pub(super) delivery: Delivery,
    /// The nonce of the join that began the session.
    pub(super) nonce: u64,
    /// The number of the next post to everybody that its link does not have.
    pub(super) taken: u64,
    pub(super) allowance: Allowance,
    /// The queue refused a message that must not be lost: the session ends.
    pub(super) too_slow: bool,
    /// The lines on their way to it, while somebody watches.
    pub(super) watch: Option<Box<Watch>>,
    /// Its membership in the queues of [`Peers`](super::peers::Peers).
    pub(super) standing: Standing,
}

impl Peer {
    /// Queues messages, unless the session is closing. Returns how many the queue refused.
    pub(super) fn take(&mut self, batch: Batch, kind: Kind) -> u64 {
        if self.is_closing() {
            return 0;
        }
        let count = batch.len();
        // A probe behind a long queue would measure that queue, and take room from lines.
        if kind == Kind::Probe && self.link.queued_bytes() > PING_QUEUE {
            return count as u64;
        }
        let taken = match kind {
            Kind::Line if self.watch.is_some() => self.take_watched(&batch),
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
            log::debug!("the queue to peer {} refused {} messages", self.id.0, count - taken);
            // A session without one of its reliable messages ends. The peer gets a `Reset` when it
            // is heard again.
            self.too_slow |= match kind {
                Kind::Line | Kind::Receipt => self.delivery != Delivery::Unreliable,
                Kind::Probe => false,
                Kind::Control | Kind::Briefing => true,
            };
        }
        (count - taken) as u64
    }

    pub(super) fn is_closing(&self) -> bool {
        matches!(self.state, State::Closing { .. })
    }

    /// When to call [`advance`](super::Hub::advance), if the link's timeout is `link`.
    pub(super) fn wake(&self, link: Option<Timestamp>) -> Option<Timestamp> {
        let closing = match self.state {
            State::Active => None,
            State::Closing { until } => Some(until),
        };
        let too_slow = self.too_slow.then_some(Timestamp::ZERO);
        [link, closing, too_slow].into_iter().flatten().min()
    }

    pub(super) fn transport(&self) -> Transport {
        self.link.transport()
    }

    /// Whether lines to it may not be left out.
    pub(super) fn is_reliable(&self) -> bool {
        matches!(self.transport(), Transport::Tcp | Transport::Web)
            || self.delivery != Delivery::Unreliable
    }
}
