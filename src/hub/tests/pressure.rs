//! Slow readers: one that makes progress sets the pace, one that makes none is dropped after 2 s,
//! and no queue is ever longer than its bound. Nobody is limited here.

use super::*;
use crate::hub::StreamId;
use crate::protocol::limits::MAX_MESSAGE;
use crate::protocol::{Preface, write_record};

const READER: StreamId = StreamId(1);

impl Room {
    /// Lets a reader join over TCP and take what it is told at first.
    fn join_reader(&mut self) {
        let mut bytes = Preface { flags: Flags::default(), session: 0 }.encode().to_vec();
        let join = Frame::Join {
            nonce: 5,
            cookie: &[],
            nickname: "reader",
            delivery: Delivery::ReliableOrdered,
            resume: &[],
            epoch: 0,
            seen: 0,
            next: 0,
        };
        write_record(&join, &mut bytes);
        self.hub.handle_stream_opened(READER, path(99), self.now);
        self.hub.handle_stream_bytes(READER, &bytes, self.now);
    }

    /// Two members say as much as their sessions take for this long, and the reader's kernel takes
    /// a chunk each `period`. Stops when the reader is gone. The longest queue to the reader.
    fn talk_at(&mut self, period: Duration, duration: Duration) -> usize {
        let (mut longest, mut taken_at) = (0, self.now.mono);
        let mut beat = Vec::new();
        write_record(&Frame::Heartbeat, &mut beat);
        let end = self.now.mono + duration;
        while self.now.mono < end && self.names().contains(&"reader") {
            let now = self.now;
            for (_, peer) in &mut self.peers {
                while peer.say(&"x".repeat(900), now).is_ok() {}
            }
            self.run_for(Duration::from_millis(1));
            if taken_at + period <= self.now.mono {
                taken_at = self.now.mono;
                self.hub.handle_stream_writable(READER, self.now);
                self.hub.handle_stream_bytes(READER, &beat, self.now);
            }
            let readers = self.hub.peers.iter().filter(|peer| peer.stream.is_some());
            longest = readers.map(|peer| peer.link.queued_bytes()).fold(longest, usize::max);
        }
        longest
    }
}

/// Lines that were said so far.
fn lines(room: &Room) -> usize {
    room.events.iter().filter(|event| matches!(event, Event::Line(_))).count()
}

#[test]
fn a_reader_that_takes_a_chunk_in_a_second_and_a_half_sets_the_pace() {
    let mut room = Room::new(8);
    room.join("alice", 1);
    room.join("bob", 2);
    room.join_reader();
    let longest = room.talk_at(SECOND * 3 / 2, 30 * SECOND);
    assert!(room.names().contains(&"reader"), "dropped though it makes progress");
    assert!(longest <= MAX_QUEUE_BYTES, "{longest} bytes waited");
    let before = lines(&room);
    room.talk_at(SECOND * 3 / 2, 15 * SECOND);
    // 16 KiB in 1.5 s are 11 lines a second.
    assert!((120..250).contains(&(lines(&room) - before)), "{}", lines(&room) - before);
}

#[test]
fn a_reader_that_takes_nothing_is_dropped_after_two_seconds() {
    let mut room = Room::new(8);
    room.join("alice", 1);
    room.join("bob", 2);
    room.join_reader();
    room.talk_at(SECOND / 100, SECOND);
    let begun = room.now.mono;
    let longest = room.talk_at(60 * SECOND, 60 * SECOND);
    let waited = room.now.mono.since(begun);
    assert_eq!(room.names(), ["alice", "bob"]);
    assert!((2 * SECOND..3 * SECOND).contains(&waited), "dropped after {waited:?}");
    // The queue takes a message while it is shorter than its bound.
    assert!(longest < MAX_QUEUE_BYTES + MAX_MESSAGE, "{longest} bytes waited");
    let before = lines(&room);
    room.run_for(SECOND);
    assert!(lines(&room) > before, "the others go on");
}

#[test]
fn a_server_that_stood_still_does_not_take_its_readers_for_stopped() {
    let mut room = Room::new(8);
    room.join("alice", 1);
    room.join("bob", 2);
    room.join_reader();
    room.talk_at(SECOND, 5 * SECOND);
    let stopped = room.now.mono;
    room.now.mono = stopped + 5 * SECOND;
    let longest = room.talk_at(SECOND * 3 / 2, 20 * SECOND);
    assert!(room.names().contains(&"reader"), "dropped though it makes progress");
    assert!(longest <= MAX_QUEUE_BYTES, "{longest} bytes waited");
}
