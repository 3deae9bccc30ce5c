//! From the room's posts to datagrams and stream bytes.
//!
//! A post to one peer goes to its link at once. A post to all peers waits in [`Fanout`], and each
//! link gets it when that link is about to transmit.

use super::fanout::Fanout;
use super::peer::Peer;
use super::peers::PeerMut;
use super::pressure::Pressure;
use super::{Destination, Hub};
use crate::path::Path;
use crate::protocol::{Batch, DatagramWriter, Flags, Frame, Header, ServerMessage, encode_message};
use crate::room::{Kind, Recipients};
use crate::time::{Now, Timestamp};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

/// Posts on their way to the links, and the pressure of the links with long queues.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    pub(super) fanout: Fanout,
    pub(super) pressure: Pressure,
    /// Messages that the full queue of a slow peer refused.
    pub(super) left_out: u64,
    /// Times a peer was asked to wait.
    pub(super) slowed: u64,
}

impl Outgoing {
    /// Gives a link the posts to everybody that it lacks: before anything else is queued there.
    pub(super) fn catch_up(&mut self, peer: &mut Peer, now: Timestamp) {
        if peer.taken != self.fanout.next() {
            self.left_out += self.fanout.give(peer);
            self.measure(peer, now);
        }
    }

    /// Gives a link messages for this peer alone.
    fn deliver(&mut self, peer: &mut Peer, kind: Kind, messages: Batch, now: Timestamp) {
        self.left_out += self.fanout.give(peer) + peer.take(messages, kind);
        self.measure(peer, now);
    }

    /// Sends a peer a message that is no chat line.
    pub(super) fn tell(
        &mut self,
        peer: &mut PeerMut<'_>,
        message: &ServerMessage<'_>,
        now: Timestamp,
    ) {
        if let Some(message) = Batch::of(&encode_message(message)) {
            self.deliver(peer, Kind::Control, message, now);
            peer.touch();
        }
    }

    /// Asks a peer to wait, unless an earlier request covers it.
    pub(super) fn slow_down(&mut self, peer: &mut PeerMut<'_>, wait: Duration, now: Timestamp) {
        if let Some(wait_ms) = peer.allowance.ask_to_wait(wait, now) {
            self.slowed += 1;
            self.tell(peer, &ServerMessage::Slow { wait_ms }, now);
        }
    }

    /// Gives a link the last message of its session, also if its queue is full.
    pub(super) fn send_last(&mut self, peer: &mut Peer, message: &ServerMessage<'_>) {
        self.left_out += self.fanout.give(peer);
        if let Some(message) = Batch::of(&encode_message(message)) {
            peer.link.send_regardless(message);
        }
    }

    /// Gives all links all posts, because many wait.
    fn distribute<'a>(&mut self, peers: impl Iterator<Item = &'a mut Peer>, now: Timestamp) {
        self.fanout.seal();
        for peer in peers {
            self.left_out += self.fanout.give(peer);
            self.measure(peer, now);
        }
        self.fanout.clear();
    }

    /// Notes the length of the queue to a peer. A queue whose lines may be left out exerts no
    /// pressure.
    fn measure(&mut self, peer: &Peer, now: Timestamp) {
        let queued = peer.link.queued_bytes();
        if self.pressure.is_concerned(queued) {
            let queued = if peer.is_reliable() { queued } else { 0 };
            self.pressure.note(peer.id, queued, peer.link.stalled_since(), now);
        }
    }
}

impl Hub {
    /// Takes in the posts of the room.
    pub(super) fn deliver_posts(&mut self) {
        self.room.announce(self.now);
        while let Some(post) = self.room.poll_post() {
            if let Recipients::One(id) = post.to {
                if let Some(mut peer) = self.peers.touch(id) {
                    self.outgoing.deliver(&mut peer, post.kind, post.messages, self.now);
                }
                continue;
            }
            if let Some(observer) = self.observer.as_mut().filter(|_| post.kind == Kind::Line) {
                observer.note_said(&post.messages, self.now);
            }
            if self.outgoing.fanout.announce(self.peers.len(), self.now) {
                self.peers.touch_all();
            }
            self.outgoing.fanout.push(post);
            if self.outgoing.fanout.is_full() {
                self.outgoing.distribute(self.peers.iter_mut(), self.now);
            }
        }
    }

    /// Puts the next datagrams for one peer into `buffer` and returns their destination. Each
    /// datagram but the last has
    /// [`MAX_DATAGRAM`](crate::protocol::limits::MAX_DATAGRAM) bytes. For a connection, the buffer
    /// holds its next bytes, or a message beside its stream.
    pub fn poll_transmit(&mut self, buffer: &mut Vec<u8>, now: Now) -> Option<Destination> {
        if let Some((path, bytes)) = self.stateless.pop_front() {
            self.counters.answers += 1;
            self.counters.answer_bytes += bytes.len() as u64;
            *buffer = bytes;
            return Some(Destination::Datagram(path));
        }
        let Self { peers, outgoing, observer, .. } = self;
        outgoing.fanout.seal();
        loop {
            if outgoing.fanout.is_cold() {
                peers.prefetch();
            }
            let Some(mut peer) = peers.next_to_send() else { break };
            outgoing.left_out += outgoing.fanout.give(&mut peer);
            let apart = peer.link.as_stream().and_then(|link| link.poll_apart(buffer, now.mono));
            let sent = apart.is_some() || peer.link.poll_transmit(buffer, now.mono);
            let link = peer.link.poll_timeout();
            // A link that has more to send asks to be called at once.
            if !sent || link.is_none_or(|at| at > now.mono) {
                let wake = peer.wake(link);
                peer.sent(wake);
                outgoing.fanout.left_out();
                outgoing.measure(&peer, now.mono);
            }
            if sent {
                observer.iter_mut().for_each(|it| it.look_at(&mut peer, now.mono));
                return Some(match (peer.stream, apart) {
                    (None, _) => Destination::Datagram(peer.path),
                    (Some(stream), None) => Destination::Stream(stream),
                    (Some(stream), Some(delivery)) => Destination::Message(stream, delivery),
                });
            }
        }
        outgoing.fanout.clear();
        outgoing.fanout.left_out();
        self.turn += 1;
        self.streams.poll_transmit(buffer)
    }

    /// Answers a datagram without a session. One datagram gets at most one answer.
    pub(super) fn answer(&mut self, path: Path, session: u64, frame: &Frame<'_>, now: Now) {
        if !is_one(path) {
            self.counters.wire.malformed += 1;
            return;
        }
        let mut bytes = Vec::new();
        let mut writer = DatagramWriter::new(&mut bytes);
        writer.push(frame);
        writer.finish(&Header {
            flags: Flags::FROM_SERVER,
            session,
            timestamp: now.mono.low_bits(),
            ..Header::default()
        });
        self.stateless.push_back((path, bytes));
    }
}

/// Whether an answer would go to a single machine. The broadcast address of a subnet looks like any
/// other; the kernel refuses to send there without `SO_BROADCAST`, which no socket of a server has.
fn is_one(path: Path) -> bool {
    let ip = path.remote.ip();
    let many = ip.is_multicast() || ip == IpAddr::V4(Ipv4Addr::BROADCAST) || ip.is_unspecified();
    !many && path.remote.port() != 0
}
