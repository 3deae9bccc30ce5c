//! The hub's output as its peers and its driver get it.

use super::super::assert_clean;
use super::super::messages::assert_server_message;
use super::{Peer, Stage};
use chatagram::hub::{Event, Path, StreamId};
use chatagram::protocol::limits::MAX_TEXT;
use chatagram::protocol::{Datagram, Flags, Frame, Piece, ServerMessage, Welcome, decode_message};

impl Stage {
    /// Checks a datagram sent to a peer or a stranger.
    pub(super) fn receive(&mut self, to: Path, bytes: &[u8]) {
        let datagram = Datagram::decode(bytes).unwrap();
        assert!(datagram.header.flags.contains(Flags::FROM_SERVER));
        let peer = self.peers.iter_mut().find(|peer| peer.port == to.remote.port());
        let Some(peer) = peer else { return };
        if datagram.header.session == peer.session {
            peer.received = datagram.header.sequence;
        }
        for frame in datagram.frames() {
            match frame {
                Frame::Challenge { cookie, nonce } if nonce == peer.nonce => {
                    peer.cookie = cookie.to_vec();
                }
                Frame::Refused { detail, .. } => assert_clean(detail),
                Frame::Part { .. } | Frame::OncePart { .. } => self.allowance.sent(1),
                Frame::Once { payload }
                | Frame::Unordered { payload, .. }
                | Frame::Ordered { payload, .. } => {
                    self.allowance.sent(1);
                    assert_server_message(payload);
                    if let Ok(ServerMessage::Welcome(Welcome { nonce, token, .. })) =
                        decode_message(payload)
                        && nonce == peer.nonce
                        && peer.session != datagram.header.session
                    {
                        let (port, cookie) = (peer.port, Vec::new());
                        let (session, token) = (datagram.header.session, token.to_vec());
                        *peer = Peer {
                            port,
                            nonce,
                            cookie,
                            session,
                            token,
                            received: 1,
                            ..Peer::default()
                        };
                    }
                }
                _ => {}
            }
        }
    }

    pub(super) fn receive_stream(&mut self, id: StreamId, mut bytes: &[u8]) {
        let Some(wire) = self.wires.get_mut(&id) else { return };
        while let Some(piece) = wire.from_hub.next(&mut bytes).unwrap() {
            match piece {
                Piece::Preface(preface) => assert!(preface.flags.contains(Flags::FROM_SERVER)),
                Piece::Frame(Frame::Refused { detail, .. }) => assert_clean(detail),
                Piece::Frame(
                    Frame::Once { payload }
                    | Frame::Unordered { payload, .. }
                    | Frame::Ordered { payload, .. },
                ) => {
                    assert_server_message(payload);
                    if let Ok(ServerMessage::Welcome(Welcome { token, .. })) =
                        decode_message(payload)
                    {
                        wire.token = token.to_vec();
                    }
                }
                Piece::Frame(_) => {}
            }
        }
        if !wire.stuck {
            self.hub.handle_stream_writable(id, self.now);
        }
    }
}

/// Checks the texts that go to the log and to the history.
pub(super) fn check_event(event: &Event) {
    match event {
        Event::Line(line) => {
            let (from, text) = (&line.from, &line.text);
            assert_clean(from);
            assert_clean(text);
            assert!(text.len() <= MAX_TEXT && !text.trim().is_empty());
        }
        Event::Joined { nickname, .. }
        | Event::Left { nickname, .. }
        | Event::Moved { nickname, .. } => assert_clean(nickname),
        Event::Moderated { done } => assert_clean(&done.to_string()),
        Event::Renamed { from, to } => [from, to].into_iter().for_each(|name| assert_clean(name)),
        Event::Refused { detail, .. } => assert_clean(detail),
        Event::Waited(..) => panic!("nobody asked for it"),
        event => panic!("unchecked: {event:?}"),
    }
}
