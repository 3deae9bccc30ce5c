//! One client of the many: this crate's own session, and the socket or connection that carries its
//! bytes. What `client::driver` does with threads and a terminal, without either.

use crate::client::session::{Event, Session};
use crate::net::{Clock, Datagrams, Reading, Stream, Watch};
use crate::path::Path;
use crate::time::{Now, Timestamp};
use std::net::SocketAddr;

/// See the module.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) session: Session,
    pub(super) connection: Option<Connection>,
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
                Event::Disconnect => self.connection = None,
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
        while let Some(open) = &mut self.connection {
            if !open.announced && open.stream.is_connected() {
                open.announced = true;
                let server = open.server;
                self.turn(index, around, events, |s, now| s.handle_connected(server, now));
                continue;
            }
            if open.announced && open.stream.write(&[]) {
                self.turn(index, around, events, Session::handle_stream_writable);
            }
            let Some(open) = &mut self.connection else { break };
            match open.stream.read(buffer) {
                Reading::Bytes => {
                    self.turn(index, around, events, |s, now| s.handle_stream_bytes(buffer, now));
                }
                Reading::Nothing => break,
                Reading::End => {
                    self.connection = None;
                    self.turn(index, around, events, Session::handle_disconnected);
                }
            }
        }
    }

    /// Begins a connection in place of any other. The poller says when it is there.
    fn connect(&mut self, index: usize, server: SocketAddr, around: &mut Surroundings, now: Now) {
        self.connection = None;
        let begun = Stream::connect(server).and_then(|mut stream| {
            stream.set_no_delay(around.no_delay);
            around.watch.add(&mut stream, index)?;
            Ok(stream)
        });
        match begun {
            Ok(stream) => {
                self.connection = Some(Connection { server, stream, announced: false });
            }
            Err(error) => {
                log::debug!("cannot connect to {server}: {error}");
                self.session.handle_disconnected(now);
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
        let Some(open) = self.connection.as_mut().filter(|open| open.announced) else { return };
        while self.session.poll_stream_transmit(&mut buffer, now) {
            if open.stream.write(&buffer) {
                self.session.handle_stream_writable(now);
            }
        }
    }
}
