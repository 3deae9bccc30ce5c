//! A server, its clients and the network between them. Time jumps to the next event. Everything is
//! real except the sockets and the clock.

use crate::cast::{Client, Server, WallClock};
use crate::checks::{Log, Record};
use crate::dice::Dice;
use crate::guard::Guard;
use crate::network::{Impairment, Network, Packet};
use crate::quic::{ClientQuic, ServerQuic};
use crate::wires::Wires;
use chatagram::client::session::{self, Event, Session, Transport};
use chatagram::hub::{self, Capacity, Hub, Limit, Local, Past, Path};
use chatagram::protocol::limits::MAX_DATAGRAM;
use chatagram::protocol::{Delivery, Mark};
use chatagram::time::{Now, Timestamp};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

pub(crate) const EXPIRY: Duration = Duration::from_secs(10);
/// How long a client tries to rejoin.
pub(crate) const GIVE_UP: Duration = Duration::from_secs(60);
/// Limit on consecutive calls of `handle_timeout` at one time.
const MAX_STALLS: u32 = 8;
/// Limit on the datagrams of one call.
const MAX_BURST: usize = 2_000;

/// The state of a simulation.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) now: Timestamp,
    pub(crate) dice: Dice,
    pub(crate) network: Network,
    pub(crate) wires: Wires,
    /// Share of clients over TCP, per mille.
    pub(crate) tcp: u64,
    /// Share of clients over QUIC, per mille.
    pub(crate) quic: u64,
    pub(crate) server_quic: Option<ServerQuic>,
    pub(crate) server: Server,
    pub(crate) clients: Vec<Client>,
    pub(crate) log: Log,
    pub(crate) guard: Guard,
    /// Number of events reported, including the server's log.
    pub(crate) events: u64,
    /// The datagrams that have arrived, if a scenario records them.
    pub(crate) tape: Option<Vec<Packet>>,
    /// The bytes written to the server over each connection.
    pub(crate) written: BTreeMap<u64, Vec<u8>>,
    stalls: u32,
    next_port: u16,
    verbose: bool,
}

impl World {
    pub(crate) fn new(seed: u64, impairment: Impairment, verbose: bool) -> Self {
        let mut dice = Dice::new(seed);
        let capacity = Capacity { peers: 16, peers_per_ip: 16, expiry: EXPIRY };
        let heartbeat = Duration::from_secs(2);
        // The 32-bit timestamps of the header wrap during the run.
        let now = Timestamp::from_micros((1 << 32) - dice.below(60_000_000) as u64);
        let mut world = Self {
            now,
            network: Network::new(impairment),
            wires: Wires::default(),
            tcp: 0,
            quic: 0,
            server_quic: None,
            server: Server {
                address: ([10, 0, 0, 1], 2428).into(),
                others: Vec::new(),
                hub: None,
                wake: None,
                clock: WallClock(1_800_000_000_000_000),
                config: hub::Config {
                    room: "lab".to_owned(),
                    heartbeat,
                    capacity,
                    replay: 10,
                    limit: Some(Limit::USUAL),
                    discovery: Some(2428),
                },
                history: Vec::new(),
                doomed: false,
                stopped: None,
            },
            clients: Vec::new(),
            log: Log::default(),
            guard: Guard::of_room(capacity.peers),
            events: 0,
            tape: None,
            written: BTreeMap::new(),
            stalls: 0,
            next_port: 1_000,
            verbose,
            dice,
        };
        world.start_server();
        world
    }

    /// Restarts the server with this rate limit.
    pub(crate) fn limit(&mut self, limit: Option<Limit>) {
        self.server.config.limit = limit;
        self.start_server();
    }

    /// Starts another server that takes `peers` peers.
    pub(crate) fn make_room(&mut self, peers: usize) {
        self.server.config.capacity.peers = peers;
        self.server.config.capacity.peers_per_ip = peers;
        self.guard.most_sessions = peers;
        self.start_server();
    }

    /// Starts the server with its history.
    pub(crate) fn start_server(&mut self) {
        let past = Past::from(self.server.history.clone());
        let now = self.server.clock.now(self.now);
        self.server.hub = Some(Hub::new(self.server.config.clone(), past, self.dice.seed(), now));
        self.server_quic = (self.quic > 0).then(|| ServerQuic::new(self.now, &mut self.dice));
        self.note_hub_wake();
    }

    /// The history file is deleted while the server is down.
    pub(crate) fn forget_history(&mut self) {
        self.server.history.clear();
        self.log.forgotten = self.log.lines.len();
    }

    /// Starts a client process; `cached` are lines that it has shown already.
    pub(crate) fn start_client(&mut self, nickname: &str, delivery: Delivery, cached: &[Mark]) {
        let address = self.new_address();
        let quic = self.quic > 0 && self.dice.chance(self.quic);
        let tcp = !quic && self.tcp > 0 && self.dice.chance(self.tcp);
        let config = session::Config {
            nickname: nickname.to_owned(),
            transport: match (quic, tcp) {
                (true, _) => Transport::Quic,
                (_, true) => Transport::Tcp,
                _ => Transport::Udp,
            },
            delivery,
            give_up: GIVE_UP,
            shown: cached.to_vec(),
        };
        let clock = WallClock(self.server.clock.0 + self.dice.below(10_000_000) as u64);
        let asked = self.dice.below(1 + self.server.others.len());
        let mut addresses = vec![*self.server.others.get(asked).unwrap_or(&self.server.address)];
        if self.dice.chance(200) {
            addresses.insert(0, ([10, 0, 0, 2], 2428).into()); // no server is there
        }
        let session = Session::new(config, addresses, self.dice.seed(), clock.now(self.now));
        let tag = format!("{nickname}-{}", self.clients.len());
        let effective = if tcp { Delivery::ReliableOrdered } else { delivery };
        let record = Record::new(tag, nickname, effective, cached);
        let nickname = nickname.to_owned();
        self.clients.push(Client {
            nickname,
            wake: session.poll_timeout(),
            session,
            address,
            clock,
            record,
            running: true,
            stopped: false,
            slept: Duration::ZERO,
            quic: quic.then(|| ClientQuic::new(self.now, &mut self.dice)),
        });
    }

    /// An unused address.
    pub(crate) fn new_address(&mut self) -> SocketAddr {
        self.next_port += 1;
        ([10, 0, 1, self.dice.below(3) as u8], self.next_port).into()
    }

    /// Calls `act` with a client's session and handles the consequences.
    pub(crate) fn with_client<R>(
        &mut self,
        index: usize,
        act: impl FnOnce(&mut Session, &mut Record, Now) -> R,
    ) -> R {
        let client = &mut self.clients[index];
        let now = client.now(self.now);
        let result = act(&mut client.session, &mut client.record, now);
        let mut bytes = Vec::new();
        for burst in 0.. {
            let Some(to) = client.session.poll_transmit(&mut bytes, now) else { break };
            assert!(burst < MAX_BURST, "{} does not stop sending", client.record.tag);
            for bytes in bytes.chunks(MAX_DATAGRAM).map(<[u8]>::to_vec) {
                let packet = Packet { from: client.address, to, bytes };
                self.network.send(packet, self.now, &mut self.dice);
            }
        }
        self.write_stream(index);
        self.transmit_client_quic(index, now);
        self.handle_events(index);
        self.transmit_client_quic(index, now);
        let client = &mut self.clients[index];
        client.wake = client.poll_timeout();
        if client.session.is_closed() && client.running {
            assert_eq!(client.wake, None, "the end is not the end");
            client.running = false;
            client.quic.iter_mut().for_each(|quic| quic.hang_up(now.mono));
            self.transmit_client_quic(index, now);
            self.hang_up(index);
        }
        result
    }

    fn handle_events(&mut self, index: usize) {
        while let Some(event) = self.clients[index].session.poll_event() {
            self.events += 1;
            let record = &mut self.clients[index].record;
            if self.verbose {
                eprintln!("{:?} {}: {event:?}", self.now, record.tag);
            }
            record.observe(&event, &self.log);
            match event {
                Event::Connect(to) if self.clients[index].quic.is_some() => {
                    let client = &mut self.clients[index];
                    let now = client.now(self.now).mono;
                    client.quic.iter_mut().for_each(|quic| quic.connect(to, now));
                }
                Event::Connect(to) => {
                    self.hang_up(index);
                    self.connect(Some(index), to);
                }
                Event::Disconnect => {
                    let client = &mut self.clients[index];
                    let now = client.now(self.now).mono;
                    client.quic.iter_mut().for_each(|quic| quic.hang_up(now));
                    self.hang_up(index);
                }
                _ => {}
            }
        }
    }

    /// Calls `act` with the hub and handles the consequences.
    pub(crate) fn with_hub(&mut self, act: impl FnOnce(&mut Hub, Now)) {
        let Some(hub) = &mut self.server.hub else { return };
        let now = self.server.clock.now(self.now);
        act(hub, now);
        let mut wrote = false;
        while let Some(event) = hub.poll_event() {
            self.events += 1;
            if self.verbose {
                eprintln!("{:?} server: {event:?}", self.now);
            }
            if let hub::Event::Line(line) = event {
                self.server.history.push((*line).clone());
                self.log.add((*line).clone());
                wrote = true;
            }
        }
        self.guard.hub(hub);
        if wrote && std::mem::take(&mut self.server.doomed) {
            self.kill_server();
        }
        let mut bytes = Vec::new();
        for burst in 0.. {
            let Some(hub) = &mut self.server.hub else { break };
            let Some(to) = hub.poll_transmit(&mut bytes, now) else { break };
            assert!(burst < MAX_BURST, "the hub does not stop sending");
            if let Some(taken) = self.serve_quic(to, &bytes) {
                if let Some(hub) = self.server.hub.as_mut().filter(|_| taken) {
                    hub.handle_taken(to, now);
                }
                continue;
            }
            let hub::Destination::Datagram(path) = to else {
                let writable = self.serve_stream(to, &bytes);
                if let (Some(id), Some(hub)) = (writable, &mut self.server.hub) {
                    hub.handle_stream_writable(id, now);
                }
                continue;
            };
            for bytes in bytes.chunks(MAX_DATAGRAM).map(<[u8]>::to_vec) {
                self.guard.sent(path.remote, &bytes);
                let from = self.server.source(path.local);
                let packet = Packet { from, to: path.remote, bytes };
                self.network.send(packet, self.now, &mut self.dice);
            }
        }
        self.transmit_server_quic();
        self.note_hub_wake();
    }

    fn note_hub_wake(&mut self) {
        let hub = self.server.hub.as_ref().and_then(Hub::poll_timeout);
        let quic = self.server_quic.as_ref().and_then(|it| it.quic.poll_timeout());
        self.server.wake = hub.into_iter().chain(quic).min();
    }

    /// Advances time and handles all events in it.
    pub(crate) fn run_for(&mut self, duration: Duration) {
        let end = self.now + duration;
        loop {
            let signal = self.next_signal();
            let arrivals = [signal.map(|(at, ..)| at), self.network.next_arrival()];
            let next = arrivals.into_iter().flatten().chain(self.wakes()).min();
            let Some(next) = next.filter(|next| *next <= end) else { break };
            if next > self.now {
                self.now = next;
                self.stalls = 0;
            }
            let signal = signal.filter(|(at, ..)| *at <= self.now);
            match (self.network.arrive(self.now), signal) {
                (Some(packet), _) => self.deliver(&packet),
                (None, Some((_, id, end))) => self.deliver_signal(id, end),
                (None, None) => self.handle_timeouts(),
            }
            self.settle_quic();
        }
        self.now = self.now.max(end);
        self.stalls = 0;
        self.check_connections();
    }

    /// Advances time until `holds` is true, which must happen within `limit`.
    pub(crate) fn run_until(&mut self, what: &str, limit: Duration, holds: impl Fn(&Self) -> bool) {
        const STEP: Duration = Duration::from_millis(20);
        let end = self.now + limit;
        while !holds(self) {
            assert!(self.now < end, "{limit:?} have passed without: {what}");
            self.run_for(STEP);
        }
    }

    /// Delivers a datagram to the process at its address.
    pub(crate) fn deliver(&mut self, packet: &Packet) {
        if self.server.is_at(packet.to) {
            if let Some((socket, room)) = &mut self.server.stopped {
                if socket.len() < *room {
                    socket.push(packet.clone());
                }
                return;
            }
            if self.deliver_quic(packet, None) {
                return;
            }
            self.tape.iter_mut().for_each(|tape| tape.push(packet.clone()));
            self.guard.received(packet.from, &packet.bytes);
            let path = Path { local: Local::receiving(packet.to.ip(), 1), remote: packet.from };
            self.with_hub(|hub, now| hub.handle_datagram(path, &packet.bytes, now));
            return self.guard.done();
        }
        let reachable =
            |client: &Client| client.running && !client.stopped && client.address == packet.to;
        if let Some(index) = self.clients.iter().position(reachable) {
            if self.deliver_quic(packet, Some(index)) {
                return;
            }
            self.tape.iter_mut().for_each(|tape| tape.push(packet.clone()));
            self.guard.reached(packet.to);
            let (from, bytes) = (packet.from, &packet.bytes);
            self.with_client(index, |session, _, now| session.handle_datagram(from, bytes, now));
        }
    }

    /// Stops the server: datagrams wait in its socket, which has space for `room` of them.
    pub(crate) fn stop_server(&mut self, room: usize) {
        self.server.stopped = Some((Vec::new(), room));
    }

    /// Resumes the server, which reads its socket before it checks deadlines.
    pub(crate) fn wake_server(&mut self) {
        for packet in self.server.stopped.take().into_iter().flat_map(|(socket, _)| socket) {
            self.deliver(&packet);
        }
    }

    /// Delivers a datagram to the server's discovery port.
    pub(crate) fn probe(&mut self, packet: &Packet) {
        self.guard.received(packet.from, &packet.bytes);
        let path = Path::routed(1, packet.from);
        self.with_hub(|hub, now| hub.handle_probe(path, &packet.bytes, now));
        self.guard.done();
    }

    /// The next timeouts of all processes.
    fn wakes(&self) -> impl Iterator<Item = Timestamp> {
        let awake = self.clients.iter().filter(|client| client.running && !client.stopped);
        let server = self.server.wake.filter(|_| self.server.stopped.is_none());
        awake.filter_map(|client| client.wake).chain(server)
    }

    /// Handles all due timeouts. The next timeout of each must be later.
    fn handle_timeouts(&mut self) {
        self.stalls += 1;
        let stalled = self.stalls > MAX_STALLS;
        let now = self.now;
        let due = |at: Option<Timestamp>| at.is_some_and(|at| at <= now);
        if due(self.server.wake) && self.server.stopped.is_none() {
            assert!(!stalled, "the hub repeats the same timeout");
            if let Some(server) = &mut self.server_quic {
                server.quic.handle_timeout(now);
            }
            self.with_hub(Hub::handle_timeout);
        }
        for index in 0..self.clients.len() {
            let client = &self.clients[index];
            if client.running && !client.stopped && due(client.wake) {
                assert!(!stalled, "{} repeats the same timeout", client.record.tag);
                let client = &mut self.clients[index];
                let now = client.now(now).mono;
                client.quic.iter_mut().for_each(|quic| quic.quic.handle_timeout(now));
                self.with_client(index, |session, _, now| session.handle_timeout(now));
            }
        }
    }
}
