//! The client without socket and terminal: joining, talking, noticing a dead server, rejoining,
//! leaving. Sans-IO, like the hub; `client::app::driver` carries its bytes.
//!
//! An *attempt* joins; the *established* session talks. When the server is silent, an attempt
//! begins while the session still listens, and the first to hear from the server wins: an
//! interrupted network costs no session.
//!
//! ```text
//!            first join       Welcome             Leave          Closing, or 1 s
//! attempt ─────────────► attempt ──► established ──────► leaving ───────► closed
//!    ▲                     │ 8-15 s    │ Reset, silence                     ▲
//!    └─────────────────────┼───────────┘ (attempt again)    given up: ──────┤
//!                          └────────────────────────────────────────────────┘
//! ```

mod addresses;
mod attempt;
mod connection;
mod datagrams;
mod established;
mod event;
mod gaps;
mod ignored;
mod lines;
mod liveness;
mod moderation;
mod notice;
mod obstacle;
mod pacing;
mod questions;
mod refusals;
mod rejoin;
mod rename;
mod roaming;
mod seen;
mod sending;
mod targets;

pub use crate::protocol::{ServerCounters, Transport};
pub use event::{CloseReason, Condition, Event, Report};
pub use notice::{Denied, Notice, Undelivered};
pub use obstacle::{Kind as ObstacleKind, Obstacle};
pub use questions::PeerReport;

use crate::link::Copies;
use crate::protocol::limits::LEAVE_TIMEOUT;
use crate::protocol::{ClientMessage, Delivery, Mark, Refusal, Token, encode_message};
use crate::time::{Now, Timestamp};
use attempt::Attempt;
use connection::Connection;
use established::Established;
use gaps::Gaps;
use ignored::Ignored;
use lines::OwnLines;
use pacing::Pacing;
use questions::Questions;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use rejoin::Ended;
use seen::Seen;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;
use targets::Targets;

/// The configuration of a session.
#[derive(Clone, Debug)]
pub struct Config {
    /// Nickname, as typed.
    pub nickname: String,
    /// Transport.
    pub transport: Transport,
    /// Delivery mode of chat lines, both ways; TCP is always reliable and ordered.
    pub delivery: Delivery,
    /// How long to try to rejoin.
    pub give_up: Duration,
    /// Lines already shown, from the cache.
    pub shown: Vec<Mark>,
}

/// How long a search for a lost server may delay attempts at its old addresses.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(3);

/// Too many lines are unconfirmed: the next one has to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many lines are on their way: wait until the server has taken some")]
pub struct Busy;

/// A client's session, across reconnects.
#[derive(Debug)]
pub struct Session {
    config: Config,
    rng: ChaCha20Rng,
    targets: Targets,
    /// Epoch of the log of the last session.
    epoch: u64,
    /// Server of the last session that ended.
    last_server: Option<SocketAddr>,
    looks_first: bool,
    attempt: Option<Attempt>,
    connection: Option<Connection>,
    /// Messages beside the stream that came before `Welcome`, and their bytes.
    early: (Vec<Vec<u8>>, usize),
    established: Option<Established>,
    ended: Ended,
    /// This client's peer number, from the last `Welcome`.
    peer: Option<u16>,
    /// Whether the server has announced this client to the room.
    announced: bool,
    /// Set by the first `Welcome`.
    nickname: Option<String>,
    /// The nickname that this client asked for, until the server answers.
    wanted: Option<String>,
    token: Option<Token>,
    /// Token for a reserved nickname, used until the server gives one.
    claim: Option<Token>,
    own: OwnLines,
    pacing: Pacing,
    /// The delivery mode changed and the server does not know yet.
    undeclared: bool,
    copies: Copies,
    seen: Seen,
    gaps: Gaps,
    ignored: Ignored,
    /// The topic of the room, and the one last told to the user. Empty: none.
    topic: (String, String),
    /// Nickname of the author of the last whisper.
    last_whisperer: Option<String>,
    questions: Questions,
    leaving: Option<Timestamp>,
    closed: bool,
    /// The server refused the nickname; another one may be free.
    refusal: Option<Refusal>,
    /// Acknowledgment of the `Closing` of an ended session.
    last_word: Option<(Vec<u8>, SocketAddr)>,
    events: VecDeque<Event>,
    corrupt: u64,
    text_sent: u64,
    text_received: u64,
}

impl Session {
    /// Makes a session that joins the server at one of `addresses`, in turn.
    #[must_use]
    pub fn new(config: Config, addresses: Vec<SocketAddr>, seed: [u8; 32], now: Now) -> Self {
        let mut rng = ChaCha20Rng::from_seed(seed);
        Self {
            attempt: Some(Attempt::first(&mut rng, now.mono)),
            config,
            rng,
            targets: Targets::new(addresses),
            epoch: 0,
            last_server: None,
            looks_first: false,
            connection: None,
            early: Default::default(),
            established: None,
            ended: Ended::default(),
            peer: None,
            announced: false,
            nickname: None,
            wanted: None,
            token: None,
            claim: None,
            own: OwnLines::default(),
            pacing: Pacing::default(),
            undeclared: false,
            copies: Copies::default(),
            seen: Seen::default(),
            gaps: Gaps::default(),
            ignored: Ignored::default(),
            topic: Default::default(),
            last_whisperer: None,
            questions: Questions::default(),
            leaving: None,
            closed: false,
            refusal: None,
            last_word: None,
            events: VecDeque::new(),
            corrupt: 0,
            text_sent: 0,
            text_received: 0,
        }
    }

    /// Sets the timeout of the first join, for a program that knows that the server exists. The
    /// default, for people, is [`JOIN_DEADLINE`](crate::protocol::limits::JOIN_DEADLINE).
    pub fn set_join_timeout(&mut self, timeout: Duration) {
        if let Some(attempt) = &mut self.attempt {
            attempt.join_timeout = Some(timeout);
        }
    }

    /// Sets the number of copies of each line over UDP, for sessions that begin after this call.
    pub fn set_copies(&mut self, copies: Copies) {
        self.copies = copies;
    }

    /// Sets the token for the nickname, which the server has reserved.
    pub fn claim_name(&mut self, token: Token) {
        self.claim = Some(token);
    }

    /// Sends `line` to the room, a long one in pieces.
    ///
    /// # Errors
    /// [`Busy`]: the line has to wait; no piece of it was taken.
    pub fn say(&mut self, line: &str, now: Now) -> Result<(), Busy> {
        self.speak(None, line, now)
    }

    /// Sends `line` to one peer.
    ///
    /// # Errors
    /// As for `say`.
    pub fn whisper(&mut self, to: &str, line: &str, now: Now) -> Result<(), Busy> {
        self.speak(Some(to), line, now)
    }

    /// Changes the delivery mode of chat lines, both ways. No effect over TCP.
    pub fn set_delivery(&mut self, delivery: Delivery, now: Now) {
        self.config.delivery = delivery;
        self.undeclared = true;
        self.send_waiting(now.mono);
    }

    /// The delivery mode of chat lines.
    #[must_use]
    pub fn delivery(&self) -> Delivery {
        self.config.delivery
    }

    /// Counters of the link; `None` before there is one.
    #[must_use]
    pub fn report(&self) -> Option<Report> {
        let established = self.established.as_ref()?;
        Some(Report {
            transport: self.config.transport,
            delivery: self.config.delivery,
            link: established.link.stats(),
            corrupt: self.corrupt,
            unread: 0,
            tcp: None,
            quic: None,
            text_sent: self.text_sent,
            text_received: self.text_received,
        })
    }

    /// The transport.
    #[must_use]
    pub fn transport(&self) -> Transport {
        self.config.transport
    }

    /// Address of the server; `None` without a session.
    #[must_use]
    pub fn server(&self) -> Option<SocketAddr> {
        self.established.as_ref().map(|established| established.server)
    }

    /// State of the connection to the server.
    #[must_use]
    pub fn condition(&self) -> Condition {
        match &self.established {
            None if self.token.is_none() => Condition::Joining,
            None => Condition::Lost,
            Some(_) if self.token.is_none() => Condition::Joining,
            Some(established) if established.pending.is_some() => Condition::Lost,
            Some(established) if !established.is_quiet() => Condition::Here,
            Some(_) if self.attempt.is_some() => Condition::Lost,
            Some(_) => Condition::Quiet,
        }
    }

    /// Leaves. The session closes when the server confirms, or after a second.
    pub fn leave(&mut self, now: Now) {
        if self.leaving.is_some() || self.closed {
            return;
        }
        self.attempt = None;
        let Some(established) = &mut self.established else {
            return self.close(CloseReason::Quit);
        };
        established.pending = None;
        let message = encode_message(&ClientMessage::Leave { next: self.own.next_unsent() });
        let _ = established.link.send(&message, Delivery::ReliableOrdered, None);
        self.leaving = Some(now.mono + LEAVE_TIMEOUT);
    }

    /// Ends the session although lines are pending: the server is gone.
    pub fn give_up(&mut self) {
        self.close(CloseReason::Lost);
    }

    /// Whether the client has joined, the replay is complete, and every line is confirmed or given
    /// up.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.own.is_empty()
            && self.established.as_ref().is_some_and(|established| established.is_briefed())
    }

    /// Whether any line is unconfirmed.
    #[must_use]
    pub fn has_unsettled(&self) -> bool {
        !self.own.is_empty()
    }

    /// Whether the session is over. Drain `poll_transmit` once more: a last acknowledgment may be
    /// in it.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Does what is due by `now`.
    pub fn handle_timeout(&mut self, now: Now) {
        if self.closed {
            return;
        }
        if self.leaving.is_some_and(|at| at <= now.mono) {
            return self.close(CloseReason::Quit);
        }
        if let Some(established) = &mut self.established {
            established.link.handle_timeout(now.mono);
            self.take_fates();
            self.check_liveness(now);
        }
        self.gaps.give_up(Some(now.mono));
        self.report_gaps();
        self.check_questions(now);
        self.check_pending(now);
        self.check_attempt(now);
        self.connect_if_due(now);
        self.send_waiting(now.mono);
    }

    /// Puts the next datagrams into `buffer` and returns their destination: each has
    /// [`MAX_DATAGRAM`](crate::protocol::limits::MAX_DATAGRAM) bytes except the last.
    pub fn poll_transmit(&mut self, buffer: &mut Vec<u8>, now: Now) -> Option<SocketAddr> {
        if self.config.transport != Transport::Udp {
            return None;
        }
        if let Some((bytes, server)) = self.last_word.take() {
            *buffer = bytes;
            return Some(server);
        }
        if let Some(established) = &mut self.established {
            let session = established.link.session();
            if let Some(to) = established.roaming.poll_transmit(session, buffer, now.mono) {
                return Some(to);
            }
            if established.link.poll_transmit(buffer, now.mono) {
                return Some(established.server);
            }
        }
        let (seen, next) = (self.last_seen(), self.own.next_unsent());
        let attempt = self.attempt.as_mut()?;
        let resume = self.token.as_ref().or(self.claim.as_ref());
        let join = self.config.join(resume, seen, next);
        attempt.poll_transmit(buffer, join, &self.targets, now)
    }

    /// The next thing to show or do.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When to call `handle_timeout` next.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        if self.closed {
            return None;
        }
        let established = self.established.as_ref();
        [
            self.leaving,
            established.and_then(|e| e.link.poll_timeout()),
            established.filter(|e| e.roaming.is_due()).map(|_| Timestamp::ZERO),
            established
                .filter(|_| self.attempt.is_none() && self.leaving.is_none())
                .map(Established::liveness_check),
            established
                .and_then(|e| e.pending.as_deref())
                .or(self.attempt.as_ref())
                .map(|attempt| attempt.timeout(self.config.give_up)),
            self.attempt.as_ref().and_then(Attempt::next_look_up),
            self.line_due(),
            self.gaps.timeout(),
            self.questions.timeout(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Handles the received messages. Nothing after the end of the session is handled.
    fn handle_messages(&mut self, now: Now) {
        while let Some(received) = self.established.as_mut().and_then(|it| it.link.poll_received())
        {
            self.handle_message(&received.payload, received.held, now);
            if self.closed {
                return;
            }
        }
        self.take_fates();
        self.report_gaps();
    }

    /// The line up to which this client needs no replay. The cache does not count: a first join
    /// gets a newcomer's replay.
    fn last_seen(&self) -> Mark {
        if self.token.is_some() { self.seen.reached() } else { Mark::default() }
    }

    fn report_gaps(&mut self) {
        while let Some(gaps::Gap { from, missing }) = self.gaps.poll() {
            if !self.ignored.hides(&from) {
                self.events.push_back(Event::Gap { from, missing });
            }
        }
    }

    fn close(&mut self, reason: CloseReason) {
        if std::mem::replace(&mut self.closed, true) {
            return;
        }
        self.attempt = None;
        if let Some(established) = &mut self.established {
            self.events.extend(established.take_held_back());
        }
        self.gaps.give_up(None);
        self.gaps.clear();
        self.report_gaps();
        let left: Vec<_> = self.own.drain().collect();
        for line in left {
            if line.in_log {
                self.events.push_back(line.confirmed(None));
                continue;
            }
            let fate = if line.sent { Undelivered::Unconfirmed } else { Undelivered::Unsent };
            self.report_undelivered(&line, fate);
        }
        self.events.push_back(Event::Closed { reason });
    }
}
