//! Answers to `Who`: how the server is, and how each peer is.

use super::Hub;
use crate::protocol::limits::MAX_ABOUT;
use crate::protocol::{About, Delivery, ServerMessage, encode_message};
use crate::registry::PeerId;
use crate::time::{Timestamp, micros};

impl Hub {
    /// Tells a peer how the server and everybody is, as far as the queue to it has room: a peer
    /// that asks more often than it can be told learns less.
    pub(super) fn tell_who(&mut self, id: PeerId, number: u16, now: Timestamp) {
        let server = self.counters().to_wire();
        let message = ServerMessage::Counters { number, server };
        let Some(mut asker) = self.peers.touch(id) else { return };
        self.outgoing.catch_up(&mut asker, self.now);
        // A queue without room for this has none for the answers below.
        let _ = asker.link.send(&encode_message(&message), Delivery::ReliableOrdered, None);
        let here = self.peers.iter().filter(|peer| !peer.is_closing()).map(|peer| peer.id);
        let here: Vec<_> = here.take(MAX_ABOUT).collect();
        for (told, other) in here.iter().enumerate() {
            let (Some(peer), Some(entry)) = (self.peers.get(*other), self.registry.entry(*other))
            else {
                continue;
            };
            let stats = peer.link.stats();
            let message = ServerMessage::About(About {
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
            });
            let message = encode_message(&message);
            let Some(mut asker) = self.peers.get_mut(id) else { return };
            if asker.link.send(&message, Delivery::ReliableOrdered, None).is_err() {
                break;
            }
        }
    }
}

fn saturated(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
