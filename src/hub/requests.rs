//! What members ask for: each client message, and what the room makes of it.

use super::{Event, Hub};
use crate::protocol::limits::{MAX_NAME, MAX_TEXT};
use crate::protocol::{ClientMessage, LeaveReason, Nickname, clean, decode_message};
use crate::registry::PeerId;
use crate::room::{Kind, Post, Recipients};
use crate::time::{Now, WallTime};
use std::borrow::Cow;

impl Hub {
    /// Carries out one message of a peer.
    pub(super) fn handle_message(&mut self, id: PeerId, payload: &[u8], now: Now) {
        if self.peers.get(&id).is_none_or(|peer| peer.closing.is_some()) {
            return;
        }
        match decode_message(payload) {
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
                if let Some(peer) = self.peers.get_mut(&id) {
                    peer.delivery = delivery;
                }
            }
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
        let named = Nickname::parse(to).ok().and_then(|name| self.registry.named(&name.key()));
        let to = clean(to);
        let to = &to[..to.floor_char_boundary(MAX_NAME)];
        self.room.whisper(id, named.ok_or(to), number, sent, &text, now);
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
        let message = crate::protocol::ServerMessage::Notice { text: &why };
        let payload = crate::protocol::encode_message(&message).into();
        self.deliver(id, &Post { to: Recipients::One(id), kind: Kind::Control, payload });
        None
    }
}
