//! The contents of the engine, and the room that has them.

use super::redis::Redis;
use super::servers::servers;
use crate::program::DEADLINE;
use std::time::{Duration, Instant};

/// Two rooms with the same names on one engine.
pub(crate) fn rooms_on_one_engine_do_not_mix() {
    let redis = Redis::start(&[]);
    let rooms = ["physics", "physics.2"];
    let servers = rooms.map(|room| servers::<2>(&redis.url(room), &[]));
    let mut people = servers.each_ref().map(|[one, other]| [one.join("alice"), other.join("bob")]);
    for (room, [alice, _]) in rooms.iter().zip(&mut people) {
        alice.type_line(&format!("in {room} alone"));
    }
    for (room, [_, bob]) in rooms.iter().zip(&mut people) {
        bob.hear(&format!("in {room} alone"));
        assert_eq!(bob.events("message").len(), 1, "{}", bob.output());
        let log: Vec<_> = redis.lines(room).into_iter().map(|(_, text)| text).collect();
        assert_eq!(log, [format!("in {room} alone")]);
        redis.check_names(room);
    }
}

/// A whisper between two servers is in a stream that expires, and in no other key, no file and no
/// replica.
pub(crate) fn whispers_are_in_no_log_no_file_and_no_replica() {
    let redis = Redis::start(&["--appendfsync", "always"]);
    let replica = Redis::start(&["--replicaof", &format!("127.0.0.1 {}", redis.port)]);
    let [one, other] = servers::<2>(&redis.url("r"), &[]);
    let (mut alice, mut bob) = (one.join("alice"), other.join("bob"));
    alice.type_line("for everybody");
    bob.hear("for everybody");
    for number in 0..5 {
        alice.type_line(&format!("@bob whispered {number}"));
        bob.hear(&format!("whispered {number}"));
    }
    alice.type_line("and again");
    bob.hear("and again");
    for key in redis.keys_with("whispered") {
        assert!(key.starts_with("chatagram:{r}:mail:"), "a whisper is in {key}");
    }
    let start = Instant::now();
    while replica.keys_with("and again").is_empty() {
        assert!(start.elapsed() < DEADLINE, "the replica has no line");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(replica.keys_with("whispered"), [""; 0]);
    let written = redis.written();
    assert!(written.contains("and again") && !written.contains("whispered"));
    let start = Instant::now();
    while !redis.keys_with("whispered").is_empty() {
        assert!(start.elapsed() < DEADLINE, "whispers stay");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(redis.keys_with("and again"), ["chatagram:{r}:log"]);
}
