//! One client of the many: this crate's own session, and the socket or connection that carries its
//! bytes. What `client::driver` does with threads and a terminal, without either.

use crate::client::reach;
use crate::client::session::{Event, Session};
use crate::net::{Clock, Datagrams, Reading, Stream, Watch};
use crate::path::Path;
use crate::time::{Now, Timestamp};
use std::net::SocketAddr;

/// See the module.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) session: Session,
    /// One that is there, or several that are being made.
    pub(super) connections: Vec<Connection>,
    /// Under which moment the fleet has noted this peer.
    pub(super) due: Option<Timestamp>,
}

/// A connection, begun or there.
#[derive(Debug)]
pub(super) struct Connection {
    server: SocketAddr,
    stream: Stream,
    announced: bool,
}

/// What all peers share.
#[derive(Debug)]
pub(super) struct Surroundings {
    pub(super) clock: Clock,
    pub(super) watch: Watch,
    /// One socket for each peer, at its index; none over TCP.
    pub(super) datagrams: Datagrams,
    pub(super) no_delay: bool,
}

impl Peer {
    /// Does something with the session, sends what follows from it, and adds to `events` what the
    /// fleet has to know. `index` is this peer's at the poller.
    pub(super) fn turn<R>(
        &mut self,
        index: usize,
        around: &mut Surroundings,
        events: &mut impl Extend<(usize, Event, Now)>,
        act: impl FnOnce(&mut Session, Now) -> R,
    ) -> R {
        let now = around.clock.now();
        let result = act(&mut self.session, now);
        self.transmit(index, around, now);
        while let Some(event) = self.session.poll_event() {
            match event {
                // A run is short, and its server does not move.
                Event::Resolve => {}
                Event::Connect(server) => self.connect(index, server, around, now),
                Event::Disconnect => self.connections.clear(),
                event => events.extend([(index, event, now)]),
            }
        }
        result
    }

    /// Takes in all that the connection has for this peer.
    pub(super) fn receive_stream(
        &mut self,
        index: usize,
        around: &mut Surroundings,
        events: &mut impl Extend<(usize, Event, Now)>,
        buffer: &mut Vec<u8>,
    ) {
        self.connect_further(index, around, events);
        while let Some(open) = self.connection() {
            if open.stream.write(&[]) {
                self.turn(index, around, events, Session::handle_stream_writable);
            }
            let Some(open) = self.connection() else { break };
            match open.stream.read(buffer) {
                Reading::Bytes => {
                    self.turn(index, around, events, |s, now| s.handle_stream_bytes(buffer, now));
                }
                Reading::Nothing => break,
                Reading::End => {
                    self.connections.clear();
                    self.turn(index, around, events, Session::handle_disconnected);
                }
            }
        }
    }

    /// The connection that is there.
    fn connection(&mut self) -> Option<&mut Connection> {
        self.connections.first_mut().filter(|open| open.announced)
    }

    /// Looks what became of connections that are being made: the first that is there is kept.
    fn connect_further(
        &mut self,
        index: usize,
        around: &mut Surroundings,
        events: &mut impl Extend<(usize, Event, Now)>,
    ) {
        let mut at = 0;
        while let Some(open) = self.connections.get_mut(at).filter(|open| !open.announced) {
            let server = open.server;
            match open.stream.is_connected() {
                Ok(false) => at += 1,
                Ok(true) => {
                    open.announced = true;
                    self.connections.swap(0, at);
                    self.connections.truncate(1);
                    return self.turn(index, around, events, |s, now| {
                        s.handle_connected(server, now);
                    });
                }
                Err(error) => {
                    log::debug!("cannot connect to {server}: {error}");
                    self.connections.swap_remove(at);
                    let obstacle = reach::obstacle(&error, false);
                    self.turn(index, around, events, |s, now| {
                        s.handle_obstacle(server, obstacle, now);
                    });
                }
            }
        }
    }

    /// Begins a connection. The poller says when it is there.
    fn connect(&mut self, index: usize, server: SocketAddr, around: &mut Surroundings, now: Now) {
        let begun = Stream::connect(server).and_then(|mut stream| {
            stream.set_no_delay(around.no_delay);
            around.watch.add(&mut stream, index)?;
            Ok(stream)
        });
        match begun {
            Ok(stream) => {
                self.connections.push(Connection { server, stream, announced: false });
            }
            Err(error) => {
                log::debug!("cannot connect to {server}: {error}");
                self.session.handle_obstacle(server, reach::obstacle(&error, true), now);
            }
        }
    }

    /// Sends all that the session wants sent.
    fn transmit(&mut self, index: usize, around: &mut Surroundings, now: Now) {
        let mut buffer = Vec::new();
        while let Some(to) = self.session.poll_transmit(&mut buffer, now) {
            around.datagrams.send(&buffer, Path::routed(index, to), now.mono);
        }
        around.datagrams.flush(now.mono);
        while let Some((path, bytes)) = around.datagrams.poll_refused() {
            self.session.handle_refused_size(path.remote, bytes, now);
        }
        let open = self.connections.first_mut().filter(|open| open.announced);
        let Some(open) = open else { return };
        while self.session.poll_stream_transmit(&mut buffer, now) {
            if open.stream.write(&buffer) {
                self.session.handle_stream_writable(now);
            }
        }
    }
}
