//! An engine whose contents an attacker writes. Whatever it answers, the server goes on within
//! its bounds, and no client shows a control character or a name that is none.

use crate::dice::Dice;
use crate::engine::Engine;
use crate::scenarios::{NAMES, SECOND};
use chatagram::client::session::{self, Event, Session, Transport};
use chatagram::engine::{
    Answer, Attached, Change, Content, Entry, Fence, Mail, Place, Refused, Said, Seat, ServerEntry,
    ServerId, Snapshot,
};
use chatagram::hub::{self, Capacity, Destination, Hub, LineIdentity, Owner, Path, Shared};
use chatagram::protocol::limits::{MAX_DATAGRAM, MAX_NAME, MAX_QUEUE_BYTES, MAX_TEXT};
use chatagram::protocol::{Delivery, LeaveReason};
use chatagram::time::{Now, Timestamp, WallTime};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

const CLIENTS: usize = 3;
const SERVER: ([u8; 4], u16) = ([10, 0, 0, 1], 2428);

struct Room {
    now: Now,
    dice: Dice,
    hub: Hub,
    clients: Vec<Session>,
    /// `None` once it lies.
    honest: Option<Engine>,
    /// The last request of the hub.
    asked: u64,
    /// The last entry that the hub was told.
    place: Place,
    events: u64,
}

/// Clients join; then the engine answers at random.
pub(crate) fn engine(seed: u64, _verbose: bool) -> u64 {
    let mut room = Room::new(seed);
    room.run_for(2 * SECOND);
    assert_eq!(room.hub.nicknames().count(), CLIENTS);
    room.honest = None;
    for _ in 0..300 {
        for _ in 0..=room.dice.below(4) {
            let answer = room.lie();
            room.hub.handle_engine(answer, room.now);
        }
        let pause = room.dice.within(SECOND / 5);
        room.run_for(pause);
        let bytes = room.hub.queued_bytes();
        assert!(bytes <= 2 * CLIENTS * MAX_QUEUE_BYTES, "{bytes} bytes wait");
    }
    room.events
}

impl Room {
    fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let now = Now { mono: Timestamp::from_micros(1_000_000), wall: WallTime(1 << 50) };
        let config = hub::Config {
            room: "lab".to_owned(),
            heartbeat: 2 * SECOND,
            capacity: Capacity { peers: 8, peers_per_ip: 8, expiry: 10 * SECOND },
            replay: 10,
            limit: None,
            discovery: None,
        };
        let shared = Shared { addresses: vec![SERVER.into()] };
        let mut hub = Hub::shared(config, shared, dice.seed(), now);
        hub.handle_engine(Answer::Up, now);
        let clients = NAMES[..CLIENTS].iter().map(|name| {
            let config = session::Config {
                nickname: (*name).to_owned(),
                transport: Transport::Udp,
                delivery: Delivery::ReliableOrdered,
                give_up: 3_600 * SECOND,
                shown: Vec::new(),
            };
            Session::new(config, vec![SERVER.into()], dice.seed(), now)
        });
        let clients = clients.collect();
        let place = Place { epoch: 0, position: 0, chain: 0 };
        let honest = Some(Engine::default());
        Self { now, dice, hub, clients, honest, asked: 0, place, events: 0 }
    }

    fn run_for(&mut self, duration: Duration) {
        let end = self.now.mono + duration;
        while self.now.mono < end {
            self.now.mono = self.now.mono + SECOND / 100;
            self.hub.handle_timeout(self.now);
            self.ask();
            for index in 0..self.clients.len() {
                self.exchange(index);
            }
            while self.hub.poll_event().is_some() {}
            let mut bytes = Vec::new();
            while let Some(to) = self.hub.poll_transmit(&mut bytes, self.now) {
                let Destination::Datagram(path) = to else { continue };
                let client = &mut self.clients[usize::from(path.remote.port()) - 1];
                for bytes in bytes.chunks(MAX_DATAGRAM) {
                    client.handle_datagram(SERVER.into(), bytes, self.now);
                }
            }
        }
    }

    /// Takes the hub's requests; the honest engine answers them.
    fn ask(&mut self) {
        while let Some(request) = self.hub.poll_engine(self.now) {
            self.asked = request.number;
            let Some(engine) = &mut self.honest else { continue };
            let read = engine.position();
            let clock = self.now.mono.as_micros() / 1_000;
            self.hub.handle_engine(engine.execute(&request, clock).answer, self.now);
            for entry in engine.after(read).to_vec() {
                self.place = entry.place;
                self.hub.handle_engine(Answer::Committed(entry), self.now);
            }
        }
    }

    fn exchange(&mut self, index: usize) {
        let client = &mut self.clients[index];
        client.handle_timeout(self.now);
        if self.dice.chance(20) {
            let _ = client.say("hello", self.now);
            let _ = client.whisper(NAMES[self.dice.below(NAMES.len())], "psst", self.now);
            client.ping(NAMES[self.dice.below(NAMES.len())], self.now);
        }
        let mut bytes = Vec::new();
        let path = Path::routed(0, ([10, 0, 0, 9], index as u16 + 1).into());
        while client.poll_transmit(&mut bytes, self.now).is_some() {
            bytes.chunks(MAX_DATAGRAM).for_each(|it| self.hub.handle_datagram(path, it, self.now));
        }
        while let Some(event) = client.poll_event() {
            self.events += 1;
            check(&event);
        }
    }

    /// Any answer, often one that fits what was before.
    fn lie(&mut self) -> Answer {
        let request = self.asked.saturating_sub(self.dice.below(4) as u64);
        match self.dice.below(40) {
            0 => Answer::Up,
            1 => Answer::Down { why: self.text() },
            2..5 => Answer::Stale { request },
            5..9 => Answer::Attached {
                request,
                clock: self.number(),
                servers: self.servers(),
                outcome: match self.dice.below(3) {
                    0 => Attached::Continues,
                    _ => Attached::Fresh(self.snapshot()),
                },
            },
            9..12 => {
                let (clock, servers) = (self.number(), self.servers());
                Answer::Renewed { request, clock, servers }
            }
            12 => Answer::Kept { request },
            13 => Answer::Repeated { request, position: self.number() },
            14 => {
                let held = Refused::NameHeld(Duration::from_millis(self.number()));
                let all = [held, Refused::NameTaken, Refused::Full, Refused::Fenced];
                Answer::Refused { request, why: all[self.dice.below(4)] }
            }
            15..20 => Answer::Mail(self.mail()),
            _ => Answer::Committed(self.entry(request)),
        }
    }

    fn entry(&mut self, request: u64) -> Entry {
        self.place.position = match self.dice.below(20) {
            0 => self.number(),
            _ => self.place.position.saturating_add(1),
        };
        if self.dice.chance(20) {
            self.place.epoch = self.number();
        }
        let server = self.server();
        let change = match self.dice.below(10) {
            0 => Change::Began,
            1..4 => {
                let replaces = self.dice.chance(300).then(|| self.fence());
                Change::Joined { seat: self.seat(server), replaces }
            }
            4 => {
                let next = self.dice.chance(500).then(|| self.number() as u16);
                Change::Left { fence: self.fence(), reason: LeaveReason::Timeout, next }
            }
            _ => Change::Said(self.said()),
        };
        let before = if self.dice.chance(20) { self.number() } else { self.place.chain };
        Entry { place: self.place, before, server, request, change }
    }

    fn snapshot(&mut self) -> Snapshot {
        self.place.position = self.number();
        let servers: Vec<_> = (0..self.dice.below(4)).map(|_| self.server()).collect();
        let seats = servers.into_iter().map(|server| self.seat(server)).collect();
        let lines = (0..self.dice.below(4)).map(|_| (self.number(), self.said())).collect();
        Snapshot { place: self.place, seats, lines, floor: self.number() }
    }

    fn seat(&mut self, server: ServerId) -> Seat {
        let fence = if self.dice.chance(500) { Fence(self.place.position) } else { self.fence() };
        let (nickname, owner) = (self.text(), Owner(self.number()));
        Seat { fence, server, nickname, owner, next: self.number() as u16 }
    }

    fn said(&mut self) -> Said {
        let identity = LineIdentity { owner: Owner(self.number()), number: self.number() as u16 };
        Said {
            fence: self.fence(),
            identity,
            at: WallTime(self.number()),
            upstream: self.number() as i32,
            from: self.text(),
            text: self.text(),
        }
    }

    fn mail(&mut self) -> Mail {
        let number = self.number();
        let content = match self.dice.below(4) {
            0 => Content::Receipt { number, delivered: self.dice.chance(500) },
            1 => Content::Ping { number: number as u16 },
            2 => Content::Pong { number: number as u16 },
            _ => {
                let (at, upstream) = (WallTime(self.number()), number as i32);
                Content::Whisper { number, at, upstream, text: self.text() }
            }
        };
        Mail { from: self.fence(), to: self.fence(), until: self.number(), content }
    }

    fn servers(&mut self) -> Vec<ServerEntry> {
        let mut servers = Vec::new();
        for _ in 0..self.dice.below(40) {
            let server = self.server();
            let address = |room: &mut Self| {
                if room.dice.chance(500) {
                    (Ipv4Addr::from_bits(room.number() as u32), room.number() as u16).into()
                } else {
                    (Ipv6Addr::from_bits(room.number().into()), room.number() as u16).into()
                }
            };
            let addresses = (0..self.dice.below(9)).map(|_| address(self)).collect();
            servers.push(ServerEntry { server, addresses });
        }
        servers
    }

    fn server(&mut self) -> ServerId {
        let own = self.hub.server_id().unwrap();
        if self.dice.chance(500) { own } else { ServerId(self.number()) }
    }

    fn fence(&mut self) -> Fence {
        if self.dice.chance(800) {
            Fence(self.place.position.saturating_sub(self.dice.below(12) as u64))
        } else {
            Fence(self.number())
        }
    }

    fn number(&mut self) -> u64 {
        match self.dice.below(6) {
            0 => u64::MAX - self.dice.below(3) as u64,
            1 => self.dice.roll(),
            2 => i64::MAX as u64 + self.dice.below(3) as u64,
            3 => self.place.position.saturating_add(self.dice.below(3) as u64),
            _ => self.dice.below(20) as u64,
        }
    }

    fn text(&mut self) -> String {
        match self.dice.below(8) {
            0 => "\u{1b}[2J\u{7}\u{9b}31m".to_owned(),
            1 => "\u{202e}evil\u{0}\r\n\u{85}".to_owned(),
            2 => "\u{20ac}".repeat(self.dice.below(3 * MAX_TEXT)),
            3 => String::new(),
            4 => format!("peer{}", self.dice.below(9)),
            _ => NAMES[self.dice.below(NAMES.len())].to_owned(),
        }
    }
}

/// Checks that what a client shows is clean.
fn check(event: &Event) {
    let clean = |text: &str, most: usize| {
        let bad = text.chars().find(|it| it.is_control() || *it == '\u{202e}');
        assert!(bad.is_none() && text.len() <= most, "{event:?}");
    };
    match event {
        Event::Message { from, text, .. } | Event::History { from, text, .. } => {
            clean(from, MAX_NAME);
            clean(text, MAX_TEXT);
        }
        Event::Present { nicknames }
        | Event::Joined { nicknames, .. }
        | Event::Left { nicknames, .. } => nicknames.iter().for_each(|it| clean(it, MAX_NAME)),
        Event::Status { notice } => clean(&notice.to_string(), 1_000),
        Event::Error { notice } => clean(&notice.to_string(), 2_000),
        _ => {}
    }
}
