//! The client's side of a connection of TCP or QUIC: the handshake until the server's preface, then
//! a stream link.

use super::established::Established;
use super::rejoin::First;
use super::{CloseReason, Event, Notice, Session, Transport};
use crate::link::{Channel, Role, StreamLink};
use crate::protocol::limits::{INITIAL_HEARTBEAT, MAX_QUEUE_BYTES, MESSAGE_WINDOW};
use crate::protocol::{
    DecodeError, Delivery, Flags, Frame, Join, Piece, Preface, StreamReader, write_record,
};
use crate::time::Now;
use std::net::SocketAddr;

/// A connection whose server has not admitted this client.
#[derive(Debug)]
pub(super) struct Connection {
    server: SocketAddr,
    reader: StreamReader,
    outgoing: Vec<u8>,
}

impl Connection {
    pub(super) fn server(&self) -> SocketAddr {
        self.server
    }
}

impl Session {
    /// A connection requested by [`Event::Connect`] is established; all others were dropped.
    pub fn handle_connected(&mut self, server: SocketAddr, now: Now) {
        let Some(attempt) = &mut self.attempt else { return };
        attempt.connected(&mut self.rng, self.targets.len() > 1, now.mono);
        if self.config.transport == Transport::Quic {
            attempt.greeted(); // the handshake names this protocol
        }
        attempt.ask(server);
        let mut outgoing = Preface { flags: Flags::default(), session: 0 }.encode().to_vec();
        let nonce = attempt.nonce;
        let resume = self.token.as_ref().or(self.claim.as_ref());
        let join = self.config.join(resume, self.last_seen(), self.own.next_unsent());
        write_record(&Frame::Join(Join { nonce, ..join }), &mut outgoing);
        self.connection = Some(Connection { server, reader: StreamReader::default(), outgoing });
        self.early = Default::default();
    }

    /// Takes bytes of the connection.
    pub fn handle_stream_bytes(&mut self, bytes: &[u8], now: Now) {
        if self.closed {
            return;
        }
        if let Some(connection) = self.connection.take() {
            self.handle_hello(connection, bytes, now);
        } else {
            self.handle_link_bytes(bytes, now);
        }
        self.take_early(now);
        self.send_waiting(now.mono);
    }

    /// Takes a message that came beside the stream. Those that overtake `Welcome` wait for it.
    pub fn handle_stream_message(&mut self, bytes: &[u8], now: Now) {
        if self.closed {
            return;
        }
        let (early, length) = &mut self.early;
        *length += bytes.len();
        early.push(bytes.to_vec());
        if *length > MAX_QUEUE_BYTES || early.len() > MESSAGE_WINDOW as usize {
            log::debug!("too much came before the welcome");
            return self.hang_up(now);
        }
        self.take_early(now);
        self.send_waiting(now.mono);
    }

    /// Handles the messages beside the stream, once this client is welcome.
    fn take_early(&mut self, now: Now) {
        let welcome = self.established.as_ref().is_some_and(|e| e.pending.is_none());
        if self.early.0.is_empty() || !welcome {
            return;
        }
        self.note_sign_of_life(now);
        let (messages, _) = std::mem::take(&mut self.early);
        let link = self.established.as_mut().and_then(|e| e.link.as_stream());
        let Some(link) = link else { return };
        let outcome: Result<(), _> = messages.iter().try_for_each(|it| link.receive_apart(it));
        self.handle_messages(now);
        if let Err(error) = outcome
            && !self.closed
        {
            log::debug!("a message beside the stream makes no sense: {error}");
            self.hang_up(now);
        }
    }

    /// The transport took the message beside the stream.
    pub fn handle_message_taken(&mut self, now: Now) {
        let link = self.established.as_mut().and_then(|e| e.link.as_stream());
        if let Some(link) = link {
            link.handle_message_taken(now.mono);
        }
    }

    /// Puts the next message beside the stream into `buffer`, and returns how it travels.
    pub fn poll_stream_message(&mut self, buffer: &mut Vec<u8>, now: Now) -> Option<Delivery> {
        let link = self.established.as_mut().and_then(|e| e.link.as_stream())?;
        link.poll_apart(buffer, now.mono)
    }

    /// The connection was lost or could not be established.
    pub fn handle_disconnected(&mut self, now: Now) {
        self.connection = None;
        if self.closed || self.config.transport == Transport::Udp {
            return;
        }
        if self.leaving.is_some() {
            return self.close(CloseReason::Quit);
        }
        if let Some(established) = &self.established {
            if established.pending.is_none() {
                self.tell(Notice::ConnectionLost);
            }
            self.rejoin(First::Other, now);
        } else if let Some(attempt) = &mut self.attempt {
            attempt.failed(&self.targets, now.mono);
        }
    }

    /// The kernel took all bytes.
    pub fn handle_stream_writable(&mut self, now: Now) {
        let link = self.established.as_mut().and_then(|e| e.link.as_stream());
        if let Some(link) = link {
            link.handle_writable(now.mono);
        }
    }

    /// Puts the next bytes for the connection into `buffer`, if there are any.
    pub fn poll_stream_transmit(&mut self, buffer: &mut Vec<u8>, now: Now) -> bool {
        if let Some(connection) = &mut self.connection {
            std::mem::swap(buffer, &mut connection.outgoing);
            connection.outgoing.clear();
            return !buffer.is_empty();
        }
        let link = self.established.as_mut().and_then(|e| e.link.as_stream());
        link.is_some_and(|link| link.poll_transmit(buffer, now.mono))
    }

    /// Requests a connection when one is due.
    pub(super) fn connect_if_due(&mut self, now: Now) {
        let Some(attempt) = self.attempt.as_mut().filter(|attempt| attempt.is_due(now.mono)) else {
            return;
        };
        if self.config.transport == Transport::Udp {
            return;
        }
        // Two reasons to start over: a server that accepts and says nothing, and a round of failed
        // connections. A handshake of QUIC goes on beside the next: it has kept what has arrived.
        let is_stale =
            self.config.transport == Transport::Tcp && attempt.has_stale_connections(&self.targets);
        if self.connection.take().is_some() || is_stale {
            self.events.push_back(Event::Disconnect);
        }
        if let Some(address) = attempt.connect(&self.targets, now.mono) {
            self.events.push_back(Event::Connect(address));
        }
    }

    fn handle_hello(&mut self, mut connection: Connection, mut bytes: &[u8], now: Now) {
        loop {
            match connection.reader.next(&mut bytes) {
                Ok(None) => {
                    self.connection = Some(connection);
                    return;
                }
                Ok(Some(Piece::Preface(preface))) if preface.flags.contains(Flags::FROM_SERVER) => {
                    if preface.session != 0 {
                        self.establish(preface.session, connection.server, now);
                        return self.handle_link_bytes(bytes, now);
                    }
                }
                Ok(Some(Piece::Frame(Frame::Refused { nonce, reason, detail }))) => {
                    self.hang_up(now);
                    return self.refused(connection.server, nonce, reason, detail, now);
                }
                Err(DecodeError::Version(version)) => {
                    self.hang_up(now);
                    return self.refused_version(connection.server, version);
                }
                other => {
                    log::debug!("{} does not speak this protocol: {other:?}", connection.server);
                    return self.hang_up(now);
                }
            }
        }
    }

    fn establish(&mut self, session: u64, server: SocketAddr, now: Now) {
        let role = Role::Client { heartbeat: INITIAL_HEARTBEAT };
        let mut link = StreamLink::new(session, role, StreamReader::past_preface(), now.mono);
        if self.config.transport == Transport::Quic {
            link = link.over_quic();
        }
        let link = Channel::Stream(link.into());
        let mut established = Established::new(link, server, now.mono);
        if let Some(mut attempt) = self.attempt.take() {
            attempt.greeted();
            established.pending = Some(attempt.into());
        }
        self.established = Some(established);
    }

    fn handle_link_bytes(&mut self, bytes: &[u8], now: Now) {
        self.note_sign_of_life(now);
        let link = self.established.as_mut().and_then(|e| e.link.as_stream());
        let Some(link) = link else { return };
        let outcome = link.receive(bytes, now.mono);
        self.handle_messages(now);
        if let Err(error) = outcome
            && !self.closed
        {
            log::debug!("the stream makes no sense any more: {error}");
            self.hang_up(now);
        }
    }

    fn hang_up(&mut self, now: Now) {
        self.events.push_back(Event::Disconnect);
        self.handle_disconnected(now);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::client::session::Config;
    use crate::protocol::Delivery;
    use crate::time::{Timestamp, WallTime};
    use std::time::Duration;

    /// Establishes a connection and returns the nonce in its join.
    fn nonce(session: &mut Session, now: Now) -> u64 {
        let server = SERVER.into();
        session.handle_timeout(now);
        assert_eq!(session.poll_event(), Some(Event::Connect(server)));
        session.handle_connected(server, now);
        let mut bytes = Vec::new();
        assert!(session.poll_stream_transmit(&mut bytes, now));
        let (mut reader, mut bytes) = (StreamReader::default(), &bytes[..]);
        loop {
            if let Piece::Frame(Frame::Join(Join { nonce, .. })) =
                reader.next(&mut bytes).unwrap().unwrap()
            {
                return nonce;
            }
        }
    }

    const SERVER: ([u8; 4], u16) = ([10, 0, 0, 1], 2428);

    fn at(ms: u64) -> Now {
        Now { mono: Timestamp::from_micros(ms * 1_000), wall: WallTime(ms * 1_000) }
    }

    fn session() -> Session {
        let config = Config {
            nickname: "alice".to_owned(),
            transport: Transport::Tcp,
            delivery: Delivery::ReliableOrdered,
            give_up: Duration::ZERO,
            shown: Vec::new(),
        };
        Session::new(config, vec![SERVER.into()], [1; 32], at(0))
    }

    #[test]
    fn each_connection_has_a_nonce_of_its_own() {
        let mut session = session();
        let first = nonce(&mut session, at(0));
        session.handle_disconnected(at(100));
        let second = nonce(&mut session, at(1_000));
        assert!(first != second && first != 0 && second != 0);
    }

    #[test]
    fn a_first_join_keeps_its_connection_until_its_timeout() {
        for (timeout, gives_up) in [(None, 8_000), (Some(30), 30_000)] {
            let mut session = session();
            if let Some(seconds) = timeout {
                session.set_join_timeout(Duration::from_secs(seconds));
            }
            nonce(&mut session, at(0));
            session.handle_timeout(at(gives_up - 1));
            assert_eq!((session.poll_event(), session.is_closed()), (None, false));
            session.handle_timeout(at(gives_up));
            assert!(session.is_closed());
        }
    }

    #[test]
    fn a_preface_with_a_session_does_not_establish_one() {
        let greeting = Preface { flags: Flags::FROM_SERVER, session: 7 }.encode();
        let mut stays = session();
        nonce(&mut stays, at(0));
        stays.handle_stream_bytes(&greeting, at(10));
        for second in 1..=14 {
            stays.handle_timeout(at(second * 1_000));
            stays.handle_stream_bytes(&[], at(second * 1_000));
        }
        assert!(!stays.is_closed() && stays.poll_timeout() <= Some(at(15_000).mono));
        stays.handle_timeout(at(15_000));
        let told: Vec<_> = std::iter::from_fn(|| stays.poll_event()).collect();
        let closed = Event::Closed { reason: CloseReason::Unreachable };
        assert!(told.ends_with(&[closed]) && matches!(told[..], [_, Event::Error { .. }, _]));
    }

    #[test]
    fn a_server_that_closes_after_its_preface_draws_few_connections() {
        let greeting = Preface { flags: Flags::FROM_SERVER, session: 7 }.encode();
        let mut session = session();
        let (mut connections, mut ms) = (0, 0);
        while !session.is_closed() {
            session.handle_timeout(at(ms));
            while let Some(event) = session.poll_event() {
                if event == Event::Connect(SERVER.into()) {
                    connections += 1;
                    session.handle_connected(SERVER.into(), at(ms));
                    session.handle_stream_bytes(&greeting, at(ms));
                    session.handle_disconnected(at(ms));
                }
            }
            ms += 1;
        }
        assert!((15_000..15_010).contains(&ms) && (15..30).contains(&connections), "{connections}");
    }
}
