//! Clients whose server is lost, and the servers that they try.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::client::session::{CloseReason, Config};
use crate::protocol::limits::{LISTED_PAUSE, QUIET, SILENT};
use crate::protocol::{
    ClientMessage, Datagram, DatagramWriter, Delivery, Flags, Frame, Header, LeaveReason, PastLine,
    Refusal, ServerList, ServerMessage, Welcome, decode_message, encode_message,
};
use crate::time::WallTime;
use rand_chacha::rand_core::SeedableRng;
use std::collections::HashMap;

#[test]
fn pauses_grow_while_sessions_do_not_last_and_end_when_one_does() {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let mut ended = Ended::default();
    let at = |seconds| Timestamp::ZERO + Duration::from_secs(seconds);
    ended.note(true, at(1), at(1));
    assert_eq!((ended.at, ended.pause(&mut rng)), (Some(at(1)), Duration::ZERO));
    for most in [500, 1_000, 2_000, 4_000, 8_000, 8_000] {
        ended.note(false, at(2), at(2));
        let most = Duration::from_millis(most);
        let pauses: Vec<_> = (0..20).map(|_| ended.pause(&mut rng)).collect();
        assert!(pauses.iter().all(|it| (most / 2..=most).contains(it)), "{pauses:?}");
        assert!(pauses.iter().any(|it| *it != pauses[0]));
    }
    assert_eq!(ended.at, Some(at(1)), "the time to give up is counted from there");
    ended.note(true, at(3), at(3));
    assert_eq!((ended.at, ended.pause(&mut rng)), (Some(at(3)), Duration::ZERO));
}

fn address(n: u8) -> SocketAddr {
    ([10, 0, 0, n], 2428).into()
}

const HEARTBEAT: Frame<'_> = Frame::Heartbeat;

/// A client, and servers that do what a test says.
struct Stage {
    session: Session,
    now: Now,
    nonce: u64,
    /// Session, last sequence number and next message id of each server.
    servers: HashMap<SocketAddr, (u64, u32, u16)>,
    /// The last sequence number of the client.
    heard: u32,
    /// Time in milliseconds and destination of each join.
    joins: Vec<(u64, SocketAddr)>,
    /// Numbers of the lines that were sent, with their destinations.
    said: Vec<(SocketAddr, u16)>,
    events: Vec<Event>,
}

impl Stage {
    fn new(named: &[u8]) -> Self {
        let config = Config {
            nickname: "alice".to_owned(),
            transport: Transport::Udp,
            delivery: Delivery::ReliableOrdered,
            give_up: Duration::from_secs(300),
            shown: Vec::new(),
        };
        let now = Now { mono: Timestamp::from_micros(0), wall: WallTime(0) };
        let addresses = named.iter().copied().map(address).collect();
        let mut session = Session::new(config, addresses, [1; 32], now);
        if named.len() > 1 {
            session.has_several_servers();
        }
        let (servers, heard, joins, said, events) = Default::default();
        let mut stage = Self { session, now, nonce: 0, servers, heard, joins, said, events };
        stage.settle();
        stage
    }

    /// Takes what the session sends and reports.
    fn settle(&mut self) {
        self.session.handle_timeout(self.now);
        let mut bytes = Vec::new();
        while let Some(to) = self.session.poll_transmit(&mut bytes, self.now) {
            let datagram = Datagram::decode(&bytes).unwrap();
            self.heard = datagram.header.sequence;
            for frame in datagram.frames() {
                match frame {
                    Frame::Join(join) => {
                        self.nonce = join.nonce;
                        self.joins.push((self.now.wall.0 / 1_000, to));
                    }
                    Frame::Ordered { payload, .. } => {
                        if let Ok(ClientMessage::Say(say)) = decode_message(payload) {
                            self.said.push((to, say.number));
                        }
                    }
                    _ => {}
                }
            }
        }
        self.events.extend(std::iter::from_fn(|| self.session.poll_event()));
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now.mono + time;
        while self.now.mono < end {
            let next = self.session.poll_timeout().unwrap_or(end);
            let next = next.max(self.now.mono + Duration::from_millis(1)).min(end);
            self.now.wall.0 += micros(next.since(self.now.mono));
            self.now.mono = next;
            self.settle();
        }
    }

    /// Delivers frames of a server, in its session.
    fn hear(&mut self, server: SocketAddr, frames: &[Frame<'_>]) {
        let (session, sequence, _) = self.servers.get_mut(&server).unwrap();
        *sequence += 1;
        let header = Header {
            flags: Flags(3),
            session: *session,
            sequence: *sequence,
            acknowledgment: self.heard,
            ack_bitmap: u64::MAX,
            window: 255,
            ..Header::default()
        };
        self.deliver(server, header, frames);
    }

    fn deliver(&mut self, server: SocketAddr, header: Header, frames: &[Frame<'_>]) {
        let mut bytes = Vec::new();
        let mut writer = DatagramWriter::new(&mut bytes);
        frames.iter().for_each(|frame| _ = writer.push(frame));
        writer.finish(&header);
        self.session.handle_datagram(server, &bytes, self.now);
        self.settle();
    }

    /// An answer of a server outside of a session.
    fn answer(&mut self, server: SocketAddr, frame: &Frame<'_>) {
        let header = Header { flags: Flags::FROM_SERVER, ..Header::default() };
        self.deliver(server, header, &[*frame]);
    }

    fn challenge(&mut self, server: SocketAddr) {
        let cookie = [server.port().to_be_bytes()[0]; 20];
        self.answer(server, &Frame::Challenge { nonce: self.nonce, cookie });
    }

    fn refuse(&mut self, server: SocketAddr, reason: Refusal) {
        let detail = "no place";
        self.answer(server, &Frame::Refused { nonce: self.nonce, reason, detail });
    }

    fn tell(&mut self, server: SocketAddr, message: &ServerMessage<'_>) {
        let (_, _, next) = self.servers.get_mut(&server).unwrap();
        let id = *next;
        *next += 1;
        self.hear(server, &[Frame::Ordered { id, payload: &encode_message(message) }]);
    }

    /// A server admits the client; the log has epoch and end of `welcome`.
    fn admit(&mut self, server: SocketAddr, welcome: Welcome<'_>) {
        self.servers.insert(server, (self.nonce, 0, 0));
        let (nonce, token) = (self.nonce, [7; 16]);
        let (heartbeat_ms, expiry_ms) = (2_000, 10_000);
        let welcome =
            Welcome { nonce, token, nickname: "alice", heartbeat_ms, expiry_ms, ..welcome };
        self.tell(server, &ServerMessage::Welcome(welcome));
    }

    fn replay(&mut self, server: SocketAddr, position: u64, text: &str) {
        let (at, own, number, from) = (0, false, 0, "bob");
        let line = PastLine { position, at, own, number, from, text };
        self.tell(server, &ServerMessage::History(line));
    }

    fn list(&mut self, server: SocketAddr, others: &[SocketAddr]) {
        let mut bytes = Vec::new();
        let servers = ServerList::encode(others, &mut bytes);
        self.tell(server, &ServerMessage::Servers { servers });
    }

    /// The session with `server` lasts: five seconds later that is time zero.
    fn stay(&mut self, server: SocketAddr) {
        for _ in 0..5 {
            self.pass(Duration::from_secs(1));
            self.hear(server, &[HEARTBEAT]);
        }
        self.now.wall = WallTime(0);
    }

    /// The joins since the last call.
    fn joined(&mut self) -> Vec<(u64, SocketAddr)> {
        std::mem::take(&mut self.joins)
    }

    fn texts(&self) -> Vec<&str> {
        let lines = self.events.iter().filter_map(|event| match event {
            Event::History { text, .. } => Some(text.as_str()),
            _ => None,
        });
        lines.collect()
    }

    fn was_told(&self, part: &str) -> bool {
        self.events.iter().any(|event| match event {
            Event::Status { notice } | Event::Error { notice } => notice.to_string().contains(part),
            _ => false,
        })
    }
}

/// The `Welcome` of a log with this epoch and end.
fn log(epoch: u64, latest: u64) -> Welcome<'static> {
    Welcome { epoch, latest, ..Welcome::default() }
}

/// A client in a session with the first of these servers, which has lasted.
fn member(named: &[u8]) -> Stage {
    let mut stage = Stage::new(named);
    stage.admit(address(named[0]), log(7, 0));
    stage.stay(address(named[0]));
    stage.joined();
    stage
}

#[test]
fn another_server_is_tried_sooner_than_the_lost_one_again() {
    let ms = |time: Duration| time.as_millis() as u64;
    let mut alone = member(&[1]);
    alone.pass(SILENT + Duration::from_millis(10));
    assert_eq!(alone.joined(), [(ms(SILENT), address(1))]);
    let mut stage = member(&[1, 2]);
    stage.pass(QUIET + Duration::from_secs(1));
    let joins = stage.joined();
    assert_eq!((joins[0], joins[1].1), ((ms(QUIET), address(2)), address(1)));
    assert!(stage.was_told("the server at 10.0.0.1:2428 is lost: trying 10.0.0.2:2428"));
    // The session still listens.
    stage.hear(address(1), &[HEARTBEAT]);
    assert!(stage.was_told("the server is back"));
    stage.pass(Duration::from_secs(2));
    assert_eq!(stage.joined(), []);
}

/// Each server that admits the client dies at once.
#[test]
fn the_silence_of_a_dead_server_is_part_of_the_pause_before_the_next_join() {
    let mut stage = member(&[1, 2]);
    for round in 0..8 {
        let died = stage.now.wall.0 / 1_000;
        stage.pass(REJOIN_PAUSE_MAX + Duration::from_millis(1));
        let (at, to) = stage.joined()[0];
        let waited = Duration::from_millis(at - died);
        assert_eq!(to, address(2 - round % 2));
        assert!(waited == QUIET || (round > 3 && waited <= REJOIN_PAUSE_MAX), "{waited:?}");
        stage.challenge(to);
        stage.admit(to, log(7, 0));
        stage.joined();
    }
}

/// Each server is killed as soon as it has accepted a line: the client joins the next one without
/// a pause, however often that happens.
#[test]
fn a_session_with_an_accepted_line_has_lasted() {
    let mut stage = member(&[1, 2]);
    for round in 0..200_u8 {
        let server = address(1 + round % 2);
        stage.session.say(&round.to_string(), stage.now).unwrap();
        stage.settle();
        let (to, number) = *stage.said.last().unwrap();
        assert_eq!(to, server);
        let position = u64::from(round) + 1;
        stage.tell(server, &ServerMessage::Accepted { number, position });
        let closing = ServerMessage::Closing { reason: LeaveReason::Restart, detail: "" };
        stage.tell(server, &closing);
        stage.pass(Duration::from_secs(2));
        let next = address(1 + (round + 1) % 2);
        assert_eq!(stage.joined()[0].1, next, "round {round}");
        stage.challenge(next);
        stage.admit(next, log(7, position));
        stage.joined();
    }
}

#[test]
fn a_client_is_told_where_it_is_back_and_that_the_history_is_another() {
    for (epoch, other) in [(8, true), (7, false)] {
        let mut stage = member(&[1, 2]);
        stage.pass(QUIET);
        stage.challenge(address(2));
        stage.admit(address(2), log(epoch, 5));
        let back = |event: &&Event| matches!(event, Event::Welcome { again: true, .. });
        let Some(Event::Welcome { server, moved, .. }) = stage.events.iter().find(back) else {
            panic!("{:?}", stage.events);
        };
        assert_eq!((*server, *moved), (address(2), true));
        assert_eq!(stage.was_told("another history"), other);
        assert_eq!(stage.was_told("some lines of the meantime"), !other);
    }
}

#[test]
fn listed_servers_are_tried_only_after_a_loss_and_one_a_second() {
    let mut stage = member(&[1]);
    let listed: Vec<_> = (2..12).map(address).collect();
    stage.list(address(1), &listed);
    for _ in 0..20 {
        stage.pass(Duration::from_secs(2));
        stage.hear(address(1), &[HEARTBEAT]);
    }
    assert_eq!(stage.joined(), []);
    let lost = stage.now.wall.0 / 1_000;
    stage.pass(Duration::from_secs(400));
    assert_eq!(stage.events.last(), Some(&Event::Closed { reason: CloseReason::Lost }));
    let all = stage.joined();
    let tries: Vec<_> = all.iter().filter(|(_, to)| listed.contains(to)).collect();
    let pause = LISTED_PAUSE.as_millis() as u64;
    assert!(tries[0].0 >= lost + QUIET.as_millis() as u64);
    assert!(tries.windows(2).all(|pair| pair[1].0 >= pair[0].0 + pause), "{tries:?}");
    for address in &listed {
        let times: Vec<_> = tries.iter().filter(|(_, to)| to == address).collect();
        assert!((15..=32).contains(&times.len()), "{address}: {times:?}");
    }
}

#[test]
fn a_client_goes_to_another_server_when_its_own_closes() {
    for reason in [LeaveReason::Shutdown, LeaveReason::Restart] {
        let closing = ServerMessage::Closing { reason, detail: "" };
        let mut stage = member(&[1]);
        stage.list(address(1), &[address(2)]);
        stage.tell(address(1), &closing);
        assert_eq!(stage.joined(), [(0, address(2))], "{reason:?}");
        stage.list(address(1), &[]);
    }
    let mut alone = member(&[1]);
    alone.list(address(1), &[address(2)]);
    alone.list(address(1), &[]);
    alone.tell(address(1), &ServerMessage::Closing { reason: LeaveReason::Shutdown, detail: "" });
    assert_eq!(alone.events.last(), Some(&Event::Closed { reason: CloseReason::Shutdown }));
}

#[test]
fn a_server_that_refuses_or_stops_answering_is_left_for_the_next() {
    let mut stage = member(&[1, 2, 3]);
    stage.pass(QUIET);
    stage.joined();
    stage.challenge(address(2));
    assert_eq!(stage.joined(), [(5_000, address(2))]);
    stage.refuse(address(2), Refusal::RoomFull);
    assert_eq!(stage.joined(), [(5_000, address(3))]);
    assert!(stage.was_told("10.0.0.2:2428 does not let you in yet: no place"));
    // This one challenges, and dies.
    stage.challenge(address(3));
    stage.pass(Duration::from_secs(3));
    let joins = stage.joined();
    assert!(joins.iter().any(|(_, to)| *to != address(3)), "{joins:?}");
}

#[test]
fn a_first_join_asks_all_named_servers_before_it_fails() {
    let mut stage = Stage::new(&[1, 2]);
    stage.challenge(address(1));
    stage.refuse(address(1), Refusal::RoomFull);
    assert!(!stage.session.is_closed());
    assert_eq!(stage.joined().last(), Some(&(0, address(2))));
    stage.challenge(address(2));
    stage.refuse(address(2), Refusal::RoomFull);
    assert_eq!(stage.events.last(), Some(&Event::Closed { reason: CloseReason::Refused }));
    // One is dead: the refusal of the other says why.
    let mut stage = Stage::new(&[1, 2]);
    stage.challenge(address(1));
    stage.refuse(address(1), Refusal::ShuttingDown);
    stage.pass(Duration::from_secs(20));
    assert_eq!(stage.events.last(), Some(&Event::Closed { reason: CloseReason::Refused }));
    assert!(stage.was_told("no place"));
}

#[test]
fn refusals_of_all_servers_draw_no_more_joins_than_silence() {
    let mut stage = member(&[1, 2]);
    stage.pass(QUIET);
    stage.joined();
    for _ in 0..60_000 {
        stage.pass(Duration::from_millis(1));
        for (_, to) in stage.joined() {
            stage.servers.entry(to).or_default().1 += 1;
            stage.challenge(to);
            stage.refuse(to, Refusal::RoomFull);
        }
    }
    let joins: u32 = stage.servers.values().map(|(_, joins, _)| joins).sum();
    assert!((30..240).contains(&joins), "{joins} joins in a minute");
}

#[test]
fn no_line_is_said_twice_at_two_servers() {
    // The log of the other server has the first line; or it is another log.
    for (epoch, sure, said) in [(7, true, vec![2, 3]), (8, false, vec![3])] {
        let mut stage = member(&[1, 2]);
        for text in ["one", "two"] {
            stage.session.say(text, stage.now).unwrap();
        }
        stage.settle();
        assert_eq!(stage.said.len(), 2);
        stage.stay(address(1));
        stage.pass(QUIET);
        stage.said.clear();
        stage.session.say("three", stage.now).unwrap();
        stage.settle();
        stage.challenge(address(2));
        let taken: &[u8] = if sure { &[1] } else { &[] };
        stage.admit(address(2), Welcome { taken, sure, ..log(epoch, 9) });
        let numbers: Vec<_> = stage.said.iter().map(|(_, number)| number + 1).collect();
        assert_eq!(numbers, said);
        let confirmed = |it: &&Event| matches!(it, Event::Confirmed { text, .. } if text == "one");
        assert_eq!(stage.events.iter().filter(confirmed).count(), usize::from(sure));
        assert_eq!(stage.was_told("was not confirmed and may not have arrived: two"), !sure);
    }
}

#[test]
fn a_client_that_comes_back_to_a_server_sees_no_line_again() {
    let mut stage = Stage::new(&[1, 2]);
    stage.admit(address(1), Welcome { replay: 1, ..log(7, 1) });
    stage.replay(address(1), 1, "first");
    stage.stay(address(1));
    for (here, there, epoch, lines) in [
        (1, 2, 8, &[(1, "elsewhere")][..]),
        (2, 1, 7, &[(1, "first"), (2, "second")][..]),
        (1, 2, 8, &[(1, "elsewhere"), (2, "there")][..]),
    ] {
        stage.pass(QUIET);
        assert_eq!(stage.joined().last().unwrap().1, address(there), "not {here}");
        stage.challenge(address(there));
        let (replay, latest) = (lines.len() as u16, lines.len() as u64);
        stage.admit(address(there), Welcome { replay, ..log(epoch, latest) });
        for (position, text) in lines {
            stage.replay(address(there), *position, text);
        }
        stage.stay(address(there));
    }
    assert_eq!(stage.texts(), ["first", "elsewhere", "second", "there"]);
}
