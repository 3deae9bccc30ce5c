//! The connections of a world: the part of the drivers of sockets.

use crate::wires::{End, NetworkState, Signal, Wire};
use crate::world::World;
use chatagram::hub::{Destination, Hub, Path, StreamId};
use chatagram::time::Timestamp;
use std::net::SocketAddr;
use std::time::Duration;

/// Limit on a connection without a join.
const JOIN_TIMEOUT: Duration = Duration::from_secs(10);
/// Limit on connections, joined or not.
const MAX_CONNECTIONS: usize = 16 + 64;

impl World {
    /// The random state of the network, and the connections that it affects.
    fn wires(&mut self) -> (&mut crate::wires::Wires, NetworkState<'_>) {
        let (impairment, now) = (self.network.impairment, self.now);
        (&mut self.wires, NetworkState { impairment, now, dice: &mut self.dice })
    }

    /// Opens a connection for a client or, without an index, for a stranger.
    pub(crate) fn connect(&mut self, client: Option<usize>, to: SocketAddr) -> u64 {
        let from = match client {
            Some(index) => self.clients[index].address,
            None => ([66, 6, 6, 6], 1).into(),
        };
        let full = self.dice.chance(self.network.impairment.loss / 10);
        let listened_to = to == self.server.address && self.server.hub.is_some() && !full;
        let (wires, mut state) = self.wires();
        wires.connect(client, from, listened_to, &mut state)
    }

    /// Closes a client's connection, if it has one.
    pub(crate) fn hang_up(&mut self, client: usize) {
        let (wires, mut state) = self.wires();
        if let Some((_, wire)) = wires.of(client) {
            wire.close(End::Client, &mut state);
        }
    }

    /// Writes to a connection.
    pub(crate) fn write(&mut self, id: u64, to: End, bytes: &[u8]) -> bool {
        let ends = match self.wires.get(id).map(|wire| wire.address) {
            Some(client) if to == End::Client => [self.server.address, client],
            Some(client) => [client, self.server.address],
            None => return false,
        };
        self.network.note(ends, bytes, self.now);
        if to == End::Server {
            self.written.entry(id).or_default().extend(bytes);
        }
        let (wires, mut state) = self.wires();
        wires.get(id).is_some_and(|wire| wire.write(to, bytes, &mut state))
    }

    /// Writes the session's bytes to its connection.
    pub(crate) fn write_stream(&mut self, client: usize) {
        let now = self.clients[client].now(self.now);
        let Some((id, _)) = self.wires.of(client).filter(|(_, wire)| wire.announced) else {
            return;
        };
        let mut bytes = Vec::new();
        while self.clients[client].session.poll_stream_transmit(&mut bytes, now) {
            if self.write(id, End::Server, &bytes) {
                self.clients[client].session.handle_stream_writable(now);
            }
        }
    }

    /// Performs a hub's action on a connection. Returns the connection if it can take more bytes.
    pub(crate) fn serve_stream(&mut self, to: Destination, bytes: &[u8]) -> Option<StreamId> {
        match to {
            Destination::Stream(id) => self.write(id.0, End::Client, bytes).then_some(id),
            Destination::Close(id) => {
                let (wires, mut state) = self.wires();
                if let Some(wire) = wires.get(id.0) {
                    wire.close(End::Server, &mut state);
                }
                None
            }
            Destination::Datagram(_) | Destination::Message(..) => None,
        }
    }

    /// The server has ended; its kernel may or may not close the connections.
    pub(crate) fn kill_server(&mut self) {
        self.server.hub = None;
        self.server.wake = None;
        self.server_quic = None;
        let (wires, mut state) = self.wires();
        for wire in wires.all() {
            match state.dice.below(3) {
                0 => wire.break_off(&mut state),
                1 => wire.let_go(End::Server),
                _ => wire.close(End::Server, &mut state),
            }
            wire.let_go(End::Server);
        }
        wires.tidy();
    }

    /// A client has ended; its kernel may or may not close the connection.
    pub(crate) fn kill_client(&mut self, index: usize) {
        self.clients[index].running = false;
        let (wires, mut state) = self.wires();
        let Some((_, wire)) = wires.of(index) else { return };
        if state.dice.chance(300) {
            wire.break_off(&mut state)
        } else {
            wire.close(End::Client, &mut state)
        }
        wire.let_go(End::Client);
    }

    /// Stops or resumes a client's reading.
    pub(crate) fn stall(&mut self, client: usize, stalled: bool) {
        if let Some((_, wire)) = self.wires.of(client) {
            wire.stall(End::Client, stalled);
        }
    }

    /// Stops or resumes the server's reading.
    pub(crate) fn stall_all(&mut self, stalled: bool) {
        self.wires.all().for_each(|wire| wire.stall(End::Server, stalled));
    }

    /// Breaks a connection without a visible cause.
    pub(crate) fn break_off(&mut self, client: usize) {
        let (wires, mut state) = self.wires();
        if let Some((_, wire)) = wires.of(client) {
            wire.break_off(&mut state);
        }
    }

    /// The time of the next event on a connection.
    pub(crate) fn next_signal(&self) -> Option<(Timestamp, u64, End)> {
        let cut_off = &self.network.cut_off;
        let stopped = |wire: &Wire| wire.client.is_some_and(|index| self.clients[index].stopped);
        let hub = self.server.hub.as_ref();
        self.wires.next_arrival(|id, wire, end| {
            if end == End::Server && self.server.stopped.is_some() {
                return false;
            }
            if end == End::Server && hub.is_some_and(|hub| !hub.reads(StreamId(id))) {
                return false;
            }
            let cut = cut_off.contains(&wire.address) || cut_off.contains(&self.server.address);
            !cut && (end == End::Server || !stopped(wire))
        })
    }

    /// Delivers an event to its end of the connection.
    pub(crate) fn deliver_signal(&mut self, id: u64, at: End) {
        let (wires, mut state) = self.wires();
        let arrived = wires.arrive(id, at, &mut state);
        let client = wires.get(id).and_then(|wire| wire.client);
        if let Some((signal, writable)) = arrived {
            match (at, client) {
                (End::Server, _) => self.deliver_to_hub(id, signal),
                (End::Client, Some(index)) => self.deliver_to_session(id, index, signal),
                (End::Client, None) => {}
            }
            match (at, client) {
                _ if !writable => {}
                (End::Client, _) => {
                    self.with_hub(|hub, now| hub.handle_stream_writable(StreamId(id), now));
                }
                (End::Server, Some(index)) if self.wires.of(index).is_some_and(|w| w.0 == id) => {
                    self.with_client(index, |session, _, now| session.handle_stream_writable(now));
                }
                _ => {}
            }
        }
        self.wires.tidy();
    }

    fn deliver_to_hub(&mut self, id: u64, signal: Signal) {
        let Some(wire) = self.wires.get(id) else { return };
        let (stream, path) = (StreamId(id), Path::routed(0, wire.address));
        if signal == Signal::Opened {
            wire.taken = Some(self.now);
        }
        self.with_hub(|hub: &mut Hub, now| match signal {
            Signal::Opened => hub.handle_stream_opened(stream, path, now),
            Signal::Bytes(bytes) => hub.handle_stream_bytes(stream, &bytes, now),
            Signal::Closed => hub.handle_stream_closed(stream, now),
        });
    }

    fn deliver_to_session(&mut self, id: u64, index: usize, signal: Signal) {
        let server = self.server.address;
        if let Some(wire) = self.wires.get(id)
            && signal == Signal::Opened
        {
            wire.announced = true;
        }
        self.with_client(index, |session, _, now| match signal {
            Signal::Opened => session.handle_connected(server, now),
            Signal::Bytes(bytes) => session.handle_stream_bytes(&bytes, now),
            Signal::Closed => session.handle_disconnected(now),
        });
    }

    /// Checks the limits on the number and the age of the server's connections.
    pub(crate) fn check_connections(&self) {
        let open = |wire: &Wire| wire.is_held(End::Server) && wire.taken.is_some();
        assert!(self.wires.count(open) <= MAX_CONNECTIONS, "too many connections");
        let overdue = self.wires.count(|wire| {
            let since = wire.taken.filter(|_| wire.client.is_none() && open(wire));
            since.is_some_and(|since| since + JOIN_TIMEOUT < self.now)
        });
        assert_eq!(overdue, 0, "connections are open that have not joined in time");
    }
}
