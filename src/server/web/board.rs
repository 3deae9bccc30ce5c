//! What the board is told, as JSON: a greeting, how everybody is once a second, and answers to its
//! commands. `tests/system/web.rs` compares the figures with those of `/who`.

use super::token::Token;
use crate::hub::{Hub, PeerState};
use crate::server::metrics;
use crate::time::{Now, Timestamp, micros};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// Interval of the figures.
const INTERVAL: Duration = Duration::from_secs(1);

/// What the board shows that the hub does not know.
#[derive(Debug, Default)]
pub(in crate::server) struct Outlook {}

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
        clock_us: u64,
    },
    State {
        at_us: u64,
        peers: Vec<PeerRow<'a>>,
        drops: BTreeMap<&'static str, u64>,
        impair: Option<()>,
        topic: Option<&'a str>,
        locked: bool,
    },
    Error {
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
    queued: usize,
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

/// A command of a page.
#[derive(Deserialize)]
struct Command {
    #[serde(default)]
    id: u64,
    #[serde(default)]
    token: String,
}

impl Feed {
    pub(super) fn new(room: String, heartbeat: Duration) -> Self {
        let (join, page, due) = (Vec::new(), None, Timestamp::ZERO);
        Self { room, heartbeat, join, page, due }
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
            clock_us: now.wall.0,
        })
    }

    /// When [`Self::take_due`] has something to tell.
    pub(super) fn poll_timeout(&self) -> Timestamp {
        self.due
    }

    /// The messages that are due.
    pub(super) fn take_due(&mut self, hub: &Hub, now: Now, _: &Outlook) -> Vec<String> {
        if self.due > now.mono {
            return Vec::new();
        }
        self.due = now.mono + INTERVAL;
        let drops = metrics::drops(&hub.counters().wire).into_iter().collect();
        vec![encode(&Told::State {
            at_us: now.wall.0,
            peers: hub.peer_states(now.mono).map(|state| PeerRow::new(&state)).collect(),
            drops,
            impair: None,
            topic: None,
            locked: false,
        })]
    }

    /// The answer to a command, and whether its token is wrong.
    pub(super) fn command(&mut self, text: &str, token: &Token) -> (String, bool) {
        match serde_json::from_str::<Command>(text) {
            Err(error) => (refusal(0, &format!("this is no command: {error}")), false),
            Ok(Command { id, token: given }) if !token.is(&given) => {
                (refusal(id, "the token is wrong: open the address that the server printed"), true)
            }
            Ok(Command { id, .. }) => {
                (refusal(id, "this server does not know this command"), false)
            }
        }
    }
}

impl<'a> PeerRow<'a> {
    fn new(PeerState { about, congestion, lines, .. }: &PeerState<'a>) -> Self {
        Self {
            peer: about.peer,
            name: about.nickname,
            transport: about.transport.name(),
            delivery: about.delivery.name(),
            congestion: congestion.clone(),
            rtt_ms: about.rtt().map(|rtt| micros(rtt) as f64 / 1e3),
            up: about.received().map(|(received, missing)| Up { received, missing }),
            down: about.sent().map(|(sent, lost)| Down { sent, lost }),
            queued: 0,
            silent_ms: about.silence().map(|silence| micros(silence) / 1_000),
            lines: *lines,
        }
    }
}

fn refusal(id: u64, text: &str) -> String {
    encode(&Told::Error { id, text })
}

fn encode(told: &Told<'_>) -> String {
    // Strings and numbers always encode; an error here would be serde_json's.
    serde_json::to_string(told).unwrap_or_default()
}
