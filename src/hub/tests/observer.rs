//! What the hub tells a watcher of lines on their way to their readers.

use super::*;
use crate::hub::{Observations, Outcome, StreamId};

/// Numbers in the room.
const ALICE: u16 = 0;
const BOB: u16 = 1;
const CAROL: u16 = 2;

/// A room that is watched, with alice, who speaks, and bob at port 2, who reads in this mode.
fn watched(delivery: Delivery) -> Room {
    let mut room = Room::new(8);
    let (_, bob) = (room.join("alice", 1), room.join("bob", 2));
    let now = room.now;
    room.peers[bob].1.set_delivery(delivery, now);
    room.run_for(SECOND / 10);
    room.hub.set_observed(true);
    room
}

fn say(room: &mut Room, text: &str) {
    let now = room.now;
    room.peers[0].1.say(text, now).unwrap();
}

/// What became of lines on their way to bob: the text, milliseconds, the outcome.
fn seen(room: &mut Room) -> (Observations, Vec<(u128, Outcome)>) {
    let all = room.hub.take_observations();
    let bob = all.sightings.iter().filter(|it| it.peer == BOB);
    let outcomes = bob.map(|it| (it.after.as_millis(), it.outcome)).collect();
    (all, outcomes)
}

const CERTAIN: fn(u32) -> Outcome = |sends| Outcome::Shown { sends, certain: true };

#[test]
fn a_line_that_arrives_is_told_once_with_its_time() {
    for delivery in Delivery::ALL {
        let mut room = watched(delivery);
        assert!(!room.hub.has_observations());
        say(&mut room, "hello");
        room.run_for(SECOND);
        assert!(room.hub.has_observations());
        let (all, outcomes) = seen(&mut room);
        assert_eq!(all.said.len(), 1);
        let said = &all.said[0];
        assert_eq!((said.from.as_str(), said.text.as_str(), said.peer), ("alice", "hello", ALICE));
        assert_eq!(all.sightings.len(), 1, "the author is no reader: {all:?}");
        assert_eq!(all.sightings[0].position, said.position);
        let (after, outcome) = outcomes[0];
        // A probe may repeat the line before its acknowledgment.
        assert!(after <= 25, "{delivery:?} {outcomes:?}");
        assert!(matches!(outcome, Outcome::Shown { certain: true, .. }), "{outcomes:?}");
        assert!(!room.hub.has_observations());
    }
}

#[test]
fn a_lost_line_is_told_to_be_sent_again_until_it_arrives() {
    for delivery in [Delivery::ReliableOrdered, Delivery::ReliableUnordered] {
        let mut room = watched(delivery);
        room.cut_off = Some(2);
        say(&mut room, "into the dark");
        room.run_for(SECOND / 2);
        let (all, outcomes) = seen(&mut room);
        assert_eq!((all.said.len(), outcomes.is_empty()), (1, false));
        assert!(outcomes.iter().all(|it| it.1 == Outcome::Again), "{outcomes:?}");
        let pending = room.hub.peer_states(room.now.mono).nth(1).unwrap().pending;
        assert_eq!(pending, Some(1));
        room.cut_off = None;
        room.run_for(2 * SECOND);
        let (_, outcomes) = seen(&mut room);
        let (after, last) = outcomes.last().unwrap();
        assert!(*after >= 490 && matches!(last, Outcome::Shown { sends: 2.., certain: true }));
        let pending = room.hub.peer_states(room.now.mono).nth(1).unwrap().pending;
        assert_eq!(pending, Some(0));
    }
}

#[test]
fn a_line_that_is_sent_once_and_lost_is_told_as_lost() {
    let mut room = watched(Delivery::Unreliable);
    room.cut_off = Some(2);
    say(&mut room, "into the dark");
    room.run_for(SECOND / 10);
    room.cut_off = None;
    for n in 0..5 {
        say(&mut room, &format!("line {n}"));
        room.run_for(SECOND / 2);
    }
    room.run_for(2 * SECOND);
    let (all, outcomes) = seen(&mut room);
    let lost: Vec<_> = all.sightings.iter().filter(|it| it.outcome == Outcome::Lost).collect();
    assert_eq!((lost.len(), lost[0].position), (1, all.said[0].position), "{outcomes:?}");
    assert_eq!(outcomes.iter().filter(|it| it.1 == CERTAIN(1)).count(), 5);
}

#[test]
fn a_line_over_a_stream_is_shown_when_the_transport_has_taken_it() {
    let mut room = watched(Delivery::ReliableOrdered);
    let (id, now) = (StreamId(7), room.now);
    room.hub.handle_web_opened(id, path(3), now);
    room.hub.handle_stream_bytes(id, &join_stream(9, "carol"), now);
    let states: Vec<_> = room.hub.peer_states(now.mono).map(|it| it.about.transport).collect();
    assert_eq!(states, [Transport::Udp, Transport::Udp, Transport::Web]);
    room.drain();
    room.hub.handle_stream_writable(id, now);
    room.drain();
    room.hub.handle_stream_writable(id, now);
    say(&mut room, "hello");
    room.run_for(SECOND / 2);
    let of_carol = |all: &Observations| {
        all.sightings.iter().filter(|it| it.peer == CAROL).map(|it| it.outcome).collect::<Vec<_>>()
    };
    let (all, _) = seen(&mut room);
    assert_eq!(of_carol(&all), [], "the transport has not taken it");
    let now = room.now;
    room.hub.handle_stream_writable(id, now);
    let (all, _) = seen(&mut room);
    assert_eq!(of_carol(&all), [Outcome::Shown { sends: 1, certain: false }]);
    assert!(all.sightings[0].after >= SECOND / 3);
    assert_eq!(room.hub.watched_streams().collect::<Vec<_>>(), [id]);
    room.hub.handle_stream_unacknowledged(id, Some(1), now.mono);
    assert!(!room.hub.has_observations());
    room.hub.handle_stream_unacknowledged(id, Some(0), now.mono);
    let (all, _) = seen(&mut room);
    assert_eq!(of_carol(&all), [CERTAIN(1)]);
    assert_eq!(room.hub.watched_streams().count(), 0);
}

#[test]
fn observations_are_bounded_and_end_with_the_watcher() {
    let mut room = watched(Delivery::ReliableOrdered);
    for n in 0..1_200 {
        say(&mut room, &format!("line {n}"));
        room.run_for(Duration::from_millis(2));
    }
    room.run_for(10 * SECOND);
    let all = room.hub.take_observations();
    assert_eq!((all.said.len(), all.sightings.len()), (1_000, 1_000));
    assert!(all.left_out >= 400, "{}", all.left_out);
    room.hub.set_observed(false);
    say(&mut room, "unseen");
    room.run_for(SECOND);
    assert!(!room.hub.has_observations());
    assert_eq!(room.hub.peer_states(room.now.mono).next().unwrap().pending, None);
}
