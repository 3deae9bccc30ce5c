//! An endpoint and its connections, by id.

use super::clock::Clock;
use super::connection::{Connection, Stage};
use super::guard::{Gate, Guard, Verdict};
use super::tls::{self, NAME};
use super::{Event, FIRST_ID, Failure, Input, QuicError, ServerKey, Settings};
use crate::link::{Congestion, QuicInfo};
use crate::path::Path;
use crate::protocol::Delivery;
use crate::protocol::limits::{
    JOIN_TIMEOUT, LEAVE_TIMEOUT, MAX_DATAGRAM, MAX_UNJOINED, QUIC_RETRY_ABOVE, STREAM_JOIN_TIMEOUT,
};
use crate::ticket::{KeyHash, Secret, Ticket};
use crate::time::Timestamp;
use quinn_proto::{ClientConfig, ConnectionHandle, DatagramEvent, Endpoint, Incoming, Transmit};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

/// Answers without a connection that wait to be sent.
const MAX_ANSWERS: usize = 64;

/// A server's or a client's connections.
///
/// After any `handle_*` call drain [`Self::poll_event`], then [`Self::poll_transmit`], then read
/// [`Self::poll_timeout`].
pub struct Quic {
    endpoint: Endpoint,
    clock: Clock,
    congestion: Congestion,
    /// For connections of this end.
    client: Option<ClientConfig>,
    pub(super) connections: BTreeMap<u64, Connection>,
    /// Those that the endpoint knows.
    handles: HashMap<ConnectionHandle, u64>,
    /// Handshakes of clients, the oldest first.
    handshakes: BTreeSet<u64>,
    gate: Gate,
    /// Of the server of a private room.
    guard: Option<Guard>,
    /// The secret of a client's ticket.
    ticket: Option<Secret>,
    next: u64,
    /// Connections that may have something to send, each at most once.
    sending: VecDeque<u64>,
    timers: BTreeSet<(Timestamp, u64)>,
    answers: VecDeque<(Path, Vec<u8>)>,
    events: VecDeque<Event>,
}

impl Quic {
    /// A server with a new key.
    ///
    /// # Errors
    /// [`QuicError`]: no key could be made.
    pub fn server(settings: Settings, now: Timestamp) -> Result<Self, QuicError> {
        Self::with_key(settings, &ServerKey::generate()?, now)
    }

    /// The server of a private room. A client proves the secret before its connection is open.
    ///
    /// # Errors
    /// [`QuicError`]: the cryptography refused the key.
    pub fn private_server(
        settings: Settings,
        key: &ServerKey,
        secret: Secret,
        now: Timestamp,
    ) -> Result<Self, QuicError> {
        let quic = Self::with_key(settings, key, now)?;
        Ok(Self { guard: Some(Guard::new(secret)), ..quic })
    }

    pub(super) fn with_key(
        settings: Settings,
        key: &ServerKey,
        now: Timestamp,
    ) -> Result<Self, QuicError> {
        let config = Arc::new(tls::server(settings, key)?);
        let endpoint = Endpoint::new(Arc::new(tls::endpoint()?), Some(config), false, None);
        Ok(Self::new(endpoint, None, settings, now))
    }

    /// A client.
    ///
    /// # Errors
    /// [`QuicError`]: the cryptography refused its settings.
    pub fn client(settings: Settings, now: Timestamp) -> Result<Self, QuicError> {
        Self::pinned(settings, None, now)
    }

    /// A client that connects to the server of this ticket alone.
    ///
    /// # Errors
    /// [`QuicError`]: the cryptography refused its settings.
    pub fn private_client(
        settings: Settings,
        ticket: &Ticket,
        now: Timestamp,
    ) -> Result<Self, QuicError> {
        let quic = Self::pinned(settings, Some(ticket.key()), now)?;
        Ok(Self { ticket: Some(ticket.secret().clone()), ..quic })
    }

    fn pinned(
        settings: Settings,
        pinned: Option<KeyHash>,
        now: Timestamp,
    ) -> Result<Self, QuicError> {
        let endpoint = Endpoint::new(Arc::new(tls::endpoint()?), None, false, None);
        Ok(Self::new(endpoint, Some(tls::client(settings, pinned)?), settings, now))
    }

    fn new(
        endpoint: Endpoint,
        client: Option<ClientConfig>,
        settings: Settings,
        now: Timestamp,
    ) -> Self {
        Self {
            endpoint,
            clock: Clock::new(now),
            congestion: settings.congestion,
            client,
            connections: BTreeMap::new(),
            handles: HashMap::new(),
            handshakes: BTreeSet::new(),
            gate: Gate::default(),
            guard: None,
            ticket: None,
            next: FIRST_ID,
            sending: VecDeque::new(),
            timers: BTreeSet::new(),
            answers: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// Begins a connection to `server`, from the first socket.
    ///
    /// # Errors
    /// [`QuicError`]: no packet can go there.
    pub fn connect(&mut self, server: SocketAddr, now: Timestamp) -> Result<u64, QuicError> {
        let config = self.client.clone().ok_or(QuicError::NotBuilt)?;
        let (handle, inner) = self
            .endpoint
            .connect(self.clock.instant(now), config, server, NAME)
            .map_err(|error| QuicError::Address(error.to_string()))?;
        let secret = self.ticket.clone();
        let connection = Connection::new(inner, handle, server.into(), secret, now + JOIN_TIMEOUT);
        Ok(self.add(connection, now))
    }

    /// Takes in a datagram. False if QUIC has no use for it.
    pub fn handle_datagram(&mut self, path: Path, bytes: &[u8], now: Timestamp) -> bool {
        let at = self.clock.instant(now);
        let mut answer = Vec::new();
        let event =
            self.endpoint.handle(at, path.remote, path.local.ip, None, bytes.into(), &mut answer);
        match event {
            None => return false,
            // A stateless reset (RFC 9000 §10.3) to noise or to a forged sender. The key of its
            // token ends with the process, so no client of an earlier one could believe it.
            Some(DatagramEvent::Response(_)) if is_short(&answer) => return false,
            Some(DatagramEvent::Response(transmit)) => self.answer(path, answer, &transmit),
            Some(DatagramEvent::NewConnection(incoming)) => self.meet(incoming, path, now),
            Some(DatagramEvent::ConnectionEvent(handle, event)) => {
                let Some(id) = self.handles.get(&handle).copied() else { return false };
                let Some(connection) = self.connections.get_mut(&id) else { return false };
                connection.inner.handle_event(event);
                let remote = connection.inner.remote_address();
                if remote == path.remote {
                    let moved = connection.path.remote != remote;
                    connection.path = path;
                    if moved && connection.stage == Stage::Open {
                        self.events.push_back(Event::Moved(id, path));
                    }
                }
                self.serve(id, now);
            }
        }
        true
    }

    /// Does what is due by `now`.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        let at = self.clock.instant(now);
        while let Some((due, id)) = self.timers.first().copied().filter(|(due, _)| *due <= now) {
            self.timers.remove(&(due, id));
            let Some(connection) = self.connections.get_mut(&id) else { continue };
            connection.timer = None;
            if !connection.drained {
                connection.inner.handle_timeout(at);
            }
            if connection.deadline().is_some_and(|deadline| deadline <= now) {
                if let Stage::Handshake(_) = connection.stage {
                    let why = Failure::Other("no answer".to_owned());
                    self.events.push_back(Event::Failed(id, why));
                }
                connection.abort(at);
            }
            self.serve(id, now);
        }
    }

    /// When to call [`Self::handle_timeout`] or to drain again.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        if !(self.events.is_empty() && self.sending.is_empty() && self.answers.is_empty()) {
            return Some(Timestamp::ZERO);
        }
        self.timers.first().map(|(at, _)| *at)
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Puts the next datagram into `buffer` and returns its path.
    pub fn poll_transmit(&mut self, buffer: &mut Vec<u8>, now: Timestamp) -> Option<Path> {
        if let Some((path, bytes)) = self.answers.pop_front() {
            *buffer = bytes;
            return Some(path);
        }
        let at = self.clock.instant(now);
        while let Some(id) = self.sending.front().copied() {
            if let Some(connection) = self.connections.get_mut(&id)
                && !connection.drained
            {
                buffer.clear();
                if let Some(transmit) = connection.inner.poll_transmit(at, 1, buffer) {
                    let remote = transmit.destination;
                    return Some(Path { remote, ..connection.path });
                }
            }
            self.sending.pop_front();
            if let Some(connection) = self.connections.get_mut(&id) {
                connection.queued = false;
            }
            self.settle(id);
        }
        None
    }

    /// Reads from a connection: messages first.
    pub fn read(&mut self, id: u64, buffer: &mut Vec<u8>, now: Timestamp) -> Input {
        let at = self.clock.instant(now);
        let Some(connection) = self.connections.get_mut(&id) else { return Input::Nothing };
        let input = connection.read(buffer, at);
        self.touch(id); // its windows are larger
        input
    }

    /// Writes bytes to the stream of a connection. True if all were taken; otherwise
    /// [`Event::Written`] follows.
    pub fn write(&mut self, id: u64, bytes: &[u8]) -> bool {
        let Some(connection) = self.connections.get_mut(&id) else { return true };
        let whole = connection.write(bytes);
        self.touch(id);
        whole
    }

    /// Sends a message beside the stream. True if it was taken; otherwise
    /// [`Event::MessageTaken`] follows.
    pub fn send_message(&mut self, id: u64, delivery: Delivery, message: &[u8]) -> bool {
        let Some(connection) = self.connections.get_mut(&id) else { return true };
        let taken = connection.send_message(delivery, message);
        self.touch(id);
        taken
    }

    /// The figures of a connection.
    #[must_use]
    pub fn info(&self, id: u64) -> Option<QuicInfo> {
        self.connections.get(&id).map(|connection| connection.info(self.congestion))
    }

    /// Closes a connection once what was written has arrived, or after `LEAVE_TIMEOUT`.
    pub fn close(&mut self, id: u64, now: Timestamp) {
        let at = self.clock.instant(now);
        let Some(connection) = self.connections.get_mut(&id) else { return };
        connection.close(now + LEAVE_TIMEOUT, at);
        self.serve(id, now);
    }

    /// Handshakes of clients under way.
    #[cfg(test)]
    pub(super) fn pending(&self) -> usize {
        self.handshakes.len()
    }

    /// Whether every connection is closed or was never open.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        let open = |it: &Connection| matches!(it.stage, Stage::Open | Stage::Closing(_));
        !self.connections.values().any(open)
    }

    /// Closes all connections at once.
    pub fn abort_all(&mut self, now: Timestamp) {
        let at = self.clock.instant(now);
        for id in self.connections.keys().copied().collect::<Vec<_>>() {
            if let Some(connection) = self.connections.get_mut(&id) {
                connection.abort(at);
            }
            self.serve(id, now);
        }
    }

    /// A client begins a handshake.
    fn meet(&mut self, incoming: Incoming, path: Path, now: Timestamp) {
        let barred = |guard: &Guard| !guard.admits(path.remote.ip(), now);
        if self.guard.as_ref().is_some_and(barred) {
            return self.endpoint.ignore(incoming);
        }
        let mut answer = Vec::new();
        if !incoming.remote_address_validated() && self.handshakes.len() >= QUIC_RETRY_ABOVE {
            match self.endpoint.retry(incoming, &mut answer) {
                Ok(transmit) => self.answer(path, answer, &transmit),
                Err(error) => self.endpoint.ignore(error.into_incoming()),
            }
            return;
        }
        // After the Retry: forged addresses must not use up the handshakes of a second.
        if !self.gate.admits(now) {
            return self.endpoint.ignore(incoming);
        }
        let at = self.clock.instant(now);
        if self.handshakes.len() >= MAX_UNJOINED
            && let Some(oldest) = self.handshakes.pop_first()
        {
            if let Some(connection) = self.connections.get_mut(&oldest) {
                connection.abort(at);
            }
            self.serve(oldest, now);
        }
        match self.endpoint.accept(incoming, at, &mut answer, None) {
            Ok((handle, inner)) => {
                let secret = self.guard.as_ref().map(|guard| guard.secret.clone());
                let deadline = now + STREAM_JOIN_TIMEOUT;
                let connection = Connection::new(inner, handle, path, secret, deadline);
                let id = self.add(connection, now);
                self.handshakes.insert(id);
            }
            Err(error) => {
                log::debug!("no QUIC connection from {}: {}", path.remote, error.cause);
                if let Some(transmit) = error.response {
                    self.answer(path, answer, &transmit);
                }
            }
        }
    }

    fn answer(&mut self, path: Path, mut bytes: Vec<u8>, transmit: &Transmit) {
        bytes.truncate(transmit.size.min(MAX_DATAGRAM));
        if self.answers.len() < MAX_ANSWERS {
            self.answers.push_back((path, bytes));
        }
    }

    fn add(&mut self, connection: Connection, now: Timestamp) -> u64 {
        let id = self.next;
        self.next += 1;
        self.handles.insert(connection.handle, id);
        self.connections.insert(id, connection);
        self.serve(id, now);
        id
    }

    /// Carries events between a connection, the endpoint and the caller.
    fn serve(&mut self, id: u64, now: Timestamp) {
        let at = self.clock.instant(now);
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if !connection.drained {
            while let Some(event) = connection.inner.poll_endpoint_events() {
                if let Some(event) = self.endpoint.handle_event(connection.handle, event) {
                    connection.inner.handle_event(event);
                }
            }
        }
        connection.handle_events(id, at, &mut self.events);
        if let Some(is_right) = connection.take_proof() {
            let ip = connection.path.remote.ip();
            match Guard::judge(self.guard.as_mut(), ip, is_right, now) {
                Verdict::Open => connection.open(id, &mut self.events),
                Verdict::Close(code) => connection.refuse(id, code, at, &mut self.events),
            }
        }
        if !connection.drained && connection.inner.is_drained() {
            while let Some(event) = connection.inner.poll_endpoint_events() {
                self.endpoint.handle_event(connection.handle, event);
            }
            connection.drained = true;
            self.handles.remove(&connection.handle);
        }
        if !matches!(connection.stage, Stage::Handshake(_)) {
            self.handshakes.remove(&id);
        }
        self.touch(id);
    }

    /// A connection may have something to send, or another timeout.
    fn touch(&mut self, id: u64) {
        if let Some(connection) = self.connections.get_mut(&id)
            && !std::mem::replace(&mut connection.queued, true)
        {
            self.sending.push_back(id);
        }
    }

    /// Sets the timer of a connection that has nothing to send; forgets one that is over.
    fn settle(&mut self, id: u64) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if let Some(old) = connection.timer.take() {
            self.timers.remove(&(old, id));
        }
        if connection.is_over() {
            self.connections.remove(&id);
            return;
        }
        let inner = connection.inner.poll_timeout().filter(|_| !connection.drained);
        let inner = inner.map(|at| self.clock.timestamp(at));
        if let Some(at) = inner.into_iter().chain(connection.deadline()).min() {
            connection.timer = Some(at);
            self.timers.insert((at, id));
        }
    }
}

impl fmt::Debug for Quic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let connections = self.connections.len();
        f.debug_struct("Quic").field("connections", &connections).finish_non_exhaustive()
    }
}

/// Whether a packet has a short header (RFC 9000 §17.3).
fn is_short(packet: &[u8]) -> bool {
    packet.first().is_none_or(|first| first & 0x80 == 0)
}
