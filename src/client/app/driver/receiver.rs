//! The receiver thread: sleeps until data arrives or a timer is due, and handles both.

use super::{Connection, Connections, Driver, SOCKET, Turns};
use crate::client::reach;
use crate::client::session::Session;
use crate::net::{Incoming, Poller, Read, Reading, Ready, Written};
use crate::path::Path;
use crate::time::Now;
use std::io;
use std::time::Duration;

/// Datagrams per turn. Then the input thread and timers have their turn.
const BATCH: usize = 128;
/// Reads from a connection per turn, 16 KiB each.
const STREAM_READS: usize = 8;
/// Turns of reading that together exceed a receive buffer: afterwards everything that had arrived
/// before the first is read, and timers due by then run. So a flood of this port delays no
/// heartbeat.
const ROUNDS: u32 = 64;

/// State between turns.
#[derive(Debug)]
pub(super) struct Reader {
    incoming: Incoming,
    buffer: Vec<u8>,
    /// There may be more to read.
    more: bool,
    rounds: u32,
    /// Timers are compared with this time, before which everything was read.
    asked: Now,
}

impl Reader {
    pub(super) fn new(now: Now) -> Self {
        let (incoming, buffer) = Default::default();
        Self { incoming, buffer, more: false, rounds: 0, asked: now }
    }
}

impl Driver {
    /// Runs until the session is over.
    pub(super) fn receive(&self, mut poller: Poller) -> io::Result<()> {
        let mut ready = Ready::new();
        let mut reader = Reader::new(self.shared.clock.now());
        loop {
            if reader.rounds == 0 {
                reader.asked = self.shared.clock.now();
            }
            let deadline = {
                let mut turns = self.shared.turns.lock();
                if turns.session.is_closed() {
                    let now = self.shared.clock.now();
                    turns.disconnect(now);
                    turns.transmit(now);
                    return Ok(());
                }
                let quic = turns.quic.as_ref().and_then(Connections::poll_timeout);
                let deadlines =
                    [turns.session.poll_timeout(), turns.datagrams.poll_timeout(), quic];
                deadlines.into_iter().flatten().min()
            };
            let timeout = deadline.map(|deadline| self.shared.clock.until(deadline));
            let timeout = if reader.more { Some(Duration::ZERO) } else { timeout };
            poller.wait(timeout, &mut ready)?;
            self.shared.turns.turn(|turns| self.take_in(turns, &ready, &mut reader))?;
        }
    }

    /// Reads up to the bounds of a turn and, once everything or enough is read, runs due timers.
    fn take_in(&self, turns: &mut Turns, ready: &Ready, reader: &mut Reader) -> io::Result<()> {
        let now = self.shared.clock.now().mono;
        let read_on = std::mem::replace(&mut reader.more, true);
        for _ in 0..BATCH {
            match turns.datagrams.receive(SOCKET, &mut reader.incoming, now)? {
                None => {
                    reader.more = false;
                    break;
                }
                Some(Read::Datagram(path, bytes)) => self.take(turns, path, bytes),
                Some(Read::HeldBack) => {}
            }
        }
        while let Some((path, bytes)) = turns.datagrams.receive_due(now) {
            self.take(turns, path, &bytes);
        }
        self.report_quic(turns);
        while let Some((to, error)) = turns.datagrams.poll_error(SOCKET) {
            let obstacle = reach::obstacle(&error);
            self.turn_in(turns, |s, now| s.handle_obstacle(to, obstacle, now));
        }
        self.connect_further(turns, ready);
        if turns.connections.first().is_some_and(|it| read_on || ready.contains(&it.index)) {
            reader.more |= self.receive_stream(turns, &mut reader.buffer);
        }
        reader.rounds += 1;
        if !reader.more || reader.rounds >= ROUNDS {
            reader.rounds = 0;
            let asked = reader.asked;
            if let Some(quic) = &mut turns.quic {
                quic.handle_timeout(asked.mono);
            }
            self.report_quic(turns);
            self.turn_in(turns, |session, _| session.handle_timeout(asked));
        }
        Ok(())
    }

    /// Passes a datagram to QUIC or to the session.
    fn take(&self, turns: &mut Turns, path: Path, bytes: &[u8]) {
        let now = self.shared.clock.now().mono;
        if !turns.quic.as_mut().is_some_and(|quic| quic.take(path, bytes, now)) {
            self.turn_in(turns, |s, now| s.handle_datagram(path.remote, bytes, now));
        }
    }

    /// Checks pending connections: the first established one is kept.
    fn connect_further(&self, turns: &mut Turns, ready: &Ready) {
        for index in ready {
            let made = |it: &Connection| it.index == *index && !it.announced;
            let Some(at) = turns.connections.iter().position(made) else { continue };
            let server = turns.connections[at].server;
            match turns.connections[at].stream.is_connected() {
                Ok(false) => {}
                Ok(true) => {
                    let mut open = turns.connections.swap_remove(at);
                    open.announced = true;
                    turns.connections = vec![open];
                    self.turn_in(turns, |s, now| s.handle_connected(server, now));
                }
                Err(error) => {
                    log::debug!("cannot connect to {server}: {error}");
                    turns.connections.swap_remove(at);
                    let obstacle = reach::obstacle(&error);
                    self.turn_in(turns, |s, now| s.handle_obstacle(server, obstacle, now));
                }
            }
        }
    }

    /// Handles an event of the connection: writable, readable or closed. True when there may be
    /// more.
    fn receive_stream(&self, turns: &mut Turns, buffer: &mut Vec<u8>) -> bool {
        for _ in 0..STREAM_READS {
            let Some(open) = turns.connection() else { return false };
            if open.stream.write(&[]) == Written::Whole {
                self.turn_in(turns, Session::handle_stream_writable);
            }
            let Some(open) = turns.connection() else { return false };
            match open.stream.read(buffer) {
                Reading::Bytes => {
                    self.turn_in(turns, |s, now| s.handle_stream_bytes(buffer, now));
                }
                Reading::Nothing => return false,
                Reading::End => {
                    turns.connections.clear();
                    self.turn_in(turns, Session::handle_disconnected);
                }
            }
        }
        true
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::client::app::driver::tests::open;
    use crate::net::BadNetwork;
    use crate::protocol::limits::JOIN_DEADLINE;
    use std::net::{Ipv4Addr, UdpSocket};

    #[test]
    fn timers_and_input_run_during_a_flood() {
        flood_a_client(None);
    }

    #[test]
    fn timers_and_input_run_during_a_flood_with_impairment() {
        let spec = "down: loss 1%".parse().unwrap();
        flood_a_client(Some(&BadNetwork { spec, seed: 1 }));
    }

    fn flood_a_client(impair: Option<&BadNetwork>) {
        let stranger = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let (driver, _events, _poller) = open(&stranger, impair);
        let mut turns = driver.shared.turns.lock();
        let port = turns.datagrams.sockets().next().unwrap().local_addr().unwrap().port();
        let mut reader = Reader::new(driver.shared.clock.now());
        let flood = |count| {
            for _ in 0..count {
                stranger.send_to(b"?", (Ipv4Addr::LOCALHOST, port)).unwrap();
            }
        };
        flood(2 * BATCH - 1);
        for (more, rounds) in [(true, 1), (false, 0)] {
            driver.take_in(&mut turns, &Ready::new(), &mut reader).unwrap();
            assert_eq!((reader.more, reader.rounds), (more, rounds));
        }
        // The flood is as fast as the reader and endless: after some rounds timers run.
        let late = reader.asked.mono + JOIN_DEADLINE;
        for rounds in (1..ROUNDS).chain([0]) {
            flood(BATCH);
            reader.asked.mono = late;
            driver.take_in(&mut turns, &Ready::new(), &mut reader).unwrap();
            assert_eq!((reader.more, reader.rounds), (true, rounds));
            assert_eq!(turns.session.is_closed(), rounds == 0);
        }
    }
}
