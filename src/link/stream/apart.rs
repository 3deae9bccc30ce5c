//! Messages that leave beside the ordered stream, over QUIC: each in a QUIC datagram or in a stream
//! of its own (`proto.md` §11.3). QUIC says of no datagram whether it arrived. A line is confirmed
//! by its receipt, which comes on the ordered stream; without one after a while it counts as lost.

use crate::link::{Fate, QuicInfo};
use crate::protocol::limits::{GAP_WAIT, QUIC_RECEIPT_TRIPS};
use crate::protocol::{Batch, Delivery};
use crate::time::Timestamp;
use std::collections::VecDeque;
use std::time::Duration;

/// The queue of one end, and the lines without a receipt.
#[derive(Debug)]
pub(super) struct Apart {
    queue: VecDeque<Waiting>,
    /// Bytes in the queue.
    bytes: usize,
    /// The transport took the last message.
    writable: bool,
    /// When each line that was sent once counts as lost.
    verdicts: VecDeque<(Timestamp, u64)>,
    fates: VecDeque<Fate>,
    /// The newest report of QUIC.
    pub(super) info: Option<QuicInfo>,
}

#[derive(Debug)]
struct Waiting {
    delivery: Delivery,
    batch: Batch,
    /// Of a line that is sent once, if its fate is of interest.
    tag: Option<u64>,
}

impl Default for Apart {
    fn default() -> Self {
        let (queue, verdicts, fates, info) = Default::default();
        Self { queue, bytes: 0, writable: true, verdicts, fates, info }
    }
}

impl Apart {
    pub(super) fn push(&mut self, batch: Batch, delivery: Delivery, tag: Option<u64>) {
        self.bytes += batch.frames().len();
        self.queue.push_back(Waiting { delivery, batch, tag });
    }

    /// Moves the next message, as a frame, into `buffer`. The receipt of a line with a tag is
    /// expected from now on.
    pub(super) fn take(
        &mut self,
        buffer: &mut Vec<u8>,
        rtt: Option<Duration>,
        now: Timestamp,
    ) -> Option<Delivery> {
        if !self.writable {
            return None;
        }
        let Waiting { delivery, batch, tag } = self.queue.front_mut()?;
        let (delivery, tag) = (*delivery, tag.take());
        buffer.clear();
        batch.each_frame().take(1).for_each(|frame| buffer.extend_from_slice(frame));
        self.bytes -= buffer.len();
        if batch.len() > 1 {
            batch.split_to(1);
        } else {
            self.queue.pop_front();
        }
        if let Some(tag) = tag {
            let at = now + GAP_WAIT + QUIC_RECEIPT_TRIPS * rtt.unwrap_or_default();
            let at = self.verdicts.back().map_or(at, |(last, _)| at.max(*last));
            self.verdicts.push_back((at, tag));
        }
        self.writable = false;
        Some(delivery)
    }

    pub(super) fn set_writable(&mut self) {
        self.writable = true;
    }

    /// Whether a message waits for the transport.
    pub(super) fn is_blocked(&self) -> bool {
        !self.writable
    }

    /// Whether a message can leave now.
    pub(super) fn has_message(&self) -> bool {
        self.writable && !self.queue.is_empty()
    }

    pub(super) fn is_idle(&self) -> bool {
        self.writable && self.queue.is_empty()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn timeout(&self) -> Option<Timestamp> {
        self.verdicts.front().map(|(at, _)| *at)
    }

    pub(super) fn handle_timeout(&mut self, now: Timestamp) {
        while let Some((_, tag)) = self.verdicts.pop_front_if(|(at, _)| *at <= now) {
            self.fates.push_back(Fate::Lost(tag));
        }
    }

    pub(super) fn poll_fate(&mut self) -> Option<Fate> {
        self.fates.pop_front()
    }
}
