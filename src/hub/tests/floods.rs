//! Members that ignore the rate limit. The tests send the lines, because sessions respect the
//! limit.

use super::*;
use crate::protocol::limits::{FLOOD_HOLD, FLOOD_TOLERANCE};

/// Messages that the hub handles before it drops a member that does not wait.
const MOST: usize = 20 + FLOOD_TOLERANCE;

fn room() -> Room {
    Room::limited(8, Some(Limit::USUAL))
}

fn say(number: u16) -> Vec<u8> {
    encode_message(&ClientMessage::Say(Say { number, sent: 0, text: "x" }))
}

impl Room {
    /// `count` lines of one peer at one time, with distinct numbers.
    fn talk(&mut self, peer: u64, count: usize) {
        for _ in 0..count {
            let number = 60_000 + self.hub.counters().lines as u16;
            self.hub.handle_message(PeerId(peer), &say(number), self.now);
        }
    }

    /// `count` messages of one peer at one time.
    fn flood(&mut self, peer: u64, count: usize, message: &[u8]) {
        for _ in 0..count {
            self.hub.handle_message(PeerId(peer), message, self.now);
        }
    }

    fn departures(&self) -> Vec<LeaveReason> {
        let left = self.events.iter().filter_map(|event| match event {
            Event::Left { reason, .. } => Some(*reason),
            _ => None,
        });
        left.collect()
    }

    fn refusals(&self) -> Vec<&str> {
        let refused = self.events.iter().filter_map(|event| match event {
            Event::Refused { detail, .. } => Some(detail.as_str()),
            _ => None,
        });
        refused.collect()
    }
}

#[test]
fn a_member_above_the_limit_is_slowed_and_loses_no_line() {
    let mut room = room();
    let alice = room.join("alice", 1);
    room.talk(0, 20);
    room.run_for(SECOND / 1000);
    assert_eq!(room.peers[alice].1.backlog(room.now.mono), Duration::ZERO);
    room.talk(0, FLOOD_TOLERANCE);
    room.run_for(SECOND / 10);
    assert_eq!((room.lines(), room.departures()), (MOST, vec![]));
    // Once for the first line above the limit, and once for each second of debt, 12.8 s in all.
    assert_eq!(room.hub.counters().slowed, 13);
    // The session did not send these lines, but waits for them: 128 lines at ten a second.
    let now = room.now;
    room.peers[alice].1.say("later", now).unwrap();
    room.run_for(11 * SECOND);
    assert_eq!(room.lines(), MOST);
    room.run_for(2 * SECOND);
    assert_eq!((room.lines(), room.departures()), (MOST + 1, vec![]));
    assert_eq!(room.hub.counters().flooders, 0);
}

#[test]
fn a_member_that_does_not_wait_is_dropped_and_the_reason_announced() {
    let mut room = room();
    let (alice, bob) = (room.join("alice", 1), room.join("bob", 2));
    room.talk(0, MOST + 50);
    room.run_for(SECOND / 10);
    assert_eq!((room.lines(), room.departures()), (MOST, vec![LeaveReason::Flood]));
    assert_eq!(room.names(), ["bob"]);
    assert_eq!(room.hub.counters().flooders, 1);
    let has_event = |peer: usize, wanted: &dyn Fn(&session::Event) -> bool| {
        assert!(room.told[peer].iter().any(wanted), "{:?}", room.told[peer].last());
    };
    has_event(bob, &|event| {
        matches!(event, session::Event::Left { reason: LeaveReason::Flood, .. })
    });
    has_event(alice, &|event| {
        let session::Event::Status { notice } = event else { return false };
        matches!(notice, session::Notice::Closing { reason: LeaveReason::Flood, detail }
            if detail.contains("20 lines"))
    });
}

#[test]
fn a_flooder_is_kept_out_for_a_minute_and_other_members_at_its_address_stay() {
    let mut room = room();
    let (_, bob) = (room.join("alice", 1), room.join("bob", 2));
    room.talk(0, MOST + 1);
    room.peers.remove(0);
    room.told.remove(0);
    room.run_for(FLOOD_HOLD - SECOND);
    let early = room.join("mallory", 3);
    assert_eq!(room.closed(early), Some(CloseReason::Refused));
    assert_eq!(room.refusals(), ["too much was said from your address: try again in 1 s"]);
    room.run_for(SECOND);
    let late = room.join("mallory", 4);
    assert_eq!((room.welcomes(late), room.welcomes(bob - 1)), (1, 1));
}

#[test]
fn leaving_does_not_refill_a_bucket() {
    let mut room = room();
    let alice = room.join("alice", 1);
    room.talk(0, 100);
    let now = room.now;
    room.peers[alice].1.leave(now);
    room.run_for(SECOND / 10);
    let again = room.join("carol", 2);
    assert_eq!(room.closed(again), Some(CloseReason::Refused));
    room.run_for(8 * SECOND);
    let again = room.join("carol", 3);
    assert_eq!(room.welcomes(again), 1, "80 lines are paid for");
}

#[test]
fn a_new_session_under_the_same_name_does_not_refill_a_bucket() {
    let mut room = room();
    let alice = room.join("alice", 1);
    // After a session that lasted, the client rejoins at once.
    room.run_for(10 * SECOND);
    room.talk(0, MOST);
    let mut reset = Vec::new();
    let mut writer = DatagramWriter::new(&mut reset);
    writer.push(&Frame::Reset);
    let header = Header { session: room.session(alice), ..Header::default() };
    writer.finish(&Header { flags: Flags::FROM_SERVER, ..header });
    let now = room.now;
    room.peers[alice].1.handle_datagram(server(), &reset, now);
    room.run_for(SECOND / 20);
    assert_eq!(room.welcomes(alice), 2);
    room.talk(0, 2);
    assert_eq!(room.hub.nicknames().count(), 0);
}

#[test]
fn every_message_is_charged_except_solicited_answers() {
    let questions = [
        ClientMessage::Whisper(Whisper { number: 0, sent: 0, to: "bob", text: "x" }),
        ClientMessage::Who { number: 0 },
        ClientMessage::Ping { number: 0, to: "bob" },
        ClientMessage::Deliver(Delivery::Unreliable),
        ClientMessage::Pong { peer: 1, number: 0 },
    ];
    for message in questions {
        let mut room = room();
        room.join("alice", 1);
        room.join("bob", 2);
        room.flood(0, MOST, &encode_message(&message));
        assert_eq!(room.names(), ["alice", "bob"], "{message:?}");
        room.flood(0, 1, &encode_message(&message));
        assert_eq!(room.names(), ["bob"], "{message:?}");
    }
    let mut room = room();
    room.join("alice", 1);
    room.flood(0, MOST + 1, b"nonsense");
    assert!(room.names().is_empty());
}

#[test]
fn a_member_pinged_often_answers_and_stays() {
    let mut room = Room::limited(60, Some(Limit::USUAL));
    let asked = room.join("asked", 1);
    (2..42).for_each(|port| {
        room.join(&format!("peer{port}"), port);
    });
    for _ in 0..10 {
        let now = room.now;
        for (_, peer) in &mut room.peers[1..] {
            peer.ping("asked", now);
        }
        room.run_for(SECOND / 10);
    }
    let answers = room.told.iter().flatten().filter(|e| matches!(e, session::Event::Pong { .. }));
    assert_eq!((answers.count(), room.welcomes(asked)), (400, 1));
    assert!(room.departures().is_empty());
}

#[test]
fn a_room_without_a_limit_drops_no_talker() {
    let mut room = Room::new(8);
    room.join("alice", 1);
    room.talk(0, 10 * MOST);
    room.run_for(SECOND / 10);
    assert_eq!((room.lines(), room.departures()), (10 * MOST, vec![]));
}
