//! Answers to clients that look for a server nearby (`proto.md` §7.12). The hub keeps nothing of a
//! probe. It sends one answer, which is no larger, and never to a broadcast or multicast address.

use super::Hub;
use crate::path::Path;
use crate::protocol::limits::PROBE_SIZE;
use crate::protocol::{Datagram, Flags, Frame};
use crate::time::Now;

impl Hub {
    /// Takes in a datagram that came to the port for probes. Only a probe is answered there.
    pub fn handle_probe(&mut self, path: Path, bytes: &[u8], now: Now) {
        self.counters.wire.received += 1;
        self.counters.received_bytes += bytes.len() as u64;
        let Some(port) = self.config.discovery.filter(|_| !self.shutting_down) else { return };
        let probe = Datagram::decode(bytes).ok().filter(|datagram| {
            let header = &datagram.header;
            header.session == 0 && !header.flags.contains(Flags::FROM_SERVER)
        });
        let first = probe.and_then(|datagram| datagram.frames().next());
        match first {
            Some(Frame::Probe { nonce }) if bytes.len() >= PROBE_SIZE => {
                let (server, private) = (self.id, self.private);
                let room = if private { String::new() } else { self.config.room.clone() };
                let peers = if private { 0 } else { self.room.count() };
                let found = Frame::Found { nonce, server, port, peers, room: &room };
                self.answer(path, 0, &found, now);
            }
            _ => self.counters.wire.malformed += 1,
        }
    }
}
