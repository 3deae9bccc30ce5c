//! Lines without an outcome when a session ends, and wrong clocks.

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

    /// Restarts the server with these lines in its history.
    fn restart(&mut self, history: Vec<Line>) {
        let config = self.hub.config.clone();
        self.hub = Hub::new(config, Past::from(history), [9; 32], self.now);
    }

    fn count(&self, peer: usize, wanted: impl Fn(&session::Event) -> bool) -> usize {
        self.told[peer].iter().filter(|event| wanted(event)).count()
    }

    fn confirmed(&self, peer: usize) -> usize {
        self.count(peer, |event| matches!(event, session::Event::Confirmed { .. }))
    }

    fn uncertain(&self, peer: usize) -> usize {
        self.count(peer, |event| matches!(event, session::Event::Error { .. }))
    }

    fn incomplete(&self, peer: usize) -> usize {
        self.count(peer, |event| {
            matches!(event, session::Event::Status { notice: session::Notice::LinesMissing { .. } })
        })
    }
}

/// The number of alice's lines that bob received.
fn heard(room: &Room, bob: usize) -> usize {
    room.count(bob, |event| matches!(event, session::Event::Message { .. }))
}

#[test]
fn a_lost_line_is_not_confirmed_by_an_earlier_line_with_its_text() {
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
        room.run_for(12 * SECOND); // alice expires
        room.cut_off = None;
        room.run_for(30 * SECOND);
        let (logged, reported) = (room.logged().len(), room.uncertain(alice));
        // A line sent once may be found lost before the session ends, and is then reported.
        assert_eq!((room.confirmed(alice), logged + reported), (logged, 2), "{delivery:?}");
        assert_eq!(heard(&room, bob), logged, "{delivery:?}");
    }
}

#[test]
fn a_logged_line_is_confirmed_after_a_restart_and_not_repeated() {
    for delivery in MODES {
        let mut room = Room::new(8);
        let alice = room.join("alice", 1);
        let now = room.now;
        room.peers[alice].1.set_delivery(delivery, now);
        room.run_for(SECOND);
        room.say(alice, "ok");
        room.run_for(SECOND);
        // The server logs the second line, and dies before it sends anything.
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
        assert_eq!((room.confirmed(alice), room.uncertain(alice)), (2, 0), "{delivery:?}");
        assert_eq!(room.logged().len(), 1, "{delivery:?}: no line is repeated");
        room.say(alice, "ok");
        room.run_for(2 * SECOND);
        let owners: Vec<_> = room.logged().iter().map(|it| it.identity.unwrap().owner).collect();
        assert!(owners.len() == 2 && owners[0] == owners[1], "the owner survives a restart");
    }
}

#[test]
fn lines_of_a_lost_history_are_reported_and_not_repeated() {
    let mut room = Room::new(8);
    let alice = room.join("alice", 1);
    room.say(alice, "one");
    room.run_for(SECOND);
    room.say(alice, "two");
    room.restart(Vec::new());
    room.run_for(40 * SECOND);
    assert_eq!((room.confirmed(alice), room.uncertain(alice)), (1, 1));
    assert_eq!(room.logged().len(), 1);
}

#[test]
fn replays_are_complete_again_after_a_lost_history_and_a_clock_step() {
    const DAY: u64 = 86_400_000_000;
    let mut room = Room::new(8);
    let alice = room.join("alice", 1);
    room.now.wall.0 += DAY;
    room.say(alice, "one");
    room.run_for(SECOND);
    room.now.wall.0 -= DAY;
    room.restart(Vec::new());
    room.run_for(30 * SECOND);
    assert_eq!(room.incomplete(alice), 1, "lines from before the restart");
    for round in 2..5 {
        room.say(alice, "two");
        room.run_for(SECOND);
        room.cut_off = Some(1);
        room.say(alice, "two");
        room.run_for(12 * SECOND);
        room.cut_off = None;
        room.run_for(40 * SECOND);
        assert_eq!((room.incomplete(alice), room.uncertain(alice)), (1, 0), "round {round}");
        assert_eq!(room.confirmed(alice), room.logged().len());
    }
    assert_eq!(room.logged().len(), 7);
}

#[test]
fn each_line_has_the_time_of_its_saying_whatever_the_earlier_times() {
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

#[test]
fn the_wait_of_a_line_for_an_earlier_one_is_reported() {
    let mut room = Room::new(8);
    let alice = room.join("alice", 1);
    room.hub.report_waits();
    room.cut_off = Some(1);
    room.say(alice, "one");
    room.run_for(SECOND / 100);
    room.cut_off = None;
    room.say(alice, "two");
    room.run_for(2 * SECOND);
    let waits = room.events.iter().filter_map(|event| match event {
        Event::Waited(line, time) => Some((&*line.text, time.unwrap())),
        _ => None,
    });
    let waits: Vec<_> = waits.collect();
    assert_eq!(waits.iter().map(|it| it.0).collect::<Vec<_>>(), ["one", "two"]);
    assert!(waits[0].1.is_zero() && !waits[1].1.is_zero(), "{waits:?}");
}
