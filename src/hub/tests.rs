//! The hub as its peers see it: datagrams in, datagrams out. The peers are real sessions, and the
//! tests carry their datagrams.

mod answers;
mod attacks;
mod engine;
mod fairness;
mod floods;
mod log;
mod moderator;
mod observer;
mod presence;
mod pressure;
mod rename;

use super::{Config, Counters, Destination, Event, Hub};
use crate::bucket::Limit;
use crate::client::session::{self, CloseReason, Session, Transport};
use crate::path::Path;
use crate::protocol::limits::{
    JOIN_SIZE, MAX_DATAGRAM, MAX_QUEUE_BYTES, NAME_HOLD, PROBE_SIZE, REMEMBERED_NONCES,
};
use crate::protocol::{
    ClientMessage, Datagram, DatagramWriter, Delivery, Flags, Frame, HEADER_LEN, Header, Join,
    LeaveReason, Preface, Refusal, Say, ServerCounters, Whisper, encode_message, write_record,
};
use crate::registry::{Capacity, PeerId};
use crate::room::Past;
use crate::time::{Now, Timestamp, WallTime};
use std::net::SocketAddr;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn server() -> SocketAddr {
    ([10, 0, 0, 1], 2428).into()
}

fn path(port: u16) -> Path {
    Path::routed(0, ([10, 0, 0, 9], port).into())
}

/// A hub and the sessions that talk to it, each with a port of its own.
struct Room {
    now: Now,
    hub: Hub,
    peers: Vec<(u16, Session)>,
    events: Vec<Event>,
    /// The events of each session.
    told: Vec<Vec<session::Event>>,
    /// The datagrams of the last turn, with the port that they came from or went to.
    up: Vec<(u16, Vec<u8>)>,
    down: Vec<(u16, Vec<u8>)>,
    /// The network loses every datagram from or to this port.
    cut_off: Option<u16>,
}

impl Room {
    fn new(places: usize) -> Self {
        Self::limited(places, None)
    }

    fn limited(places: usize, limit: Option<Limit>) -> Self {
        let now = Now { mono: Timestamp::from_micros(1_000_000), wall: WallTime(1_000_000) };
        let capacity = Capacity { peers: places, peers_per_ip: 64, expiry: 10 * SECOND };
        let config = Config {
            room: "lab".to_owned(),
            heartbeat: 2 * SECOND,
            capacity,
            replay: 10,
            limit,
            discovery: Some(2428),
        };
        let hub = Hub::new(config, Past::default(), [1; 32], now);
        let (peers, events, told) = (vec![], vec![], vec![]);
        Self { now, hub, peers, events, told, up: vec![], down: vec![], cut_off: None }
    }

    /// Starts a session and runs until it is admitted or refused. Returns its index.
    fn join(&mut self, nickname: &str, port: u16) -> usize {
        let index = self.start(nickname, port);
        self.run_for(SECOND / 10);
        index
    }

    /// Starts a session, which will send its `Join`. Returns its index.
    fn start(&mut self, nickname: &str, port: u16) -> usize {
        let nickname = nickname.to_owned();
        let (delivery, give_up, shown) = (Delivery::ReliableOrdered, 60 * SECOND, vec![]);
        let config =
            session::Config { nickname, transport: Transport::Udp, delivery, give_up, shown };
        let seed = [port as u8; 32];
        self.peers.push((port, Session::new(config, vec![server()], seed, self.now)));
        self.told.push(Vec::new());
        self.peers.len() - 1
    }

    /// Carries datagrams both ways, every millisecond.
    fn run_for(&mut self, duration: Duration) {
        let end = self.now.mono + duration;
        while self.now.mono < end {
            let step = Duration::from_millis(1);
            self.now.mono = self.now.mono + step;
            self.now.wall.0 += 1_000;
            self.turn();
        }
    }

    fn turn(&mut self) {
        let now = self.now;
        (self.up, self.down) = (vec![], vec![]);
        let mut bytes = Vec::new();
        for (port, peer) in &mut self.peers {
            peer.handle_timeout(now);
            while peer.poll_transmit(&mut bytes, now).is_some() {
                self.up.extend(bytes.chunks(MAX_DATAGRAM).map(|it| (*port, it.to_vec())));
            }
        }
        self.up.retain(|(port, _)| Some(*port) != self.cut_off);
        for (port, bytes) in self.up.clone() {
            self.hub.handle_datagram(path(port), &bytes, now);
        }
        self.hub.handle_timeout(now);
        self.down = self.drain();
        self.down.retain(|(port, _)| Some(*port) != self.cut_off);
        for (to, bytes) in self.down.clone() {
            for (_, peer) in self.peers.iter_mut().filter(|(port, _)| *port == to) {
                peer.handle_datagram(server(), &bytes, now);
            }
        }
        for ((_, peer), told) in self.peers.iter_mut().zip(&mut self.told) {
            told.extend(std::iter::from_fn(|| peer.poll_event()));
        }
    }

    fn drain(&mut self) -> Vec<(u16, Vec<u8>)> {
        self.events.extend(std::iter::from_fn(|| self.hub.poll_event()));
        let mut sent = Vec::new();
        let mut bytes = Vec::new();
        while let Some(to) = self.hub.poll_transmit(&mut bytes, self.now) {
            let Destination::Datagram(to) = to else { continue };
            sent.extend(bytes.chunks(MAX_DATAGRAM).map(|it| (to.remote.port(), it.to_vec())));
        }
        sent
    }

    /// Hands one datagram to the hub and returns the answers.
    fn inject(&mut self, port: u16, bytes: &[u8]) -> Vec<(u16, Vec<u8>)> {
        self.hub.handle_datagram(path(port), bytes, self.now);
        self.drain()
    }

    fn welcomes(&self, peer: usize) -> usize {
        self.told[peer].iter().filter(|e| matches!(e, session::Event::Welcome { .. })).count()
    }

    fn closed(&self, peer: usize) -> Option<CloseReason> {
        self.told[peer].iter().find_map(|event| match event {
            session::Event::Closed { reason } => Some(*reason),
            _ => None,
        })
    }

    /// The number of lines said so far.
    fn lines(&self) -> usize {
        self.events.iter().filter(|event| matches!(event, Event::Line(_))).count()
    }

    fn names(&self) -> Vec<&str> {
        self.hub.nicknames().collect()
    }

    fn session(&self, peer: usize) -> u64 {
        let mut sessions = self.told[peer].iter().rev().filter_map(|event| match event {
            session::Event::Welcome { session, .. } => Some(*session),
            _ => None,
        });
        sessions.next().unwrap()
    }
}

fn join_frame<'a>(nonce: u64, cookie: &'a [u8], nickname: &'a str, resume: &'a [u8]) -> Frame<'a> {
    Frame::Join(Join { nonce, cookie, nickname, resume, ..Join::default() })
}

fn join_datagram(nonce: u64, cookie: &[u8], nickname: &str, resume: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = DatagramWriter::new(&mut bytes);
    writer.push(&join_frame(nonce, cookie, nickname, resume));
    writer.pad_to(JOIN_SIZE);
    writer.finish(&Header::default());
    bytes
}

/// The bytes with which a client joins over a connection.
fn join_stream(nonce: u64, nickname: &str) -> Vec<u8> {
    let mut bytes = Preface { flags: Flags::default(), session: 0 }.encode().to_vec();
    write_record(&join_frame(nonce, &[], nickname, &[]), &mut bytes);
    bytes
}

fn heartbeat(session: u64, sequence: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = DatagramWriter::new(&mut bytes);
    writer.push(&Frame::Heartbeat);
    writer.pad_to(crate::link::PATH_CHALLENGE_LEN);
    writer.finish(&Header { session, sequence, ..Header::default() });
    bytes
}

/// Makes this a datagram of version 2 with a correct checksum, which is the same in all versions.
fn seal(bytes: &mut [u8], flags: u8) {
    bytes[..4].copy_from_slice(&[b'C', b'G', 2, flags]);
    let crc = bytes[..4].iter().chain(&bytes[8..]).fold(u32::MAX, |crc, byte| {
        let shift = |crc: u32, _| (crc >> 1) ^ (0xedb8_8320 & 0_u32.wrapping_sub(crc & 1));
        (0..8).fold(crc ^ u32::from(*byte), shift)
    });
    bytes[4..8].copy_from_slice(&(!crc).to_be_bytes());
}

fn first_frame(bytes: &[u8]) -> Frame<'_> {
    Datagram::decode(bytes).unwrap().frames().next().unwrap()
}

#[test]
fn a_name_in_use_is_refused_and_the_room_is_not_told() {
    let mut room = Room::new(8);
    let alice = room.join("alice", 1);
    let other = room.join("ALICE", 2);
    assert_eq!((room.welcomes(alice), room.closed(other)), (1, Some(CloseReason::Refused)));
    assert_eq!((room.names(), room.hub.counters().wire.refused), (vec!["alice"], 1));
}

#[test]
fn a_full_room_refuses_joins_until_a_member_leaves() {
    let mut room = Room::new(2);
    let (a, _) = (room.join("a", 1), room.join("b", 2));
    let c = room.join("c", 3);
    assert_eq!(room.closed(c), Some(CloseReason::Refused));
    let now = room.now;
    room.peers[a].1.leave(now);
    room.run_for(SECOND / 5);
    assert_eq!((room.closed(a), room.hub.sessions()), (Some(CloseReason::Quit), 1));
    let c = room.join("c", 4);
    assert_eq!((room.welcomes(c), room.names()), (1, vec!["b", "c"]));
}

#[test]
fn the_name_of_an_expired_client_is_held_for_its_owner() {
    let mut room = Room::new(8);
    let alice = room.join("alice", 1);
    room.cut_off = Some(1);
    room.run_for(11 * SECOND);
    let left = |event: &Event| matches!(event, Event::Left { reason: LeaveReason::Timeout, .. });
    assert!(room.events.iter().any(left) && room.names().is_empty());
    let stranger = room.join("alice", 2);
    assert_eq!(room.closed(stranger), Some(CloseReason::Refused));
    room.cut_off = None;
    room.run_for(3 * SECOND);
    assert_eq!((room.names(), room.welcomes(alice)), (vec!["alice"], 2), "the owner is back");
}

#[test]
fn a_token_reclaims_a_name_while_the_old_session_lives() {
    let mut room = Room::new(8);
    let (alice, bob) = (room.join("alice", 1), room.join("bob", 2));
    let sessions = room.session(alice);
    let reset = {
        let mut bytes = Vec::new();
        let mut writer = DatagramWriter::new(&mut bytes);
        writer.push(&Frame::Reset);
        writer.finish(&Header {
            flags: Flags::FROM_SERVER,
            session: sessions,
            ..Header::default()
        });
        bytes
    };
    let now = room.now;
    room.peers[alice].1.handle_datagram(server(), &reset, now);
    room.run_for(SECOND);
    assert_eq!((room.welcomes(alice), room.hub.sessions()), (2, 2));
    assert_ne!(room.session(alice), sessions);
    let noticed = |e: &session::Event| matches!(e, session::Event::Left { .. });
    assert!(!room.told[bob].iter().any(noticed), "no departure is announced");
}

#[test]
fn a_held_name_is_free_after_the_hold() {
    let mut room = Room::new(8);
    room.join("alice", 1);
    room.peers.clear();
    room.told.clear();
    room.run_for(10 * SECOND + NAME_HOLD + SECOND);
    let stranger = room.join("alice", 2);
    assert_eq!(room.welcomes(stranger), 1);
}

#[test]
fn noise_is_counted_and_not_answered() {
    let mut room = Room::new(8);
    let alien = [[0; 3].as_slice(), &[0xff; 700], &[0x43; 1_300]];
    for bytes in alien {
        assert_eq!(room.inject(5, bytes), vec![]);
    }
    let mut corrupt = heartbeat(7, 1);
    corrupt[45] ^= 1;
    assert_eq!(room.inject(5, &corrupt), vec![]);
    assert_eq!(room.inject(5, &heartbeat(0, 1)), vec![]);
    let mut echo = Vec::new();
    let mut writer = DatagramWriter::new(&mut echo);
    writer.push(&Frame::Heartbeat);
    writer.finish(&Header { flags: Flags::FROM_SERVER, session: 7, ..Header::default() });
    assert_eq!(room.inject(5, &echo), vec![]);
    let received_bytes = alien.iter().map(|bytes| bytes.len() as u64).sum::<u64>()
        + (corrupt.len() + heartbeat(0, 1).len() + echo.len()) as u64;
    let wire = ServerCounters {
        received: 6,
        alien: 3,
        corrupt: 1,
        malformed: 2,
        ..ServerCounters::default()
    };
    let expected = Counters { wire, received_bytes, ..Counters::default() };
    assert_eq!(room.hub.counters(), expected);
}

#[test]
fn a_join_of_another_version_gets_one_refusal_no_larger_than_itself() {
    let mut room = Room::new(8);
    let mut join = vec![0; JOIN_SIZE];
    seal(&mut join, 0);
    let answers = room.inject(5, &join);
    let [(5, answer)] = &answers[..] else { panic!("{answers:?}") };
    assert!(answer.len() <= join.len());
    assert!(matches!(first_frame(answer), Frame::Refused { reason: Refusal::Version, .. }));
    let mut short = vec![0; JOIN_SIZE - 1];
    seal(&mut short, 0);
    assert_eq!(room.inject(5, &short), vec![], "too small for an answer");
    seal(&mut join, 1);
    assert_eq!(room.inject(5, &join), vec![], "from a server");
}

#[test]
fn an_unknown_session_is_reset_unless_the_datagram_is_a_bare_acknowledgment() {
    let mut room = Room::new(8);
    let question = heartbeat(77, 1);
    let answers = room.inject(5, &question);
    let [(5, answer)] = &answers[..] else { panic!("{answers:?}") };
    assert!(answer.len() <= question.len() && first_frame(answer) == Frame::Reset);
    let mut bare = Vec::new();
    DatagramWriter::new(&mut bare).finish(&Header { session: 77, ..Header::default() });
    assert_eq!(bare.len(), HEADER_LEN);
    assert_eq!(room.inject(5, &bare), vec![]);
    assert_eq!(room.hub.counters().wire.unknown_session, 2);
}

#[test]
fn a_peer_moves_once_its_new_address_has_answered_a_challenge() {
    let mut room = Room::new(8);
    let alice = room.join("alice", 1);
    room.peers[alice].0 = 2;
    room.run_for(3 * SECOND);
    let moved = Event::Moved { nickname: "alice".to_owned(), path: path(2) };
    assert!(room.events.contains(&moved));
    assert_eq!((room.welcomes(alice), room.hub.counters().challenges), (1, 2));
}

#[test]
fn replayed_datagrams_move_no_session() {
    let mut room = Room::new(8);
    let alice = room.join("alice", 1);
    let mut overheard = Vec::new();
    for _ in 0..5_000 {
        room.run_for(Duration::from_millis(1));
        overheard.append(&mut room.up);
    }
    for (_, bytes) in &overheard {
        assert_eq!(room.inject(6, bytes), vec![], "a replay is not the newest");
    }
    // A datagram that the attacker held back is new to the server: the only answer is a challenge.
    let session = room.session(alice);
    let answers = room.inject(6, &heartbeat(session, 1_000));
    let [(6, answer)] = &answers[..] else { panic!("{answers:?}") };
    assert!(matches!(first_frame(answer), Frame::PathChallenge(_)));
    room.run_for(SECOND);
    assert!(!room.events.iter().any(|event| matches!(event, Event::Moved { .. })));
}

#[test]
fn a_shutdown_is_told_to_every_peer_and_refuses_joins() {
    let mut room = Room::new(8);
    let (alice, bob) = (room.join("alice", 1), room.join("bob", 2));
    let now = room.now;
    room.hub.shutdown(LeaveReason::Shutdown, now);
    assert!(!room.hub.is_finished());
    room.turn();
    let late = room.join("carol", 3);
    for peer in [alice, bob] {
        assert_eq!(room.closed(peer), Some(CloseReason::Shutdown));
    }
    assert!(room.hub.is_finished(), "every peer has acknowledged");
    assert_eq!(room.closed(late), Some(CloseReason::Refused));
}
