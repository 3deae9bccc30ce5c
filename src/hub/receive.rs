//! From datagrams and stream bytes to messages, and from messages to the room: which session sent
//! a message, whether the peer may speak now, and which function of the room handles it.

use super::allowance::Charge;
use super::peer::Peer;
use super::peers::PeerMut;
use super::pressure::{Level, Pressure};
use super::{Event, Hub};
use crate::link::Received;
use crate::path::Path;
use crate::protocol::limits::{BASE_DATAGRAM, FREE_FRAMES, MAX_NAME, MAX_TEXT, tokens};
use crate::protocol::{
    ClientMessage, Datagram, DecodeError, Flags, Frame, Invariant, LeaveReason, Nickname, Say,
    ServerMessage, Whisper, clean, clip, decode_message,
};
use crate::registry::PeerId;
use crate::time::{Now, Timestamp};
use std::borrow::Cow;

impl Hub {
    /// Takes in a datagram. Nothing in it can make the hub fail.
    pub fn handle_datagram(&mut self, path: Path, bytes: &[u8], now: Now) {
        self.observe(now.mono);
        self.counters.wire.received += 1;
        self.counters.received_bytes += bytes.len() as u64;
        self.cookies.renew(&mut self.rng, now.mono);
        let datagram = match Datagram::decode(bytes) {
            Ok(datagram) => datagram,
            Err(error) => return self.handle_undecodable(path, bytes, error, now),
        };
        if datagram.header.flags.contains(Flags::FROM_SERVER) {
            self.counters.wire.malformed += 1; // a reply is never replied to
        } else if datagram.header.session == 0 {
            self.handle_handshake(path, &datagram, bytes.len(), now);
        } else {
            self.handle_session(path, &datagram, bytes.len(), now);
        }
        self.deliver_posts();
    }

    fn handle_undecodable(&mut self, path: Path, bytes: &[u8], error: DecodeError, now: Now) {
        let counter = match error {
            DecodeError::TooShort(_) | DecodeError::TooLong | DecodeError::Magic(_) => {
                &mut self.counters.wire.alien
            }
            DecodeError::Version(_) => &mut self.counters.wire.other_version,
            DecodeError::Checksum { .. } => &mut self.counters.wire.corrupt,
            DecodeError::Flags(_) | DecodeError::Malformed(_) | DecodeError::NotCanonical(_) => {
                &mut self.counters.wire.malformed
            }
        };
        *counter += 1;
        log::debug!("dropped a datagram of {} bytes from {}: {error}", bytes.len(), path.remote);
        if let (DecodeError::Version(_), Some(invariant)) = (error, Invariant::read(bytes)) {
            self.refuse_version(path, &invariant, bytes.len(), now);
        }
    }

    /// Takes in a datagram of a session.
    fn handle_session(&mut self, path: Path, datagram: &Datagram<'_>, bytes: usize, now: Now) {
        let session = datagram.header.session;
        let peer = self.peers.of_session(session).filter(|peer| peer.stream.is_none());
        let Some(mut peer) = peer else {
            self.counters.wire.unknown_session += 1;
            // A datagram with a frame is at least as long as this answer. A bare acknowledgment
            // gets none.
            if datagram.frames().next().is_some() {
                self.answer(path, session, &Frame::Reset, now);
            }
            return;
        };
        // Alone in its datagram, outside the sequence. The answer is as long, goes to the source
        // address, and changes nothing here (`proto.md` §7.7).
        if let Some(Frame::PathChallenge(cookie)) = datagram.frames().next() {
            if peer.allowance.takes_bytes(bytes, self.turn) {
                self.answer(path, session, &Frame::PathResponse(cookie), now);
            }
            return;
        }
        let id = peer.id;
        if peer.path != path {
            if !self.follow(id, path, datagram, bytes, now) {
                return;
            }
            let Some(moved) = self.peers.get_mut(id) else { return };
            peer = moved;
        }
        if !peer.allowance.takes_bytes(bytes, self.turn) {
            return;
        }
        let carries = Carries::read(datagram);
        // The acknowledgment of a datagram confirms its messages that are sent once. So the hub
        // reads all of the datagram now, or none of it.
        if carries.once
            && (peer.is_closing() || holds_back(&self.outgoing.pressure, &mut peer, now.mono))
        {
            let pressure = &self.outgoing.pressure;
            let wait = pressure.over(pressure.level(now.mono), now.mono).since(now.mono);
            return self.outgoing.slow_down(&mut peer, wait, now.mono);
        }
        let Some(link) = peer.link.as_datagrams() else { return };
        if link.receive(datagram, bytes, now.mono) {
            self.registry.heard(id, now.mono);
            let is_path_probe = carries.is_path_probe(bytes);
            if !(is_path_probe && peer.allowance.takes_path_probe(now.mono)) {
                self.charge_idle(id, carries.idle_tokens(), now.mono);
            }
            while carries.once && self.handle_next(id, now) {}
            self.handle_messages(id, now);
        }
        self.advance(id, now.mono);
    }

    /// Takes in bytes of a peer's connection.
    pub(super) fn handle_peer_bytes(&mut self, id: PeerId, bytes: &[u8], now: Now) {
        self.registry.heard(id, now.mono);
        let Some(mut peer) = self.peers.get_mut(id) else { return };
        let Some(link) = peer.link.as_stream() else { return };
        let outcome = link.receive(bytes, now.mono);
        let idle = link.take_idle();
        self.charge_idle(id, idle, now.mono);
        self.handle_messages(id, now);
        if let Err(error) = outcome {
            self.counters.wire.malformed += 1;
            log::debug!("the stream of peer {} breaks the protocol: {error}", id.0);
            self.lose(id, now.mono);
        } else {
            self.advance(id, now.mono);
        }
    }

    /// Takes in a message beside the stream of a peer's connection.
    pub(super) fn handle_peer_message(&mut self, id: PeerId, bytes: &[u8], now: Now) {
        self.registry.heard(id, now.mono);
        let Some(mut peer) = self.peers.get_mut(id) else { return };
        let Some(link) = peer.link.as_stream() else { return };
        if let Err(error) = link.receive_apart(bytes) {
            self.counters.wire.malformed += 1;
            log::debug!("a message of peer {} breaks the protocol: {error}", id.0);
            return self.lose(id, now.mono);
        }
        let idle = link.take_idle();
        self.charge_idle(id, idle, now.mono);
        self.handle_messages(id, now);
        self.advance(id, now.mono);
    }

    /// Handles the messages that a peer's link received, until pressure holds the peer back.
    fn handle_messages(&mut self, id: PeerId, now: Now) {
        while let Some(mut peer) = self.peers.get_mut(id)
            && peer.link.has_received()
            && !holds_back(&self.outgoing.pressure, &mut peer, now.mono)
            && let Some(received) = peer.link.poll_received()
        {
            self.handle_received(id, &received, now);
            self.deliver_posts();
        }
    }

    /// Handles the next message that a peer's link received. Returns whether there was one.
    fn handle_next(&mut self, id: PeerId, now: Now) -> bool {
        let received = self.peers.get_mut(id).and_then(|mut peer| peer.link.poll_received());
        received.as_ref().inspect(|it| self.handle_received(id, it, now));
        self.deliver_posts();
        received.is_some()
    }

    /// Reads the peers that are held back, one message of each in turn, as far as pressure allows.
    pub(super) fn read_on(&mut self, now: Now) {
        let mut left = self.peers.held().len();
        while left > 0
            && self.outgoing.pressure.level(now.mono) != Level::All
            && let Some(mut peer) = self.peers.next_held()
        {
            left -= 1;
            let id = peer.id;
            self.registry.heard(id, now.mono);
            if holds_back(&self.outgoing.pressure, &mut peer, now.mono) {
                continue;
            }
            self.handle_next(id, now);
            let Some(mut peer) = self.peers.touch(id) else { continue };
            if let Some(link) = peer.link.as_datagrams() {
                link.acknowledge_now(now.mono); // its window is larger
            }
            if peer.link.has_received() {
                peer.hold();
                left += 1;
            }
        }
    }

    /// When to call `read_on` next.
    pub(super) fn held_until(&self, now: Timestamp) -> Option<Timestamp> {
        let held = self.peers.held();
        if held.len() == 0 {
            return None;
        }
        let level = self.outgoing.pressure.level(now);
        let over = self.outgoing.pressure.over(level, now);
        match level {
            Level::Off => Some(Timestamp::ZERO),
            Level::All => Some(over),
            Level::AboveLimit => {
                let turn = held.flatten().map(|peer| peer.allowance.ready()).min()?;
                Some(turn.min(over))
            }
        }
    }

    /// Handles one message of a peer, and reports the wait of a line.
    fn handle_received(&mut self, id: PeerId, received: &Received, now: Now) {
        let before = self.events.len();
        let is_stream = self.peers.get(id).is_some_and(|peer| peer.stream.is_some());
        self.handle_message(id, &received.payload, now);
        if self.reports_waits
            && self.events.len() > before
            && let Some(Event::Line(line)) = self.events.back()
        {
            let time = (!is_stream).then_some(received.held);
            self.events.push_back(Event::Waited(line.clone(), time));
        }
    }

    /// Handles one message of a peer.
    pub(super) fn handle_message(&mut self, id: PeerId, payload: &[u8], now: Now) {
        if self.peers.get(id).is_none_or(Peer::is_closing) {
            return;
        }
        let message = decode_message(payload);
        // The first answer to a ping is free. The hub charges and drops any other.
        if let Ok(ClientMessage::Pong { peer: asker, number }) = message
            && let Some(mut asker) = self.peers.numbered(asker)
            && asker.allowance.answered(id, number, now.mono)
        {
            let asker = asker.id;
            return self.room.pong(id, asker, number);
        }
        if let Ok(ClientMessage::Pong { peer: asker, number }) = message
            && self.engine.is_some()
            && self.pong_elsewhere(id, asker, number)
        {
            return;
        }
        if !matches!(message, Ok(ClientMessage::Leave { .. }))
            && let Some(mut peer) = self.peers.get_mut(id)
        {
            let charge = peer.allowance.charge(tokens(payload.len()), now.mono);
            if !self.carry_out(id, charge, now.mono) {
                return;
            }
        }
        match message {
            Ok(ClientMessage::Say(say)) => self.say(id, say, now),
            Ok(ClientMessage::Whisper(whisper)) => self.whisper(id, whisper, now),
            Ok(ClientMessage::Leave { next }) => {
                self.room.renumber(id, next);
                self.close(id, LeaveReason::Quit, "", now.mono);
            }
            Ok(ClientMessage::Deliver(delivery)) => {
                if let Some(mut peer) = self.peers.get_mut(id) {
                    // Earlier lines keep the earlier mode.
                    self.outgoing.catch_up(&mut peer, self.now);
                    peer.delivery = delivery;
                }
            }
            Ok(ClientMessage::Who { number }) => self.tell_who(id, number, now.mono),
            Ok(ClientMessage::Ping { number, to }) => {
                let to = self.peer_named(to);
                if let (Some(to), Some(mut asker)) = (to, self.peers.get_mut(id)) {
                    asker.allowance.ask(to, number, now.mono);
                }
                match to.filter(|to| self.is_elsewhere(*to)) {
                    Some(to) => self.ping_elsewhere(id, to, number),
                    None => self.room.ping(id, to, number),
                }
            }
            Ok(ClientMessage::Pong { .. }) => {}
            Ok(ClientMessage::Moderate { order }) => self.moderate(id, order, now.mono),
            Ok(ClientMessage::Rename { nickname }) => self.rename(id, nickname, now.mono),
            Err(error) => {
                self.counters.wire.malformed += 1;
                log::debug!("ignored a message of peer {}: {error}", id.0);
            }
        }
    }

    fn say(&mut self, id: PeerId, say: Say<'_>, now: Now) {
        if self.is_muted(id, say.number, false, now.mono) {
            return;
        }
        let Some(text) = self.acceptable(id, say.text) else { return };
        if self.engine.is_some() {
            self.propose(id, Say { text: &text, ..say }, now);
        } else if let Some(line) = self.room.say(id, Say { text: &text, ..say }, now.wall) {
            self.counters.lines += 1;
            self.events.push_back(Event::Line(line));
        }
    }

    fn whisper(&mut self, id: PeerId, whisper: Whisper<'_>, now: Now) {
        if self.is_muted(id, whisper.number, true, now.mono) {
            return;
        }
        let Some(text) = self.acceptable(id, whisper.text) else { return };
        let named = self.peer_named(whisper.to);
        let to = clean(whisper.to);
        let whisper = Whisper { to: clip(&to, MAX_NAME), text: &text, ..whisper };
        match named.filter(|to| self.is_elsewhere(*to)) {
            Some(to) => self.whisper_elsewhere(id, to, whisper, now),
            None => self.room.whisper(id, named, whisper, now.wall),
        }
    }

    /// Whether a member is at another server.
    fn is_elsewhere(&self, id: PeerId) -> bool {
        self.engine.as_deref().is_some_and(|engine| engine.is_elsewhere(id))
    }

    fn peer_named(&self, name: &str) -> Option<PeerId> {
        Nickname::parse(name).ok().and_then(|name| self.registry.named(&name.key()))
    }

    /// The text as others may see it. Clients of this project clean and split lines themselves.
    fn acceptable<'t>(&mut self, id: PeerId, text: &'t str) -> Option<Cow<'t, str>> {
        let text = clean(text);
        if !text.trim().is_empty() && text.len() <= MAX_TEXT {
            return Some(text);
        }
        self.counters.wire.malformed += 1;
        let why = format!(
            "a line of yours was empty or longer than {MAX_TEXT} bytes: it was not passed on"
        );
        if let Some(mut peer) = self.peers.get_mut(id) {
            self.outgoing.tell(&mut peer, &ServerMessage::Notice { text: &why }, self.now);
        }
        None
    }

    /// Charges a peer for signs of life. One in half a heartbeat interval is free.
    fn charge_idle(&mut self, id: PeerId, tokens: usize, now: Timestamp) {
        if tokens > 0
            && let Some(mut peer) = self.peers.get_mut(id).filter(|peer| !peer.is_closing())
        {
            let charge = peer.allowance.charge_idle(tokens, self.config.heartbeat / 2, now);
            self.carry_out(id, charge, now);
        }
    }

    /// Slows or drops a peer after a charge. Returns whether the peer stays.
    fn carry_out(&mut self, id: PeerId, charge: Charge, now: Timestamp) -> bool {
        match charge {
            Charge::Paid => {}
            Charge::Owing(wait) => {
                if let Some(mut peer) = self.peers.get_mut(id) {
                    self.outgoing.slow_down(&mut peer, wait, self.now);
                }
            }
            Charge::Flooding(limit) => {
                self.counters.flooders += 1;
                log::info!("peer {} exceeds its limit and does not wait: dropped", id.0);
                let detail = format!(
                    "dropped for flooding: {} lines at once and {} a second are the limit here",
                    limit.burst(),
                    limit.rate()
                );
                self.close(id, LeaveReason::Flood, &detail, now);
                return false;
            }
        }
        true
    }
}

/// Whether pressure leaves a peer's next message unread. If so, the peer waits for its turn.
fn holds_back(pressure: &Pressure, peer: &mut PeerMut<'_>, now: Timestamp) -> bool {
    let held = match pressure.level(now) {
        Level::Off => false,
        Level::AboveLimit => !peer.allowance.is_within_limit(now),
        Level::All => true,
    };
    if held {
        peer.hold();
    }
    held
}

/// The contents of a datagram.
#[derive(Debug, Default)]
struct Carries {
    /// A message that is sent once.
    once: bool,
    /// Any message.
    message: bool,
    /// The number of frames without a message.
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

    /// Whether it is a heartbeat with padding, larger than a datagram without messages has to be.
    fn is_path_probe(&self, bytes: usize) -> bool {
        !self.message && self.idle <= 2 && bytes > BASE_DATAGRAM
    }

    /// Tokens beside those of its messages: one for a sign of life, and one for each frame above
    /// `FREE_FRAMES`.
    fn idle_tokens(&self) -> usize {
        let sign_of_life = usize::from(self.idle > 0 && !self.message);
        sign_of_life + self.idle.saturating_sub(FREE_FRAMES)
    }
}
