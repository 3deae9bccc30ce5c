//! A link over datagrams or over a stream, behind one interface.
//! A stream is TCP's, or QUIC's with messages beside it.

use super::{Class, Fate, Link, Received, SendError, Stats, StreamLink};
use crate::prefetch::prefetch;
use crate::protocol::{Batch, Delivery, Transport};
use crate::time::Timestamp;

/// A link over datagrams or over a stream.
#[derive(Debug)]
pub(crate) enum Channel {
    /// Over UDP.
    Datagrams(Box<Link>),
    /// Over TCP, QUIC or a WebSocket.
    Stream(Box<StreamLink>),
}

impl Channel {
    /// The transport that carries the link.
    #[must_use]
    pub(crate) fn transport(&self) -> Transport {
        match self {
            Self::Datagrams(_) => Transport::Udp,
            Self::Stream(link) if link.is_quic() => Transport::Quic,
            Self::Stream(link) if link.is_web() => Transport::Web,
            Self::Stream(_) => Transport::Tcp,
        }
    }

    /// The congestion control towards the other end, if it is known.
    #[must_use]
    pub(crate) fn congestion(&self) -> Option<String> {
        match self {
            Self::Datagrams(_) => Some("cubic".to_owned()),
            Self::Stream(link) if link.is_quic() => Some(link.quic_info()?.congestion.to_string()),
            Self::Stream(link) => Some(link.info()?.congestion_control?.name().to_owned()),
        }
    }

    /// The session the link belongs to.
    #[must_use]
    pub(crate) fn session(&self) -> u64 {
        match self {
            Self::Datagrams(link) => link.session(),
            Self::Stream(link) => link.session(),
        }
    }

    /// Queues a message. TCP delivers reliably and in order in every mode.
    ///
    /// # Errors
    /// [`SendError`]: the message was not queued.
    pub(crate) fn send(
        &mut self,
        message: &[u8],
        delivery: Delivery,
        tag: Option<u64>,
    ) -> Result<(), SendError> {
        match self {
            Self::Datagrams(link) => link.send(message, delivery, tag),
            Self::Stream(link) => link.send(message, delivery, tag),
        }
    }

    /// Queues messages that other peers get too, until the queue is full. Returns how many it took.
    pub(crate) fn send_batch(&mut self, batch: Batch, delivery: Delivery, class: Class) -> usize {
        match self {
            Self::Datagrams(link) => link.send_batch(batch, delivery, class),
            Self::Stream(link) => link.send_batch(batch, delivery, class),
        }
    }

    /// Queues messages, reliable and in order, even when the queue is full.
    pub(crate) fn send_regardless(&mut self, batch: Batch) {
        match self {
            Self::Datagrams(link) => link.send_regardless(batch),
            Self::Stream(link) => link.send_regardless(batch),
        }
    }

    /// Whether `poll_received` has a message.
    #[must_use]
    pub(crate) fn has_received(&self) -> bool {
        match self {
            Self::Datagrams(link) => link.has_received(),
            Self::Stream(link) => link.has_received(),
        }
    }

    /// The next message from the other end.
    pub(crate) fn poll_received(&mut self) -> Option<Received> {
        match self {
            Self::Datagrams(link) => link.poll_received(),
            Self::Stream(link) => link.poll_received(),
        }
    }

    /// The next fate of a message that was sent once with a tag. TCP reports none.
    pub(crate) fn poll_fate(&mut self) -> Option<Fate> {
        match self {
            Self::Datagrams(link) => link.poll_fate(),
            Self::Stream(link) => link.poll_fate(),
        }
    }

    /// Puts the next datagram, or the next bytes of the stream, into `buffer`.
    pub(crate) fn poll_transmit(&mut self, buffer: &mut Vec<u8>, now: Timestamp) -> bool {
        match self {
            Self::Datagrams(link) => link.poll_transmit(buffer, now),
            Self::Stream(link) => link.poll_transmit(buffer, now),
        }
    }

    /// Prefetches the link before it transmits.
    pub(crate) fn prefetch(&self) {
        match self {
            Self::Datagrams(link) => prefetch(&**link),
            Self::Stream(link) => prefetch(&**link),
        }
    }

    /// Prefetches the queue of the link, once the link is in the cache.
    pub(crate) fn prefetch_queue(&self) {
        if let Self::Datagrams(link) = self {
            link.prefetch_queue();
        }
    }

    /// Does what is due by `now`.
    pub(crate) fn handle_timeout(&mut self, now: Timestamp) {
        match self {
            Self::Datagrams(link) => link.handle_timeout(now),
            Self::Stream(link) => link.handle_timeout(now),
        }
    }

    /// When to call `handle_timeout` next.
    #[must_use]
    pub(crate) fn poll_timeout(&self) -> Option<Timestamp> {
        match self {
            Self::Datagrams(link) => link.poll_timeout().map(|(at, _)| at),
            Self::Stream(link) => link.poll_timeout(),
        }
    }

    /// Whether the other end has taken nothing for too long: the session is over.
    #[must_use]
    pub(crate) fn has_failed(&self) -> bool {
        match self {
            Self::Datagrams(link) => link.has_failed(),
            Self::Stream(link) => link.has_failed(),
        }
    }

    /// Whether every reliable message was acknowledged and nothing waits.
    #[must_use]
    pub(crate) fn is_idle(&self) -> bool {
        match self {
            Self::Datagrams(link) => link.is_idle(),
            Self::Stream(link) => link.is_idle(),
        }
    }

    /// Whether the queue has no room for another message.
    #[must_use]
    pub(crate) fn is_full(&self) -> bool {
        match self {
            Self::Datagrams(link) => link.is_full(),
            Self::Stream(link) => link.is_full(),
        }
    }

    /// Bytes of messages queued or unacknowledged.
    #[must_use]
    pub(crate) fn queued_bytes(&self) -> usize {
        match self {
            Self::Datagrams(link) => link.queued_bytes(),
            Self::Stream(link) => link.queued_bytes(),
        }
    }

    /// This end was suspended until now.
    pub(crate) fn resume(&mut self, now: Timestamp) {
        match self {
            Self::Datagrams(link) => link.resume(now),
            Self::Stream(link) => link.resume(now),
        }
    }

    /// Since when the other end has acknowledged nothing while messages wait. Over a stream only
    /// the kernel sees acknowledgments: since when it has taken nothing.
    #[must_use]
    pub(crate) fn stalled_since(&self) -> Option<Timestamp> {
        match self {
            Self::Datagrams(link) => link.stalled_since(),
            Self::Stream(link) => link.stalled_since(),
        }
    }

    /// The counters so far.
    #[must_use]
    pub(crate) fn stats(&self) -> Stats {
        match self {
            Self::Datagrams(link) => link.stats(),
            Self::Stream(link) => link.stats(),
        }
    }

    /// The link, if it is over datagrams.
    pub(crate) fn as_datagrams(&mut self) -> Option<&mut Link> {
        match self {
            Self::Datagrams(link) => Some(link),
            Self::Stream(_) => None,
        }
    }

    /// The link, if it is over a stream.
    pub(crate) fn as_stream(&mut self) -> Option<&mut StreamLink> {
        match self {
            Self::Datagrams(_) => None,
            Self::Stream(link) => Some(link),
        }
    }
}
