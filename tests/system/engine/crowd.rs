//! Many clients in this process that talk in one room on several servers. This module records what
//! they say and show, and checks some of it at once.

use chatagram::client::session::{self, Event, Transport};
use chatagram::lab::load::Fleet;
use chatagram::net::BadNetwork;
use chatagram::protocol::Delivery;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Time for one fleet before the other has its turn.
const SLICE: Duration = Duration::from_millis(2);

/// The clients.
pub(crate) struct Crowd {
    /// Those over UDP, and over TCP.
    fleets: [Fleet; 2],
    people: [Vec<Person>; 2],
    pace: Duration,
    next: Instant,
    said: usize,
    pub(crate) confirmed: BTreeSet<String>,
}

#[derive(Default)]
pub(crate) struct Person {
    here: bool,
    /// A line that it said since `expect_answers` is confirmed.
    answered: bool,
    /// Lines that it had said then.
    before: usize,
    ordered: bool,
    said: usize,
    uncertain: usize,
    /// Positions of the lines that the client showed, of this epoch.
    shown: BTreeMap<u64, String>,
    epochs: HashSet<u64>,
    statuses: Vec<String>,
}

impl Crowd {
    /// Creates clients, which begin to join, each at another of the servers first. The whole crowd
    /// says a line in each `pace`.
    pub(crate) fn new(
        servers: &[SocketAddr],
        counts: [usize; 2],
        pace: Duration,
        impair: Option<&BadNetwork>,
    ) -> Self {
        let mut people: [Vec<Person>; 2] = [Vec::new(), Vec::new()];
        let fleets = [0, 1].map(|which: usize| {
            let transport = [Transport::Udp, Transport::Tcp][which];
            let mut fleet = Fleet::new(true, impair.filter(|_| which == 0)).unwrap();
            for number in 0..counts[which] {
                let delivery = match number % 3 {
                    1 => Delivery::ReliableUnordered,
                    _ => Delivery::ReliableOrdered,
                };
                let nickname = format!("{}-{number}", ["u", "t"][which]);
                let give_up = Duration::from_secs(300);
                let config =
                    session::Config { nickname, transport, delivery, give_up, shown: Vec::new() };
                let mut addresses = servers.to_vec();
                addresses.rotate_left(number % servers.len());
                fleet.add(config, &addresses).unwrap();
                let ordered = delivery == Delivery::ReliableOrdered || which == 1;
                people[which].push(Person { ordered, ..Person::default() });
            }
            fleet
        });
        let (next, confirmed) = (Instant::now(), BTreeSet::new());
        Self { fleets, people, pace, next, said: 0, confirmed }
    }

    /// Runs until `done`, talking or not.
    pub(crate) fn until(
        &mut self,
        what: &str,
        limit: Duration,
        talking: bool,
        done: impl Fn(&Self) -> bool,
    ) -> Duration {
        let start = Instant::now();
        while !done(self) {
            assert!(start.elapsed() < limit, "{what}: not within {limit:?}: {}", self.summary());
            self.turn(talking);
        }
        start.elapsed()
    }

    pub(crate) fn talk_for(&mut self, duration: Duration) {
        let start = Instant::now();
        while start.elapsed() < duration {
            self.turn(true);
        }
    }

    /// Whether all clients are in a session that a server has welcomed.
    pub(crate) fn all_here(&self) -> bool {
        self.everyone().all(|person| person.here)
    }

    /// From now on, each client has to have a new line confirmed.
    pub(crate) fn expect_answers(&mut self) {
        for person in self.people.iter_mut().flatten() {
            (person.answered, person.before) = (false, person.said);
        }
    }

    pub(crate) fn all_answered(&self) -> bool {
        self.everyone().all(|person| person.answered)
    }

    /// Whether each client was told something with these words.
    pub(crate) fn is_told(&self, words: &str) -> bool {
        self.everyone().all(|person| person.statuses.iter().any(|text| text.contains(words)))
    }

    pub(crate) fn is_settled(&self) -> bool {
        self.fleets.iter().flat_map(Fleet::sessions).all(session::Session::is_settled)
    }

    fn everyone(&self) -> impl Iterator<Item = &Person> {
        self.people.iter().flatten()
    }

    pub(crate) fn said(&self) -> usize {
        self.said
    }

    pub(crate) fn uncertain(&self) -> usize {
        self.everyone().map(|person| person.uncertain).sum()
    }

    /// Whether each client has shown all lines of the others.
    pub(crate) fn all_shown(&self) -> bool {
        self.everyone().all(|person| person.shown.len() + person.said == self.said)
    }

    /// Whether each client with ordered lines has shown each line of the log that is not its own,
    /// also if it was at several servers.
    pub(crate) fn has_shown(&self, log: &[(u64, String)]) -> bool {
        let both = self.people.iter().enumerate();
        both.flat_map(|(which, people)| people.iter().enumerate().map(move |it| (which, it))).all(
            |(which, (index, person))| {
                let own = format!("{which} {index} ");
                let mut others = log.iter().filter(|(_, text)| !text.starts_with(&own));
                !person.ordered || others.all(|(at, _)| person.shown.contains_key(at))
            },
        )
    }

    /// Checks what the clients showed and were told against the log: one order, and each confirmed
    /// line once.
    pub(crate) fn check(&self, log: &[(u64, String)]) {
        let positions: BTreeMap<_, _> = log.iter().map(|(at, text)| (*at, text)).collect();
        let texts: BTreeSet<_> = log.iter().map(|(_, text)| text).collect();
        assert_eq!(texts.len(), log.len(), "a line is in the log twice");
        for text in &self.confirmed {
            assert!(texts.contains(text), "{text:?} was confirmed and is not in the log");
        }
        for (at, text) in self.everyone().flat_map(|person| &person.shown) {
            assert_eq!(positions.get(at), Some(&text), "shown at {at}");
        }
    }

    fn turn(&mut self, talking: bool) {
        if talking && self.next <= Instant::now() {
            self.next = Instant::now() + self.pace;
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

    /// The next client says a line that no other says.
    fn say(&mut self) {
        let [udp, tcp] = [0, 1].map(|it: usize| self.people[it].len());
        let speaker = self.said * 7 % (udp + tcp);
        let (which, index) = match speaker.checked_sub(udp) {
            None => (0, speaker),
            Some(index) => (1, index),
        };
        let person = &mut self.people[which][index];
        let text = format!("{which} {index} {}", person.said);
        if self.fleets[which].with_session(index, |it, now| it.say(&text, now)).is_ok() {
            person.said += 1;
            self.said += 1;
        }
    }

    fn observe(&mut self, which: usize, index: usize, event: Event) {
        let person = &mut self.people[which][index];
        let name = format!("{}-{index}", ["u", "t"][which]);
        match event {
            Event::Welcome { nickname, .. } => {
                assert_eq!(nickname, name);
                person.here = true;
            }
            Event::Message { mark: Some(mark), text, .. } => {
                if person.epochs.insert(mark.epoch) {
                    person.shown.clear();
                }
                let newest = person.shown.last_key_value().map_or(0, |(at, _)| *at);
                assert!(
                    !person.ordered || newest < mark.position,
                    "{name}: {text:?} after {newest}"
                );
                let before = person.shown.insert(mark.position, text);
                assert_eq!(before, None, "{name} was shown a line twice");
            }
            Event::History { mark, text, .. } => {
                if person.epochs.insert(mark.epoch) {
                    person.shown.clear();
                }
                let before = person.shown.insert(mark.position, text);
                assert_eq!(before, None, "{name} was shown a line twice");
            }
            Event::Confirmed { text, .. } => {
                assert!(!self.confirmed.contains(&text), "{text:?} was confirmed twice");
                let number = text.rsplit(' ').next().unwrap().parse::<usize>().unwrap();
                person.answered |= number >= person.before;
                self.confirmed.insert(text);
            }
            Event::Error { .. } => person.uncertain += 1,
            Event::Status { notice } => person.statuses.push(notice.to_string()),
            Event::Closed { reason } => panic!("{name} has given up: {reason:?}"),
            _ => {}
        }
    }

    fn summary(&self) -> String {
        let here = self.everyone().filter(|person| person.here).count();
        let shown: Vec<_> = self.everyone().map(|person| person.shown.len()).collect();
        let last: BTreeSet<_> = self.everyone().filter_map(|it| it.statuses.last()).collect();
        format!(
            "{here} here, {} said, {} confirmed, {} doubtful, shown {shown:?}, last told {last:?}",
            self.said,
            self.confirmed.len(),
            self.uncertain()
        )
    }
}
