//! Datagrams: which session they belong to, whether they come from where it lives, and what to answer
//! when they belong to none.

use super::{Event, Hub};
use crate::link::PATH_CHALLENGE_LEN;
use crate::path::Path;
use crate::protocol::limits::{BASE_DATAGRAM, base_datagram};
use crate::protocol::{Datagram, DatagramWriter, DecodeError, Flags, Frame, Header, Invariant};
use crate::registry::PeerId;
use crate::time::Now;
use std::net::{IpAddr, Ipv4Addr};

/// Frames without a message that one datagram has at most from a sender that means something by
/// them: a heartbeat, the answer to a path challenge, padding.
const USEFUL_IDLE: usize = 3;

impl Hub {
    /// Takes in whatever a socket received. Nothing in it can make the hub fail.
    pub fn handle_datagram(&mut self, path: Path, bytes: &[u8], now: Now) {
        self.observe(now.mono);
        self.counters.received += 1;
        self.counters.received_bytes += bytes.len() as u64;
        self.cookies.renew(&mut self.rng, now.mono);
        let datagram = match Datagram::decode(bytes) {
            Ok(datagram) => datagram,
            Err(error) => return self.handle_undecodable(path, bytes, error, now),
        };
        if datagram.header.flags.contains(Flags::FROM_SERVER) {
            self.counters.malformed += 1; // a reply is never replied to
        } else if datagram.header.session == 0 {
            self.handle_handshake(path, &datagram, bytes.len(), now);
        } else {
            self.handle_session(path, &datagram, bytes.len(), now);
        }
        self.deliver_posts();
    }

    /// This machine's kernel refuses to send datagrams as large as this on a path.
    pub fn handle_refused_size(&mut self, path: Path, bytes: usize, now: Now) {
        for (id, peer) in self.peers.iter_mut().filter(|(_, peer)| peer.path == path) {
            if let Some(link) = peer.link.as_datagrams() {
                link.refuse_size(bytes, now.mono);
                peer.touch(id, &mut self.dirty);
            }
        }
    }

    fn handle_undecodable(&mut self, path: Path, bytes: &[u8], error: DecodeError, now: Now) {
        let counter = match error {
            DecodeError::TooShort(_) | DecodeError::TooLong | DecodeError::Magic(_) => {
                &mut self.counters.alien
            }
            DecodeError::Version(_) => &mut self.counters.other_version,
            DecodeError::Checksum { .. } => &mut self.counters.corrupt,
            DecodeError::Flags(_) | DecodeError::Malformed(_) | DecodeError::NotCanonical(_) => {
                &mut self.counters.malformed
            }
        };
        *counter += 1;
        log::debug!("dropped a datagram of {} bytes from {}: {error}", bytes.len(), path.remote);
        if let (DecodeError::Version(version), Some(invariant)) = (error, Invariant::read(bytes)) {
            self.refuse_version(path, version, &invariant, bytes.len(), now);
        }
    }

    fn handle_session(&mut self, path: Path, datagram: &Datagram<'_>, bytes: usize, now: Now) {
        let session = datagram.header.session;
        let known = self.sessions.get(&session).copied();
        let Some(id) = known.filter(|id| self.is_on_datagrams(*id)) else {
            self.counters.unknown_session += 1;
            // One frame makes a datagram as long as this answer to it. A bare acknowledgment
            // gets none.
            if datagram.frames().next().is_some() {
                self.send_stateless(path, session, &Frame::Reset, now);
            }
            return;
        };
        // Outside the sequence, alone in its datagram. The answer is as long, and goes where the question
        // came from: nothing follows from it here.
        if let Some(Frame::PathChallenge(cookie)) = datagram.frames().next() {
            if !self.is_over_budget(id, bytes) {
                self.send_stateless(path, session, &Frame::PathResponse(cookie), now);
            }
            return;
        }
        if self.peers.get(id).is_some_and(|peer| peer.path != path)
            && !self.follow(id, path, datagram, bytes, now)
        {
            return;
        }
        let carries = Carries::read(datagram);
        if self.is_over_budget(id, bytes) {
            return;
        }
        // What is sent once counts as heard with its acknowledgment. So all of it is, or nothing.
        let once = carries.once;
        let closing = self.peers.get(id).is_none_or(|peer| peer.closing.is_some());
        if once && (closing || self.holds_back(id, now.mono)) {
            return self.shed(id, now.mono);
        }
        let Some(link) = self.peers.get_mut(id).and_then(|peer| peer.link.as_datagrams()) else {
            return;
        };
        if link.receive(datagram, bytes, now.mono) {
            self.registry.heard(id, now.mono);
            // A heartbeat and padding, larger than those need to be that have messages in them.
            let path_probe = !carries.message && carries.idle <= 2 && bytes > BASE_DATAGRAM;
            if !(path_probe && self.is_due_path_probe(id, now.mono)) {
                self.charge_idle(id, carries.idle_tokens(), now.mono);
            }
            while once && self.handle_next(id, now) {}
            self.handle_messages(id, now);
        }
        if !self.end_if_due(id, now.mono) {
            self.touch(id);
        }
    }

    pub(super) fn is_on_datagrams(&self, id: PeerId) -> bool {
        self.peers.get(id).is_some_and(|peer| peer.stream.is_none())
    }

    /// A session appeared on another path. Nothing is done for it there until that path answered
    /// a challenge (RFC 9000 §8.2, §9.3). Says whether the datagram may be used now.
    fn follow(
        &mut self,
        id: PeerId,
        path: Path,
        datagram: &Datagram<'_>,
        bytes: usize,
        now: Now,
    ) -> bool {
        let session = datagram.header.session;
        let link = self.peers.get_mut(id).and_then(|peer| peer.link.as_datagrams());
        if !link.is_some_and(|link| link.is_newest(&datagram.header)) {
            return false;
        }
        let answered = datagram.frames().any(|frame| match frame {
            Frame::PathResponse(cookie) => {
                self.cookies.accepts_path(&cookie, &path, session, now.mono)
            }
            _ => false,
        });
        if answered {
            return self.relocate(id, path);
        }
        if bytes >= PATH_CHALLENGE_LEN {
            let cookie = self.cookies.issue_path(&path, session, now.mono);
            self.counters.challenges += 1;
            self.send_stateless(path, session, &Frame::PathChallenge(cookie), now);
        }
        false
    }

    /// The peer, or this server for it, is at another address now, and has proven it. False if too many
    /// peers are there already.
    pub(super) fn relocate(&mut self, id: PeerId, path: Path) -> bool {
        if !self.registry.relocate(id, path) {
            return false;
        }
        if let Some(peer) = self.peers.get_mut(id) {
            peer.path = path;
            if let Some(link) = peer.link.as_datagrams() {
                link.set_path(base_datagram(path.remote.is_ipv6()), self.now);
            }
        }
        if let Some(entry) = self.registry.entry(id) {
            let nickname = entry.nickname.to_string();
            self.events.push_back(Event::Moved { nickname, path });
        }
        true
    }

    /// Answers who has no session: once, and never many at a time.
    pub(super) fn send_stateless(&mut self, path: Path, session: u64, frame: &Frame<'_>, now: Now) {
        if !is_one(path) {
            self.counters.malformed += 1;
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

/// What a datagram has in it.
#[derive(Debug, Default)]
struct Carries {
    /// A message that is sent once.
    once: bool,
    /// Any message.
    message: bool,
    /// Frames without one.
    idle: usize,
}

impl Carries {
    fn read(datagram: &Datagram<'_>) -> Self {
        let mut carries = Self::default();
        for frame in datagram.frames() {
            match frame {
                Frame::Once { .. } | Frame::OncePart { .. } => {
                    (carries.once, carries.message) = (true, true);
                }
                Frame::Unordered { .. } | Frame::Ordered { .. } | Frame::Part { .. } => {
                    carries.message = true;
                }
                _ => carries.idle += 1,
            }
        }
        carries
    }

    /// What it costs beside its messages: a sign of life is one, and no sender has a use for more
    /// than three such frames in a datagram.
    fn idle_tokens(&self) -> usize {
        let sign_of_life = usize::from(self.idle > 0 && !self.message);
        sign_of_life + self.idle.saturating_sub(USEFUL_IDLE)
    }
}

/// Whether an answer would go to a single machine. The broadcast address of a subnet cannot be told
/// by looking at it; the kernel refuses to send there unless asked for leave, which nobody does.
fn is_one(path: Path) -> bool {
    let ip = path.remote.ip();
    let many = ip.is_multicast() || ip == IpAddr::V4(Ipv4Addr::BROADCAST) || ip.is_unspecified();
    !many && path.remote.port() != 0
}
