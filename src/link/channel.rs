//! Either kind of link behind one face, for those who do not care which.

use super::{Class, Fate, Link, Received, SendError, Stats, StreamLink};
use crate::prefetch::prefetch;
use crate::protocol::{Batch, Delivery};
use crate::time::Timestamp;

/// A link over datagrams or over a stream.
#[derive(Debug)]
pub enum Channel {
    /// Over UDP.
    Datagrams(Box<Link>),
    /// Over TCP.
    Stream(Box<StreamLink>),
}

impl Channel {
    /// The session the link belongs to.
    pub fn session(&self) -> u64 {
        match self {
            Self::Datagrams(link) => link.session(),
            Self::Stream(link) => link.session(),
        }
    }

    /// Queues a message. A stream delivers everything reliably and in order, whatever is asked.
    ///
    /// # Errors
    /// [`SendError`] says why it was not taken.
    pub fn send(
        &mut self,
        message: &[u8],
        delivery: Delivery,
        tag: Option<u64>,
    ) -> Result<(), SendError> {
        match self {
            Self::Datagrams(link) => link.send(message, delivery, tag),
            Self::Stream(link) => link.send(message),
        }
    }

    /// Queues messages that others get as well, until the queue is full. How many it took.
    pub fn send_batch(&mut self, batch: Batch, delivery: Delivery, class: Class) -> usize {
        match self {
            Self::Datagrams(link) => link.send_batch(batch, delivery, class),
            Self::Stream(link) => link.send_batch(&batch),
        }
    }

    /// Queues messages, reliable and in order, even when the queue is full.
    pub fn send_regardless(&mut self, batch: Batch) {
        match self {
            Self::Datagrams(link) => link.send_regardless(batch),
            Self::Stream(link) => link.send_regardless(&batch),
        }
    }

    /// Whether there is a message from the other end.
    pub fn has_received(&self) -> bool {
        match self {
            Self::Datagrams(link) => link.has_received(),
            Self::Stream(link) => link.has_received(),
        }
    }

    /// The next message from the other end.
    pub fn poll_received(&mut self) -> Option<Received> {
        match self {
            Self::Datagrams(link) => link.poll_received(),
            Self::Stream(link) => link.poll_received(),
        }
    }

    /// The fate of a message that was sent once with a tag. Over a stream nobody knows.
    pub fn poll_fate(&mut self) -> Option<Fate> {
        match self {
            Self::Datagrams(link) => link.poll_fate(),
            Self::Stream(_) => None,
        }
    }

    /// Puts the next datagram, or the next bytes of the stream, into `buffer`.
    pub fn poll_transmit(&mut self, buffer: &mut Vec<u8>, now: Timestamp) -> bool {
        match self {
            Self::Datagrams(link) => link.poll_transmit(buffer, now),
            Self::Stream(link) => link.poll_transmit(buffer, now),
        }
    }

    /// Soon it will transmit: asks for its memory.
    pub fn prefetch(&self) {
        match self {
            Self::Datagrams(link) => prefetch(&**link),
            Self::Stream(link) => prefetch(&**link),
        }
    }

    /// The same for what that memory points to, when it has come.
    pub fn prefetch_queue(&self) {
        if let Self::Datagrams(link) = self {
            link.prefetch_queue();
        }
    }

    /// The time has come that `poll_timeout` named.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        match self {
            Self::Datagrams(link) => link.handle_timeout(now),
            Self::Stream(link) => link.handle_timeout(now),
        }
    }

    /// When to call `handle_timeout` next.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        match self {
            Self::Datagrams(link) => link.poll_timeout().map(|(at, _)| at),
            Self::Stream(link) => link.poll_timeout(),
        }
    }

    /// Whether the other end takes nothing any more.
    pub fn has_failed(&self) -> bool {
        match self {
            Self::Datagrams(link) => link.has_failed(),
            Self::Stream(link) => link.has_failed(),
        }
    }

    /// Whether nothing is under way.
    pub fn is_idle(&self) -> bool {
        match self {
            Self::Datagrams(link) => link.is_idle(),
            Self::Stream(link) => link.is_idle(),
        }
    }

    /// Whether the queue takes no more.
    pub fn is_full(&self) -> bool {
        match self {
            Self::Datagrams(link) => link.is_full(),
            Self::Stream(link) => link.is_full(),
        }
    }

    /// Bytes of messages queued or unacknowledged.
    pub fn queued_bytes(&self) -> usize {
        match self {
            Self::Datagrams(link) => link.queued_bytes(),
            Self::Stream(link) => link.queued_bytes(),
        }
    }

    /// This end stood still until now.
    pub fn resume(&mut self, now: Timestamp) {
        match self {
            Self::Datagrams(link) => link.resume(now),
            Self::Stream(link) => link.resume(now),
        }
    }

    /// Since when messages have waited and the other end has acknowledged nothing. Over a stream: since
    /// when the kernel, which alone sees the acknowledgments, has taken nothing.
    pub fn stalled_since(&self) -> Option<Timestamp> {
        match self {
            Self::Datagrams(link) => link.stalled_since(),
            Self::Stream(link) => link.stalled_since(),
        }
    }

    /// The counters so far.
    pub fn stats(&self) -> Stats {
        match self {
            Self::Datagrams(link) => link.stats(),
            Self::Stream(link) => link.stats(),
        }
    }

    /// The link, if it is over datagrams.
    pub fn as_datagrams(&mut self) -> Option<&mut Link> {
        match self {
            Self::Datagrams(link) => Some(link),
            Self::Stream(_) => None,
        }
    }

    /// The link, if it is over a stream.
    pub fn as_stream(&mut self) -> Option<&mut StreamLink> {
        match self {
            Self::Datagrams(_) => None,
            Self::Stream(link) => Some(link),
        }
    }
}
