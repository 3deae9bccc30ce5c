//! What members ask for: each client message, and what the room makes of it.

use super::{Event, Hub};
use crate::protocol::limits::{MAX_ABOUT, MAX_NAME, MAX_TEXT, tokens};
use crate::protocol::{
    ClientMessage, Delivery, LeaveReason, Nickname, ServerMessage, clean, decode_message,
    encode_message,
};
use crate::registry::PeerId;
use crate::time::{Now, Timestamp, WallTime, micros};
use std::borrow::Cow;

impl Hub {
    /// Carries out one message of a peer.
    pub(super) fn handle_message(&mut self, id: PeerId, payload: &[u8], now: Now) {
        if self.peers.get(id).is_none_or(|peer| peer.closing.is_some()) {
            return;
        }
        let message = decode_message(payload);
        let charged = match &message {
            Ok(ClientMessage::Leave { .. }) => true,
            // An answer is free, once. What answers nothing is passed on to nobody.
            Ok(ClientMessage::Pong { peer, number })
                if let Some(asker) = self.peers.numbered(*peer)
                    && self.answers(id, asker, *number, now.mono) =>
            {
                return self.room.pong(id, asker, *number);
            }
            _ => self.charge(id, tokens(payload.len()), now.mono),
        };
        if !charged {
            return;
        }
        match message {
            Ok(ClientMessage::Say { number, sent, text }) => {
                self.say(id, number, WallTime(sent), text, now.wall);
            }
            Ok(ClientMessage::Whisper { number, sent, to, text }) => {
                self.whisper(id, number, WallTime(sent), to, text, now.wall);
            }
            Ok(ClientMessage::Leave { next }) => {
                self.room.renumber(id, next);
                self.close(id, LeaveReason::Quit, "", now.mono);
            }
            Ok(ClientMessage::Deliver(delivery)) => {
                self.catch_up(id); // what was said so far, as it was wanted so far
                if let Some(peer) = self.peers.get_mut(id) {
                    peer.delivery = delivery;
                }
            }
            Ok(ClientMessage::Who { number }) => self.tell_who(id, number, now.mono),
            Ok(ClientMessage::Ping { number, to }) => {
                let to = self.peer_named(to);
                if let (Some(to), Some(asker)) = (to, self.peers.get_mut(id)) {
                    asker.allowance.ask(to, number, now.mono);
                }
                self.room.ping(id, to, number);
            }
            Ok(ClientMessage::Pong { .. }) => {}
            Err(error) => {
                self.counters.malformed += 1;
                log::debug!("ignored a message of peer {}: {error}", id.0);
            }
        }
    }

    fn say(&mut self, id: PeerId, number: u16, sent: WallTime, text: &str, now: WallTime) {
        if let Some(text) = self.acceptable(id, text)
            && let Some(line) = self.room.say(id, number, sent, &text, now)
        {
            self.counters.lines += 1;
            self.events.push_back(Event::Line(line));
        }
    }

    fn whisper(
        &mut self,
        id: PeerId,
        number: u16,
        sent: WallTime,
        to: &str,
        text: &str,
        now: WallTime,
    ) {
        let Some(text) = self.acceptable(id, text) else { return };
        let named = self.peer_named(to);
        let to = clean(to);
        let to = &to[..to.floor_char_boundary(MAX_NAME)];
        self.room.whisper(id, named.ok_or(to), number, sent, &text, now);
    }

    fn peer_named(&self, name: &str) -> Option<PeerId> {
        Nickname::parse(name).ok().and_then(|name| self.registry.named(&name.key()))
    }

    /// Tells a peer how the server and everybody is, as far as the queue to it has room: who asks more often than
    /// it can be told learns less.
    fn tell_who(&mut self, id: PeerId, number: u16, now: Timestamp) {
        let counters = &self.counters;
        let message = ServerMessage::Counters {
            number,
            received: counters.received,
            alien: counters.alien,
            other_version: counters.other_version,
            corrupt: counters.corrupt,
            malformed: counters.malformed,
            unknown_session: counters.unknown_session,
            unread: counters.unread,
            refused: counters.refused(),
            left_out: counters.overflowed,
        };
        self.catch_up(id);
        if let Some(asker) = self.peers.get_mut(id) {
            let message = encode_message(&message);
            // Where there is no room for it there is none for the others.
            let _ = asker.link.send(&message, Delivery::ReliableOrdered, None);
        }
        let here = self.peers.iter().filter(|(_, peer)| peer.closing.is_none());
        let here: Vec<_> = here.map(|(other, _)| other).take(MAX_ABOUT).collect();
        for (told, other) in here.iter().enumerate() {
            let (Some(peer), Some(entry)) = (self.peers.get(*other), self.registry.entry(*other))
            else {
                continue;
            };
            let stats = peer.link.stats();
            let message = ServerMessage::About {
                number,
                left: (here.len() - told - 1) as u16,
                peer: other.number(),
                nickname: entry.nickname.as_str(),
                transport: peer.transport(),
                delivery: peer.delivery,
                rtt_us: stats.rtt_smoothed.map_or(0, |rtt| saturated(micros(rtt))),
                silent_ms: saturated(micros(entry.silence(now)) / 1_000),
                sent: stats.sent_eliciting,
                lost: stats.sent_lost,
                received: stats.received,
                missing: stats.received_missing,
            };
            let message = encode_message(&message);
            let Some(asker) = self.peers.get_mut(id) else { return };
            if asker.link.send(&message, Delivery::ReliableOrdered, None).is_err() {
                break;
            }
        }
        self.touch(id);
    }

    /// The text as others may see it. A client cleans and splits what was typed; this is for those
    /// that do not.
    fn acceptable<'t>(&mut self, id: PeerId, text: &'t str) -> Option<Cow<'t, str>> {
        let text = clean(text);
        if !text.trim().is_empty() && text.len() <= MAX_TEXT {
            return Some(text);
        }
        self.counters.malformed += 1;
        let why = format!(
            "a line of yours was empty or longer than {MAX_TEXT} bytes: it was not passed on"
        );
        self.tell(id, &ServerMessage::Notice { text: &why });
        None
    }
}

fn saturated(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
