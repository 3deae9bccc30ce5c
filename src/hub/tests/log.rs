//! Lines whose fate is open when a session breaks off, and clocks that are wrong.

use super::*;
use crate::protocol::Mark;
use crate::room::{Line, LineIdentity};

const MODES: [Delivery; 3] =
    [Delivery::Unreliable, Delivery::ReliableUnordered, Delivery::ReliableOrdered];

impl Room {
    fn say(&mut self, peer: usize, text: &str) {
        let now = self.now;
        self.peers[peer].1.say(text, now).unwrap();
    }

    fn logged(&self) -> Vec<Line> {
        let lines = self.events.iter().filter_map(|event| match event {
            Event::Line(line) => Some((**line).clone()),
            _ => None,
        });
        lines.collect()
    }

    /// The server starts again, with these lines in its history.
    fn restart(&mut self, history: Vec<Line>) {
        let config = self.hub.config.clone();
        self.hub = Hub::new(config, Past::from(history), [9; 32], self.now);
    }

    fn told(&self, peer: usize, wanted: impl Fn(&session::Event) -> bool) -> usize {
        self.told[peer].iter().filter(|event| wanted(event)).count()
    }

    fn confirmed(&self, peer: usize) -> usize {
        self.told(peer, |event| matches!(event, session::Event::Confirmed { .. }))
    }

    fn doubtful(&self, peer: usize) -> usize {
        self.told(peer, |event| matches!(event, session::Event::Error { .. }))
    }

    fn incomplete(&self, peer: usize) -> usize {
        self.told(
            peer,
            |event| matches!(event, session::Event::Status { text } if text.contains("may be missing")),
        )
    }
}

/// The lines that reached bob under alice's name.
fn heard(room: &Room, bob: usize) -> usize {
    room.told(bob, |event| matches!(event, session::Event::Message { .. }))
}

#[test]
fn a_lost_line_is_not_confirmed_by_an_earlier_one_with_the_same_text() {
    for delivery in MODES {
        let mut room = Room::new(8);
        let (alice, bob) = (room.join("alice", 1), room.join("bob", 2));
        let now = room.now;
        room.peers[alice].1.set_delivery(delivery, now);
        room.run_for(SECOND);
        room.say(alice, "ok");
        room.run_for(SECOND);
        room.cut_off = Some(1);
        room.say(alice, "ok");
        room.run_for(12 * SECOND); // the server has let her go
        room.cut_off = None;
        room.run_for(30 * SECOND);
        let (logged, reported) = (room.logged().len(), room.doubtful(alice));
        // What was sent once may be found lost before the session ends; then it is said.
        assert_eq!((room.confirmed(alice), logged + reported), (logged, 2), "{delivery:?}");
        assert_eq!(heard(&room, bob), logged, "{delivery:?}");
    }
}

#[test]
fn a_line_that_the_log_has_is_confirmed_after_a_restart_and_not_said_again() {
    for delivery in MODES {
        let mut room = Room::new(8);
        let alice = room.join("alice", 1);
        let now = room.now;
        room.peers[alice].1.set_delivery(delivery, now);
        room.run_for(SECOND);
        room.say(alice, "ok");
        room.run_for(SECOND);
        // The server writes the second one down, and dies before it has told anybody.
        room.say(alice, "ok");
        let mut history = room.logged();
        let again = Line {
            mark: Mark { position: history[0].mark.position + 1, ..history[0].mark },
            identity: history[0].identity.map(|it| LineIdentity { number: it.number + 1, ..it }),
            ..history[0].clone()
        };
        history.push(again);
        room.restart(history);
        room.run_for(40 * SECOND);
        assert_eq!((room.confirmed(alice), room.doubtful(alice)), (2, 0), "{delivery:?}");
        assert_eq!(room.logged().len(), 1, "{delivery:?}: nothing is said again");
        room.say(alice, "ok");
        room.run_for(2 * SECOND);
        let owners: Vec<_> = room.logged().iter().map(|it| it.identity.unwrap().owner).collect();
        assert!(owners.len() == 2 && owners[0] == owners[1], "the owner stays over a restart");
    }
}

#[test]
fn what_a_lost_history_had_is_told_and_not_sent_again() {
    let mut room = Room::new(8);
    let alice = room.join("alice", 1);
    room.say(alice, "one");
    room.run_for(SECOND);
    room.say(alice, "two");
    room.restart(Vec::new());
    room.run_for(40 * SECOND);
    assert_eq!((room.confirmed(alice), room.doubtful(alice)), (1, 1));
    assert_eq!(room.logged().len(), 1);
}

#[test]
fn after_a_lost_history_and_a_clock_put_back_replays_are_complete_again() {
    const DAY: u64 = 86_400_000_000;
    let mut room = Room::new(8);
    let alice = room.join("alice", 1);
    room.now.wall.0 += DAY;
    room.say(alice, "one");
    room.run_for(SECOND);
    room.now.wall.0 -= DAY;
    room.restart(Vec::new());
    room.run_for(30 * SECOND);
    assert_eq!(room.incomplete(alice), 1, "what was said before the restart");
    for round in 2..5 {
        room.say(alice, "two");
        room.run_for(SECOND);
        room.cut_off = Some(1);
        room.say(alice, "two");
        room.run_for(12 * SECOND);
        room.cut_off = None;
        room.run_for(40 * SECOND);
        assert_eq!((room.incomplete(alice), room.doubtful(alice)), (1, 0), "round {round}");
        assert_eq!(room.confirmed(alice), room.logged().len());
    }
    assert_eq!(room.logged().len(), 7);
}

#[test]
fn each_line_has_the_time_when_it_was_said_whatever_was_said_before() {
    const YEARS: u64 = 5 * 365 * 86_400_000_000;
    let mut room = Room::new(8);
    let alice = room.join("alice", 1);
    room.now.wall.0 += YEARS;
    room.say(alice, "a clock was wrong");
    room.run_for(SECOND);
    room.now.wall.0 -= YEARS;
    room.say(alice, "and is right");
    room.run_for(SECOND);
    let history = room.logged();
    room.restart(history);
    room.run_for(30 * SECOND);
    room.say(alice, "and stays so");
    room.run_for(SECOND);
    let [first, second, third] = &room.logged()[..] else { panic!("{:?}", room.logged()) };
    assert!(first.at.0 > YEARS && second.at < first.at && third.at > second.at);
    assert!(third.at <= room.now.wall);
    assert!(first.mark < second.mark && second.mark < third.mark);
    assert_eq!(first.mark.epoch, third.mark.epoch);
}
