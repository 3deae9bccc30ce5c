//! The client's side of UDP: answers to joins, and datagrams of the session.

use super::established::Established;
use super::rejoin::First;
use super::{CloseReason, Notice, Session};
use crate::link::{Channel, Link, Role};
use crate::protocol::limits::base_datagram;
use crate::protocol::{Datagram, DecodeError, Flags, Frame, Invariant};
use crate::time::Now;
use std::net::SocketAddr;

impl Session {
    /// Takes a received datagram, from any source.
    pub fn handle_datagram(&mut self, from: SocketAddr, bytes: &[u8], now: Now) {
        if self.closed {
            return;
        }
        let datagram = match Datagram::decode(bytes) {
            Ok(datagram) => datagram,
            Err(error) => return self.handle_undecodable(from, bytes, error),
        };
        if !datagram.header.flags.contains(Flags::FROM_SERVER) {
            return;
        }
        let session = datagram.header.session;
        if session == 0 {
            self.handle_handshake(from, &datagram, now);
        } else if self.established.as_ref().is_some_and(|e| e.link.session() == session) {
            if self.is_at_server(from, &datagram, bytes.len(), now) {
                self.handle_session(&datagram, bytes.len(), now);
            }
        } else if let Some(attempt) = &self.attempt
            && let Some((heartbeat, latest)) = attempt.welcomed_by(&datagram)
        {
            let mut link = Link::new(session, Role::Client { heartbeat }, 1, now.mono);
            link.set_path(base_datagram(from.is_ipv6()), now.mono);
            link.set_copies(self.copies);
            self.end_established(now);
            self.attempt = None;
            let link = Channel::Datagrams(link.into());
            self.established = Some(Established::new(link, from, now.mono));
            // Lines can precede the `Welcome` in one datagram.
            self.begin_log(latest);
            self.handle_session(&datagram, bytes.len(), now);
        }
        self.send_waiting(now.mono);
    }

    /// The local kernel refused to send a datagram of this size to the server.
    pub fn handle_refused_size(&mut self, to: SocketAddr, bytes: usize, now: Now) {
        let established = self.established.as_mut().filter(|established| established.server == to);
        if let Some(link) = established.and_then(|it| it.link.as_datagrams()) {
            link.refuse_size(bytes, now.mono);
        }
    }

    fn handle_undecodable(&mut self, from: SocketAddr, bytes: &[u8], error: DecodeError) {
        log::debug!("dropped a datagram from {from}: {error}");
        self.corrupt += u64::from(matches!(error, DecodeError::Checksum { .. }));
        if let DecodeError::Version(version) = error
            && Invariant::read(bytes).is_some_and(|invariant| invariant.from_server)
            && self.targets.contains(&from)
        {
            self.refused_version(from, version);
        }
    }

    fn handle_handshake(&mut self, from: SocketAddr, datagram: &Datagram<'_>, now: Now) {
        // The nonce proves that the sender read the join; the source address proves less
        // (`proto.md` §7.2).
        let Some(attempt) = &mut self.attempt else { return };
        match datagram.frames().next() {
            Some(Frame::Challenge { nonce, cookie }) => {
                let others = !attempt.first && self.targets.has_others();
                attempt.challenged(nonce, cookie, from, others, now.mono);
            }
            Some(Frame::Refused { nonce, reason, detail }) => {
                self.refused(from, nonce, reason, detail, now);
            }
            _ => {}
        }
    }

    fn handle_session(&mut self, datagram: &Datagram<'_>, bytes: usize, now: Now) {
        let link = self.established.as_mut().and_then(|e| e.link.as_datagrams());
        let Some(link) = link else { return };
        // These frames come without a sequence number, alone in a datagram.
        match datagram.frames().next() {
            Some(Frame::PathChallenge(cookie)) => {
                return link.answer_path(cookie, datagram.header.timestamp, now.mono);
            }
            Some(Frame::PathResponse(_)) => return,
            Some(Frame::Reset) => return self.reset(now),
            _ => {}
        }
        if !link.receive(datagram, bytes, now.mono) {
            return;
        }
        self.note_sign_of_life(now);
        if self.attempt.take().is_some() {
            log::debug!("the old session is alive after all");
        }
        self.handle_messages(now);
    }

    /// Takes a `Reset`: the server has no such session.
    fn reset(&mut self, now: Now) {
        if self.leaving.is_some() {
            return self.close(CloseReason::Quit);
        }
        self.tell(Notice::NoSession);
        self.rejoin(First::Same, now);
    }
}
