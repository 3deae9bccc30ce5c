//! The bytes that one message, or one datagram without a message, may make either end allocate: at
//! most 4 KiB. The meter counts every byte requested during the one call that handles it, whether
//! it is freed again or kept. The room is full, and its members say lines of every length.
//!
//! Two things have bounds elsewhere. A join: a client with a proven address receives the list of
//! members and the recent lines. And the queues of slow readers: the hub allocates for them when it
//! fans out, up to the bound of a queue. Here every member reads. The fuzz targets hold the limit
//! for each message of a datagram with several.

mod crowd;

use crate::meter::allocated;
use chatagram::client::session::{self, Event, Session, Transport};
use chatagram::hub::{self, Capacity, Destination, Hub, Past, Path, StreamId};
use chatagram::protocol::limits::{LOG_LINES, MAX_DATAGRAM, MAX_TEXT};
use chatagram::protocol::{Datagram, Delivery, Nickname};
use chatagram::time::{Now, Timestamp, WallTime};
use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

const LIMIT: usize = 4_096;
/// Bytes that the decoder allocates for a refused datagram: the text of the reason.
const REFUSAL: usize = 512;
/// Members of the room; every fourth uses TCP.
const MEMBERS: usize = 60;
/// Milliseconds of talk: long enough for every buffer that grows with the lines to reach its full
/// length, and for each member to have said lines of many lengths.
const TALK: usize = 60_000;
/// Bytes of a stream that arrive at once.
const PIECE: usize = 700;

struct World {
    hub: Hub,
    now: Now,
    members: Vec<(SocketAddr, Session)>,
    said: usize,
    /// The most that one call allocated, by what it handled.
    most: BTreeMap<&'static str, usize>,
}

fn server() -> SocketAddr {
    ([10, 0, 0, 1], 2428).into()
}

fn path(remote: SocketAddr) -> Path {
    Path::routed(0, remote)
}

fn server_config() -> hub::Config {
    hub::Config {
        room: "lab".to_owned(),
        heartbeat: Duration::from_secs(2),
        capacity: Capacity { peers: 256, peers_per_ip: 64, expiry: Duration::from_secs(10) },
        replay: 10,
        discovery: Some(2428),
        limit: None,
    }
}

impl World {
    fn new(members: usize) -> Self {
        let mono = Timestamp::from_micros(5_000_000);
        let now = Now { mono, wall: WallTime(1_800_000_000_000_000) };
        let hub = Hub::new(server_config(), Past::default(), [1; 32], now);
        let mut world = Self { hub, now, members: Vec::new(), said: 0, most: BTreeMap::new() };
        for index in 0..members {
            let config = session::Config {
                nickname: format!("member{index}"),
                transport: if index % 4 == 0 { Transport::Tcp } else { Transport::Udp },
                delivery: Delivery::ALL[index % 3],
                give_up: Duration::from_secs(60),
                shown: Vec::new(),
            };
            let session = Session::new(config, vec![server()], [index as u8; 32], now);
            world.members.push((([10, 0, 1, 1], 1_000 + index as u16).into(), session));
        }
        world.talk(1_000);
        assert!(world.members.iter().all(|(_, session)| session.is_settled()));
        assert_eq!(world.hub.sessions(), members);
        world.most.clear();
        world
    }

    fn note(&mut self, what: &'static str, cost: usize) {
        let most = self.most.entry(what).or_default();
        *most = cost.max(*most);
    }

    /// Runs for this many milliseconds. Every member says a line now and then.
    fn talk(&mut self, milliseconds: usize) {
        for step in 0..milliseconds {
            let speaker = step % (self.members.len() * 3);
            if step % 7 == 0
                && let Some((_, session)) = self.members.get_mut(speaker)
            {
                session.say(&"x".repeat(1 + step % MAX_TEXT), self.now).unwrap();
                self.said += 1;
            }
            self.now.mono = self.now.mono + Duration::from_millis(1);
            self.now.wall.0 += 1_000;
            self.hub.handle_timeout(self.now);
            self.carry_down();
            for index in 0..self.members.len() {
                self.members[index].1.handle_timeout(self.now);
                self.carry_up(index);
            }
        }
    }

    fn carry_up(&mut self, index: usize) {
        let (now, mut buffer) = (self.now, Vec::new());
        let address = self.members[index].0;
        let stream = StreamId(index as u64);
        while let Some(event) = self.members[index].1.poll_event() {
            if matches!(event, Event::Connect(_)) {
                self.hub.handle_stream_opened(stream, path(address), now);
                self.members[index].1.handle_connected(server(), now);
            }
        }
        while self.members[index].1.poll_transmit(&mut buffer, now).is_some() {
            for bytes in buffer.chunks(MAX_DATAGRAM) {
                let ((), cost) = allocated(|| self.hub.handle_datagram(path(address), bytes, now));
                self.note("a member's datagram, in the hub", cost);
            }
        }
        while self.members[index].1.poll_stream_transmit(&mut buffer, now) {
            for piece in buffer.chunks(PIECE) {
                let ((), cost) = allocated(|| self.hub.handle_stream_bytes(stream, piece, now));
                self.note("a member's piece of a stream, in the hub", cost);
            }
            self.members[index].1.handle_stream_writable(now);
        }
    }

    fn carry_down(&mut self) {
        let (now, mut buffer) = (self.now, Vec::new());
        while self.hub.poll_event().is_some() {}
        while let Some(destination) = self.hub.poll_transmit(&mut buffer, now) {
            match destination {
                Destination::Datagram(to) => {
                    for bytes in buffer.chunks(MAX_DATAGRAM) {
                        self.receive(to.remote, bytes);
                    }
                }
                Destination::Stream(id) => {
                    let index = id.0 as usize;
                    for piece in buffer.chunks(PIECE) {
                        let Some((_, session)) = self.members.get_mut(index) else { continue };
                        let ((), cost) = allocated(|| session.handle_stream_bytes(piece, now));
                        self.note("the server's piece of a stream, in a client", cost);
                    }
                    self.hub.handle_stream_writable(id, now);
                }
                Destination::Close(_) | Destination::Message(..) => {}
            }
        }
    }

    fn receive(&mut self, to: SocketAddr, bytes: &[u8]) {
        let now = self.now;
        let Some((_, session)) = self.members.iter_mut().find(|(address, _)| *address == to) else {
            return;
        };
        let ((), cost) = allocated(|| session.handle_datagram(server(), bytes, now));
        self.note("the server's datagram, in a client", cost);
    }
}

/// As many of the shortest lines as fit a datagram. The limit holds for each line, including its
/// place in the queues of all other members.
fn a_full_datagram_allocates_at_most_4_kib_per_line() {
    let mut world = World::new(MEMBERS);
    world.talk(TALK);
    let (now, mut buffer) = (world.now, Vec::new());
    let (address, session) = &mut world.members[1];
    while session.say("x", now).is_ok() {}
    let mut most = (0, 0);
    while session.poll_transmit(&mut buffer, now).is_some() {
        for bytes in buffer.chunks(MAX_DATAGRAM) {
            let messages = Datagram::decode(bytes).unwrap().frames().count();
            let from = path(*address);
            let ((), cost) = allocated(|| world.hub.handle_datagram(from, bytes, now));
            most = most.max((messages, cost));
            assert!(cost <= messages * LIMIT, "{cost} bytes for {messages} messages");
        }
    }
    let (messages, cost) = most;
    println!("{cost} bytes for {messages} messages in one datagram");
    assert!(messages > 40, "{messages}");
}

/// Names are looked up by their skeleton: for `/ping NAME`, for a whisper, for a join.
fn looking_up_a_name_allocates_at_most_3_kib() {
    let mut most = (0, '-');
    let mut tried = 0;
    for ch in ('\0'..=char::MAX).filter(|ch| ch.is_alphanumeric()) {
        for length in (1..=32).rev() {
            let raw = ch.to_string().repeat(length);
            let (key, cost) = allocated(|| Nickname::parse(&raw).map(|name| name.key()));
            most = most.max((cost, ch));
            if key.is_ok() {
                tried += 1;
                break;
            }
        }
    }
    let (cost, ch) = most;
    println!("{cost} bytes for {ch} ({:#x}), the most of {tried} letters", u32::from(ch));
    assert!(tried > 100_000, "{tried}");
    assert!(cost <= 3 * 1_024, "{cost} bytes for {ch}");
}

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let directory = format!("{}/tests/fuzz/corpus/{target}", env!("CARGO_MANIFEST_DIR"));
    let entries = fs::read_dir(directory).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().map(|path| fs::read(path).unwrap()).collect()
}

fn handling_a_datagram_allocates_at_most_4_kib() {
    let mut world = World::new(MEMBERS);
    world.talk(TALK);
    assert!(world.said > 2 * LOG_LINES, "{} lines", world.said);
    for bytes in corpus("datagram") {
        let (datagram, cost) = allocated(|| Datagram::decode(&bytes));
        let limit = if datagram.is_ok() { 0 } else { REFUSAL };
        assert!(cost <= limit, "{cost} bytes to decode {bytes:?}");
        let now = world.now;
        let stranger = path(([66, 6, 6, 6], 6).into());
        let ((), cost) = allocated(|| world.hub.handle_datagram(stranger, &bytes, now));
        world.note("a stranger's datagram, in the hub", cost);
        let ((), cost) = allocated(|| world.hub.handle_probe(stranger, &bytes, now));
        world.note("a stranger's probe, in the hub", cost);
        let client = &mut world.members[1].1;
        let ((), cost) = allocated(|| client.handle_datagram(server(), &bytes, now));
        world.note("a stranger's datagram, in a client", cost);
        world.carry_down();
    }
    for (number, input) in corpus("stream").into_iter().enumerate() {
        // The input begins with a length of two bytes and that many bytes; the stream follows.
        let skip = 2 + usize::from(u16::from_be_bytes([input[0], input[1]]) & 0x7ff);
        for (round, size) in [1, 7, usize::MAX].into_iter().enumerate() {
            let id = StreamId((1_000 + number * 3 + round) as u64);
            let now = world.now;
            world.hub.handle_stream_opened(id, path(([66, 6, 6, 6], 6).into()), now);
            for piece in input.get(skip..).unwrap_or_default().chunks(size) {
                let sessions = world.hub.sessions();
                let ((), cost) = allocated(|| world.hub.handle_stream_bytes(id, piece, now));
                if world.hub.sessions() == sessions {
                    world.note("a stranger's piece of a stream, in the hub", cost);
                }
            }
            world.hub.handle_stream_closed(id, now);
            world.carry_down();
        }
    }
    for (what, most) in &world.most {
        println!("{most:>6} bytes at most for {what}");
    }
    assert_eq!(world.most.len(), 8);
    for (what, most) in &world.most {
        assert!(*most <= LIMIT, "{most} bytes for {what}");
    }
}

tests! {
    crowd::a_crowd_over_tcp_takes_no_more_memory_than_twice_that_of_one_over_udp,
    a_full_datagram_allocates_at_most_4_kib_per_line,
    looking_up_a_name_allocates_at_most_3_kib,
    handling_a_datagram_allocates_at_most_4_kib,
}
