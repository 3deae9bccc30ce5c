//! Requests and answers between the servers and the engine: in order, late, or not at all.

use super::{Mark, SECOND, World, note};
use crate::engine::Engine;
use chatagram::engine::{Answer, Ask, Attached, Request};
use chatagram::hub::Line;
use chatagram::time::Timestamp;
use std::time::Duration;

/// A driver gives a connection without answers up after this time, at most.
const REPLY: Duration = SECOND.saturating_mul(5);
/// Pause between two attempts to connect.
const RECONNECT: Duration = Duration::from_millis(500);

/// An event between a server and the engine.
#[derive(Debug)]
pub(super) enum Step {
    Connect,
    Execute(Request),
    Tell(Answer),
    Lost,
}

impl World {
    /// Cuts a server off from the engine. It notices later.
    pub(crate) fn cut(&mut self, index: usize) {
        if !std::mem::replace(&mut self.hosts[index].cut, true) {
            let noticed = self.now + self.dice.within(REPLY);
            self.schedule(index, noticed, Step::Lost);
        }
    }

    pub(crate) fn heal(&mut self, index: usize) {
        self.hosts[index].cut = false;
        // The network delivers what waited in it, or not.
        for request in std::mem::take(&mut self.hosts[index].stuck) {
            if self.dice.chance(500) {
                self.execute(index, 0, &request);
            }
        }
    }

    /// The engine ends: its connections break.
    pub(crate) fn stop_engine(&mut self) {
        self.engine_up = false;
        for index in 0..self.hosts.len() {
            let noticed = self.now + self.dice.within(SECOND);
            self.schedule(index, noticed, Step::Lost);
        }
    }

    /// The engine starts with this state.
    pub(crate) fn start_engine(&mut self, engine: Engine) {
        self.engine = engine;
        self.engine_up = true;
    }

    /// When something that leaves now arrives, behind all of its kind.
    pub(super) fn arrival(&mut self, index: usize, kind: usize) -> Timestamp {
        let delay = self.dice.within(self.delay);
        let last = &mut self.hosts[index].last[kind];
        *last = (*last).max(self.now + delay);
        *last
    }

    pub(super) fn schedule(&mut self, index: usize, at: Timestamp, step: Step) {
        self.scheduled += 1;
        let connection = self.hosts[index].connection;
        self.steps.insert((at, self.scheduled), (index, connection, step));
    }

    pub(super) fn take_step(&mut self, index: usize, connection: u64, step: Step) {
        let current = connection == self.hosts[index].connection;
        match step {
            // Bytes of an earlier connection may be late.
            Step::Execute(request) if self.engine_up && (current || self.dice.chance(300)) => {
                if self.hosts[index].cut {
                    self.hosts[index].stuck.push(request);
                } else {
                    self.execute(index, connection, &request);
                }
            }
            Step::Execute(_) => {}
            _ if !current => {}
            Step::Connect if self.hosts[index].cut || !self.engine_up => {
                self.schedule(index, self.now + RECONNECT, Step::Connect);
            }
            Step::Connect => {
                self.hosts[index].connected = true;
                self.tell(index, Answer::Up);
            }
            Step::Tell(_) if self.hosts[index].cut => {}
            Step::Tell(answer) => self.tell(index, answer),
            Step::Lost if self.hosts[index].connected => {
                let host = &mut self.hosts[index];
                (host.connected, host.read) = (false, None);
                host.connection += 1;
                self.tell(index, Answer::Down { why: "a test".to_owned() });
                self.schedule(index, self.now + RECONNECT, Step::Connect);
            }
            Step::Lost => {}
        }
    }

    fn tell(&mut self, index: usize, answer: Answer) {
        if self.verbose {
            eprintln!("{:?} engine to server {index}: {answer:?}", self.now);
        }
        if let Answer::Attached { outcome: Attached::Fresh(snapshot), .. } = &answer {
            let (lines, place) = (&snapshot.lines, snapshot.place);
            for (position, said) in lines {
                let mark = Mark { epoch: place.epoch, position: *position };
                let (at, from, text) = (said.at, said.from.clone(), said.text.clone());
                let line = Line { mark, at, from, text, identity: Some(said.identity) };
                note(&mut self.lines, &mut self.log, &line);
            }
        }
        self.with_hub(index, |hub, now| hub.handle_engine(answer, now));
    }

    fn execute(&mut self, index: usize, connection: u64, request: &Request) {
        if self.verbose {
            eprintln!("{:?} server {index} to engine: {request:?}", self.now);
        }
        let clock = self.now.as_micros() / 1_000;
        // As if the connection had broken before the answer. Mail is not sent again.
        let again = !matches!(*request.ask, Ask::Mail(_)) && self.dice.chance(self.duplicates);
        let times = 1 + usize::from(again);
        for _ in 0..times {
            let outcome = self.engine.execute(request, clock);
            if self.engine.place_epoch() != self.epoch {
                self.epoch = self.engine.place_epoch();
                self.log.forgotten = self.log.lines.len();
            }
            if connection == self.hosts[index].connection && self.hosts[index].connected {
                if let Some(from) = outcome.read_from {
                    let last = &mut self.hosts[index].last;
                    last[1] = last[1].max(last[2]);
                    self.hosts[index].read = Some(from);
                }
                let at = self.arrival(index, 1);
                if outcome.read_from.is_some() {
                    self.hosts[index].last[2] = at;
                }
                self.schedule(index, at, Step::Tell(outcome.answer));
            }
            if let Some((server, mail)) = outcome.mail
                && let Some(to) = self.hosts.iter().position(|host| {
                    host.read.is_some()
                        && host.hub.as_ref().is_some_and(|hub| hub.server_id() == Some(server))
                })
            {
                let at = self.now + self.dice.within(self.delay);
                self.schedule(to, at, Step::Tell(Answer::Mail(mail)));
            }
        }
        for index in 0..self.hosts.len() {
            let Some(read) = self.hosts[index].read else { continue };
            for entry in self.engine.after(read).to_vec() {
                self.hosts[index].read = Some(entry.place.position);
                let at = self.arrival(index, 2);
                self.schedule(index, at, Step::Tell(Answer::Committed(entry)));
            }
        }
    }
}
