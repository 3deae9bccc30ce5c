//! The client without its socket and its terminal: joining, talking, noticing a dead server, coming
//! back, leaving. Sans-IO, like the hub; `client::driver` carries its bytes.
//!
//! Two things run side by side. The *attempt* joins; the *established* session talks. When the
//! server falls silent an attempt begins while the session still listens, and whichever hears
//! from the server first wins: a network that was only interrupted costs nothing.
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
mod lines;
mod liveness;
mod obstacle;
mod pacing;
mod questions;
mod rejoin;
mod roaming;
mod seen;
mod sending;

pub use crate::protocol::Transport;
pub use event::{CloseReason, Condition, Event, Report};
pub use obstacle::{Kind as ObstacleKind, Obstacle};
pub use questions::{PeerReport, ServerReport};

use crate::protocol::limits::{LEAVE_TIMEOUT, MAX_NAME};
use crate::protocol::{ClientMessage, Delivery, Mark, Refusal, Token, clean, encode_message};
use crate::time::{Now, Timestamp};
use attempt::Attempt;
use connection::Connection;
use established::Established;
use gaps::Gaps;
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

/// What a session is told by whoever starts it.
#[derive(Clone, Debug)]
pub struct Config {
    /// The name to ask for, as typed.
    pub nickname: String,
    /// What carries the session.
    pub transport: Transport,
    /// How chat lines travel, both ways; over TCP reliably and in order whatever this says.
    pub delivery: Delivery,
    /// How long to go on trying to come back.
    pub give_up: Duration,
    /// Lines already shown, from the cache.
    pub shown: Vec<Mark>,
}

/// Of a server's reason for a refusal, bytes that are looked at: it is one sentence with a name in it.
const MAX_DETAIL: usize = 2 * MAX_NAME;

/// How long a search for a lost server may take before its old addresses are tried.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(3);

/// There are so many unconfirmed lines that the next one has to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many lines are on their way: wait until the server has taken some")]
pub struct Busy;

/// See the module.
#[derive(Debug)]
pub struct Session {
    config: Config,
    rng: ChaCha20Rng,
    addresses: Vec<SocketAddr>,
    looks_first: bool,
    attempt: Option<Attempt>,
    connection: Option<Connection>,
    established: Option<Established>,
    ended: Ended,
    /// This client's number in the room, from the last `Welcome`.
    peer: Option<u16>,
    /// Whether the server has announced this client to the room, and counts it.
    announced: bool,
    /// Set by the first `Welcome`.
    nickname: Option<String>,
    token: Option<Token>,
    /// Opens a name that the server has reserved, before the server gives a token.
    claim: Option<Token>,
    own: OwnLines,
    pacing: Pacing,
    /// The server does not know yet how lines are to be delivered.
    undeclared: bool,
    seen: Seen,
    gaps: Gaps,
    questions: Questions,
    leaving: Option<Timestamp>,
    closed: bool,
    /// The server did not let this client in under its name: another one may do.
    name_refused: bool,
    /// Acknowledges the `Closing` of a session that is forgotten already.
    last_word: Option<(Vec<u8>, SocketAddr)>,
    events: VecDeque<Event>,
    corrupt: u64,
    text_sent: u64,
    text_received: u64,
}

impl Session {
    /// A session that joins the server at one of `addresses`, by turns.
    #[must_use]
    pub fn new(config: Config, addresses: Vec<SocketAddr>, seed: [u8; 32], now: Now) -> Self {
        let mut rng = ChaCha20Rng::from_seed(seed);
        Self {
            attempt: Some(Attempt::first(&mut rng, now.mono)),
            config,
            rng,
            addresses: addresses::in_order(addresses),
            looks_first: false,
            connection: None,
            established: None,
            ended: Ended::default(),
            peer: None,
            announced: false,
            nickname: None,
            token: None,
            claim: None,
            own: OwnLines::default(),
            pacing: Pacing::default(),
            undeclared: false,
            seen: Seen::default(),
            gaps: Gaps::default(),
            questions: Questions::default(),
            leaving: None,
            closed: false,
            name_refused: false,
            last_word: None,
            events: VecDeque::new(),
            corrupt: 0,
            text_sent: 0,
            text_received: 0,
        }
    }

    /// A first join may take so long, for whoever knows that the server is there; a person is not kept
    /// waiting longer than [`JOIN_DEADLINE`](crate::protocol::limits::JOIN_DEADLINE).
    pub fn be_patient(&mut self, patience: Duration) {
        if let Some(attempt) = &mut self.attempt {
            attempt.patience = Some(patience);
        }
    }

    /// The server has reserved the name of this client for whoever has this token.
    pub fn claim_name(&mut self, token: Token) {
        self.claim = Some(token);
    }

    /// Says `line` to the room. A long one goes out in pieces.
    ///
    /// # Errors
    /// [`Busy`] when the line has to wait; nothing of it was taken then.
    pub fn say(&mut self, line: &str, now: Now) -> Result<(), Busy> {
        self.speak(None, line, now)
    }

    /// Says `line` to one peer.
    ///
    /// # Errors
    /// As for `say`.
    pub fn whisper(&mut self, to: &str, line: &str, now: Now) -> Result<(), Busy> {
        self.speak(Some(to), line, now)
    }

    /// From now on chat lines travel like this, both ways. Over TCP that changes nothing.
    pub fn set_delivery(&mut self, delivery: Delivery, now: Now) {
        self.config.delivery = delivery;
        self.undeclared = true;
        self.send_waiting(now.mono);
    }

    /// How chat lines travel.
    #[must_use]
    pub fn delivery(&self) -> Delivery {
        self.config.delivery
    }

    /// What the link has seen so far; nothing before there is one.
    #[must_use]
    pub fn report(&self) -> Option<Report> {
        let established = self.established.as_ref()?;
        Some(Report {
            transport: self.config.transport,
            delivery: self.config.delivery,
            link: established.link.stats(),
            corrupt: self.corrupt,
            unread: 0,
            text_sent: self.text_sent,
            text_received: self.text_received,
        })
    }

    /// Where the server of this session is; nothing while there is no session.
    #[must_use]
    pub fn server(&self) -> Option<SocketAddr> {
        self.established.as_ref().map(|established| established.server)
    }

    /// How things stand with the server.
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

    /// Says goodbye. The session closes when the server knows, or after a second.
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

    /// Ends the session although there is more to do: the server is not there to do it with.
    pub fn give_up(&mut self) {
        self.close(CloseReason::Lost);
    }

    /// Whether nothing is under way: joined, the replay shown, every line confirmed or given up.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.own.is_empty()
            && self.established.as_ref().is_some_and(|established| established.is_briefed())
    }

    /// Whether there are lines that nobody has confirmed yet.
    #[must_use]
    pub fn has_unsettled(&self) -> bool {
        !self.own.is_empty()
    }

    /// Whether the session is over. Drain `poll_transmit` once more: the last word may be in it.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Whether the session is over because of the name it asked for.
    #[must_use]
    pub fn is_name_refused(&self) -> bool {
        self.name_refused
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

    /// Puts the next datagrams into `buffer` and says where they go: each of them has
    /// [`MAX_DATAGRAM`](crate::protocol::limits::MAX_DATAGRAM) bytes but the last.
    pub fn poll_transmit(&mut self, buffer: &mut Vec<u8>, now: Now) -> Option<SocketAddr> {
        if self.config.transport == Transport::Tcp {
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
        let resume = self.token.or(self.claim);
        let attempt = self.attempt.as_mut()?;
        let resume = resume.as_ref().map_or(&[][..], |token| &token[..]);
        attempt.poll_transmit(buffer, &self.config, &self.addresses, resume, seen, next, now)
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

    /// A server of another version is no use to a client that joins; one that comes back waits.
    fn refused_version(&mut self, from: SocketAddr, version: u8) {
        if self.attempt.as_ref().is_some_and(|attempt| attempt.first) {
            let message = format!(
                "the server at {from} speaks version {version} of the protocol, this program {}: \
                 use the same release on both sides",
                crate::protocol::VERSION
            );
            self.events.push_back(Event::Error { message });
            self.close(CloseReason::Refused);
        }
    }

    fn refused(&mut self, nonce: u64, reason: Refusal, detail: &str) {
        let Some(attempt) = self.attempt.as_mut().filter(|attempt| attempt.nonce == nonce) else {
            return;
        };
        let message = clean(&detail[..detail.floor_char_boundary(MAX_DETAIL)]).into_owned();
        let passing = !attempt.first && reason != Refusal::NameNotAllowed;
        if !passing {
            self.name_refused = matches!(reason, Refusal::NameTaken | Refusal::NameNotAllowed);
            self.events.push_back(Event::Error { message });
            self.close(CloseReason::Refused);
        } else if !attempt.expects(reason) && attempt.refused_again(&message) {
            let text = format!("not let in again yet: {message}");
            self.events.push_back(Event::Status { text });
        }
    }

    /// Carries out what the link received. The end is the last that is told: what came with it is not.
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

    /// The line up to which this client needs no replay. The cache is no session: who comes anew wants
    /// what newcomers get.
    fn last_seen(&self) -> Mark {
        if self.token.is_some() { self.seen.reached() } else { Mark::default() }
    }

    fn report_gaps(&mut self) {
        while let Some(gaps::Gap { from, missing }) = self.gaps.poll() {
            self.events.push_back(Event::Gap { from, missing });
        }
    }

    fn close(&mut self, reason: CloseReason) {
        if std::mem::replace(&mut self.closed, true) {
            return;
        }
        self.attempt = None;
        if let Some(established) = &mut self.established {
            self.events.extend(established.take_kept_back());
        }
        self.gaps.start_over(false);
        self.report_gaps();
        let left: Vec<_> = self.own.drain().collect();
        for line in left {
            if line.in_log {
                self.events.push_back(line.confirmed(None));
                continue;
            }
            let what = if line.sent {
                "was not confirmed and may not have arrived"
            } else {
                "was not sent"
            };
            self.report_undelivered(&line, what);
        }
        self.events.push_back(Event::Closed { reason });
    }
}
