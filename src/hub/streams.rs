//! TCP connections: those that have not joined yet, and which peer belongs to the others. A
//! connection needs no cookie, because TCP's own handshake has proven the address (RFC 9293 §3.5).

use super::handshake::{Entrance, Join, Origin};
use super::{Destination, Hub};
use crate::link::{Role, StreamLink};
use crate::path::Path;
use crate::protocol::limits::STREAM_JOIN_TIMEOUT;
use crate::protocol::{Flags, Frame, Piece, Preface, StreamReader, write_record};
use crate::registry::PeerId;
use crate::time::{Now, Timestamp};
use std::collections::{BTreeMap, VecDeque};

/// Connections that may be open without a join. One more takes the place of the oldest.
pub const MAX_WAITING: usize = 64;

/// A connection, named by the caller that accepted it. A name is not used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub u64);

/// All open connections.
#[derive(Debug, Default)]
pub(super) struct Streams {
    waiting: BTreeMap<StreamId, Waiting>,
    joined: BTreeMap<StreamId, PeerId>,
    /// The last bytes for connections that are refused, and (`None`) connections to close.
    out: VecDeque<(StreamId, Option<Vec<u8>>)>,
}

#[derive(Debug)]
struct Waiting {
    path: Path,
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
        self.oldest().map(|(_, since)| since + STREAM_JOIN_TIMEOUT)
    }

    /// The connection that has waited longest, and since when. There are at most `MAX_WAITING`, and
    /// their names say nothing about their order.
    fn oldest(&self) -> Option<(StreamId, Timestamp)> {
        let waiting = self.waiting.iter().map(|(id, waiting)| (*id, waiting.since));
        waiting.min_by_key(|(id, since)| (*since, *id))
    }

    /// Forgets a connection, and has it closed.
    pub(super) fn close(&mut self, id: StreamId) {
        self.waiting.remove(&id);
        self.joined.remove(&id);
        self.out.push_back((id, None));
    }
}

impl Hub {
    /// A connection was accepted.
    pub fn handle_stream_opened(&mut self, id: StreamId, path: Path, now: Now) {
        if self.streams.waiting.len() >= MAX_WAITING
            && let Some((oldest, _)) = self.streams.oldest()
        {
            self.streams.close(oldest);
        }
        let waiting = Waiting { path, reader: StreamReader::default(), since: now.mono };
        self.streams.waiting.insert(id, waiting);
    }

    /// A connection brought bytes.
    pub fn handle_stream_bytes(&mut self, id: StreamId, bytes: &[u8], now: Now) {
        self.observe(now.mono);
        if let Some(peer) = self.streams.joined.get(&id).copied() {
            self.handle_peer_bytes(peer, bytes, now);
        } else if let Some(waiting) = self.streams.waiting.remove(&id) {
            self.handle_waiting_bytes(id, waiting, bytes, now);
        }
        self.deliver_posts();
    }

    /// Whether this connection is to be read. If not, the kernel of its sender waits.
    pub fn reads(&self, id: StreamId) -> bool {
        let peer = self.streams.joined.get(&id).and_then(|peer| self.peers.get(*peer));
        peer.is_none_or(|peer| !peer.standing.is_held())
    }

    /// The kernel has taken all bytes that were handed out for this connection.
    pub fn handle_stream_writable(&mut self, id: StreamId, now: Now) {
        if let Some(id) = self.streams.joined.get(&id).copied()
            && let Some(mut peer) = self.peers.get_mut(id)
            && let Some(link) = peer.link.as_stream()
        {
            link.handle_writable(now.mono);
            self.advance(id, now.mono);
        }
    }

    /// The other end of a connection has gone.
    pub fn handle_stream_closed(&mut self, id: StreamId, now: Now) {
        self.streams.waiting.remove(&id);
        if let Some(peer) = self.streams.joined.remove(&id) {
            self.lose(peer, now.mono);
        }
        self.deliver_posts();
    }

    /// Closes the connections that did not join in time.
    pub(super) fn cut_off_waiting(&mut self, now: Timestamp) {
        while let Some((id, since)) = self.streams.oldest()
            && since + STREAM_JOIN_TIMEOUT <= now
        {
            self.streams.close(id);
        }
    }

    /// The peer has joined over this connection: from now on its link gets the bytes.
    pub(super) fn open_stream_link(
        &mut self,
        id: StreamId,
        peer: PeerId,
        now: Timestamp,
    ) -> StreamLink {
        self.streams.joined.insert(id, peer);
        let reader = StreamReader::past_preface();
        let mut link = StreamLink::new(self.new_session(), Role::Server, reader, now);
        link.send_preface();
        link
    }

    /// Closes a connection that has no session, after a last frame if there is one. The preface alone
    /// tells a client of another version which version this is.
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
                Ok(Some(Piece::Frame(ref frame))) if let Some(join) = Join::read(frame) => {
                    if self.nonces.is_known(join.nonce) {
                        log::debug!("a join from {} repeats an old nonce", waiting.path.remote);
                        return self.hang_up(id, None);
                    }
                    let (path, entrance, nonce) = (waiting.path, Entrance::Stream(id), join.nonce);
                    self.admit(&join, Origin { path, entrance, nonce, now });
                    if let Some(peer) = self.streams.joined.get(&id).copied()
                        && !bytes.is_empty()
                    {
                        self.handle_peer_bytes(peer, bytes, now);
                    }
                    return;
                }
                other => {
                    self.counters.malformed += 1;
                    log::debug!("hung up on {}: {other:?}", waiting.path.remote);
                    return self.hang_up(id, None);
                }
            }
        }
    }
}
