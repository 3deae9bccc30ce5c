//! One client of a load: this crate's session with the socket or connection that carries its bytes.
//! The counterpart of `client::app::driver`, without its threads and terminal.

use crate::client::quic::Connections;
use crate::client::reach;
use crate::client::session::{Event, Session};
use crate::net::{Clock, Datagrams, Reading, Stream, Watch, Written};
use crate::path::Path;
use crate::protocol::limits::MAX_DATAGRAM;
use crate::time::{Now, Timestamp};
use std::net::SocketAddr;

/// A session and its connections.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) session: Session,
    /// The established connection, or several that are being established.
    pub(super) connections: Vec<Connection>,
    /// QUIC, for a session over it.
    pub(super) quic: Option<Connections>,
    /// The time under which the fleet has scheduled this peer.
    pub(super) due: Option<Timestamp>,
}

/// A TCP connection, established or in progress.
#[derive(Debug)]
pub(super) struct Connection {
    server: SocketAddr,
    pub(super) stream: Stream,
    established: bool,
}

/// State that all peers share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) clock: Clock,
    pub(super) watch: Watch,
    /// One socket per peer, at its index; none over TCP.
    pub(super) datagrams: Datagrams,
    pub(super) no_delay: bool,
}

impl Peer {
    /// Calls `act` with the session, transmits, and appends to `events` what the fleet must handle.
    /// `index` is this peer's token at the poller.
    pub(super) fn with_session<R>(
        &mut self,
        index: usize,
        shared: &mut Shared,
        events: &mut impl Extend<(usize, Event, Now)>,
        act: impl FnOnce(&mut Session, Now) -> R,
    ) -> R {
        let now = shared.clock.now();
        let result = act(&mut self.session, now);
        self.transmit(index, shared, now);
        while let Some(event) = self.session.poll_event() {
            match event {
                // A run is short and its server does not move: no new lookup.
                Event::Resolve => {}
                Event::Connect(server) => match &mut self.quic {
                    Some(quic) => quic.connect(server, now.mono),
                    None => self.connect(index, server, shared, now),
                },
                Event::Disconnect => {
                    self.connections.clear();
                    self.quic.iter_mut().for_each(|quic| quic.disconnect(now.mono));
                }
                event => events.extend([(index, event, now)]),
            }
        }
        if let Some(quic) = &mut self.quic {
            quic.transmit(&mut self.session, &mut shared.datagrams, now);
            shared.datagrams.flush(now.mono);
        }
        result
    }

    /// Reads all that the connection has received.
    pub(super) fn receive_stream(
        &mut self,
        index: usize,
        shared: &mut Shared,
        events: &mut impl Extend<(usize, Event, Now)>,
        buffer: &mut Vec<u8>,
    ) {
        self.poll_connecting(index, shared, events);
        while let Some(open) = self.connection() {
            if open.stream.write(&[]) == Written::Whole {
                self.with_session(index, shared, events, Session::handle_stream_writable);
            }
            let Some(open) = self.connection() else { break };
            match open.stream.read(buffer) {
                Reading::Bytes => {
                    self.with_session(index, shared, events, |s, now| {
                        s.handle_stream_bytes(buffer, now)
                    });
                }
                Reading::Nothing => break,
                Reading::End => {
                    self.connections.clear();
                    self.with_session(index, shared, events, Session::handle_disconnected);
                }
            }
        }
    }

    /// Takes in a datagram.
    pub(super) fn receive_datagram(
        &mut self,
        index: usize,
        shared: &mut Shared,
        events: &mut impl Extend<(usize, Event, Now)>,
        (path, bytes): (Path, &[u8]),
    ) {
        let now = shared.clock.now().mono;
        if self.quic.as_mut().is_some_and(|quic| quic.take(path, bytes, now)) {
            self.report_quic(index, shared, events);
        } else {
            self.with_session(index, shared, events, |session, now| {
                session.handle_datagram(path.remote, bytes, now);
            });
        }
    }

    /// Tells the session what QUIC reports.
    pub(super) fn report_quic(
        &mut self,
        index: usize,
        shared: &mut Shared,
        events: &mut impl Extend<(usize, Event, Now)>,
    ) {
        while let Some(quic) = &mut self.quic
            && quic.step(&mut self.session, shared.clock.now())
        {
            self.with_session(index, shared, events, |_, _| ());
        }
    }

    /// The established connection.
    fn connection(&mut self) -> Option<&mut Connection> {
        self.connections.first_mut().filter(|open| open.established)
    }

    /// Checks the connections in progress; the first that is established is kept.
    fn poll_connecting(
        &mut self,
        index: usize,
        shared: &mut Shared,
        events: &mut impl Extend<(usize, Event, Now)>,
    ) {
        let mut at = 0;
        while let Some(open) = self.connections.get_mut(at).filter(|open| !open.established) {
            let server = open.server;
            match open.stream.is_connected() {
                Ok(false) => at += 1,
                Ok(true) => {
                    open.established = true;
                    self.connections.swap(0, at);
                    self.connections.truncate(1);
                    return self.with_session(index, shared, events, |s, now| {
                        s.handle_connected(server, now);
                    });
                }
                Err(error) => {
                    log::debug!("cannot connect to {server}: {error}");
                    self.connections.swap_remove(at);
                    let obstacle = reach::obstacle(&error);
                    self.with_session(index, shared, events, |s, now| {
                        s.handle_obstacle(server, obstacle, now);
                    });
                }
            }
        }
    }

    /// Begins a connection. The poller reports when it is established.
    fn connect(&mut self, index: usize, server: SocketAddr, shared: &mut Shared, now: Now) {
        let begun = Stream::connect(server).and_then(|mut stream| {
            stream.set_no_delay(shared.no_delay);
            shared.watch.add(&mut stream, index)?;
            Ok(stream)
        });
        match begun {
            Ok(stream) => {
                self.connections.push(Connection { server, stream, established: false });
            }
            Err(error) => {
                log::debug!("cannot connect to {server}: {error}");
                self.session.handle_obstacle(server, reach::local_obstacle(&error), now);
            }
        }
    }

    /// Sends all that the session has queued.
    fn transmit(&mut self, index: usize, shared: &mut Shared, now: Now) {
        let mut buffer = Vec::new();
        while let Some(to) = self.session.poll_transmit(&mut buffer, now) {
            let path = Path::routed(index, to);
            if !self.session.is_joining() || buffer.len() > MAX_DATAGRAM {
                shared.datagrams.send(&buffer, path, now.mono);
            } else if let Err(error) = shared.datagrams.try_send(&buffer, path, now.mono) {
                log::debug!("no join to {to}: {error}");
                self.session.handle_obstacle(to, reach::refused_send(to, &error), now);
            }
        }
        shared.datagrams.flush(now.mono);
        while let Some((path, bytes)) = shared.datagrams.poll_refused() {
            self.session.handle_refused_size(path.remote, bytes, now);
        }
        let open = self.connections.first_mut().filter(|open| open.established);
        let Some(open) = open else { return };
        while self.session.poll_stream_transmit(&mut buffer, now) {
            if open.stream.write(&buffer) == Written::Whole {
                self.session.handle_stream_writable(now);
            }
        }
    }
}
