//! What the moderator orders, as the peers see it.

use super::*;
use crate::hub::Answer;
use crate::protocol::Nickname;
use crate::protocol::limits::BAN;

fn told(room: &Room, peer: usize) -> String {
    let text = |event: &session::Event| match event {
        session::Event::Error { notice } | session::Event::Status { notice } => notice.to_string(),
        event => format!("{event:?}"),
    };
    room.told[peer].iter().map(text).collect::<Vec<_>>().join("\n")
}

fn order(room: &mut Room, line: &str) -> Result<Answer, Answer> {
    let outcome = room.hub.order(line, room.now);
    room.run_for(SECOND / 10);
    outcome
}

#[test]
fn a_kicked_peer_ends_and_stays_out_by_name_and_address() {
    let mut room = Room::new(8);
    let [alice, bob] = [("alice", 1), ("bob", 2)].map(|(name, port)| room.join(name, port));
    // Both are at one address, so only the name stays out.
    let done = order(&mut room, "kick B0B too \u{1b}loud").unwrap().to_string();
    assert!(done.contains("bob is removed") && done.contains("not its shared address"), "{done}");
    assert_eq!(room.closed(bob), Some(CloseReason::Kicked));
    assert!(told(&room, bob).contains("the moderator removed you: too \u{fffd}loud"));
    let heard = told(&room, alice);
    assert!(heard.contains("bob is removed: too \u{fffd}loud"), "{heard}");
    assert!(heard.contains(r#"Left { nicknames: ["bob"], peers: 1, reason: Kicked }"#), "{heard}");
    let again = room.join("bob", 3);
    assert_eq!(room.closed(again), Some(CloseReason::Refused));
    assert_eq!(room.peers[again].1.refusal(), Some(Refusal::Kicked));
    let other = room.join("carol", 4);
    assert_eq!(room.welcomes(other), 1);
    assert!(order(&mut room, "unban eve").is_err());
    order(&mut room, "unban bob").unwrap();
    let back = room.join("bob", 5);
    assert_eq!(room.welcomes(back), 1);
    // Alone at its address, which then stays out for a while.
    for name in ["alice", "carol", "bob"] {
        order(&mut room, &format!("kick {name}")).unwrap();
    }
    let stranger = room.join("dave", 6);
    assert_eq!(room.peers[stranger].1.refusal(), Some(Refusal::Kicked));
    room.run_for(SECOND);
    room.now.mono = room.now.mono + BAN;
    let late = room.join("erin", 7);
    assert_eq!(room.welcomes(late), 1);
    assert_eq!(room.hub.counters().kicked, 4);
}

#[test]
fn a_muted_peer_is_not_heard_under_any_name_until_its_time_is_over() {
    let mut room = Room::new(8);
    let [alice, bob] = [("alice", 1), ("bob", 2)].map(|(name, port)| room.join(name, port));
    order(&mut room, "mute bob 5s").unwrap();
    room.peers[bob].1.say("one", room.now).unwrap();
    room.peers[bob].1.whisper("alice", "two", room.now).unwrap();
    room.run_for(SECOND / 10);
    room.peers[bob].1.rename("rob", room.now);
    room.run_for(SECOND / 10);
    room.peers[bob].1.say("three", room.now).unwrap();
    room.run_for(SECOND / 10);
    assert_eq!((room.lines(), room.hub.counters().muted), (0, 3));
    let heard = told(&room, bob);
    for (what, text) in
        [("this line", "one"), ("this line to alice", "two"), ("this line", "three")]
    {
        let error = format!("{what} was not passed on (the moderator muted you, for");
        assert!(heard.contains(&error) && heard.contains(&format!("more): {text}")), "{heard}");
    }
    assert!(room.peers[bob].1.is_settled());
    room.run_for(5 * SECOND);
    room.peers[bob].1.say("four", room.now).unwrap();
    room.run_for(SECOND / 10);
    assert!(told(&room, alice).contains("four"));
    order(&mut room, "mute rob").unwrap();
    order(&mut room, "unmute rob").unwrap();
    assert_eq!(order(&mut room, "unmute rob"), Err(Answer::NotMuted { name: "rob".to_owned() }));
    room.peers[bob].1.say("five", room.now).unwrap();
    room.run_for(SECOND / 10);
    assert_eq!(room.lines(), 2);
}

#[test]
fn a_locked_room_lets_its_members_back_in_and_the_topic_is_told_to_newcomers() {
    let mut room = Room::new(8);
    let alice = room.join("alice", 1);
    order(&mut room, "topic what a lost datagram costs").unwrap();
    order(&mut room, "lock").unwrap();
    assert!(room.hub.is_locked());
    let stranger = room.join("bob", 2);
    assert_eq!(room.peers[stranger].1.refusal(), Some(Refusal::Locked));
    // Its server loses alice, who comes back with her token.
    room.cut_off = Some(1);
    room.run_for(12 * SECOND);
    assert!(room.names().is_empty());
    room.cut_off = None;
    room.run_for(10 * SECOND);
    assert_eq!((room.names(), room.welcomes(alice)), (vec!["alice"], 2));
    let topics = |room: &Room, peer: usize| {
        told(room, peer).matches("Topic { text: \"what a lost datagram costs\" }").count()
    };
    assert_eq!(topics(&room, alice), 1, "the same topic is told once");
    order(&mut room, "unlock").unwrap();
    let bob = room.join("bob", 3);
    assert_eq!((room.welcomes(bob), topics(&room, bob)), (1, 1));
    assert_eq!(room.peers[bob].1.topic(), room.hub.topic());
    order(&mut room, "topic -").unwrap();
    assert_eq!((room.peers[bob].1.topic(), room.hub.topic()), (None, None));
}

#[test]
fn only_the_host_moderates_and_nobody_moderates_the_host() {
    let mut room = Room::new(8);
    room.hub.reserve(&Nickname::parse("alice").unwrap(), [7; 16]);
    let alice = room.start("alice", 1);
    room.peers[alice].1.claim_name([7; 16]);
    room.run_for(SECOND / 10);
    let bob = room.join("bob", 2);
    room.peers[bob].1.moderate("kick alice", room.now);
    room.run_for(SECOND / 10);
    assert!(told(&room, bob).contains("not done: only the host and the operator"));
    for line in ["kick alice", "mute alice", "kick eve", "dance"] {
        assert!(order(&mut room, line).is_err(), "{line}");
    }
    // She is the host under any name, and is always let in.
    room.peers[alice].1.rename("alicia", room.now);
    room.run_for(SECOND / 10);
    room.peers[alice].1.moderate("lock", room.now);
    room.peers[alice].1.moderate("kick bob", room.now);
    room.run_for(SECOND / 10);
    assert_eq!(room.closed(bob), Some(CloseReason::Kicked));
    assert!(told(&room, alice).contains("bob is removed"));
    let moderated = |event: &&Event| matches!(event, Event::Moderated { .. });
    assert_eq!(room.events.iter().filter(moderated).count(), 2);
}
