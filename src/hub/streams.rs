//! Peers on TCP: connections that have not joined yet, and the way between a connection and its peer.
//! A stream needs no cookie, for TCP's own handshake has proven the address (RFC 9293 §3.5).

use super::handshake::{Entrance, Join};
use super::{Destination, Hub};
use crate::link::{Role, StreamLink};
use crate::path::Path;
use crate::protocol::limits::STREAM_JOIN_TIMEOUT;
use crate::protocol::{Flags, Frame, LeaveReason, Piece, Preface, StreamReader, write_record};
use crate::registry::PeerId;
use crate::time::{Now, Timestamp};
use std::collections::{BTreeMap, VecDeque};

/// Connections that may be open without having joined. Who comes then takes the oldest one's place.
pub const MAX_WAITING: usize = 64;

/// A connection, named by whoever accepted it. Names are not used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub u64);

/// What is known of the connections.
#[derive(Debug, Default)]
pub(super) struct Streams {
    waiting: BTreeMap<StreamId, Waiting>,
    joined: BTreeMap<StreamId, PeerId>,
    /// Last words to those who do not get in, and connections to close.
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

    /// The connection that has waited longest, and since when. There are few, and their names say
    /// nothing about their order.
    fn oldest(&self) -> Option<(StreamId, Timestamp)> {
        let waiting = self.waiting.iter().map(|(id, waiting)| (*id, waiting.since));
        waiting.min_by_key(|(id, since)| (*since, *id))
    }

    /// The connection belongs to nobody any more.
    pub(super) fn close(&mut self, id: StreamId) {
        self.waiting.remove(&id);
        self.joined.remove(&id);
        self.out.push_back((id, None));
    }
}

impl Hub {
    /// Somebody connected.
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

    /// Whether this connection is to be read. What is not read does not come: its sender's kernel waits.
    pub fn reads(&self, id: StreamId) -> bool {
        let peer = self.streams.joined.get(&id).and_then(|peer| self.peers.get(*peer));
        peer.is_none_or(|peer| !peer.held)
    }

    /// All that was handed out for this connection has been taken by the kernel.
    pub fn handle_stream_writable(&mut self, id: StreamId, now: Now) {
        if let Some(peer) = self.streams.joined.get(&id).copied()
            && let Some(link) = self.peers.get_mut(peer).and_then(|p| p.link.as_stream())
        {
            link.handle_writable(now.mono);
            if !self.end_if_due(peer, now.mono) {
                self.touch(peer);
            }
        }
    }

    /// The other end of a connection is gone.
    pub fn handle_stream_closed(&mut self, id: StreamId, now: Now) {
        self.streams.waiting.remove(&id);
        if let Some(peer) = self.streams.joined.remove(&id) {
            self.drop_peer(peer, LeaveReason::Timeout, now.mono);
        }
        self.deliver_posts();
    }

    /// Cuts off those who connected and did not join in time.
    pub(super) fn cut_off_waiting(&mut self, now: Timestamp) {
        while let Some((id, since)) = self.streams.oldest()
            && since + STREAM_JOIN_TIMEOUT <= now
        {
            self.streams.close(id);
        }
    }

    /// The peer has come in over this connection: from now on its link gets the bytes.
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

    /// Says why somebody is not let in, and hangs up.
    pub(super) fn refuse_stream(&mut self, id: StreamId, frame: &Frame<'_>) {
        self.hang_up(id, Some(frame));
    }

    /// Closes a connection that has no session, with a last word or without. The preface alone tells
    /// another version which one this is.
    fn hang_up(&mut self, id: StreamId, last_word: Option<&Frame<'_>>) {
        let mut bytes = Preface { flags: Flags::FROM_SERVER, session: 0 }.encode().to_vec();
        if let Some(frame) = last_word {
            write_record(frame, &mut bytes);
        }
        self.streams.out.push_back((id, Some(bytes)));
        self.streams.close(id);
    }

    fn handle_peer_bytes(&mut self, peer: PeerId, bytes: &[u8], now: Now) {
        self.registry.heard(peer, now.mono);
        let Some(link) = self.peers.get_mut(peer).and_then(|p| p.link.as_stream()) else { return };
        let outcome = link.receive(bytes, now.mono);
        let idle = link.take_idle();
        self.charge_idle(peer, idle, now.mono);
        self.handle_messages(peer, now);
        if let Err(error) = outcome {
            self.counters.malformed += 1;
            log::debug!("the stream of peer {} makes no sense: {error}", peer.0);
            self.drop_peer(peer, LeaveReason::Timeout, now.mono);
        } else if !self.end_if_due(peer, now.mono) {
            self.touch(peer);
        }
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
                        log::debug!("a join from {} has a nonce of before", waiting.path.remote);
                        return self.hang_up(id, None);
                    }
                    self.admit(&join, waiting.path, Entrance::Stream(id), now);
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
