//! Attacks by strangers: joins with forged source addresses, guesses at tokens and sessions, and
//! replays. They leave the hub's state unchanged, field by field.

use super::*;
use crate::hub::StreamId;
use crate::protocol::limits::LEAVE_TIMEOUT;
use crate::protocol::{Cookie, Nickname, Piece, StreamReader, Token};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

#[path = "../../../tests/needs/amount.rs"]
mod amount;

/// Attempts of each kind: usually, and in a run of all tests. Each takes a few microseconds.
fn flood() -> u32 {
    if amount::is_all() { 1_000_000 } else { 100_000 }
}

/// The hub's state, without its counters and the limit of its log.
fn state(hub: &mut Hub) -> String {
    hub.counters = Counters::default();
    hub.refusal_told = None;
    hub.turn = 0;
    format!("{hub:?}")
}

#[test]
fn a_faster_stranger_does_not_get_the_reserved_name_of_the_host() {
    let mut room = Room::new(8);
    room.hub.reserve(&Nickname::parse("alice").unwrap(), [7; 16]);
    for (look_alike, port) in [("alice", 1), ("a1ice", 2), ("ALICE", 3)] {
        let stranger = room.join(look_alike, port);
        assert_eq!(
            (room.welcomes(stranger), room.closed(stranger)),
            (0, Some(CloseReason::Refused))
        );
    }
    let host = room.start("alice", 4);
    room.peers[host].1.claim_name([7; 16]);
    room.run_for(SECOND / 10);
    assert_eq!((room.welcomes(host), room.names()), (1, vec!["alice"]));
}

/// The server admits each join and answers every later datagram with `Reset`.
#[test]
fn a_server_that_ends_every_session_draws_few_joins_and_is_given_up() {
    let mut room = Room::new(8);
    let alice = room.start("alice", 1);
    let (mut welcomes, mut joins) = (0, 0);
    let begun = room.now.mono;
    while room.closed(alice).is_none() {
        room.run_for(Duration::from_millis(1));
        joins += room.up.iter().filter(|(_, bytes)| bytes.len() == JOIN_SIZE).count();
        if room.welcomes(alice) > welcomes {
            welcomes = room.welcomes(alice);
            room.hub = Room::new(8).hub;
        }
    }
    assert_eq!(room.closed(alice), Some(CloseReason::Lost));
    let took = room.now.mono.since(begun).as_secs();
    assert!((60..62).contains(&took), "gave up after {took} s, not 60 s");
    assert!((8..20).contains(&welcomes) && joins <= 3 * welcomes, "{welcomes}, {joins} joins");
}

/// The cookie for a join from this port, which proves the address.
fn cookie(room: &mut Room, port: u16, nonce: u64) -> Cookie {
    let answers = room.inject(port, &join_datagram(nonce, &[], "x", &[]));
    match first_frame(&answers[0].1) {
        Frame::Challenge { cookie, .. } => cookie,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_flood_of_forged_joins_leaves_no_state() {
    let mut room = Room::new(8);
    let alice = room.join("alice", 1);
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let before = state(&mut room.hub);
    let now = room.now;
    let ticks = (now.mono.as_micros() / 100_000) as u32;
    let mut answer = Vec::new();
    for n in 0..flood() {
        let mut cookie: Cookie = [0; 20];
        rng.fill_bytes(&mut cookie);
        cookie[..4].copy_from_slice(&ticks.to_be_bytes());
        let forged = join_datagram(rng.next_u64(), &cookie[..n as usize % 2 * 20], "eve", &[]);
        let remote: SocketAddr = ((0x0b00_0000 + n).to_be_bytes(), n as u16 | 1).into();
        let path = Path::routed(0, remote);
        room.hub.handle_datagram(path, &forged, now);
        assert_eq!(room.hub.poll_event(), None);
        let to = room.hub.poll_transmit(&mut answer, now);
        assert_eq!(to, Some(Destination::Datagram(path)));
        assert!(answer.len() <= forged.len());
        assert_eq!(room.hub.poll_transmit(&mut answer, now), None, "one answer only");
    }
    assert!(matches!(first_frame(&answer), Frame::Challenge { .. }));
    assert!(room.hub.stateless.capacity() < 64);
    assert_eq!(state(&mut room.hub), before);
    let bob = room.join("bob", 2);
    assert_eq!((room.welcomes(alice), room.welcomes(bob)), (1, 1));
}

/// Joins with a wrong token, which the hub refuses.
fn try_token(room: &mut Room, proof: &Cookie, nickname: &str, guess: &[u8]) {
    let answers = room.inject(9, &join_datagram(7, proof, nickname, guess));
    let [(9, answer)] = &answers[..] else { panic!("{answers:?}") };
    let refused = matches!(first_frame(answer), Frame::Refused { reason: Refusal::NameTaken, .. });
    assert!(refused, "{guess:?} was accepted for {nickname}: {:?}", first_frame(answer));
}

fn guess_tokens(room: &mut Room, token: Token, rng: &mut ChaCha20Rng, count: usize) {
    let proof = cookie(room, 9, 7);
    let before = state(&mut room.hub);
    let names = ["alice", "ALICE", "a1ice"];
    for bit in 0..token.len() * 8 {
        let mut close = token;
        close[bit / 8] ^= 1 << (bit % 8);
        try_token(room, &proof, names[0], &close);
    }
    for length in 0..token.len() {
        try_token(room, &proof, names[1], &token[..length]);
    }
    try_token(room, &proof, names[2], &[&token[..], &[0]].concat());
    for n in 0..count {
        let mut guess: Token = [0; 16];
        rng.fill_bytes(&mut guess);
        try_token(room, &proof, names[n % 3], &guess);
    }
    assert_eq!(state(&mut room.hub), before);
}

#[test]
fn no_guessed_token_takes_a_name_in_use_or_held() {
    let mut rng = ChaCha20Rng::seed_from_u64(2);
    let mut room = Room::new(8);
    let alice = room.join("alice", 1);
    let token = room.hub.registry.entry(PeerId(0)).unwrap().token;
    guess_tokens(&mut room, token, &mut rng, flood() as usize);

    room.cut_off = Some(1);
    while !room.names().is_empty() {
        room.run_for(SECOND / 10);
    }
    // The owner tries every two seconds.
    for _ in 0..27 {
        guess_tokens(&mut room, token, &mut rng, 100);
        room.run_for(SECOND);
    }
    room.cut_off = None;
    while room.welcomes(alice) < 2 {
        room.run_for(SECOND / 100);
        assert_eq!(room.closed(alice), None);
    }
    assert_eq!(
        room.hub.registry.entry(PeerId(1)).unwrap().token,
        token,
        "the token stays with the name"
    );
}

#[test]
fn no_guess_ends_or_moves_a_session() {
    let mut rng = ChaCha20Rng::seed_from_u64(3);
    let mut room = Room::new(8);
    let alice = room.join("alice", 1);
    room.run_for(SECOND);
    let known = room.session(alice);
    let before = state(&mut room.hub);
    for n in 0..flood() {
        // Every second attacker knows the session id, which does not help.
        let session = if n % 2 == 0 { known } else { rng.next_u64() };
        let mut bytes = Vec::new();
        let mut writer = DatagramWriter::new(&mut bytes);
        let mut cookie = [0; 8];
        rng.fill_bytes(&mut cookie);
        writer.push(&Frame::PathResponse(cookie));
        let payload = encode_message(&ClientMessage::Leave { next: 0 });
        writer.push(&Frame::Ordered { id: rng.next_u64() as u16, payload: &payload });
        let sequence = rng.next_u64() as u32;
        writer.finish(&Header { session, sequence, ..Header::default() });
        let answers = room.inject(9, &bytes);
        for (to, answer) in &answers {
            assert_eq!((*to, answers.len()), (9, 1));
            assert!(answer.len() <= bytes.len());
            let harmless = matches!(first_frame(answer), Frame::Reset | Frame::PathChallenge(_));
            assert!(harmless, "{:?}", first_frame(answer));
        }
    }
    assert_eq!(state(&mut room.hub), before);
}

#[test]
fn replayed_datagrams_do_not_delay_an_expiry() {
    let mut room = Room::new(8);
    room.join("alice", 1);
    room.join("bob", 2);
    room.run_for(SECOND);
    let mut overheard = Vec::new();
    for _ in 0..3_000 {
        room.run_for(Duration::from_millis(1));
        overheard.extend(room.up.iter().filter(|(port, _)| *port == 1).cloned());
    }
    room.cut_off = Some(1);
    for _ in 0..11 {
        room.run_for(SECOND);
        for (port, bytes) in &overheard {
            let answers = room.inject(*port, bytes);
            assert!(answers.iter().all(|(_, answer)| answer.len() <= bytes.len()));
        }
    }
    assert_eq!(room.names(), ["bob"]);
}

/// Connects and writes these bytes. Returns the session in the answer's preface, and whether the
/// server closed the connection.
fn connect(room: &mut Room, stream: u64, bytes: &[u8]) -> (u64, bool) {
    let id = StreamId(stream);
    room.hub.handle_stream_opened(id, path(9), room.now);
    room.hub.handle_stream_bytes(id, bytes, room.now);
    let (mut answer, mut buffer, mut closed) = (vec![], vec![], false);
    while let Some(to) = room.hub.poll_transmit(&mut buffer, room.now) {
        match to {
            Destination::Stream(to) if to == id => answer.append(&mut buffer),
            Destination::Close(to) if to == id => closed = true,
            _ => {}
        }
    }
    (u64::from_be_bytes(*answer[4..].first_chunk().unwrap()), closed)
}

#[test]
fn a_replayed_stream_join_admits_no_client() {
    let mut room = Room::new(8);
    let recorded = join_stream(7, "alice");
    let (session, closed) = connect(&mut room, 1, &recorded);
    assert!(session != 0 && !closed && room.names() == ["alice"]);
    assert_eq!(connect(&mut room, 2, &recorded), (0, true), "while alice is here");
    assert_eq!(room.hub.counters().wire.refused, 0);
    let mut leave = vec![];
    let payload = encode_message(&ClientMessage::Leave { next: 0 });
    write_record(&Frame::Once { payload: &payload }, &mut leave);
    room.hub.handle_stream_bytes(StreamId(1), &leave, room.now);
    room.hub.handle_stream_closed(StreamId(1), room.now);
    assert_eq!(room.hub.sessions(), 0);
    for stream in 3..10 {
        room.run_for(2 * SECOND);
        assert_eq!(connect(&mut room, stream, &recorded), (0, true), "after alice has left");
    }
    // A nonce has no expiry: `REMEMBERED_NONCES` other sessions displace it.
    let others = 10..10 + REMEMBERED_NONCES as u64;
    for stream in others.clone() {
        assert_eq!(connect(&mut room, 2, &recorded), (0, true), "before session {stream}");
        assert!(connect(&mut room, stream, &join_stream(stream, "bob")).0 != 0);
        room.hub.handle_stream_closed(StreamId(stream), room.now);
        room.now.mono = room.now.mono + SECOND;
    }
    assert_eq!(room.hub.sessions(), 0);
    let (session, closed) = connect(&mut room, others.end, &join_stream(8, "alice"));
    assert!(session != 0 && !closed, "another nonce is another join");
}

/// Writes everything that the hub sends on this connection. Returns whether the hub closed it.
fn drain(room: &mut Room, id: StreamId, written: &mut Vec<u8>) -> bool {
    let (mut buffer, mut closed) = (vec![], false);
    while room.hub.poll_event().is_some() {}
    while let Some(to) = room.hub.poll_transmit(&mut buffer, room.now) {
        match to {
            Destination::Stream(to) if to == id => written.append(&mut buffer),
            Destination::Close(to) if to == id => closed = true,
            _ => {}
        }
    }
    closed
}

#[test]
fn pending_bytes_leave_after_the_peer_closed_its_half_of_the_connection() {
    for kernel_takes_it in [true, false] {
        let mut room = Room::new(8);
        let id = StreamId(1);
        room.hub.handle_stream_opened(id, path(9), room.now);
        let mut bytes = join_stream(7, "alice");
        let say = encode_message(&ClientMessage::Say(Say { number: 0, sent: 0, text: "hi" }));
        write_record(&Frame::Once { payload: &say }, &mut bytes);
        room.hub.handle_stream_bytes(id, &bytes, room.now);
        room.hub.handle_stream_closed(id, room.now); // the FIN arrived with the line
        assert!(room.names().is_empty() && !room.hub.reads(id));
        let mut written = vec![];
        assert!(!drain(&mut room, id, &mut written), "not before the bytes have left");
        let (mut reader, mut rest, mut numbers) = (StreamReader::default(), &*written, vec![]);
        while let Some(piece) = reader.next(&mut rest).unwrap() {
            if let Piece::Frame(Frame::Once { payload }) = piece {
                numbers.push(payload[0]);
            }
        }
        assert_eq!(numbers, [0, 3, 6], "Welcome, Joined and Accepted");
        if kernel_takes_it {
            room.hub.handle_stream_writable(id, room.now);
        } else {
            let at = room.now.mono + LEAVE_TIMEOUT;
            assert_eq!(room.hub.poll_timeout(), Some(at));
            room.now.mono = at;
            room.hub.handle_timeout(room.now);
        }
        assert!(drain(&mut room, id, &mut written));
        assert!(!drain(&mut room, id, &mut written), "the connection is closed once");
    }
}

#[test]
fn a_join_with_nonce_zero_is_ignored() {
    let mut room = Room::new(8);
    assert!(room.inject(9, &join_datagram(0, &[], "eve", &[])).is_empty());
    assert_eq!(connect(&mut room, 1, &join_stream(0, "eve")), (0, true));
    assert!(room.names().is_empty());
}

/// A client that gave up has no token, and no other client has a token for its name.
#[test]
fn no_name_is_held_for_a_client_that_was_never_heard() {
    let mut room = Room::new(8);
    let (session, _) = connect(&mut room, 1, &join_stream(7, "alice"));
    assert!(session != 0);
    room.hub.handle_stream_closed(StreamId(1), room.now);
    let cookie = cookie(&mut room, 9, 8);
    assert!(!room.inject(9, &join_datagram(8, &cookie, "bob", &[])).is_empty());
    assert_eq!(room.names(), ["bob"]);
    room.run_for(11 * SECOND);
    assert_eq!(room.hub.sessions(), 0);
    for (name, port) in [("alice", 2), ("bob", 3)] {
        let peer = room.join(name, port);
        assert_eq!((room.closed(peer), room.welcomes(peer)), (None, 1), "{name}");
    }
}

#[test]
fn refusals_in_the_log_are_limited() {
    let mut room = Room::new(8);
    let mut other = vec![0; JOIN_SIZE];
    seal(&mut other, 0);
    for port in 1..1_000 {
        assert_eq!(room.inject(port, &other).len(), 1);
        room.now.mono = room.now.mono + SECOND / 1_000;
    }
    let logged = room.events.iter().filter(|event| matches!(event, Event::Refused { .. })).count();
    assert_eq!((logged, room.hub.counters().wire.refused), (10, 999));
}

#[test]
fn broadcast_and_group_addresses_get_no_answer() {
    let mut room = Room::new(8);
    let mut other = vec![0; JOIN_SIZE];
    seal(&mut other, 0);
    for bytes in [join_datagram(7, &[], "eve", &[]), heartbeat(77, 1), other] {
        for remote in ["255.255.255.255:9", "239.255.67.71:9", "[ff12::4347]:9", "10.0.0.9:0"] {
            let path = Path::routed(0, remote.parse().unwrap());
            room.hub.handle_datagram(path, &bytes, room.now);
            assert_eq!(room.hub.poll_transmit(&mut Vec::new(), room.now), None, "{remote}");
        }
    }
}
