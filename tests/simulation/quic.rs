//! The QUIC connections of a world: quinn-proto's packets over the simulated network, in virtual
//! time. The cryptography takes its random numbers from the system, so the bytes of a run differ
//! from those of the next with the same seed; their sizes and times hardly do.

#![cfg_attr(not(feature = "quic"), allow(dead_code))]

use crate::dice::Dice;
use crate::network::{Impairment, Packet};
use crate::scenarios::{MODES, NAMES, converse};
use crate::world::{EXPIRY, World};
use chatagram::hub::{Destination, Local, Path, StreamId};
use chatagram::link::Congestion;
use chatagram::net::quic::{Event, FIRST_ID, Input, Quic, Settings, is_quic};
use chatagram::protocol::Delivery;
use chatagram::time::{Now, Timestamp};
use std::collections::BTreeSet;
use std::net::SocketAddr;

/// The server's side.
#[derive(Debug)]
pub(crate) struct ServerQuic {
    pub(crate) quic: Quic,
    /// Connections that may have something to read.
    unread: BTreeSet<u64>,
}

/// A client's side.
#[derive(Debug)]
pub(crate) struct ClientQuic {
    pub(crate) quic: Quic,
    pending: Vec<(u64, SocketAddr)>,
    open: Option<u64>,
    readable: bool,
}

/// Each end has a congestion control of its own.
fn settings(dice: &mut Dice) -> Settings {
    let congestion = Congestion::ALL[dice.below(Congestion::ALL.len())];
    Settings { idle: EXPIRY * 3 / 2, congestion }
}

impl ServerQuic {
    pub(crate) fn new(now: Timestamp, dice: &mut Dice) -> Self {
        Self { quic: Quic::server(settings(dice), now).unwrap(), unread: BTreeSet::new() }
    }
}

impl ClientQuic {
    pub(crate) fn new(now: Timestamp, dice: &mut Dice) -> Self {
        let quic = Quic::client(settings(dice), now).unwrap();
        Self { quic, pending: Vec::new(), open: None, readable: false }
    }

    pub(crate) fn connect(&mut self, to: SocketAddr, now: Timestamp) {
        self.pending.push((self.quic.connect(to, now).unwrap(), to));
    }

    pub(crate) fn hang_up(&mut self, now: Timestamp) {
        self.pending.clear();
        self.open = None;
        self.quic.abort_all(now);
    }
}

impl World {
    /// From now on this share of new clients, per mille, is over QUIC.
    pub(crate) fn take_quic(&mut self, share: u64) {
        self.quic = share;
        self.start_server();
    }

    /// Passes a datagram to an end if it is QUIC's.
    pub(crate) fn deliver_quic(&mut self, packet: &Packet, client: Option<usize>) -> bool {
        if !is_quic(&packet.bytes) {
            return false;
        }
        let local = Local::receiving(packet.to.ip(), 1);
        let path = Path { local, remote: packet.from };
        match client {
            None => {
                let Some(server) = &mut self.server_quic else { return false };
                server.quic.handle_datagram(path, &packet.bytes, self.now);
                self.with_hub(|_, _| ());
            }
            Some(index) => {
                let client = &mut self.clients[index];
                let now = client.now(self.now).mono;
                let Some(quic) = &mut client.quic else { return false };
                quic.quic.handle_datagram(path, &packet.bytes, now);
                self.with_client(index, |_, _, _| ());
            }
        }
        true
    }

    /// Performs a hub's action on a QUIC connection. Returns whether it took everything.
    pub(crate) fn serve_quic(&mut self, to: Destination, bytes: &[u8]) -> Option<bool> {
        let now = self.now;
        let server = self.server_quic.as_mut()?;
        Some(match to {
            Destination::Stream(id) if id.0 >= FIRST_ID => server.quic.write(id.0, bytes),
            Destination::Message(id, delivery) => server.quic.send_message(id.0, delivery, bytes),
            Destination::Close(id) if id.0 >= FIRST_ID => {
                server.unread.remove(&id.0);
                server.quic.close(id.0, now);
                false
            }
            _ => return None,
        })
    }

    /// Sends the server's packets.
    pub(crate) fn transmit_server_quic(&mut self) {
        let mut bytes = Vec::new();
        while let Some(server) = &mut self.server_quic
            && let Some(path) = server.quic.poll_transmit(&mut bytes, self.now)
        {
            let from = self.server.source(path.local);
            let packet = Packet { from, to: path.remote, bytes: bytes.clone() };
            self.network.send(packet, self.now, &mut self.dice);
        }
    }

    /// Gives a session's bytes to its connection, and sends its packets.
    pub(crate) fn transmit_client_quic(&mut self, index: usize, now: Now) {
        let client = &mut self.clients[index];
        let Some(ClientQuic { quic, open, .. }) = &mut client.quic else { return };
        let mut bytes = Vec::new();
        if let Some(id) = *open {
            while client.session.poll_stream_transmit(&mut bytes, now) {
                if quic.write(id, &bytes) {
                    client.session.handle_stream_writable(now);
                }
            }
            while let Some(delivery) = client.session.poll_stream_message(&mut bytes, now) {
                if quic.send_message(id, delivery, &bytes) {
                    client.session.handle_message_taken(now);
                }
            }
        }
        while let Some(path) = quic.poll_transmit(&mut bytes, now.mono) {
            let packet = Packet { from: client.address, to: path.remote, bytes: bytes.clone() };
            self.network.send(packet, self.now, &mut self.dice);
        }
    }

    /// Passes on everything that QUIC has reported.
    pub(crate) fn settle_quic(&mut self) {
        if self.quic == 0 {
            return;
        }
        while self.settle_server_quic() {}
        for index in 0..self.clients.len() {
            let awake = |world: &Self| {
                let client = &world.clients[index];
                client.running && !client.stopped && client.quic.is_some()
            };
            while awake(self) && self.settle_client_quic(index) {}
        }
    }

    fn settle_server_quic(&mut self) -> bool {
        let (Some(server), Some(hub)) = (&mut self.server_quic, &self.server.hub) else {
            return false;
        };
        if self.server.stopped.is_some() {
            return false;
        }
        if let Some(event) = server.quic.poll_event() {
            if let Event::Readable(id) = event {
                server.unread.insert(id);
                return true;
            }
            self.with_hub(|hub, now| match event {
                Event::Opened(id, path) => hub.handle_quic_opened(StreamId(id), path, now),
                Event::Written(id) => hub.handle_stream_writable(StreamId(id), now),
                Event::MessageTaken(id) => hub.handle_message_taken(StreamId(id), now),
                Event::Moved(id, path) => hub.handle_stream_moved(StreamId(id), path, now),
                Event::Failed(..) | Event::Connected(_) | Event::Readable(_) => {}
            });
            return true;
        }
        let readable = server.unread.iter().find(|id| hub.reads(StreamId(**id))).copied();
        let Some(id) = readable else { return false };
        let (mut bytes, stream) = (Vec::new(), StreamId(id));
        match server.quic.read(id, &mut bytes, self.now) {
            Input::Bytes => self.with_hub(|hub, now| hub.handle_stream_bytes(stream, &bytes, now)),
            Input::Message => {
                self.with_hub(|hub, now| hub.handle_stream_message(stream, &bytes, now));
            }
            Input::Nothing => {
                server.unread.remove(&id);
                self.with_hub(|_, _| ());
            }
            Input::End => {
                server.unread.remove(&id);
                self.with_hub(|hub, now| hub.handle_stream_closed(stream, now));
            }
        }
        true
    }

    fn settle_client_quic(&mut self, index: usize) -> bool {
        let client = &mut self.clients[index];
        let now = client.now(self.now).mono;
        let Some(it) = &mut client.quic else { return false };
        if let Some(id) = it.open.filter(|_| it.readable) {
            let mut bytes = Vec::new();
            let input = it.quic.read(id, &mut bytes, now);
            if input == Input::Nothing {
                it.readable = false;
            }
            if input == Input::End {
                it.hang_up(now);
            }
            self.with_client(index, |session, _, now| match input {
                Input::Bytes => session.handle_stream_bytes(&bytes, now),
                Input::Message => session.handle_stream_message(&bytes, now),
                Input::Nothing => {}
                Input::End => session.handle_disconnected(now),
            });
            return true;
        }
        let Some(event) = it.quic.poll_event() else { return false };
        let open = it.open;
        match event {
            Event::Connected(id) => {
                let Some(at) = it.pending.iter().position(|(pending, _)| *pending == id) else {
                    return true;
                };
                let (_, server) = it.pending.swap_remove(at);
                for (other, _) in it.pending.drain(..) {
                    it.quic.close(other, now);
                }
                (it.open, it.readable) = (Some(id), true);
                self.with_client(index, |session, _, now| session.handle_connected(server, now));
            }
            Event::Failed(id, _) => it.pending.retain(|(pending, _)| *pending != id),
            Event::Readable(id) => it.readable |= open == Some(id),
            Event::Written(id) if open == Some(id) => {
                self.with_client(index, |session, _, now| session.handle_stream_writable(now));
            }
            Event::MessageTaken(id) if open == Some(id) => {
                self.with_client(index, |session, _, now| session.handle_message_taken(now));
            }
            _ => {}
        }
        true
    }
}

/// All clients over QUIC, in one mode, over a bad network: every line is accounted for.
pub(crate) fn delivery(mode: Delivery, seed: u64, verbose: bool) -> u64 {
    let mut dice = Dice::new(!seed);
    let mut world = World::new(seed, Impairment::NONE, verbose);
    world.take_quic(1_000);
    for name in &NAMES[..2 + dice.below(3)] {
        world.start_client(name, mode, &[]);
    }
    converse(world, dice)
}

/// Every mode over UDP, TCP and QUIC in one room, over a bad network.
pub(crate) fn mixed(seed: u64, verbose: bool) -> u64 {
    let mut dice = Dice::new(!seed);
    let mut world = World::new(seed, Impairment::NONE, verbose);
    world.take_quic(500);
    world.tcp = 300;
    for name in &NAMES[..3 + dice.below(3)] {
        world.start_client(name, MODES[dice.below(3)], &[]);
    }
    converse(world, dice)
}
