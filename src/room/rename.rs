//! Members whose names change.

use super::{Kind, Recipients, Room};
use crate::protocol::ServerMessage;
use crate::registry::PeerId;

impl Room {
    /// Gives a member another name, and tells everybody that knows the member. Returns the name
    /// before.
    pub(crate) fn rename(&mut self, peer: PeerId, nickname: &str) -> Option<String> {
        // Clients may tell peers apart by name, so a departed peer with this one leaves first.
        self.announce_predecessor(nickname);
        let member = self.members.get_mut(peer)?;
        let from = std::mem::replace(&mut member.nickname, nickname.to_owned());
        // A later announcement of its arrival has the new name.
        let is_known = member.unannounced.is_none() && from != nickname;
        self.digest = None;
        let to = if is_known { Recipients::All } else { Recipients::One(peer) };
        let renamed = ServerMessage::Renamed { peer: peer.number(), from: &from, to: nickname };
        self.post(to, Kind::Control, &renamed);
        Some(from)
    }
}
