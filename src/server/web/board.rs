//! What the board is told, as JSON: a greeting, how everybody is once a second, and answers to its
//! commands. `tests/system/web.rs` compares the figures with those of `/who`.

use super::Around;
use super::conditions::{self, Conditions, Wish};
use super::lines::Lines;
use super::token::Token;
use crate::hub::{Hub, PeerState};
use crate::server::metrics;
use crate::time::{Now, Timestamp, micros};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// Interval of the figures.
const INTERVAL: Duration = Duration::from_secs(1);
/// Interval of what becomes of lines.
const LINES: Duration = Duration::from_millis(100);
/// Interval of the questions to the kernel about acknowledgments of streams.
const ACKS: Duration = Duration::from_millis(50);

/// What all boards are told.
#[derive(Debug)]
pub(super) struct Feed {
    room: String,
    heartbeat: Duration,
    /// How others join.
    join: Vec<String>,
    page: Option<String>,
    /// When the figures are due.
    due: Timestamp,
    /// When what became of lines may be told again.
    lines_due: Timestamp,
    /// When the kernel may be asked again.
    acks_due: Timestamp,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Told<'a> {
    Hello {
        room: &'a str,
        version: &'static str,
        join: &'a [String],
        page: Option<&'a str>,
        chat: bool,
        private: bool,
        heartbeat_ms: u64,
        tcp_step_ms: u64,
        clock_us: u64,
    },
    State {
        at_us: u64,
        peers: Vec<PeerRow<'a>>,
        drops: BTreeMap<&'static str, u64>,
        impair: Conditions,
        topic: Option<&'a str>,
        locked: bool,
    },
    Ok {
        id: u64,
    },
    Error {
        id: u64,
        text: &'a str,
    },
    Script {
        id: u64,
        text: &'a str,
        /// Datagrams so far: the index of the next change.
        up: u64,
        down: u64,
    },
    /// What an order has done, for people.
    Done {
        id: u64,
        text: &'a str,
    },
}

#[derive(Serialize)]
struct PeerRow<'a> {
    peer: u16,
    name: &'a str,
    transport: &'static str,
    delivery: &'static str,
    congestion: Option<String>,
    rtt_ms: Option<f64>,
    up: Option<Up>,
    down: Option<Down>,
    queued: Option<usize>,
    silent_ms: Option<u64>,
    lines: u16,
}

#[derive(Serialize)]
struct Up {
    received: u64,
    missing: Option<u64>,
}

#[derive(Serialize)]
struct Down {
    sent: u64,
    lost: u64,
}

/// What every command of a page has.
#[derive(Deserialize)]
struct Envelope {
    #[serde(default)]
    id: u64,
    #[serde(default)]
    token: String,
}

/// A command of a page.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Command {
    /// Changes the emulated network.
    Impair(Wish),
    /// Asks for the changes so far.
    Script,
    /// Gives an order of the moderator, such as `kick bob`.
    Moderate { order: String },
}

impl Feed {
    pub(super) fn new(room: String, heartbeat: Duration) -> Self {
        let [due, lines_due, acks_due] = [Timestamp::ZERO; 3];
        Self { room, heartbeat, join: Vec::new(), page: None, due, lines_due, acks_due }
    }

    pub(super) fn invite(&mut self, join: Vec<String>, page: Option<String>) {
        (self.join, self.page) = (join, page);
    }

    /// The greeting of a new board.
    pub(super) fn hello(&self, now: Now) -> String {
        encode(&Told::Hello {
            room: &self.room,
            version: env!("CARGO_PKG_VERSION"),
            join: &self.join,
            page: self.page.as_deref(),
            chat: true,
            private: false,
            heartbeat_ms: micros(self.heartbeat) / 1_000,
            tcp_step_ms: micros(ACKS) / 1_000,
            clock_us: now.wall.0,
        })
    }

    /// When [`Self::take_due`] has something to tell.
    pub(super) fn poll_timeout(&self, hub: &Hub) -> Timestamp {
        let lines = hub.has_observations().then_some(self.lines_due);
        let acks = hub.watched_streams().next().map(|_| self.acks_due);
        lines.into_iter().chain(acks).fold(self.due, Timestamp::min)
    }

    /// Whether to ask the kernel about acknowledgments now.
    pub(super) fn asks(&mut self, now: Timestamp) -> bool {
        let is_due = self.acks_due <= now;
        if is_due {
            self.acks_due = now + ACKS;
        }
        is_due
    }

    /// The messages that are due.
    pub(super) fn take_due(&mut self, around: &mut Around<'_>) -> Vec<String> {
        let Around { hub, udp, now } = around;
        let mut due = Vec::new();
        if self.lines_due <= now.mono && hub.has_observations() {
            self.lines_due = now.mono + LINES;
            due.push(encode(&Lines::new(&hub.take_observations())));
        }
        if self.due <= now.mono {
            self.due = now.mono + INTERVAL;
            due.push(encode(&Told::State {
                at_us: now.wall.0,
                peers: hub.peer_states(now.mono).map(|state| PeerRow::new(&state)).collect(),
                drops: metrics::drops(&hub.counters().wire).into_iter().collect(),
                impair: Conditions::of(hub, udp),
                topic: hub.topic(),
                locked: hub.is_locked(),
            }));
        }
        due
    }

    /// The answer to a command, and whether its token is wrong.
    pub(super) fn command(
        &mut self,
        text: &str,
        token: &Token,
        around: &mut Around<'_>,
    ) -> (String, bool) {
        let envelope = match serde_json::from_str::<Envelope>(text) {
            Ok(envelope) => envelope,
            Err(error) => return (refusal(0, &format!("this is no command: {error}")), false),
        };
        let id = envelope.id;
        if !token.is(&envelope.token) {
            let why = "the token is wrong: open the address that the server printed";
            return (refusal(id, why), true);
        }
        let answer = match serde_json::from_str(text) {
            Err(error) => refusal(id, &format!("this is no command: {error}")),
            Ok(Command::Script) => {
                let text = &around.udp.record().to_string();
                let [up, down] = conditions::carried(around.udp);
                encode(&Told::Script { id, text, up, down })
            }
            Ok(Command::Moderate { order }) => match around.hub.order(&order, around.now) {
                Ok(done) => {
                    self.due = around.now.mono;
                    encode(&Told::Done { id, text: &around.hub.word(&done) })
                }
                Err(why) => refusal(id, &around.hub.word(&why)),
            },
            Ok(Command::Impair(wish)) => match conditions::change(&wish, around) {
                Ok(()) => {
                    // The boards see it at once.
                    self.due = around.now.mono;
                    encode(&Told::Ok { id })
                }
                Err(why) => refusal(id, &why),
            },
        };
        (answer, false)
    }
}

impl<'a> PeerRow<'a> {
    fn new(PeerState { about, congestion, pending, lines, .. }: &PeerState<'a>) -> Self {
        Self {
            peer: about.peer,
            name: about.nickname,
            transport: about.transport.name(),
            delivery: about.delivery.name(),
            congestion: congestion.clone(),
            rtt_ms: about.rtt().map(|rtt| micros(rtt) as f64 / 1e3),
            up: about.received().map(|(received, missing)| Up { received, missing }),
            down: about.sent().map(|(sent, lost)| Down { sent, lost }),
            queued: *pending,
            silent_ms: about.silence().map(|silence| micros(silence) / 1_000),
            lines: *lines,
        }
    }
}

fn refusal(id: u64, text: &str) -> String {
    encode(&Told::Error { id, text })
}

fn encode(told: &impl Serialize) -> String {
    // Strings and numbers always encode; an error here would be serde_json's.
    serde_json::to_string(told).unwrap_or_default()
}
