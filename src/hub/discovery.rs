//! Being found by those who look for servers near them (`proto.md` §7.12). Nothing is kept, one
//! answer leaves for one probe, it is never larger, and never goes to many.

use super::Hub;
use crate::path::Path;
use crate::protocol::limits::PROBE_SIZE;
use crate::protocol::{Datagram, Flags, Frame};
use crate::time::Now;

impl Hub {
    /// Takes in a datagram that came to the port for probes. Anything else there is ignored.
    pub fn handle_probe(&mut self, path: Path, bytes: &[u8], now: Now) {
        self.counters.received += 1;
        self.counters.received_bytes += bytes.len() as u64;
        let Some(port) = self.config.discovery.filter(|_| !self.shutting_down) else { return };
        let probe = Datagram::decode(bytes).ok().filter(|datagram| {
            let header = &datagram.header;
            header.session == 0 && !header.flags.contains(Flags::FROM_SERVER)
        });
        let first = probe.and_then(|datagram| datagram.frames().next());
        match first {
            Some(Frame::Probe { nonce }) if bytes.len() >= PROBE_SIZE => {
                let room = self.config.room.clone();
                let (server, peers) = (self.id, self.room.count());
                let found = Frame::Found { nonce, server, port, peers, room: &room };
                self.send_stateless(path, 0, &found, now);
            }
            _ => self.counters.malformed += 1,
        }
    }
}
