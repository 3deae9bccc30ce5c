//! Connections of TCP, QUIC and the page: those that have not joined yet, and which peer belongs to
//! the others. A connection needs no cookie, because the transport's own handshake has proven the
//! address (RFC 9293 §3.5, RFC 9000 §8.1).

use super::handshake::{Entrance, Origin};
use super::{Destination, Hub};
use crate::link::{Backlog, QuicInfo, Role, StreamLink, TcpInfo};
use crate::path::Path;
use crate::protocol::limits::{
    LEAVE_TIMEOUT, MAX_UNJOINED, STREAM_JOIN_TIMEOUT, STREAM_TURN_BYTES,
};
use crate::protocol::{Flags, Frame, Piece, Preface, StreamReader, write_record};
use crate::registry::PeerId;
use crate::time::{Now, Timestamp};
use std::collections::{BTreeMap, VecDeque};

/// A connection, named by the caller that accepted it. A name is not used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub u64);

/// All open connections.
#[derive(Debug, Default)]
pub(super) struct Streams {
    waiting: BTreeMap<StreamId, Waiting>,
    /// Connections whose join waits for an engine, and what came after it. They are not read.
    claiming: BTreeMap<StreamId, Vec<u8>>,
    joined: BTreeMap<StreamId, PeerId>,
    /// Connections without a peer that have bytes to take, and when each is closed at the latest.
    lingering: BTreeMap<StreamId, Lingering>,
    /// The last bytes for connections without a peer, and (`None`) connections to close.
    out: VecDeque<(StreamId, Option<Vec<u8>>)>,
}

#[derive(Debug)]
struct Lingering {
    /// Not handed out yet, because the kernel has not taken the chunk before.
    owed: Backlog,
    deadline: Timestamp,
}

#[derive(Debug)]
struct Waiting {
    path: Path,
    entrance: Entrance,
    reader: StreamReader,
    since: Timestamp,
}

impl Streams {
    pub(super) fn poll_transmit(&mut self, buffer: &mut Vec<u8>) -> Option<Destination> {
        let (id, bytes) = self.out.pop_front()?;
        Some(match bytes {
            Some(bytes) => {
                *buffer = bytes;
                Destination::Stream(id)
            }
            None => Destination::Close(id),
        })
    }

    pub(super) fn poll_timeout(&self) -> Option<Timestamp> {
        if !self.out.is_empty() {
            return Some(Timestamp::ZERO);
        }
        let unjoined = self.oldest().map(|(_, since)| since + STREAM_JOIN_TIMEOUT);
        unjoined.into_iter().chain(self.lingering.values().map(|it| it.deadline)).min()
    }

    /// The peer of a connection.
    pub(super) fn peer(&self, id: StreamId) -> Option<PeerId> {
        self.joined.get(&id).copied()
    }

    /// The connection that has waited longest, and since when. At most `MAX_UNJOINED` wait, in no
    /// order.
    fn oldest(&self) -> Option<(StreamId, Timestamp)> {
        let waiting = self.waiting.iter().map(|(id, waiting)| (*id, waiting.since));
        waiting.min_by_key(|(id, since)| (*since, *id))
    }

    /// Forgets a connection, and has it closed unless it lingers.
    pub(super) fn close(&mut self, id: StreamId) {
        self.waiting.remove(&id);
        self.claiming.remove(&id);
        self.joined.remove(&id);
        if !self.lingering.contains_key(&id) {
            self.out.push_back((id, None));
        }
    }

    /// The join of a connection waits for an engine.
    pub(super) fn hold(&mut self, id: StreamId) {
        self.claiming.insert(id, Vec::new());
    }

    /// The join of a connection is admitted. Returns the bytes that came after it.
    pub(super) fn release(&mut self, id: StreamId) -> Vec<u8> {
        self.claiming.remove(&id).unwrap_or_default()
    }

    /// Keeps a connection until the kernel has taken the bytes that are owed, or until `deadline`.
    fn linger(&mut self, id: StreamId, owed: Backlog, writable: bool, deadline: Timestamp) {
        self.lingering.insert(id, Lingering { owed, deadline });
        if writable {
            self.hand_out(id);
        }
    }

    /// Hands out the next chunk of a lingering connection. After the last one, closes it.
    fn hand_out(&mut self, id: StreamId) {
        match self.lingering.get_mut(&id) {
            None => {}
            Some(it) if it.owed.is_empty() => self.end_lingering(id),
            Some(it) => {
                let mut chunk = Vec::new();
                it.owed.take_chunk(&mut chunk);
                self.out.push_back((id, Some(chunk)));
            }
        }
    }

    fn end_lingering(&mut self, id: StreamId) {
        if self.lingering.remove(&id).is_some() {
            self.close(id);
        }
    }
}

impl Hub {
    /// A TCP connection was accepted.
    pub fn handle_stream_opened(&mut self, id: StreamId, path: Path, now: Now) {
        self.open(id, path, Entrance::Stream(id), now);
    }

    /// A client has completed the handshake of a QUIC connection.
    pub fn handle_quic_opened(&mut self, id: StreamId, path: Path, now: Now) {
        self.open(id, path, Entrance::Quic(id), now);
    }

    /// A page has opened a WebSocket for the chat.
    pub fn handle_web_opened(&mut self, id: StreamId, path: Path, now: Now) {
        self.open(id, path, Entrance::Web(id), now);
    }

    fn open(&mut self, id: StreamId, path: Path, entrance: Entrance, now: Now) {
        if self.streams.waiting.len() >= MAX_UNJOINED
            && let Some((oldest, _)) = self.streams.oldest()
        {
            self.streams.close(oldest);
        }
        let reader = StreamReader::default();
        let waiting = Waiting { path, entrance, reader, since: now.mono };
        self.streams.waiting.insert(id, waiting);
    }

    /// A connection brought bytes.
    pub fn handle_stream_bytes(&mut self, id: StreamId, bytes: &[u8], now: Now) {
        self.observe(now.mono);
        if let Some(peer) = self.streams.joined.get(&id).copied() {
            self.handle_peer_bytes(peer, bytes, now);
        } else if let Some(waiting) = self.streams.waiting.remove(&id) {
            self.handle_waiting_bytes(id, waiting, bytes, now);
        } else {
            self.keep_bytes(id, bytes);
        }
        self.deliver_posts();
    }

    /// A connection brought a message beside its stream. Before the client has joined there is
    /// none: it knows the room from `Welcome`.
    pub fn handle_stream_message(&mut self, id: StreamId, bytes: &[u8], now: Now) {
        self.observe(now.mono);
        match self.streams.joined.get(&id).copied() {
            Some(peer) => self.handle_peer_message(peer, bytes, now),
            None => self.counters.wire.malformed += 1,
        }
        self.deliver_posts();
    }

    /// A client has another address, which its transport has checked or is about to check (RFC 9000
    /// §9.3). It stays unless there are too many from that address.
    pub fn handle_stream_moved(&mut self, id: StreamId, path: Path, now: Now) {
        self.observe(now.mono);
        if let Some(waiting) = self.streams.waiting.get_mut(&id) {
            waiting.path = path;
        } else if let Some(peer) = self.streams.joined.get(&id).copied()
            && !self.relocate(peer, path)
        {
            self.lose(peer, now.mono);
        }
        self.deliver_posts();
    }

    /// Whether this connection is to be read. If not, the kernel of its sender waits.
    #[must_use]
    pub fn reads(&self, id: StreamId) -> bool {
        if self.streams.lingering.contains_key(&id) || self.streams.claiming.contains_key(&id) {
            return false;
        }
        let peer = self.streams.joined.get(&id).and_then(|peer| self.peers.get(*peer));
        peer.is_none_or(|peer| !peer.standing.is_held())
    }

    /// The kernel has taken all bytes that were handed out for this connection.
    pub fn handle_stream_writable(&mut self, id: StreamId, now: Now) {
        self.streams.hand_out(id);
        if let Some(id) = self.streams.joined.get(&id).copied()
            && let Some(mut peer) = self.peers.get_mut(id)
            && let Some(link) = peer.link.as_stream()
        {
            link.handle_writable(now.mono);
            self.advance(id, now.mono);
        }
    }

    /// The transport has taken the message beside the stream that was handed out last.
    pub fn handle_message_taken(&mut self, id: StreamId, now: Now) {
        if let Some(id) = self.streams.joined.get(&id).copied()
            && let Some(mut peer) = self.peers.get_mut(id)
            && let Some(link) = peer.link.as_stream()
        {
            link.handle_message_taken(now.mono);
            self.advance(id, now.mono);
        }
    }

    /// The destination has taken all bytes that were handed out for it.
    pub fn handle_taken(&mut self, destination: Destination, now: Now) {
        match destination {
            Destination::Stream(id) => self.handle_stream_writable(id, now),
            Destination::Message(id, _) => self.handle_message_taken(id, now),
            Destination::Datagram(_) | Destination::Close(_) => {}
        }
    }

    /// Takes what the kernel reports about a connection, for answers to `Who`.
    pub fn handle_stream_info(&mut self, id: StreamId, info: TcpInfo) {
        if let Some(id) = self.streams.joined.get(&id).copied()
            && let Some(mut peer) = self.peers.get_mut(id)
            && let Some(link) = peer.link.as_stream()
        {
            link.set_info(info);
        }
    }

    /// Takes what QUIC reports about a connection, for answers to `Who`.
    pub fn handle_quic_info(&mut self, id: StreamId, info: QuicInfo) {
        if let Some(id) = self.streams.joined.get(&id).copied()
            && let Some(mut peer) = self.peers.get_mut(id)
            && let Some(link) = peer.link.as_stream()
        {
            link.set_quic_info(info);
        }
    }

    /// The other end of a connection sends no more: it closed the connection, or its half of it
    /// (RFC 9293 §3.6). The peer is gone. Its backlog still leaves, as far as the connection takes
    /// it within `LEAVE_TIMEOUT`; then [`Destination::Close`] follows.
    pub fn handle_stream_closed(&mut self, id: StreamId, now: Now) {
        if self.streams.lingering.contains_key(&id) {
            return;
        }
        match self.streams.joined.get(&id).copied() {
            None if self.streams.waiting.contains_key(&id) => self.streams.close(id),
            None if self.streams.claiming.contains_key(&id) => {
                self.forget_claim(id);
                self.streams.close(id);
            }
            None => {}
            Some(peer) => {
                let owed = self.peers.get_mut(peer).and_then(|mut peer| {
                    self.outgoing.catch_up(&mut peer, now.mono);
                    peer.link.as_stream().and_then(StreamLink::take_owed)
                });
                if let Some((owed, writable)) = owed {
                    self.streams.linger(id, owed, writable, now.mono + LEAVE_TIMEOUT);
                }
                self.lose(peer, now.mono);
            }
        }
        self.deliver_posts();
    }

    /// Keeps the bytes behind a join that waits. A client sends few before `Welcome`.
    fn keep_bytes(&mut self, id: StreamId, bytes: &[u8]) {
        let Some(kept) = self.streams.claiming.get_mut(&id) else { return };
        kept.extend_from_slice(bytes);
        if kept.len() > STREAM_TURN_BYTES {
            self.counters.wire.malformed += 1;
            self.forget_claim(id);
            self.hang_up(id, None);
        }
    }

    /// Closes the connections that did not join in time.
    pub(super) fn cut_off_waiting(&mut self, now: Timestamp) {
        while let Some((id, since)) = self.streams.oldest()
            && since + STREAM_JOIN_TIMEOUT <= now
        {
            self.streams.close(id);
        }
        let over = self.streams.lingering.iter().filter(|(_, it)| it.deadline <= now);
        for id in over.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.streams.end_lingering(id);
        }
    }

    /// The peer has joined over this connection: from now on its link gets the bytes.
    pub(super) fn open_stream_link(
        &mut self,
        id: StreamId,
        peer: PeerId,
        origin: Origin,
    ) -> StreamLink {
        self.streams.joined.insert(id, peer);
        let reader = StreamReader::past_preface();
        let mut link = StreamLink::new(self.new_session(), Role::Server, reader, origin.now.mono);
        link = match origin.entrance {
            Entrance::Quic(_) => link.over_quic(),
            Entrance::Web(_) => link.over_web(),
            Entrance::Datagrams | Entrance::Stream(_) => link,
        };
        link.send_preface();
        link
    }

    /// Closes a connection that has no session, after a last frame if there is one. The preface
    /// alone tells a client of another version which version this is.
    pub(super) fn hang_up(&mut self, id: StreamId, last: Option<&Frame<'_>>) {
        let mut bytes = Preface { flags: Flags::FROM_SERVER, session: 0 }.encode().to_vec();
        if let Some(frame) = last {
            write_record(frame, &mut bytes);
        }
        self.streams.out.push_back((id, Some(bytes)));
        self.streams.close(id);
    }

    fn handle_waiting_bytes(
        &mut self,
        id: StreamId,
        mut waiting: Waiting,
        mut bytes: &[u8],
        now: Now,
    ) {
        loop {
            match waiting.reader.next(&mut bytes) {
                Ok(None) => {
                    self.streams.waiting.insert(id, waiting);
                    return;
                }
                Ok(Some(Piece::Preface(preface)))
                    if !preface.flags.contains(Flags::FROM_SERVER) => {}
                Ok(Some(Piece::Frame(Frame::Join(join)))) if join.nonce != 0 => {
                    if self.nonces.is_known(join.nonce) {
                        log::debug!("a join from {} repeats an old nonce", waiting.path.remote);
                        return self.hang_up(id, None);
                    }
                    let Waiting { path, entrance, .. } = waiting;
                    self.admit(&join, Origin { path, entrance, now });
                    if let Some(peer) = self.streams.joined.get(&id).copied()
                        && !bytes.is_empty()
                    {
                        self.handle_peer_bytes(peer, bytes, now);
                    }
                    return self.keep_bytes(id, bytes);
                }
                other => {
                    self.counters.wire.malformed += 1;
                    log::debug!("hung up on {}: {other:?}", waiting.path.remote);
                    return self.hang_up(id, None);
                }
            }
        }
    }
}
