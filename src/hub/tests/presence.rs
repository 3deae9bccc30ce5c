//! Arrivals and departures, as the hub announces them to sessions.

use super::{Room, SECOND};
use crate::client::session::Event;
use std::collections::BTreeSet;
use std::time::Duration;

/// The names that a session knows, and the number of messages that told it.
fn known(told: &[Event]) -> (BTreeSet<&str>, usize) {
    let (mut names, mut messages) = (BTreeSet::new(), 0);
    for event in told {
        match event {
            Event::Present { nicknames } | Event::Joined { nicknames, .. } => {
                names.extend(nicknames.iter().map(String::as_str));
                messages += 1;
            }
            Event::Left { nicknames, .. } => {
                nicknames.iter().for_each(|it| _ = names.remove(it.as_str()));
                messages += 1;
            }
            _ => {}
        }
    }
    (names, messages)
}

#[test]
fn simultaneous_arrivals_and_departures_share_a_few_announcements() {
    let mut room = Room::new(64);
    let first = room.join("first", 1_000);
    let names: Vec<_> = (0..60).map(|n| format!("guest{n}")).collect();
    for (name, port) in names.iter().zip(1..) {
        room.start(name, port);
    }
    room.run_for(SECOND);
    for (peer, told) in room.told.iter().enumerate() {
        let (known, messages) = known(told);
        assert_eq!(known.len(), 60, "{peer}: every other member");
        // The first arrival alone, the others together, and to a newcomer the earlier ones.
        assert!(messages <= 4, "{peer} got {messages} messages");
    }
    let now = room.now;
    for (_, peer) in room.peers.iter_mut().skip(1).take(50) {
        peer.leave(now);
    }
    room.run_for(SECOND);
    let (known, messages) = known(&room.told[first]);
    assert_eq!(known.len(), 10);
    assert!(messages <= 7, "{messages}");
}

#[test]
fn a_single_arrival_is_announced_in_the_turn_of_its_admission() {
    let mut room = Room::new(64);
    let first = room.join("first", 1);
    room.run_for(SECOND);
    room.start("second", 2);
    let joined = |room: &Room| room.told[first].iter().any(|it| matches!(it, Event::Joined { .. }));
    while room.names().len() < 2 {
        assert!(!joined(&room));
        room.run_for(Duration::from_millis(1));
    }
    assert!(joined(&room));
}

/// Each of these peers causes one announcement between two that are due, not one for each join.
#[test]
fn peers_that_leave_and_join_again_in_turn_do_not_announce_each_other() {
    let mut room = Room::new(64);
    let first = room.join("first", 1);
    for port in 2..=60 {
        room.start(&format!("guest{port}"), port);
    }
    room.run_for(SECOND);
    let before = known(&room.told[first]).1;
    let (mut joins, start) = (0, room.now.mono);
    let mut here = [("guest2", 1), ("guest3", 2)];
    while joins < 60 {
        for (name, peer) in &mut here {
            let now = room.now;
            room.peers[*peer].1.leave(now);
            room.run_for(Duration::from_millis(1));
            *peer = room.start(name, 61 + joins);
            room.run_for(Duration::from_millis(2));
            assert_eq!(room.welcomes(*peer), 1, "{name}: {:?}", room.told[*peer]);
            joins += 1;
        }
    }
    let messages = known(&room.told[first]).1 - before;
    // The interval for 60 peers is 12 ms: `Left` and `Joined`, and `Left` for each of the two.
    let due = room.now.mono.since(start).as_millis() / 12 + 1;
    assert!(messages as u128 <= 4 * due, "{messages} messages in {due} intervals");
}
