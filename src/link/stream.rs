//! One end of a session over a byte stream. The kernel, or QUIC, numbers, acknowledges, retransmits
//! and orders, so what remains is framing, a bounded queue and signs of life. The link learns of an
//! arrival only from a message of the other end.
//!
//! Over QUIC, lines of the modes without order leave beside the stream.

mod apart;
mod backlog;

pub(crate) use backlog::Backlog;

use super::{Class, Fate, QuicInfo, Received, Role, SendError, Stats, TcpInfo, stats::RecentRtts};
use crate::protocol::limits::{MAX_MESSAGE, MAX_QUEUE_BYTES, STREAM_STALL, tokens};
use crate::protocol::{
    Batch, DecodeError, Delivery, Flags, Frame, Piece, Preface, StreamReader, decode_frame,
};
use crate::time::Timestamp;
use apart::Apart;
use std::collections::VecDeque;
use std::time::Duration;

/// One end of a session over a stream.
#[derive(Debug)]
pub(crate) struct StreamLink {
    session: u64,
    role: Role,
    reader: StreamReader,
    received: VecDeque<Received>,
    outgoing: Backlog,
    /// Messages beside the stream, over QUIC.
    apart: Option<Box<Apart>>,
    /// A WebSocket carries the stream.
    web: bool,
    /// Of the queued bytes, those outside the bound.
    regardless: usize,
    /// The kernel took all of the last chunk.
    writable: bool,
    /// Last progress while bytes waited.
    moved: Timestamp,
    last_sent: Timestamp,
    /// A server that has sent nothing for this long shows that it is there.
    silence: Option<Duration>,
    /// Departure of the heartbeat whose echo is pending.
    heartbeat_sent: Option<Timestamp>,
    rtt_min: Option<Duration>,
    rtt_smoothed: Option<Duration>,
    rtts: RecentRtts,
    failed: bool,
    /// Received frames without a message, in tokens.
    idle: usize,
    stats: Stats,
    /// The newest report of the kernel.
    info: Option<TcpInfo>,
}

impl StreamLink {
    /// Makes a link for `session`; `reader` continues after the handshake.
    #[must_use]
    pub(crate) fn new(session: u64, role: Role, reader: StreamReader, now: Timestamp) -> Self {
        Self {
            session,
            role,
            reader,
            received: VecDeque::new(),
            outgoing: Backlog::default(),
            apart: None,
            web: false,
            regardless: 0,
            writable: true,
            moved: now,
            last_sent: now,
            silence: None,
            heartbeat_sent: None,
            rtt_min: None,
            rtt_smoothed: None,
            rtts: RecentRtts::default(),
            failed: false,
            idle: 0,
            stats: Stats::default(),
            info: None,
        }
    }

    /// The link over QUIC.
    #[must_use]
    pub(crate) fn over_quic(self) -> Self {
        Self { apart: Some(Box::default()), ..self }
    }

    /// The link over a WebSocket.
    #[must_use]
    pub(crate) fn over_web(self) -> Self {
        Self { web: true, ..self }
    }

    /// Whether the link is over a WebSocket.
    #[must_use]
    pub(crate) fn is_web(&self) -> bool {
        self.web
    }

    /// Whether the link is over QUIC.
    #[must_use]
    pub(crate) fn is_quic(&self) -> bool {
        self.apart.is_some()
    }

    /// The session this link belongs to.
    #[must_use]
    pub(crate) fn session(&self) -> u64 {
        self.session
    }

    /// Sets the heartbeat interval of the client.
    pub(crate) fn set_heartbeat(&mut self, heartbeat: Duration) {
        match &mut self.role {
            Role::Server => self.silence = Some(heartbeat * 3 / 2),
            role @ Role::Client { .. } => *role = Role::Client { heartbeat },
        }
    }

    /// Queues the preface, the first bytes of either end.
    pub(crate) fn send_preface(&mut self) {
        let flags = match self.role {
            Role::Server => Flags::FROM_SERVER,
            Role::Client { .. } => Flags::default(),
        };
        self.outgoing.extend(&Preface { flags, session: self.session }.encode());
    }

    /// Queues a message. TCP delivers reliably and in order in every mode.
    ///
    /// # Errors
    /// [`SendError`]: the message was not queued.
    pub(crate) fn send(
        &mut self,
        payload: &[u8],
        delivery: Delivery,
        tag: Option<u64>,
    ) -> Result<(), SendError> {
        if self.is_full() {
            return Err(SendError::QueueFull);
        }
        let Some(apart) = self.apart.as_mut().filter(|_| delivery != Delivery::ReliableOrdered)
        else {
            if payload.len() > MAX_MESSAGE {
                return Err(SendError::TooLong(payload.len()));
            }
            self.stats.sent_message_bytes += payload.len() as u64;
            self.outgoing.push(&Frame::Once { payload });
            return Ok(());
        };
        let batch = Batch::of(payload).ok_or(SendError::TooLong(payload.len()))?;
        self.stats.sent_message_bytes += payload.len() as u64;
        apart.push(batch, delivery, tag.filter(|_| delivery == Delivery::Unreliable));
        Ok(())
    }

    /// Queues messages until the queue is full. Returns how many it took. Receipts are in order,
    /// so that a client learns for certain what arrived.
    pub(crate) fn send_batch(
        &mut self,
        mut batch: Batch,
        delivery: Delivery,
        class: Class,
    ) -> usize {
        let beside = delivery != Delivery::ReliableOrdered && class != Class::Receipt;
        let others = self.apart.as_ref().map_or(0, |apart| apart.bytes());
        let limit = (MAX_QUEUE_BYTES + self.regardless).saturating_sub(others);
        let count = self.outgoing.room_for(&batch, limit);
        if count > 0 {
            let taken = if count < batch.len() { batch.split_to(count) } else { batch };
            match self.apart.as_mut().filter(|_| beside) {
                Some(apart) => {
                    self.stats.sent_message_bytes += taken.bytes() as u64;
                    apart.push(taken, delivery, None);
                }
                None => self.queue(taken),
            }
        }
        count
    }

    /// Queues messages even when the queue is full. They leave as much room for others.
    pub(crate) fn send_regardless(&mut self, batch: Batch) {
        let before = self.outgoing.len();
        self.queue(batch);
        self.regardless += self.outgoing.len() - before;
    }

    fn queue(&mut self, batch: Batch) {
        self.stats.sent_message_bytes += batch.bytes() as u64;
        self.outgoing.push_batch(batch);
    }

    /// Takes in bytes of the stream.
    ///
    /// # Errors
    /// [`DecodeError`]: the stream cannot be read any further.
    pub(crate) fn receive(&mut self, mut bytes: &[u8], now: Timestamp) -> Result<(), DecodeError> {
        self.stats.received_bytes += bytes.len() as u64;
        let mut echo = false;
        while let Some(piece) = self.reader.next(&mut bytes)? {
            let Piece::Frame(frame) = piece else { continue };
            self.stats.received += 1;
            match frame {
                Frame::Once { payload }
                | Frame::Ordered { payload, .. }
                | Frame::Unordered { payload, .. } => {
                    self.received
                        .push_back(Received { payload: payload.into(), held: Duration::ZERO });
                }
                Frame::Heartbeat if self.role == Role::Server => {
                    self.idle += 1;
                    echo = true;
                }
                Frame::Heartbeat => {
                    if let Some(sent) = self.heartbeat_sent.take() {
                        let rtt = now.since(sent);
                        self.rtts.add(rtt);
                        self.rtt_min = Some(self.rtt_min.map_or(rtt, |min| min.min(rtt)));
                        let smoothed = self.rtt_smoothed.unwrap_or(rtt);
                        self.rtt_smoothed = Some((7 * smoothed + rtt) / 8);
                    }
                }
                Frame::Padding(content) => self.idle += tokens(content.len()),
                _ => {
                    self.idle += 1;
                    self.stats.malformed += 1;
                }
            }
        }
        if echo && !self.is_full() {
            self.outgoing.push(&Frame::Heartbeat);
        }
        Ok(())
    }

    /// Takes in a message that came beside the stream.
    ///
    /// # Errors
    /// [`DecodeError`]: it is none.
    pub(crate) fn receive_apart(&mut self, bytes: &[u8]) -> Result<(), DecodeError> {
        self.stats.received_bytes += bytes.len() as u64;
        self.stats.received += 1;
        match decode_frame(bytes)? {
            Frame::Once { payload } => {
                self.received.push_back(Received { payload: payload.into(), held: Duration::ZERO });
            }
            _ => {
                self.idle += 1;
                self.stats.malformed += 1;
            }
        }
        Ok(())
    }

    /// Moves the next message beside the stream, as a frame, into `buffer`, and returns how it
    /// travels. There is none until `handle_message_taken` reports the last one as taken.
    pub(crate) fn poll_apart(&mut self, buffer: &mut Vec<u8>, now: Timestamp) -> Option<Delivery> {
        let rtt = self.rtt_smoothed;
        let delivery = self.apart.as_mut()?.take(buffer, rtt, now)?;
        self.moved = now;
        self.stats.sent += 1;
        self.stats.sent_eliciting += 1;
        self.stats.sent_bytes += buffer.len() as u64;
        Some(delivery)
    }

    /// The transport took the last message beside the stream.
    pub(crate) fn handle_message_taken(&mut self, now: Timestamp) {
        if let Some(apart) = &mut self.apart {
            apart.set_writable();
            self.moved = now;
        }
    }

    /// The next fate of a message that was sent once with a tag.
    pub(crate) fn poll_fate(&mut self) -> Option<Fate> {
        self.apart.as_mut()?.poll_fate()
    }

    /// Takes the tokens of frames without a message, received since the last call.
    pub(crate) fn take_idle(&mut self) -> usize {
        std::mem::take(&mut self.idle)
    }

    /// Whether `poll_received` has a message.
    #[must_use]
    pub(crate) fn has_received(&self) -> bool {
        !self.received.is_empty()
    }

    /// The next message from the other end.
    pub(crate) fn poll_received(&mut self) -> Option<Received> {
        self.received.pop_front()
    }

    /// Moves the next chunk to write into `buffer`. There is none until `handle_writable` reports
    /// the last one as taken.
    pub(crate) fn poll_transmit(&mut self, buffer: &mut Vec<u8>, now: Timestamp) -> bool {
        if let Some(due) = self.heartbeat_due()
            && due <= now
        {
            match self.role {
                Role::Client { .. } => {
                    self.outgoing.push(&Frame::Heartbeat);
                    self.heartbeat_sent.get_or_insert(now);
                }
                // A heartbeat would be taken for the echo of the client's.
                Role::Server => self.outgoing.push(&Frame::Padding(&[])),
            }
            self.last_sent = now;
        }
        if !self.writable || self.outgoing.is_empty() {
            return false;
        }
        self.outgoing.take_chunk(buffer);
        let size = buffer.len();
        // Messages outside the bound are a session's first, and so leave first, and its last.
        self.regardless = self.regardless.saturating_sub(size);
        self.writable = false;
        self.moved = now;
        self.last_sent = now;
        self.stats.sent += 1;
        self.stats.sent_eliciting += 1;
        self.stats.sent_bytes += size as u64;
        true
    }

    /// The kernel took all of the last chunk.
    pub(crate) fn handle_writable(&mut self, now: Timestamp) {
        self.writable = true;
        self.moved = now;
    }

    /// Takes a report of the kernel.
    pub(crate) fn set_info(&mut self, info: TcpInfo) {
        self.info = Some(info);
    }

    /// The newest report of the kernel.
    #[must_use]
    pub(crate) fn info(&self) -> Option<TcpInfo> {
        self.info
    }

    /// Takes a report of QUIC.
    pub(crate) fn set_quic_info(&mut self, info: QuicInfo) {
        if let Some(apart) = &mut self.apart {
            apart.info = Some(info);
        }
    }

    /// The newest report of QUIC.
    #[must_use]
    pub(crate) fn quic_info(&self) -> Option<QuicInfo> {
        self.apart.as_ref()?.info
    }

    /// This end was suspended until now: the time before counts against no deadline.
    pub(crate) fn resume(&mut self, now: Timestamp) {
        self.moved = self.moved.max(now);
    }

    /// Since when the kernel has not taken all of a chunk.
    #[must_use]
    pub(crate) fn stalled_since(&self) -> Option<Timestamp> {
        self.is_blocked().then_some(self.moved)
    }

    /// When to call `handle_timeout` next.
    #[must_use]
    pub(crate) fn poll_timeout(&self) -> Option<Timestamp> {
        let apart = self.apart.as_deref();
        if self.writable && !self.outgoing.is_empty() || apart.is_some_and(Apart::has_message) {
            return Some(Timestamp::ZERO);
        }
        let stalled = (self.is_blocked() && !self.failed).then(|| self.moved + STREAM_STALL);
        let verdict = apart.and_then(Apart::timeout);
        [stalled, verdict, self.heartbeat_due()].into_iter().flatten().min()
    }

    /// Does what is due by `now`.
    pub(crate) fn handle_timeout(&mut self, now: Timestamp) {
        self.failed |= self.is_blocked() && self.moved + STREAM_STALL <= now;
        if let Some(apart) = &mut self.apart {
            apart.handle_timeout(now);
        }
    }

    /// Whether something was handed out and not taken.
    fn is_blocked(&self) -> bool {
        !self.writable || self.apart.as_ref().is_some_and(|apart| apart.is_blocked())
    }

    /// Whether the other end has taken nothing for `GIVE_UP` or longer.
    #[must_use]
    pub(crate) fn has_failed(&self) -> bool {
        self.failed
    }

    /// Whether the queue takes no more.
    #[must_use]
    pub(crate) fn is_full(&self) -> bool {
        self.queued_bytes() - self.regardless >= MAX_QUEUE_BYTES
    }

    /// The rest of the queue of a link that ends, and whether the kernel takes bytes now; `None` if
    /// it has taken everything.
    pub(crate) fn take_owed(&mut self) -> Option<(Backlog, bool)> {
        let idle = self.writable && self.outgoing.is_empty();
        (!idle).then(|| (std::mem::take(&mut self.outgoing), self.writable))
    }

    /// Whether the kernel has taken everything.
    #[must_use]
    pub(crate) fn is_idle(&self) -> bool {
        let apart = self.apart.as_ref();
        self.writable && self.outgoing.is_empty() && apart.is_none_or(|apart| apart.is_idle())
    }

    /// Bytes in the queue.
    #[must_use]
    pub(crate) fn queued_bytes(&self) -> usize {
        self.outgoing.len() + self.apart.as_ref().map_or(0, |apart| apart.bytes())
    }

    /// The counters so far. Those of datagrams stay zero.
    #[must_use]
    pub(crate) fn stats(&self) -> Stats {
        Stats {
            rtt_min: self.rtt_min,
            rtt_smoothed: self.rtt_smoothed,
            rtt_p99: self.rtts.p99(),
            ..self.stats
        }
    }

    fn heartbeat_due(&self) -> Option<Timestamp> {
        match self.role {
            Role::Client { heartbeat } => Some(self.last_sent + heartbeat),
            // Bytes that wait for the kernel show more.
            Role::Server => self
                .silence
                .filter(|_| self.writable && self.outgoing.is_empty())
                .map(|silence| self.last_sent + silence),
        }
    }
}
