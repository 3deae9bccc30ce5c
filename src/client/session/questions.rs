//! Questions to the server without an answer: peers and round-trip times.

use super::{Event, Notice, Session};
use crate::protocol::limits::{ANSWER_TIMEOUT, MAX_ABOUT, MAX_NAME, MAX_PINGS};
use crate::protocol::{
    About, ClientMessage, Delivery, ServerCounters, Transport, clean, clip, encode_message,
};
use crate::time::{Now, Timestamp};
use std::collections::VecDeque;
use std::time::Duration;

/// A peer as the server sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeerReport {
    /// Its name.
    pub nickname: String,
    /// Its number in the room.
    pub peer: u16,
    /// Transport.
    pub transport: Transport,
    /// Delivery mode of lines to it.
    pub delivery: Delivery,
    /// Smoothed round-trip time between server and peer.
    pub rtt: Option<Duration>,
    /// Time since the server heard it; unknown for a peer at another server.
    pub silence: Option<Duration>,
    /// Ack-eliciting datagrams from the server in this session; segments of TCP, packets of QUIC.
    pub sent: Option<u64>,
    /// Those declared lost; over TCP segments retransmitted.
    pub lost: Option<u64>,
    /// Datagrams from the peer; over TCP segments.
    pub received: Option<u64>,
    /// Datagrams missing between them; unknown over TCP and QUIC.
    pub missing: Option<u64>,
}

impl PeerReport {
    fn new(about: &About<'_>) -> Self {
        Self {
            nickname: clean(about.nickname).into_owned(),
            peer: about.peer,
            transport: about.transport,
            delivery: about.delivery,
            rtt: about.rtt(),
            silence: about.silence(),
            sent: about.sent().map(|(sent, _)| sent),
            lost: about.sent().map(|(_, lost)| lost),
            received: about.received().map(|(received, _)| received),
            missing: about.received().and_then(|(_, missing)| missing),
        }
    }
}

/// The open questions.
#[derive(Debug, Default)]
pub(super) struct Questions {
    next: u16,
    who: Option<Inquiry>,
    pings: VecDeque<Ping>,
}

#[derive(Debug)]
struct Inquiry {
    number: u16,
    until: Timestamp,
    server: Option<ServerCounters>,
    peers: Vec<PeerReport>,
}

#[derive(Debug)]
struct Ping {
    number: u16,
    to: String,
    asked: Timestamp,
}

impl Questions {
    pub(super) fn timeout(&self) -> Option<Timestamp> {
        let ping = self.pings.front().map(|ping| ping.asked + ANSWER_TIMEOUT);
        [self.who.as_ref().map(|who| who.until), ping].into_iter().flatten().min()
    }

    fn number(&mut self) -> u16 {
        self.next = self.next.wrapping_add(1);
        self.next
    }
}

impl Session {
    /// Asks for the peers and their statistics; [`Event::Who`] answers. Concurrent questions get
    /// one answer. False without a connection.
    pub fn ask_who(&mut self, now: Now) -> bool {
        if self.questions.who.is_some() || self.asks_too_much(now) {
            return true;
        }
        let number = self.questions.number();
        if !self.ask(&ClientMessage::Who { number }, Delivery::ReliableOrdered, now) {
            return false;
        }
        let until = now.mono + ANSWER_TIMEOUT;
        self.questions.who = Some(Inquiry { number, until, server: None, peers: Vec::new() });
        true
    }

    /// Measures the round-trip time to a peer; [`Event::Pong`] answers. Question and answer are
    /// sent once, so the timeout is 5 s. False without a connection.
    pub fn ping(&mut self, to: &str, now: Now) -> bool {
        if self.questions.pings.len() >= MAX_PINGS {
            self.complain(Notice::TooManyPings { unanswered: MAX_PINGS });
            return true;
        }
        if self.asks_too_much(now) {
            return true;
        }
        let to = clean(clip(to, MAX_NAME)).into_owned();
        let number = self.questions.number();
        if !self.ask(&ClientMessage::Ping { number, to: &to }, Delivery::Unreliable, now) {
            return false;
        }
        self.questions.pings.push_back(Ping { number, to, asked: now.mono });
        true
    }

    /// Answers the ping of a peer. The server limits pings, so answers are not limited.
    pub(super) fn pinged(&mut self, peer: u16, number: u16) {
        let answer = ClientMessage::Pong { peer, number };
        if let Some(established) = self.established.as_mut().filter(|_| self.leaving.is_none()) {
            let _ = established.link.send(&encode_message(&answer), Delivery::Unreliable, None);
        }
    }

    pub(super) fn ponged(&mut self, number: u16, from: &str, now: Now) {
        let asked = self.questions.pings.iter().position(|ping| ping.number == number);
        let Some(ping) = asked.and_then(|index| self.questions.pings.remove(index)) else { return };
        if from.is_empty() {
            return self.complain(Notice::NoPeer { name: ping.to });
        }
        let (from, rtt) = (clean(from).into_owned(), now.mono.since(ping.asked));
        self.events.push_back(Event::Pong { from, rtt });
    }

    /// Takes the server's counters.
    pub(super) fn counters(&mut self, number: u16, server: ServerCounters) {
        if let Some(who) = self.questions.who.as_mut().filter(|who| who.number == number) {
            who.server = Some(server);
        }
    }

    /// Takes the statistics of one peer.
    pub(super) fn about(&mut self, about: &About<'_>) {
        let Some(who) = self.questions.who.as_mut().filter(|who| who.number == about.number) else {
            return;
        };
        who.peers.push(PeerReport::new(about));
        if about.left == 0 || who.peers.len() >= MAX_ABOUT {
            self.answer_who();
        }
    }

    /// Gives up on questions past their timeout.
    pub(super) fn check_questions(&mut self, now: Now) {
        if self.questions.who.as_ref().is_some_and(|who| who.until <= now.mono) {
            self.answer_who();
        }
        let late = |ping: &Ping| ping.asked + ANSWER_TIMEOUT <= now.mono;
        while self.questions.pings.front().is_some_and(late) {
            let Some(ping) = self.questions.pings.pop_front() else { return };
            self.tell(Notice::NoPong { name: ping.to, seconds: ANSWER_TIMEOUT.as_secs() });
        }
    }

    /// Reports the answers so far.
    fn answer_who(&mut self) {
        let Some(Inquiry { server, mut peers, .. }) = self.questions.who.take() else { return };
        if peers.is_empty() {
            return self.tell(Notice::NoWho);
        }
        peers.sort_by(|one, other| one.nickname.cmp(&other.nickname));
        self.events.push_back(Event::Who { server, peers });
    }

    pub(super) fn ask(
        &mut self,
        question: &ClientMessage<'_>,
        delivery: Delivery,
        now: Now,
    ) -> bool {
        let Some(established) = self.established.as_mut().filter(|_| self.leaving.is_none()) else {
            return false;
        };
        let asked = established.link.send(&encode_message(question), delivery, None).is_ok();
        if asked {
            self.pacing.said(1, now.mono);
        }
        asked
    }

    /// Whether a question would exceed the rate limit; reports it to the user.
    pub(super) fn asks_too_much(&mut self, now: Now) -> bool {
        if self.pacing.may_ask(now.mono) {
            return false;
        }
        self.complain(Notice::TooManyQuestions);
        true
    }
}
