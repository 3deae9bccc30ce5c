//! Slow readers: one that makes progress sets the pace, a stalled one is dropped after 2 s, and no
//! queue exceeds its bound. These rooms have no rate limit.

use super::*;
use crate::hub::StreamId;
use crate::protocol::limits::MAX_MESSAGE;

const READER: StreamId = StreamId(1);

impl Room {
    /// A reader joins over TCP.
    fn join_reader(&mut self) {
        self.hub.handle_stream_opened(READER, path(99), self.now);
        self.hub.handle_stream_bytes(READER, &join_stream(5, "reader"), self.now);
    }

    /// Two members say as much as their sessions take, and the reader's kernel takes a chunk each
    /// `period`. Stops when the reader is gone. Returns the longest queue to the reader.
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

#[test]
fn a_slow_reader_sets_the_pace() {
    let mut room = Room::new(8);
    room.join("alice", 1);
    room.join("bob", 2);
    room.join_reader();
    let longest = room.talk_at(SECOND * 3 / 2, 30 * SECOND);
    assert!(room.names().contains(&"reader"), "dropped despite its progress");
    assert!(longest <= MAX_QUEUE_BYTES, "a queue of {longest} bytes");
    let before = room.lines();
    room.talk_at(SECOND * 3 / 2, 15 * SECOND);
    // 16 KiB in 1.5 s are 11 lines a second.
    assert!((120..250).contains(&(room.lines() - before)), "{}", room.lines() - before);
}

#[test]
fn a_stalled_reader_is_dropped_after_two_seconds() {
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
    // The queue accepts a message while it is below its bound.
    assert!(longest < MAX_QUEUE_BYTES + MAX_MESSAGE, "a queue of {longest} bytes");
    let before = room.lines();
    room.run_for(SECOND);
    assert!(room.lines() > before, "the others go on");
}

#[test]
fn a_server_standstill_drops_no_reader() {
    let mut room = Room::new(8);
    room.join("alice", 1);
    room.join("bob", 2);
    room.join_reader();
    room.talk_at(SECOND, 5 * SECOND);
    let stopped = room.now.mono;
    room.now.mono = stopped + 5 * SECOND;
    let longest = room.talk_at(SECOND * 3 / 2, 20 * SECOND);
    assert!(room.names().contains(&"reader"), "dropped despite its progress");
    assert!(longest <= MAX_QUEUE_BYTES, "a queue of {longest} bytes");
}
