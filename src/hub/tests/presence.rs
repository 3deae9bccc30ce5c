//! Who comes and goes, as sessions are told of it.

use super::{Room, SECOND};
use crate::client::session::Event;
use std::collections::BTreeSet;
use std::time::Duration;

/// The names that a session knows of, and in how many messages it learned them.
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
fn sixty_who_come_and_go_at_once_are_told_of_in_a_few_messages() {
    let mut room = Room::new(64);
    let first = room.join("first", 1_000);
    let names: Vec<_> = (0..60).map(|n| format!("guest{n}")).collect();
    for (name, port) in names.iter().zip(1..) {
        room.start(name, port);
    }
    room.run_for(SECOND);
    for (place, told) in room.told.iter().enumerate() {
        let (known, messages) = known(told);
        assert_eq!(known.len(), 60, "{place}: all but itself");
        // The first alone, the others together; a newcomer is told of what was announced before.
        assert!(messages <= 4, "{place} was told in {messages} messages");
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
fn a_lone_arrival_is_told_of_in_the_turn_in_which_it_is_let_in() {
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
