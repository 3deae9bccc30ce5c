//! One member tries to take more than its share: by rejoining, by bursts, by unsolicited answers,
//! by heartbeats. The others stay, and receive every line.

use super::*;
use crate::hub::StreamId;
use crate::protocol::limits::{COOKIE_LIFE, FLOOD_TOLERANCE, tokens};
use crate::protocol::{Nickname, ServerMessage};

/// A peer that follows no rule except that it acknowledges every datagram.
struct Stranger {
    port: u16,
    session: u64,
    sequence: u32,
    largest: u32,
    next_id: u16,
}

impl Stranger {
    /// Joins; `None` if the hub refuses. Returns the second `Join` as well.
    fn join(room: &mut Room, port: u16, nonce: u64, nickname: &str) -> (Option<Self>, Vec<u8>) {
        let challenge = room.inject(port, &join_datagram(nonce, &[], nickname, &[]));
        let Frame::Challenge { cookie, .. } = first_frame(&challenge[0].1) else {
            panic!("{challenge:?}")
        };
        let bytes = join_datagram(nonce, &cookie, nickname, &[]);
        let answers = room.inject(port, &bytes);
        let mut stranger = Self { port, session: 0, sequence: 0, largest: 0, next_id: 0 };
        stranger.take(&answers);
        (Some(stranger).filter(|it| it.session != 0), bytes)
    }

    fn take(&mut self, answers: &[(u16, Vec<u8>)]) {
        for (_, bytes) in answers.iter().filter(|(to, _)| *to == self.port) {
            let header = Datagram::decode(bytes).unwrap().header;
            if header.session != 0 {
                self.session = header.session;
                self.largest = self.largest.max(header.sequence);
            }
        }
    }

    fn send(&mut self, room: &mut Room, frames: &[Frame<'_>]) {
        let bytes = self.datagram(frames);
        let answers = room.inject(self.port, &bytes);
        self.take(&answers);
    }

    fn datagram(&mut self, frames: &[Frame<'_>]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer = DatagramWriter::new(&mut bytes);
        assert!(frames.iter().all(|frame| writer.push(frame)));
        self.sequence += 1;
        writer.finish(&Header {
            flags: Flags::ACK,
            session: self.session,
            sequence: self.sequence,
            acknowledgment: self.largest,
            ack_bitmap: u64::MAX,
            window: self.next_id.wrapping_add(20_000),
            ..Header::default()
        });
        bytes
    }

    fn say(&mut self, room: &mut Room, message: &ClientMessage<'_>) {
        let payload = encode_message(message);
        let id = self.next_id;
        self.next_id = id.wrapping_add(1);
        self.send(room, &[Frame::Ordered { id, payload: &payload }]);
    }

    fn say_line(&mut self, room: &mut Room, text: &str) {
        self.say(room, &ClientMessage::Say(Say { number: self.next_id, sent: 0, text }));
    }

    fn leave(&mut self, room: &mut Room) {
        self.say(room, &ClientMessage::Leave { next: 0 });
        self.send(room, &[Frame::Heartbeat]);
    }
}

fn line(text: &str) -> ClientMessage<'_> {
    ClientMessage::Say(Say { number: 0, sent: 0, text })
}

impl Room {
    fn joined(&self) -> usize {
        self.events.iter().filter(|event| matches!(event, Event::Joined { .. })).count()
    }
}

#[test]
fn an_allowance_survives_a_new_session() {
    let mut room = Room::limited(8, Some(Limit::USUAL));
    let honest = room.join("honest", 1);
    let begun = room.now.mono;
    for nonce in 1..=600 {
        if let (Some(mut eve), _) = Stranger::join(&mut room, 9, nonce, "eve") {
            for _ in 0..29 {
                eve.say_line(&mut room, "x");
            }
            eve.leave(&mut room);
        }
        room.run_for(SECOND / 100);
    }
    let seconds = room.now.mono.since(begun).as_secs() as usize;
    let (said, most) = (room.lines(), 20 + 10 * seconds + 2 * 29);
    assert!(said <= most, "{said} lines in {seconds} s, of {most} allowed");
    assert!(said >= 10 * seconds, "{said}: the address is not excluded for good");
    assert_eq!((room.welcomes(honest), room.closed(honest)), (1, None));
}

#[test]
fn an_allowance_follows_the_token_to_another_address() {
    let mut room = Room::limited(8, Some(Limit::USUAL));
    let alice = room.join("alice", 1);
    let token = room.hub.registry.entry(PeerId(0)).unwrap().token;
    for _ in 0..100 {
        room.hub.handle_message(PeerId(0), &encode_message(&line("x")), room.now);
    }
    room.cut_off = Some(1);
    room.hub.lose(PeerId(0), room.now.mono);
    let elsewhere = Path::routed(0, ([10, 9, 9, 9], 7).into());
    let join = Join { nonce: 77, nickname: "alice", resume: &token, ..Join::default() };
    let origin = |now| crate::hub::handshake::Origin {
        path: elsewhere,
        entrance: crate::hub::handshake::Entrance::Datagrams,
        now,
    };
    let now = room.now;
    room.hub.admit(&join, origin(now));
    assert_eq!((room.names().len(), room.hub.counters().wire.refused), (0, 1));
    room.run_for(8 * SECOND);
    let now = room.now;
    room.hub.admit(&join, origin(now));
    assert_eq!((room.names(), room.welcomes(alice)), (vec!["alice"], 1), "80 lines are paid for");
}

#[test]
fn joins_are_limited_by_address() {
    let mut room = Room::limited(512, Some(Limit::USUAL));
    let begun = room.now.mono;
    for nonce in 1..=2_000 {
        if let (Some(mut eve), _) = Stranger::join(&mut room, 9, nonce, "eve") {
            eve.leave(&mut room);
        }
        room.now.mono = room.now.mono + SECOND / 200;
    }
    let seconds = room.now.mono.since(begun).as_secs() as usize;
    assert!((140..=148).contains(&room.joined()), "{} joined in {seconds} s", room.joined());
    room.run_for(2 * SECOND);
    let bob = room.join("bob", 2);
    assert_eq!(room.welcomes(bob), 1);
}

#[test]
fn simultaneous_pastes_drop_no_member() {
    for limit in [None, Limit::new(1_000, 1_000)] {
        let mut room = Room::limited(64, limit);
        for port in 1..=40 {
            room.join(&format!("peer{port}"), port);
        }
        room.run_for(SECOND);
        let now = room.now;
        for (_, peer) in &mut room.peers {
            for number in 0..20 {
                peer.say(&format!("{number:0950}"), now).unwrap();
            }
        }
        let mut longest = 0;
        for _ in 0..3_000 {
            room.run_for(Duration::from_millis(1));
            let queued = room.hub.peers.iter().map(|peer| peer.link.queued_bytes()).max();
            longest = longest.max(queued.unwrap());
        }
        assert!(longest <= MAX_QUEUE_BYTES, "a queue of {longest} bytes");
        assert_eq!((room.lines(), room.names().len()), (800, 40));
        for (peer, told) in room.told.iter().enumerate() {
            let heard = told.iter().filter(|e| matches!(e, session::Event::Message { .. })).count();
            assert_eq!((room.welcomes(peer), heard), (1, 780), "{limit:?} {peer}");
        }
    }
}

#[test]
fn long_lines_cost_more_tokens() {
    assert_eq!([0, 255, 256, 950, 1_153].map(tokens), [1, 1, 2, 4, 5]);
    let mut room = Room::limited(8, Some(Limit::USUAL));
    let honest = room.join("honest", 1);
    let (eve, _) = Stranger::join(&mut room, 9, 1, "eve");
    let (mut eve, text) = (eve.unwrap(), "x".repeat(950));
    for _ in 0..140 {
        eve.say_line(&mut room, &text);
    }
    assert_eq!(room.lines(), (20 + FLOOD_TOLERANCE) / 4);
    room.run_for(SECOND);
    assert_eq!((room.names(), room.welcomes(honest)), (vec!["honest"], 1));
}

#[test]
fn a_pong_is_relayed_once_and_only_to_a_recent_asker() {
    let mut room = Room::new(8);
    let victim = room.join("victim", 1);
    let (eve, _) = Stranger::join(&mut room, 9, 1, "eve");
    let mut eve = eve.unwrap();
    room.run_for(SECOND);
    let session = room.session(victim);
    let asker = room.hub.peers.of_session(session).unwrap().id;
    let pong = |number| encode_message(&ClientMessage::Pong { peer: asker.number(), number });
    let queued = |room: &Room| room.hub.peers.get(asker).unwrap().link.queued_bytes();
    let ponged = ServerMessage::Ponged { number: 1, from: "eve" };
    let (unsolicited, solicited) = (pong(7), pong(1));
    eve.send(&mut room, &[Frame::Once { payload: &unsolicited }]);
    assert_eq!(queued(&room), 0);
    let now = room.now;
    room.peers[victim].1.ping("eve", now);
    room.run_for(SECOND / 100);
    let sent = |room: &Room| room.hub.peers.get(asker).unwrap().link.stats().sent_message_bytes;
    let before = sent(&room);
    eve.send(&mut room, &[Frame::Once { payload: &solicited }; 20]);
    assert_eq!(sent(&room) - before, encode_message(&ponged).len() as u64);
    // The hub drops an answer that arrives after the asker has given up.
    let now = room.now;
    room.peers[victim].1.ping("eve", now);
    room.run_for(6 * SECOND);
    let late = pong(2);
    eve.send(&mut room, &[Frame::Once { payload: &late }]);
    assert_eq!(sent(&room) - before, encode_message(&ponged).len() as u64);
}

#[test]
fn pings_do_not_use_the_queue_space_of_lines() {
    let mut room = Room::new(8);
    let victim = room.join("victim", 1);
    let session = room.session(victim);
    let id = room.hub.peers.of_session(session).unwrap().id;
    let (eve, _) = Stranger::join(&mut room, 9, 1, "eve");
    let mut eve = eve.unwrap();
    room.run_for(SECOND / 10);
    room.cut_off = Some(1);
    let queued = |room: &Room| room.hub.peers.get(id).unwrap().link.queued_bytes();
    let ask = |number| ClientMessage::Ping { number, to: "victim" };
    let before = queued(&room);
    eve.say(&mut room, &ask(1));
    assert!(queued(&room) < before + 1_000);
    for _ in 0..30 {
        eve.say_line(&mut room, &"x".repeat(900));
    }
    let before = queued(&room);
    assert!(before > 16 * 1024, "{before} bytes in the queue");
    for number in 2..100 {
        eve.say(&mut room, &ask(number));
    }
    assert_eq!(queued(&room), before);
}

/// Between two turns, a member sends more than a window of the longest datagrams.
#[test]
fn a_member_is_read_up_to_its_budget_in_a_turn_and_others_still_are() {
    let mut room = Room::new(8);
    let (eve, _) = Stranger::join(&mut room, 9, 1, "eve");
    let (bob, _) = Stranger::join(&mut room, 10, 2, "bob");
    let (mut eve, mut bob) = (eve.unwrap(), bob.unwrap());
    let say = |number| encode_message(&ClientMessage::Say(Say { number, sent: 0, text: "x" }));
    fn frames(payload: &[u8]) -> [Frame<'_>; 2] {
        [Frame::Once { payload }, Frame::Padding(&[0; 1_100])]
    }
    let sent: Vec<_> = (300..1_300).map(|n| eve.datagram(&frames(&say(n)))).collect();
    for bytes in &sent {
        room.hub.handle_datagram(path(9), bytes, room.now);
    }
    let bytes = bob.datagram(&frames(&say(0)));
    room.hub.handle_datagram(path(10), &bytes, room.now);
    room.drain();
    let most = 2 * MAX_QUEUE_BYTES / sent[0].len(); // every number takes three bytes
    assert_eq!(room.lines(), most + 1, "of 1,001 lines");
    // The next turn has a budget of its own.
    eve.send(&mut room, &frames(&say(2_000)));
    assert_eq!(room.lines(), most + 2);
}

#[test]
fn signs_of_life_are_charged() {
    let mut room = Room::limited(8, Some(Limit::USUAL));
    let honest = room.join("honest", 1);
    let (eve, _) = Stranger::join(&mut room, 9, 1, "eve");
    let mut eve = eve.unwrap();
    eve.send(&mut room, &[Frame::Heartbeat; 1_150]);
    assert_eq!((room.names(), room.hub.counters().flooders), (vec!["honest"], 1));

    let mut room2 = Room::limited(8, Some(Limit::USUAL));
    let id = StreamId(1);
    room2.hub.handle_stream_opened(id, path(9), room2.now);
    room2.hub.handle_stream_bytes(id, &join_stream(5, "eve"), room2.now);
    // For 30 s at a client's rate, then all at once.
    let mut beat = Vec::new();
    write_record(&Frame::Heartbeat, &mut beat);
    for _ in 0..300 {
        room2.now.mono = room2.now.mono + SECOND / 10;
        room2.hub.handle_stream_bytes(id, &beat, room2.now);
    }
    assert_eq!((room2.names(), room2.hub.counters().slowed), (vec!["eve"], 0));
    room2.hub.handle_stream_bytes(id, &beat.repeat(1_000), room2.now);
    assert_eq!((room2.names().len(), room2.hub.counters().flooders), (0, 1));
    assert_eq!(room.welcomes(honest), 1);
}

#[test]
fn lines_early_by_jitter_are_not_slowed() {
    let mut room = Room::limited(8, Some(Limit::USUAL));
    room.join("alice", 1);
    let say = encode_message(&line("x"));
    for _ in 0..20 {
        room.hub.handle_message(PeerId(0), &say, room.now);
    }
    // Ten lines a second, each up to 100 ms early or late.
    for turn in 0..200 {
        let step = if turn % 2 == 0 { 0 } else { 200 };
        room.now.mono = room.now.mono + Duration::from_millis(step);
        room.hub.handle_message(PeerId(0), &say, room.now);
    }
    assert_eq!(room.hub.counters().slowed, 0);
}

#[test]
fn a_replayed_join_is_refused_however_many_joins_came_since() {
    let mut room = Room::new(64);
    let (alice, recorded) = Stranger::join(&mut room, 7, 0xabc, "alice");
    alice.unwrap().leave(&mut room);
    assert_eq!(room.hub.sessions(), 0);
    let begun = room.now.mono;
    for n in 0..=REMEMBERED_NONCES as u64 {
        // From many addresses, because the joins of each are limited.
        let remote = ([11, 0, (n >> 8) as u8, n as u8], 5).into();
        let nonce = 1_000_000 + n;
        let challenged = join_datagram(nonce, &[], "eve", &[]);
        room.hub.handle_datagram(Path::routed(0, remote), &challenged, room.now);
        let mut answer = Vec::new();
        room.hub.poll_transmit(&mut answer, room.now);
        let Frame::Challenge { cookie, .. } = first_frame(&answer) else { panic!() };
        room.hub.handle_datagram(
            Path::routed(0, remote),
            &join_datagram(nonce, &cookie, "eve", &[]),
            room.now,
        );
        let id = room.hub.registry.named(&Nickname::parse("eve").unwrap().key());
        let now = room.now;
        room.hub.lose(id.unwrap(), now.mono);
        room.drain();
        room.now.mono = room.now.mono + Duration::from_millis(2);
    }
    assert!(room.now.mono.since(begun) < COOKIE_LIFE);
    let answers = room.inject(7, &recorded);
    assert!(room.names().is_empty());
    assert!(
        matches!(first_frame(&answers[0].1), Frame::Challenge { .. }),
        "a new join needs a new cookie"
    );
}
