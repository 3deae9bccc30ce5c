//! Peers that change their nicknames.

use super::*;

fn renames(room: &Room, peer: usize) -> Vec<(&str, &str, bool)> {
    let mut renames = Vec::new();
    for event in &room.told[peer] {
        if let session::Event::Renamed { from, to, own } = event {
            renames.push((from.as_str(), to.as_str(), *own));
        }
    }
    renames
}

fn last_error(room: &Room, peer: usize) -> String {
    let mut errors = room.told[peer].iter().rev().filter_map(|event| match event {
        session::Event::Error { notice } => Some(notice.to_string()),
        _ => None,
    });
    errors.next().unwrap_or_default()
}

#[test]
fn a_new_name_is_told_to_everybody_and_a_taken_one_to_its_asker_alone() {
    let mut room = Room::new(8);
    let [alice, bob] = [("alice", 1), ("bob", 2)].map(|(name, port)| room.join(name, port));
    for (name, why) in [("b0b", "is in use"), ("a b", "a space cannot"), ("", "is empty")] {
        assert!(room.peers[alice].1.rename(name, room.now));
        room.run_for(SECOND / 10);
        assert!(last_error(&room, alice).contains(why), "{name}: {}", last_error(&room, alice));
    }
    assert_eq!((room.names(), renames(&room, bob)), (vec!["alice", "bob"], vec![]));
    room.peers[alice].1.say("as alice", room.now).unwrap();
    room.run_for(SECOND / 10);
    room.peers[alice].1.rename("alicia", room.now);
    room.run_for(SECOND / 10);
    room.peers[alice].1.say("as alicia", room.now).unwrap();
    room.run_for(SECOND / 10);
    assert_eq!(room.names(), ["alicia", "bob"]);
    assert_eq!(renames(&room, alice), [("alice", "alicia", true)]);
    assert_eq!(renames(&room, bob), [("alice", "alicia", false)]);
    let lines: Vec<_> = room
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Line(line) => Some((line.from.as_str(), line.identity.unwrap())),
            _ => None,
        })
        .collect();
    let [("alice", first), ("alicia", second)] = lines[..] else { panic!("{lines:?}") };
    assert_eq!((first.owner, first.number + 1), (second.owner, second.number));
    let renamed = Event::Renamed { from: "alice".to_owned(), to: "alicia".to_owned() };
    assert!(room.events.contains(&renamed));
    // The old name is free, and a newcomer learns the new one.
    let other = room.join("alice", 3);
    let told = format!("{:?}", room.told[other]);
    assert!(told.contains("alicia") && room.welcomes(other) == 1, "{told}");
    let joined = room.told[bob].iter().filter(|e| matches!(e, session::Event::Joined { .. }));
    assert_eq!(joined.count(), 1);
}

#[test]
fn a_client_whose_request_was_cut_off_has_the_name_in_the_end() {
    let mut room = Room::new(8);
    let [alice, bob] = [("alice", 1), ("bob", 2)].map(|(name, port)| room.join(name, port));
    room.peers[alice].1.rename("alicia", room.now);
    room.peers[alice].1.say("hello", room.now).unwrap();
    let mut bytes = Vec::new();
    while room.peers[alice].1.poll_transmit(&mut bytes, room.now).is_some() {
        bytes.chunks(MAX_DATAGRAM).for_each(|it| room.hub.handle_datagram(path(1), it, room.now));
    }
    room.drain(); // the answers are lost
    assert_eq!(room.names(), ["alicia", "bob"]);
    room.cut_off = Some(1);
    room.run_for(12 * SECOND); // it expires, and does not know its name
    room.cut_off = None;
    room.run_for(40 * SECOND);
    assert_eq!(room.names(), ["bob", "alicia"]);
    assert_eq!(room.welcomes(alice), 2);
    let said = |event: &&session::Event| matches!(event, session::Event::Message { .. });
    let heard = room.told[bob].iter().filter(said).count();
    assert_eq!((heard, room.lines()), (room.lines(), heard), "nothing is said twice");
    let confirmed = |event: &&session::Event| matches!(event, session::Event::Confirmed { .. });
    assert_eq!(room.told[alice].iter().filter(confirmed).count(), heard);
}
