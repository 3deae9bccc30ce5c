//! Messages for one peer: whispers, and the pings between two peers. None of them is in the log.

use super::{Kind, Recipients, Room, upstream};
use crate::protocol::{ServerMessage, Whisper};
use crate::registry::PeerId;
use crate::time::WallTime;

impl Room {
    /// Lines that a member has said in this session, modulo 2^16.
    #[must_use]
    pub(crate) fn lines_of(&self, peer: PeerId) -> u16 {
        self.members.get(peer).map_or(0, |member| member.next.wrapping_sub(member.first))
    }

    /// Delivers a whisper; `to` is the receiver, if the room has it.
    pub(crate) fn whisper(
        &mut self,
        peer: PeerId,
        to: Option<PeerId>,
        whisper: Whisper<'_>,
        now: WallTime,
    ) {
        let Whisper { number, sent, text, .. } = whisper;
        let Some(to) = to else { return self.not_here(peer, number, whisper.to) };
        let Some(nickname) = self.nickname(to).map(str::to_owned) else { return };
        if to != peer {
            self.pass_whisper(peer, to, now, upstream(now, sent), text);
        }
        self.whispered(peer, number, now, &nickname, text);
    }

    /// Delivers a whisper to its reader.
    pub(crate) fn pass_whisper(
        &mut self,
        from: PeerId,
        to: PeerId,
        at: WallTime,
        upstream: i32,
        text: &str,
    ) {
        let Some(nickname) = self.nickname(from).map(str::to_owned) else { return };
        self.introduce(from);
        let (at, peer, from) = (at.0, from.number(), &*nickname);
        let message = ServerMessage::Whisper { at, upstream, peer, from, text };
        self.post(Recipients::One(to), Kind::Control, &message);
    }

    /// Tells an author that its whisper is on its way to its reader.
    pub(crate) fn whispered(
        &mut self,
        peer: PeerId,
        number: u16,
        at: WallTime,
        to: &str,
        text: &str,
    ) {
        let message = ServerMessage::Whispered { number, at: at.0, to, text };
        self.post(Recipients::One(peer), Kind::Control, &message);
    }

    /// Tells an author that its whisper has no reader.
    pub(crate) fn not_here(&mut self, peer: PeerId, number: u16, to: &str) {
        let message = ServerMessage::NotHere { number, to };
        self.post(Recipients::One(peer), Kind::Control, &message);
    }

    /// Passes the ping of `peer` on to `to`, if the room has that nickname.
    pub(crate) fn ping(&mut self, peer: PeerId, to: Option<PeerId>, number: u16) {
        match to.filter(|to| self.members.contains(*to)) {
            Some(to) => {
                let message = ServerMessage::Pinged { peer: peer.number(), number };
                self.post(Recipients::One(to), Kind::Probe, &message);
            }
            None => {
                let message = ServerMessage::Ponged { number, from: "" };
                self.post(Recipients::One(peer), Kind::Probe, &message);
            }
        }
    }

    /// Passes the pong of `peer` on to `asker`.
    pub(crate) fn pong(&mut self, peer: PeerId, asker: PeerId, number: u16) {
        let Some(nickname) = self.nickname(peer).map(str::to_owned) else { return };
        let message = ServerMessage::Ponged { number, from: &nickname };
        self.post(Recipients::One(asker), Kind::Probe, &message);
    }
}
