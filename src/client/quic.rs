//! QUIC at a client: carries datagrams between the socket and `net::quic`, and the stream and
//! messages between `net::quic` and the session.

use super::session::Session;
use crate::client::reach;
use crate::link::{Congestion, QuicInfo};
use crate::net::Datagrams;
use crate::net::quic::{self, Event, Input, Quic, QuicError, Settings};
use crate::path::Path;
use crate::protocol::limits::SILENT;
use crate::ticket::Ticket;
use crate::time::{Now, Timestamp};
use std::net::SocketAddr;

/// The connections of one session.
#[derive(Debug)]
pub(crate) struct Connections {
    quic: Quic,
    /// Index of the session's socket.
    socket: usize,
    /// Handshakes under way, and their servers.
    pending: Vec<(u64, SocketAddr)>,
    /// The connection of the session, and its server.
    open: Option<u64>,
    server: Option<SocketAddr>,
    /// It may have something to read.
    readable: bool,
    buffer: Vec<u8>,
}

/// The settings of a client. The server's idle timeout is shorter, and counts (RFC 9000 §10.1).
fn settings(congestion: Congestion) -> Settings {
    Settings { idle: 4 * SILENT, congestion }
}

impl Connections {
    pub(crate) fn new(
        socket: usize,
        congestion: Congestion,
        now: Timestamp,
    ) -> Result<Self, QuicError> {
        let quic = Quic::client(settings(congestion), now)?;
        Ok(Self::of(quic, socket))
    }

    /// Connections to the private room of this ticket.
    pub(crate) fn private(
        socket: usize,
        congestion: Congestion,
        ticket: &Ticket,
        now: Timestamp,
    ) -> Result<Self, QuicError> {
        let quic = Quic::private_client(settings(congestion), ticket, now)?;
        Ok(Self::of(quic, socket))
    }

    fn of(quic: Quic, socket: usize) -> Self {
        let (pending, buffer) = Default::default();
        Self { quic, socket, pending, open: None, server: None, readable: false, buffer }
    }

    pub(crate) fn connect(&mut self, server: SocketAddr, now: Timestamp) {
        match self.quic.connect(server, now) {
            Ok(id) => self.pending.push((id, server)),
            Err(error) => log::debug!("cannot connect to {server}: {error}"),
        }
    }

    /// Closes all connections, pending ones too.
    pub(crate) fn disconnect(&mut self, now: Timestamp) {
        self.pending.clear();
        self.open = None;
        self.quic.abort_all(now);
    }

    /// Takes in a datagram if it is QUIC's.
    pub(crate) fn take(&mut self, path: Path, bytes: &[u8], now: Timestamp) -> bool {
        quic::is_quic(bytes) && self.quic.handle_datagram(path, bytes, now)
    }

    pub(crate) fn handle_timeout(&mut self, now: Timestamp) {
        self.quic.handle_timeout(now);
    }

    pub(crate) fn poll_timeout(&self) -> Option<Timestamp> {
        self.quic.poll_timeout()
    }

    pub(crate) fn info(&self) -> Option<QuicInfo> {
        self.quic.info(self.open?)
    }

    /// Tells the session the next thing that happened. False if there is none. After each, drain
    /// the session and [`Self::transmit`].
    pub(crate) fn step(&mut self, session: &mut Session, now: Now) -> bool {
        loop {
            if let Some(id) = self.open.filter(|_| self.readable) {
                match self.quic.read(id, &mut self.buffer, now.mono) {
                    Input::Bytes => session.handle_stream_bytes(&self.buffer, now),
                    Input::Message => session.handle_stream_message(&self.buffer, now),
                    Input::End => {
                        self.disconnect(now.mono);
                        session.handle_disconnected(now);
                    }
                    Input::Nothing => {
                        self.readable = false;
                        continue;
                    }
                }
                return true;
            }
            let Some(event) = self.quic.poll_event() else { return false };
            match event {
                Event::Connected(id) => {
                    let Some(server) = self.establish(id, now.mono) else { continue };
                    session.handle_connected(server, now);
                }
                Event::Failed(id, why) => {
                    log::debug!("no QUIC connection: {why}");
                    let at = self.pending.iter().position(|(pending, _)| *pending == id);
                    let server = match at.map(|at| self.pending.swap_remove(at)) {
                        Some((_, server)) => Some(server),
                        None => self.server.filter(|_| self.open == Some(id)),
                    };
                    let (Some(server), Some(obstacle)) = (server, reach::refused_ticket(&why))
                    else {
                        continue;
                    };
                    session.handle_obstacle(server, obstacle, now);
                }
                Event::Readable(id) => {
                    self.readable |= self.open == Some(id);
                    continue;
                }
                Event::Written(id) if self.open == Some(id) => session.handle_stream_writable(now),
                Event::MessageTaken(id) if self.open == Some(id) => {
                    session.handle_message_taken(now);
                }
                _ => continue,
            }
            return true;
        }
    }

    /// The handshake is complete. The first one is kept, the others are dropped.
    fn establish(&mut self, id: u64, now: Timestamp) -> Option<SocketAddr> {
        let at = self.pending.iter().position(|(pending, _)| *pending == id)?;
        let (_, server) = self.pending.swap_remove(at);
        for (other, _) in self.pending.drain(..) {
            self.quic.close(other, now);
        }
        (self.open, self.server, self.readable) = (Some(id), Some(server), true);
        Some(server)
    }

    /// Sends what the session has to say, and the packets that are due.
    pub(crate) fn transmit(&mut self, session: &mut Session, datagrams: &mut Datagrams, now: Now) {
        let Self { quic, open, buffer, .. } = self;
        if let Some(id) = *open {
            while session.poll_stream_transmit(buffer, now) {
                if quic.write(id, buffer) {
                    session.handle_stream_writable(now);
                }
            }
            while let Some(delivery) = session.poll_stream_message(buffer, now) {
                if quic.send_message(id, delivery, buffer) {
                    session.handle_message_taken(now);
                }
            }
        }
        while let Some(path) = quic.poll_transmit(buffer, now.mono) {
            let path = Path::routed(self.socket, path.remote);
            if !session.is_joining() {
                datagrams.send(buffer, path, now.mono);
            } else if let Err(error) = datagrams.try_send(buffer, path, now.mono) {
                let obstacle = reach::refused_send(path.remote, &error);
                session.handle_obstacle(path.remote, obstacle, now);
            }
        }
    }
}
