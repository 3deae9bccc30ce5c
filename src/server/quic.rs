//! QUIC at the server: carries datagrams between the UDP sockets and `net::quic`, and streams and
//! messages between `net::quic` and the hub.

use super::private::Keys;
use super::{INFO_INTERVAL, PrivateRoom, Rest};
use crate::hub::{Hub, StreamId};
use crate::link::Congestion;
use crate::net::quic::{self, Event, FIRST_ID, Input, Quic, QuicError, Settings};
use crate::net::{Clock, Datagrams};
use crate::path::Path;
use crate::protocol::Delivery;
use crate::protocol::limits::STREAM_TURN_BYTES;
use crate::time::Timestamp;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

/// Bytes that a message or a chunk counts in a turn, besides its own.
const EACH: usize = 64;

/// QUIC at a server.
#[derive(Clone, Debug, Default)]
pub struct QuicConfig {
    /// Its own address. `None`: the UDP sockets of the server.
    pub address: Option<SocketAddr>,
    /// Congestion control.
    pub congestion: Congestion,
    /// Only clients with the room's ticket may join, over QUIC alone.
    pub private: Option<PrivateRoom>,
}

/// All QUIC connections.
#[derive(Debug)]
pub(super) struct Connections {
    quic: Quic,
    /// The index of its own socket, if it has one.
    socket: Option<usize>,
    /// Nothing but QUIC is let in.
    private: bool,
    /// When the hub was last told what QUIC reports about a connection.
    informed: BTreeMap<u64, Timestamp>,
    buffer: Vec<u8>,
}

/// Whether an id is that of a QUIC connection.
pub(super) fn owns(id: u64) -> bool {
    id >= FIRST_ID
}

impl Connections {
    /// `expiry` is that of the hub, which removes a silent peer before QUIC does. `keys` are those
    /// of a private room.
    pub(super) fn new(
        config: &QuicConfig,
        keys: Option<&Keys>,
        socket: Option<usize>,
        expiry: Duration,
        now: Timestamp,
    ) -> Result<Self, QuicError> {
        let settings = Settings { idle: expiry * 3 / 2, congestion: config.congestion };
        let quic = match keys {
            Some(keys) => Quic::private_server(settings, &keys.key, keys.secret.clone(), now)?,
            None => Quic::server(settings, now)?,
        };
        let (private, informed, buffer) = (keys.is_some(), BTreeMap::new(), Vec::new());
        Ok(Self { quic, socket, private, informed, buffer })
    }

    /// Takes in a datagram if it is QUIC's. At a socket of its own, and in a private room,
    /// everything is: no client joins there over UDP.
    pub(super) fn take(&mut self, path: Path, bytes: &[u8], now: Timestamp) -> bool {
        match self.socket {
            _ if self.private => {
                self.quic.handle_datagram(path, bytes, now);
                true
            }
            Some(own) if own == path.local.socket => {
                self.quic.handle_datagram(path, bytes, now);
                true
            }
            Some(_) => false,
            None => quic::is_quic(bytes) && self.quic.handle_datagram(path, bytes, now),
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Timestamp) {
        self.quic.handle_timeout(now);
    }

    pub(super) fn poll_timeout(&self) -> Option<Timestamp> {
        self.quic.poll_timeout()
    }

    /// Whether every client has got what was written for it, or is gone.
    pub(super) fn is_finished(&self) -> bool {
        self.quic.is_finished()
    }

    /// Tells the hub what happened. Returns the connections to read.
    pub(super) fn report(&mut self, hub: &mut Hub, clock: &Clock) -> Vec<u64> {
        let mut readable = Vec::new();
        while let Some(event) = self.quic.poll_event() {
            let now = clock.now();
            match event {
                Event::Opened(id, path) => hub.handle_quic_opened(StreamId(id), path, now),
                Event::Readable(id) => readable.push(id),
                Event::Written(id) => hub.handle_stream_writable(StreamId(id), now),
                Event::MessageTaken(id) => hub.handle_message_taken(StreamId(id), now),
                Event::Moved(id, path) => hub.handle_stream_moved(StreamId(id), path, now),
                Event::Failed(_, why) => log::debug!("a QUIC handshake failed: {why}"),
                Event::Connected(_) => {}
            }
        }
        readable.sort_unstable();
        readable.dedup();
        readable
    }

    /// Reads a connection. `None`: the hub does not want it to be read now.
    pub(super) fn read(&mut self, id: u64, hub: &mut Hub, clock: &Clock) -> Option<Rest> {
        let mut left = STREAM_TURN_BYTES;
        let stream = StreamId(id);
        while left > 0 {
            if !hub.reads(stream) {
                return None;
            }
            let now = clock.now();
            match self.quic.read(id, &mut self.buffer, now.mono) {
                Input::Bytes => hub.handle_stream_bytes(stream, &self.buffer, now),
                Input::Message => hub.handle_stream_message(stream, &self.buffer, now),
                Input::Nothing => {
                    self.inform(id, hub, now.mono);
                    return Some(Rest::Nothing);
                }
                Input::End => {
                    hub.handle_stream_closed(stream, now);
                    return Some(Rest::Nothing);
                }
            }
            left = left.saturating_sub(self.buffer.len() + EACH);
        }
        Some(Rest::Unread)
    }

    fn inform(&mut self, id: u64, hub: &mut Hub, now: Timestamp) {
        let last = self.informed.get(&id);
        if last.is_none_or(|at| now.since(*at) >= INFO_INTERVAL)
            && let Some(info) = self.quic.info(id)
        {
            self.informed.insert(id, now);
            hub.handle_quic_info(StreamId(id), info);
        }
    }

    /// Writes bytes to the stream of a connection. True if all were taken.
    pub(super) fn write(&mut self, id: u64, bytes: &[u8]) -> bool {
        self.quic.write(id, bytes)
    }

    /// Sends a message beside the stream of a connection. True if it was taken.
    pub(super) fn send_message(&mut self, id: u64, delivery: Delivery, message: &[u8]) -> bool {
        self.quic.send_message(id, delivery, message)
    }

    /// Closes a connection once what was written has arrived.
    pub(super) fn close(&mut self, id: u64, now: Timestamp) {
        self.informed.remove(&id);
        self.quic.close(id, now);
    }

    /// Closes all connections at once: the server ends.
    pub(super) fn abort_all(&mut self, now: Timestamp) {
        self.quic.abort_all(now);
    }

    /// Sends the packets that are due.
    pub(super) fn transmit(&mut self, udp: &mut Datagrams, now: Timestamp) {
        while let Some(path) = self.quic.poll_transmit(&mut self.buffer, now) {
            udp.send(&self.buffer, path, now);
        }
    }
}
