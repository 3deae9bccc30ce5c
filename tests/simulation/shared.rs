//! A room with several servers: hubs, their clients, and the model engine, with a connection from
//! each hub to the engine that is cut, late, or gone.

#[path = "driver.rs"]
mod driver;

use crate::cast::{Client, WallClock};
use crate::checks::{Log, Record};
use crate::dice::Dice;
use crate::engine::{Engine, line};
use crate::network::{Impairment, Network, Packet};
use crate::world::{EXPIRY, GIVE_UP};
use chatagram::client::session::{self, Session, Transport};
use chatagram::engine::Request;
use chatagram::hub::{self, Capacity, Destination, Hub, Limit, Line, Path, Shared};
use chatagram::protocol::limits::{ENGINE_EXPIRY, MAX_DATAGRAM, NAME_HOLD};
use chatagram::protocol::{Delivery, Mark};
use chatagram::time::{Now, Timestamp};
use driver::Step;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
/// For this long a name may be at two servers: one of them has no contact.
const LEASE: Duration = ENGINE_EXPIRY.saturating_add(NAME_HOLD);
/// Limit on consecutive calls of `handle_timeout` at one time.
const MAX_STALLS: u32 = 8;

/// A server and its connection to the engine.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) address: SocketAddr,
    pub(crate) hub: Option<Hub>,
    wake: Option<Timestamp>,
    clock: WallClock,
    /// Nothing passes between the server and the engine.
    pub(crate) cut: bool,
    connected: bool,
    /// Counts the connections: what belongs to an earlier one is void.
    connection: u64,
    /// The position behind which the connection reads the log.
    read: Option<u64>,
    /// Requests, answers and entries arrive in order, each kind on its own.
    last: [Timestamp; 3],
    /// Requests in a connection that is cut.
    stuck: Vec<Request>,
}

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) now: Timestamp,
    pub(crate) dice: Dice,
    pub(crate) network: Network,
    pub(crate) hosts: Vec<Host>,
    pub(crate) clients: Vec<Client>,
    pub(crate) log: Log,
    pub(crate) engine: Engine,
    pub(crate) engine_up: bool,
    /// Delay between servers and engine, at most.
    pub(crate) delay: Duration,
    /// Requests that are carried out twice, per mille.
    pub(crate) duplicates: u64,
    steps: BTreeMap<(Timestamp, u64), (usize, u64, Step)>,
    scheduled: u64,
    lines: BTreeMap<Mark, Line>,
    epoch: u64,
    /// Since when a name has been at two servers.
    twice: BTreeMap<String, Timestamp>,
    stalls: u32,
    verbose: bool,
}

impl World {
    pub(crate) fn new(servers: usize, seed: u64, verbose: bool) -> Self {
        let mut dice = Dice::new(seed);
        let mut world = Self {
            now: Timestamp::from_micros(1_000_000),
            network: Network::new(Impairment::NONE),
            hosts: Vec::new(),
            clients: Vec::new(),
            log: Log::default(),
            engine: Engine::default(),
            engine_up: true,
            delay: Duration::from_millis(dice.below(50) as u64 + 1),
            duplicates: 0,
            steps: BTreeMap::new(),
            scheduled: 0,
            lines: BTreeMap::new(),
            epoch: 0,
            twice: BTreeMap::new(),
            stalls: 0,
            verbose,
            dice,
        };
        world.log.shared = true;
        (0..servers).for_each(|_| world.add_host());
        world
    }

    pub(crate) fn add_host(&mut self) {
        let index = self.hosts.len();
        self.hosts.push(Host {
            address: ([10, 0, 0, index as u8 + 1], 2428).into(),
            hub: None,
            wake: None,
            clock: WallClock(1_800_000_000_000_000 + self.dice.below(1_000_000) as u64),
            cut: false,
            connected: false,
            connection: 0,
            read: None,
            last: [self.now; 3],
            stuck: Vec::new(),
        });
        self.start_host(index);
    }

    /// Lines that the log has had.
    pub(crate) fn lines(&self) -> usize {
        self.lines.len()
    }

    pub(crate) fn start_host(&mut self, index: usize) {
        let config = hub::Config {
            room: "lab".to_owned(),
            heartbeat: 2 * SECOND,
            capacity: Capacity { peers: 16, peers_per_ip: 16, expiry: EXPIRY },
            replay: 10,
            limit: Some(Limit::USUAL),
            discovery: None,
        };
        let seed = self.dice.seed();
        let host = &mut self.hosts[index];
        let shared = Shared { addresses: vec![host.address] };
        let hub = Hub::shared(config, shared, seed, host.clock.now(self.now));
        host.wake = hub.poll_timeout();
        host.hub = Some(hub);
        host.connection += 1;
        self.schedule(index, self.now, Step::Connect);
    }

    pub(crate) fn kill_host(&mut self, index: usize) {
        let host = &mut self.hosts[index];
        (host.hub, host.wake, host.connected, host.read) = (None, None, false, None);
        // What it has sent may still arrive.
        host.stuck.clear();
    }

    /// Starts a client that knows all servers, or one, which tells it the others.
    pub(crate) fn start_client(&mut self, nickname: &str, delivery: Delivery, cached: &[Mark]) {
        let mut servers: Vec<_> = self.hosts.iter().map(|host| host.address).collect();
        let first = self.dice.below(servers.len());
        servers.rotate_left(first);
        if self.dice.chance(400) {
            servers.truncate(1);
        }
        self.start_client_of(nickname, delivery, cached, servers);
    }

    /// Starts a client that knows this server.
    pub(crate) fn start_client_at(&mut self, nickname: &str, delivery: Delivery, host: usize) {
        self.start_client_of(nickname, delivery, &[], vec![self.hosts[host].address]);
    }

    fn start_client_of(
        &mut self,
        nickname: &str,
        delivery: Delivery,
        cached: &[Mark],
        servers: Vec<SocketAddr>,
    ) {
        let port = 1_000 + self.clients.len() as u16;
        let address = ([10, 0, 1, self.dice.below(3) as u8], port).into();
        let config = session::Config {
            nickname: nickname.to_owned(),
            transport: Transport::Udp,
            delivery,
            give_up: GIVE_UP,
            shown: cached.to_vec(),
        };
        let clock = WallClock(1_800_000_000_000_000 + self.dice.below(10_000_000) as u64);
        let several = servers.len() > 1;
        let mut session = Session::new(config, servers, self.dice.seed(), clock.now(self.now));
        if several {
            session.has_several_servers();
        }
        let tag = format!("{nickname}-{}", self.clients.len());
        let record = Record::new(tag, nickname, delivery, cached);
        let (wake, nickname) = (session.poll_timeout(), nickname.to_owned());
        let (running, stopped, slept) = (true, false, Duration::ZERO);
        self.clients.push(Client {
            nickname,
            session,
            wake,
            address,
            clock,
            record,
            running,
            stopped,
            slept,
            quic: None,
        });
    }

    pub(crate) fn kill_client(&mut self, index: usize) {
        self.clients[index].running = false;
    }

    pub(crate) fn with_client<R>(
        &mut self,
        index: usize,
        act: impl FnOnce(&mut Session, &mut Record, Now) -> R,
    ) -> R {
        let client = &mut self.clients[index];
        let now = client.now(self.now);
        let result = act(&mut client.session, &mut client.record, now);
        let mut bytes = Vec::new();
        while let Some(to) = client.session.poll_transmit(&mut bytes, now) {
            for bytes in bytes.chunks(MAX_DATAGRAM).map(<[u8]>::to_vec) {
                let packet = Packet { from: client.address, to, bytes };
                self.network.send(packet, self.now, &mut self.dice);
            }
        }
        while let Some(event) = client.session.poll_event() {
            if self.verbose {
                eprintln!("{:?} {}: {event:?}", self.now, client.record.tag);
            }
            client.record.observe(&event, &self.log);
        }
        client.wake = client.poll_timeout();
        client.running &= !client.session.is_closed();
        result
    }

    pub(crate) fn with_hub(&mut self, index: usize, act: impl FnOnce(&mut Hub, Now)) {
        let host = &mut self.hosts[index];
        let Some(hub) = &mut host.hub else { return };
        let now = host.clock.now(self.now);
        act(hub, now);
        while let Some(event) = hub.poll_event() {
            if self.verbose {
                eprintln!("{:?} server {index}: {event:?}", self.now);
            }
            if let hub::Event::Line(line) = event {
                note(&mut self.lines, &mut self.log, &line);
            }
        }
        let mut bytes = Vec::new();
        while let Some(to) = hub.poll_transmit(&mut bytes, now) {
            let Destination::Datagram(path) = to else { continue };
            for bytes in bytes.chunks(MAX_DATAGRAM).map(<[u8]>::to_vec) {
                let packet = Packet { from: host.address, to: path.remote, bytes };
                self.network.send(packet, self.now, &mut self.dice);
            }
        }
        let requests: Vec<_> = std::iter::from_fn(|| hub.poll_engine(now)).collect();
        host.wake = hub.poll_timeout();
        for request in requests {
            let at = self.arrival(index, 0);
            self.schedule(index, at, Step::Execute(request));
        }
        self.check_names();
    }

    /// No name is at two servers for longer than a lease.
    fn check_names(&mut self) {
        let mut counts = BTreeMap::new();
        for name in self.hosts.iter().filter_map(|host| host.hub.as_ref()).flat_map(Hub::nicknames)
        {
            *counts.entry(name).or_insert(0) += 1;
        }
        let now = self.now;
        self.twice.retain(|name, _| counts.get(name.as_str()).is_some_and(|count| *count > 1));
        for (name, _) in counts.into_iter().filter(|(_, count)| *count > 1) {
            let since = *self.twice.entry(name.to_owned()).or_insert(now);
            assert!(now.since(since) <= LEASE, "{name} is at two servers since {since:?}");
        }
    }

    pub(crate) fn run_for(&mut self, duration: Duration) {
        let end = self.now + duration;
        loop {
            let step = self.steps.first_key_value().map(|((at, _), _)| *at);
            let others = [step, self.network.next_arrival()];
            let next = others.into_iter().flatten().chain(self.wakes()).min();
            let Some(next) = next.filter(|next| *next <= end) else { break };
            if next > self.now {
                (self.now, self.stalls) = (next, 0);
            }
            if step.is_some_and(|at| at <= self.now)
                && let Some((_, (index, connection, step))) = self.steps.pop_first()
            {
                self.take_step(index, connection, step);
            } else if let Some(packet) = self.network.arrive(self.now) {
                self.deliver(&packet);
            } else {
                self.handle_timeouts();
            }
        }
        (self.now, self.stalls) = (self.now.max(end), 0);
    }

    pub(crate) fn run_until(&mut self, what: &str, limit: Duration, holds: impl Fn(&Self) -> bool) {
        let end = self.now + limit;
        while !holds(self) {
            assert!(self.now < end, "{limit:?} have passed without: {what}");
            self.run_for(Duration::from_millis(20));
        }
    }

    fn deliver(&mut self, packet: &Packet) {
        if let Some(index) = self.hosts.iter().position(|host| host.address == packet.to) {
            let path = Path::routed(0, packet.from);
            self.with_hub(index, |hub, now| hub.handle_datagram(path, &packet.bytes, now));
        } else if let Some(index) =
            self.clients.iter().position(|it| it.running && it.address == packet.to)
        {
            let (from, bytes) = (packet.from, &packet.bytes);
            self.with_client(index, |session, _, now| session.handle_datagram(from, bytes, now));
        }
    }

    fn wakes(&self) -> impl Iterator<Item = Timestamp> {
        let clients = self.clients.iter().filter(|it| it.running).filter_map(|it| it.wake);
        clients.chain(self.hosts.iter().filter_map(|host| host.wake))
    }

    fn handle_timeouts(&mut self) {
        self.stalls += 1;
        let (now, stalled) = (self.now, self.stalls > MAX_STALLS);
        let due = |at: Option<Timestamp>| at.is_some_and(|at| at <= now);
        for index in 0..self.hosts.len() {
            if due(self.hosts[index].wake) {
                assert!(!stalled, "server {index} repeats the same timeout");
                self.with_hub(index, Hub::handle_timeout);
            }
        }
        for index in 0..self.clients.len() {
            if self.clients[index].running && due(self.clients[index].wake) {
                assert!(!stalled, "{} repeats a timeout", self.clients[index].record.tag);
                self.with_client(index, |session, _, now| session.handle_timeout(now));
            }
        }
    }

    /// Checks that the room at rest is the same for everybody.
    pub(crate) fn check_rest(&self) {
        let live: Vec<_> = self.clients.iter().filter(|client| client.running).collect();
        let mut names: Vec<_> = live.iter().map(|client| client.nickname.as_str()).collect();
        names.sort_unstable();
        let hubs = self.hosts.iter().filter_map(|host| host.hub.as_ref());
        let mut registered: Vec<_> = hubs.clone().flat_map(Hub::nicknames).collect();
        registered.sort_unstable();
        assert_eq!(registered, names, "the registries differ from the living clients");
        for client in live {
            client.record.at_rest(&self.log, &names);
        }
        assert!(hubs.map(Hub::queued_bytes).all(|bytes| bytes == 0));
        // The engine's log and what the servers told are the same. What a log that went back took
        // on until they noticed is in an epoch before, and was told to nobody.
        let epoch = self.engine.place_epoch();
        let entries = self.engine.entries.iter().filter(|entry| entry.place.epoch == epoch);
        for line in entries.filter_map(line) {
            assert_eq!(self.lines.get(&line.mark), Some(&line));
        }
    }
}

/// Notes a line that a server has. All servers have the same one at a position.
fn note(lines: &mut BTreeMap<Mark, Line>, log: &mut Log, line: &Line) {
    let known = lines.entry(line.mark).or_insert_with(|| {
        log.add(line.clone());
        line.clone()
    });
    assert_eq!(known, line, "two servers differ");
}
