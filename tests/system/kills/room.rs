//! Fifty clients in this process, over UDP in each delivery mode and over TCP, that talk all the
//! time. This module records what they say and show, and checks some of it at once.

use super::since;
use chatagram::client::session::{self, CloseReason, Event, Transport};
use chatagram::lab::load::Fleet;
use chatagram::protocol::{Delivery, Mark};
use std::collections::{BTreeSet, HashSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

const OVER_UDP: usize = 35;
const OVER_TCP: usize = 15;
/// Interval between lines of the whole room.
const PACE: Duration = Duration::from_millis(8);
/// Time for one fleet before the other has its turn.
const SLICE: Duration = Duration::from_millis(2);

/// The clients, and what they said and were told.
pub(crate) struct Room {
    /// The clients over UDP, and over TCP.
    fleets: [Fleet; 2],
    people: [Vec<Person>; 2],
    next: Instant,
    said: usize,
    acknowledged: BTreeSet<String>,
}

#[derive(Default)]
struct Person {
    here: bool,
    said: usize,
    uncertain: usize,
    /// The lines that the client showed.
    shown: HashSet<Mark>,
}

impl Room {
    /// Creates the clients, which begin to join.
    pub(crate) fn new(server: SocketAddr) -> Self {
        let kinds = [(Transport::Udp, OVER_UDP, 'u'), (Transport::Tcp, OVER_TCP, 't')];
        let fleets = kinds.map(|(transport, count, letter)| {
            let mut fleet = Fleet::new(true, None).unwrap();
            for number in 0..count {
                let delivery = match number % 5 {
                    0 => Delivery::Unreliable,
                    1 => Delivery::ReliableUnordered,
                    _ => Delivery::ReliableOrdered,
                };
                let config = session::Config {
                    nickname: format!("{letter}-{number}"),
                    transport,
                    delivery,
                    give_up: Duration::from_secs(300),
                    shown: Vec::new(),
                };
                fleet.add(config, &[server]).unwrap();
            }
            fleet
        });
        let people =
            [0, 1].map(|it: usize| fleets[it].sessions().map(|_| Person::default()).collect());
        Self { fleets, people, next: Instant::now(), said: 0, acknowledged: BTreeSet::new() }
    }

    /// Waits until every client has joined for the first time.
    pub(crate) fn come(&mut self, limit: Duration) {
        self.come_back(limit, "the first join");
    }

    /// Lets the clients talk until the current server has welcomed all of them. Returns how long
    /// that took.
    pub(crate) fn come_back(&mut self, limit: Duration, case: &str) -> Duration {
        let start = Instant::now();
        while !self.people.iter().flatten().all(|person| person.here) {
            let missing = self.people.iter().flatten().filter(|person| !person.here).count();
            assert!(since(start) < limit, "{case}: {missing} are not back after {limit:?}");
            self.turn(true);
        }
        since(start)
    }

    /// Lets the clients talk.
    pub(crate) fn talk_for(&mut self, duration: Duration) {
        let start = Instant::now();
        while since(start) < duration {
            self.turn(true);
        }
    }

    /// The server has died: handles what it sent before, and counts no client as joined.
    pub(crate) fn take_in(&mut self) {
        for _ in 0..10 {
            self.turn(false);
        }
        self.people.iter_mut().flatten().for_each(|person| person.here = false);
    }

    /// Waits until every line has an outcome.
    pub(crate) fn settle(&mut self, limit: Duration) {
        let start = Instant::now();
        while !self.fleets.iter().flat_map(Fleet::sessions).all(session::Session::is_settled) {
            assert!(since(start) < limit, "some lines have no outcome");
            self.turn(false);
        }
    }

    pub(crate) fn said(&self) -> usize {
        self.said
    }

    /// The acknowledged lines.
    pub(crate) fn acknowledged(&self) -> &BTreeSet<String> {
        &self.acknowledged
    }

    /// The number of lines whose senders were told that they may be lost.
    pub(crate) fn uncertain(&self) -> usize {
        self.people.iter().flatten().map(|person| person.uncertain).sum()
    }

    /// Serves both fleets for a moment.
    fn turn(&mut self, talking: bool) {
        if talking && self.next <= Instant::now() {
            // From now, so that a late loop does not make up for it in a burst.
            self.next = Instant::now() + PACE;
            self.say();
        }
        for which in 0..2 {
            let fleet = &mut self.fleets[which];
            fleet.wait(fleet.now().mono + SLICE).unwrap();
            while let Some((index, event, _)) = self.fleets[which].poll_event() {
                self.observe(which, index, event);
            }
        }
    }

    /// The next client says a unique line.
    fn say(&mut self) {
        let all = OVER_UDP + OVER_TCP;
        // 7 is coprime to 50: every client has a turn, and successive speakers are far apart.
        let speaker = self.said * 7 % all;
        let (which, index) = match speaker.checked_sub(OVER_UDP) {
            None => (0, speaker),
            Some(index) => (1, index),
        };
        let person = &mut self.people[which][index];
        let text = format!("{which} {index} {}", person.said);
        self.said += 1;
        if self.fleets[which].with_session(index, |session, now| session.say(&text, now)).is_ok() {
            person.said += 1;
        }
    }

    fn observe(&mut self, which: usize, index: usize, event: Event) {
        let person = &mut self.people[which][index];
        match event {
            Event::Welcome { .. } => person.here = true,
            Event::Message { mark: Some(mark), text, .. } | Event::History { mark, text, .. } => {
                assert!(person.shown.insert(mark), "{which} {index} was shown {text:?} twice");
            }
            Event::Confirmed { text, .. } => {
                assert!(!self.acknowledged.contains(&text), "{text:?} was acknowledged twice");
                self.acknowledged.insert(text);
            }
            Event::Error { .. } => person.uncertain += 1,
            // At the very end.
            Event::Closed { reason: CloseReason::Shutdown } => {}
            Event::Closed { reason } => panic!("{which} {index} has given up: {reason:?}"),
            _ => {}
        }
    }
}
