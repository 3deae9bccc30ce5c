//! Announcements as members see them: the posts of a room, and each member's view after them.

use crate::protocol::limits::MAX_MESSAGE;
use crate::protocol::limits::{ANNOUNCE_RATE, MAX_ANNOUNCE_INTERVAL};
use crate::protocol::{
    LeaveReason, LiveLine, RollEntry, Say, ServerMessage, Whisper, decode_message,
};
use crate::registry::{Owner, PeerId};
use crate::room::{Kind, Past, Post, Recipients, Room};
use crate::time::{Timestamp, WallTime};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::time::Duration;

fn at(micros: u64) -> Timestamp {
    Timestamp::from_micros(micros)
}

fn id(peer: u16) -> PeerId {
    PeerId(peer.into())
}

fn join(room: &mut Room, peer: u16) {
    room.join(id(peer), &format!("guest{peer:05}"), Owner(peer.into()), 0);
}

fn posts(room: &mut Room) -> Vec<Post> {
    std::iter::from_fn(|| room.poll_post()).collect()
}

/// The posts in short form.
fn said(posts: &[Post]) -> Vec<String> {
    let messages = posts.iter().flat_map(|post| post.messages.iter());
    let words = messages.map(|message| match decode_message(message).unwrap() {
        ServerMessage::Present { roll } => format!("present {roll:?}"),
        ServerMessage::Joined { peers, roll } => format!("joined {roll:?}, {peers} here"),
        ServerMessage::Left { peers, roll, .. } => format!("left {roll:?}, {peers} here"),
        ServerMessage::Line(LiveLine { text, .. }) | ServerMessage::Whisper { text, .. } => {
            text.to_owned()
        }
        _ => "other".to_owned(),
    });
    words.collect()
}

/// A room of `members` peers, all announced.
fn room_of(members: u16) -> Room {
    let mut room = Room::new(Past::default(), 10, 1);
    (0..members).for_each(|peer| join(&mut room, peer));
    while room.poll_timeout().is_some() {
        room.announce(at(0));
        room.presence.last = None;
    }
    posts(&mut room);
    room
}

#[test]
fn the_first_change_after_a_pause_is_announced_at_once() {
    let mut room = room_of(3);
    join(&mut room, 7);
    room.announce(at(1_000_000));
    let told = posts(&mut room);
    assert_eq!(said(&told), ["joined [7 \"guest00007\" 0], 4 here"]);
    assert_eq!(told[0].to, Recipients::All);
    room.leave(id(1), LeaveReason::Quit);
    assert_eq!(room.poll_timeout(), Some(at(1_000_600)), "200 us for each of 3 who are here");
    room.announce(at(1_000_599));
    assert_eq!(said(&posts(&mut room)), [""; 0]);
    room.announce(at(1_000_600));
    assert_eq!(said(&posts(&mut room)), ["left [1 \"guest00001\" 0], 3 here"]);
    assert_eq!(room.poll_timeout(), None);
}

#[test]
fn a_crowd_is_announced_in_one_message_per_direction() {
    let mut room = room_of(100);
    room.presence.last = Some(at(0));
    (100..150).for_each(|peer| join(&mut room, peer));
    (0..30).for_each(|peer| _ = room.leave(id(peer), LeaveReason::Quit));
    let due = room.poll_timeout().unwrap();
    assert_eq!(due, at(0) + Duration::from_secs(120) / ANNOUNCE_RATE);
    room.announce(due);
    let told = posts(&mut room);
    assert!(told.iter().all(|post| post.to == Recipients::All && post.kind == Kind::Control));
    let words = said(&told);
    assert_eq!(words.len(), 2, "{words:?}");
    assert!(words[0].starts_with("left [0 ") && words[0].ends_with("], 70 here"));
    assert!(words[1].starts_with("joined [100 ") && words[1].ends_with("], 120 here"));
}

/// Number and bytes of messages encoded for one more join in a crowd, each counted once: links
/// share them.
fn cost_of_a_crowd(members: u16) -> (usize, usize) {
    let mut room = room_of(members);
    let (mut messages, mut bytes) = (0, 0);
    // A thousand joins a second.
    for peer in 0..2_000_u16 {
        let now = at(1_000_000 + 1_000 * u64::from(peer));
        join(&mut room, members + peer);
        room.announce(now);
        for post in posts(&mut room) {
            messages += post.messages.len();
            bytes += post.messages.bytes();
        }
    }
    (messages, bytes)
}

#[test]
fn a_join_costs_as_many_messages_in_a_large_room_as_in_a_small_one() {
    let small = cost_of_a_crowd(500);
    let large = cost_of_a_crowd(20_000);
    assert!(large.0 <= small.0 && large.1 <= small.1, "{small:?} became {large:?}");
    // With an announcement a second, each is as full as possible.
    assert!(large.0 <= 2_000 / 60 + 3, "{large:?}");
}

#[test]
fn announcements_are_bounded_by_the_announce_rate() {
    for members in [2, 50, 1_000, 8_000] {
        let mut room = room_of(members);
        // Few enough for one message.
        let mut announced = 0_u64;
        let mut step = 0;
        while step < 20_000 {
            let peer = members + step % 5_000;
            join(&mut room, peer);
            room.announce(at(u64::from(step) * 100));
            room.leave(id(peer), LeaveReason::Quit);
            room.announce(at(u64::from(step) * 100));
            let all = |post: &&Post| !matches!(post.to, Recipients::One(_));
            announced += posts(&mut room).iter().filter(all).count() as u64;
            step += 1;
        }
        let (members, seconds) = (u64::from(members), 2);
        let most = (5_000 * seconds).max(seconds * members) + 2 * members;
        // Each announcement has one arrival, one departure, or both.
        assert!(announced * members <= 2 * most, "{members}: {announced}");
        assert!(announced > 0);
    }
}

#[test]
fn a_newcomer_has_the_same_view_as_those_who_join_with_it() {
    let mut room = room_of(5_000);
    room.presence.last = Some(at(0));
    let mut told = Vec::new();
    for peer in 5_000..5_010 {
        join(&mut room, peer);
        room.brief(id(peer), &[]);
        told.extend(posts(&mut room));
    }
    assert_eq!(told.len(), 10);
    let first = told[0].messages.frames().as_ptr();
    assert!(told.iter().all(|post| post.messages.frames().as_ptr() == first), "no copies");
    let digest = &told[0].messages;
    assert!(digest.iter().all(|message| message.len() <= MAX_MESSAGE));
    assert!(digest.len() * (MAX_MESSAGE - 20) <= digest.bytes() + MAX_MESSAGE, "not filled");
    assert_eq!(room.count_for(id(5_009)), 5_001);
}

#[test]
fn an_arrival_is_announced_before_lines_and_whispers_of_its_peer() {
    let mut room = room_of(100);
    room.presence.last = Some(at(0));
    (100..103).for_each(|peer| join(&mut room, peer));
    let whisper = Whisper { number: 0, sent: 0, to: "", text: "psst" };
    room.whisper(id(101), Some(id(0)), whisper, WallTime(0));
    let words = said(&posts(&mut room));
    assert!(words[0].starts_with("joined [101 ") && words[1] == "psst", "{words:?}");
    join(&mut room, 103);
    room.leave(id(3), LeaveReason::Timeout);
    room.say(id(103), Say { number: 0, sent: 0, text: "hello" }, WallTime(0));
    let words = said(&posts(&mut room));
    assert!(words[0].starts_with("left [3 ") && words[1].starts_with("joined [103 "), "{words:?}");
    assert_eq!(words[2..], ["hello", "other"]);
    // Announced peers are not announced again.
    join(&mut room, 104);
    room.say(id(103), Say { number: 1, sent: 0, text: "again" }, WallTime(0));
    assert_eq!(said(&posts(&mut room)), ["again", "other"]);
}

#[test]
fn a_silent_peer_that_leaves_before_its_announcement_is_not_announced() {
    let mut room = room_of(100);
    room.presence.last = Some(at(0));
    join(&mut room, 100);
    assert_eq!(room.leave(id(100), LeaveReason::Quit).as_deref(), Some("guest00100"));
    assert_eq!(room.poll_timeout(), None);
    // A peer whose lines were lost is announced, so that others learn of the gap.
    join(&mut room, 101);
    room.renumber(id(101), 3);
    room.leave(id(101), LeaveReason::Quit);
    room.announce(at(0) + MAX_ANNOUNCE_INTERVAL);
    let expected =
        ["joined [101 \"guest00101\" 3], 101 here", "left [101 \"guest00101\" 3], 100 here"];
    assert_eq!(said(&posts(&mut room)), expected);
}

#[test]
fn a_departure_is_announced_before_the_name_joins_again_and_arrivals_wait() {
    let mut room = room_of(100);
    room.presence.last = Some(at(0));
    let mut join_again = |name: &str, before: u16, peer: u16| {
        room.leave(id(before), LeaveReason::Quit);
        room.announce_predecessor(name);
        let words = said(&posts(&mut room));
        room.join(id(peer), name, Owner(0), 0);
        (words, room.count_for(id(peer)))
    };
    let (words, count) = join_again("guest00001", 1, 100);
    assert_eq!((words.join(", "), count), ("left [1 \"guest00001\" 0], 99 here".to_owned(), 100));
    let (words, count) = join_again("guest00002", 2, 101);
    assert_eq!((words.join(", "), count), ("left [2 \"guest00002\" 0], 98 here".to_owned(), 99));
    let (words, count) = join_again("guest00001", 100, 102);
    assert_eq!((words, count), (vec![], 99), "the room never knew the second one of that name");
    room.announce(at(0) + MAX_ANNOUNCE_INTERVAL);
    let expected = "joined [101 \"guest00002\" 0, 102 \"guest00001\" 0], 100 here";
    assert_eq!(said(&posts(&mut room)), [expected]);
}

#[test]
fn an_announcement_is_bounded_and_the_rest_follows() {
    let mut room = room_of(1);
    (1..8_000).for_each(|peer| join(&mut room, peer));
    let mut now = at(1_000_000);
    let mut joined = 0;
    for _ in 0..10 {
        let Some(due) = room.poll_timeout() else { break };
        now = now.max(due);
        room.announce(now);
        let told = posts(&mut room);
        assert!((1..=32).contains(&told.len()), "{}", told.len());
        let rolls = told.iter().flat_map(|post| post.messages.iter());
        joined += rolls
            .map(|message| match decode_message(message).unwrap() {
                ServerMessage::Joined { roll, .. } => roll.entries().count(),
                other => panic!("{other:?}"),
            })
            .sum::<usize>();
        now = now + Duration::from_millis(1);
    }
    assert_eq!((joined, room.poll_timeout()), (7_999, None));
}

/// A member's view: peers and the numbers of their next lines.
#[derive(Default)]
struct Picture {
    others: BTreeMap<u16, (String, u16)>,
    /// Whether the member itself is announced and counted.
    announced: bool,
}

/// The views of the members of a room.
struct Members {
    room: Room,
    pictures: BTreeMap<u16, Picture>,
    now: u64,
}

impl Members {
    fn deliver(&mut self) {
        for post in posts(&mut self.room) {
            let to = |peer: u16| match post.to {
                Recipients::One(one) => one.number() == peer,
                Recipients::AllBut(one) => one.number() != peer,
                Recipients::All => true,
            };
            for (peer, picture) in self.pictures.iter_mut().filter(|(peer, _)| to(**peer)) {
                post.messages.iter().for_each(|message| take_in(*peer, picture, message));
            }
        }
    }

    fn is_correct(&self) -> bool {
        let members = self.room.members.iter();
        let here = members.map(|(id, it)| (id.number(), (it.nickname.clone(), it.next)));
        let here: BTreeMap<_, _> = here.collect();
        self.pictures.iter().all(|(peer, picture)| {
            let others = here.iter().filter(|(other, _)| *other != peer);
            picture.announced && others.eq(picture.others.iter())
        })
    }
}

fn take_in(peer: u16, picture: &mut Picture, message: &[u8]) {
    let others = |entry: &RollEntry<'_>| entry.peer != peer;
    let message = decode_message(message).unwrap();
    match message {
        ServerMessage::Present { roll } | ServerMessage::Joined { roll, .. } => {
            picture.announced |= roll.entries().any(|entry| !others(&entry));
            for RollEntry { peer, nickname, next } in roll.entries().filter(others) {
                let before = picture.others.insert(peer, (nickname.to_owned(), next));
                assert_eq!(before, None, "{nickname} joined twice");
            }
        }
        ServerMessage::Left { roll, .. } => {
            for RollEntry { peer, nickname, next } in roll.entries().filter(others) {
                assert_eq!(picture.others.remove(&peer), Some((nickname.to_owned(), next)));
            }
        }
        ServerMessage::Line(LiveLine { peer, number, .. }) => {
            let (_, next) = picture.others.get_mut(&peer).expect("the author is known");
            assert_eq!(*next, number, "a false gap");
            *next = number + 1;
        }
        _ => return,
    }
    if let ServerMessage::Joined { peers, .. } | ServerMessage::Left { peers, .. } = message {
        let known = picture.others.len() + usize::from(picture.announced);
        assert_eq!(known, usize::from(peers), "the count differs from the names");
    }
}

proptest! {
    #[test]
    fn every_member_has_the_right_view_after_random_changes(
        steps in proptest::collection::vec((0..5_u8, 0..12_u16, 0..4_000_u64), 1..150),
    ) {
        let room = Room::new(Past::default(), 10, 1);
        let mut members = Members { room, pictures: BTreeMap::new(), now: 0 };
        // Names are reused at once, peer numbers late.
        let (mut seats, mut fresh) = ([None; 12], 0..);
        for (what, seat, pause) in steps {
            let (room, seat) = (&mut members.room, usize::from(seat));
            match (what, seats[seat]) {
                (0 | 1, None) => {
                    let peer = fresh.next().unwrap();
                    seats[seat] = Some(peer);
                    room.join(id(peer), &format!("guest{seat}"), Owner(0), pause as u16);
                    room.brief(id(peer), &[]);
                    members.pictures.insert(peer, Picture::default());
                }
                (2, Some(peer)) => {
                    seats[seat] = None;
                    room.leave(id(peer), LeaveReason::Quit);
                    members.pictures.remove(&peer);
                }
                (3, Some(peer)) => {
                    let number = room.members.get(id(peer)).unwrap().next;
                    room.say(id(peer), Say { number, sent: 0, text: "hello" }, WallTime(0));
                }
                _ => members.now += pause,
            }
            members.room.announce(at(members.now));
            members.deliver();
        }
        while let Some(due) = members.room.poll_timeout() {
            members.room.announce(due);
            members.deliver();
        }
        prop_assert!(members.is_correct());
    }
}
