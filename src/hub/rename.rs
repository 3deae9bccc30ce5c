//! Peers that ask for another nickname.

use super::handshake::Denial;
use super::{Event, Hub};
use crate::protocol::{Nickname, Refusal, ServerMessage};
use crate::registry::PeerId;
use crate::time::Timestamp;

impl Hub {
    /// Gives a peer another nickname, or tells the peer why not.
    pub(super) fn rename(&mut self, id: PeerId, raw: &str, now: Timestamp) {
        let Err(Denial { reason, detail }) = self.try_rename(id, raw, now) else { return };
        if let Some(mut peer) = self.peers.get_mut(id) {
            let refused = ServerMessage::NotRenamed { reason, detail: &detail };
            self.outgoing.tell(&mut peer, &refused, now);
        }
    }

    fn try_rename(&mut self, id: PeerId, raw: &str, now: Timestamp) -> Result<(), Denial> {
        // The engine gives a name for as long as a peer has its seat.
        if self.engine.is_some() {
            let detail =
                "names do not change in a room with several servers: leave, and join again";
            return Err(Denial::new(Refusal::Unavailable, detail));
        }
        let nickname = Nickname::parse(super::handshake::bounded(raw))
            .map_err(|error| Denial::new(Refusal::NameNotAllowed, &error.to_string()))?;
        self.registry
            .rename(id, &nickname, now)
            .map_err(|why| Denial::unavailable(why, &nickname))?;
        if let Some(from) = self.room.rename(id, nickname.as_str())
            && from != nickname.as_str()
        {
            self.events.push_back(Event::Renamed { from, to: nickname.to_string() });
        }
        Ok(())
    }
}
