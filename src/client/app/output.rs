//! Output: one line of text, or one JSON object, for each event. No I/O.

mod days;
mod stats;
#[cfg(test)]
mod tests;
mod text;
mod wrap;

use super::cache::CachedLine;
use super::session::{CloseReason, Event, Notice, PeerReport, ServerCounters, Transport};
use super::style::Style;
use crate::protocol::{Delivery, LeaveReason, clean};
use crate::time::WallTime;
use crate::words::Language;
use serde::Serialize;
use std::net::SocketAddr;

pub(super) use days::Days;
use stats::StatsObject;
pub(super) use text::{own, unconfirmed};
pub(super) use wrap::{cut, left};

/// Output format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs: one object a line.
    Json,
}

impl Format {
    /// The line for an event, without colours and line end; `None` if there is nothing to show.
    #[must_use]
    pub fn plain(self, event: &Event) -> Option<String> {
        self.event(event, Style::default())
    }

    /// The line for an event, without line end; `None` if there is nothing to show. In JSON an
    /// event about several peers is one object each.
    pub(super) fn event(self, event: &Event, style: Style) -> Option<String> {
        match self {
            Self::Text => text::text(event, style).map(|lines| text::fit(&lines, style)),
            Self::Json => json_lines(event),
        }
    }

    /// The line for a line from the cache.
    pub(super) fn cached(self, line: &CachedLine, style: Style) -> String {
        // The file is untrusted.
        let (at, from, text) = (line.at, &*clean(&line.from), &*clean(&line.text));
        match self {
            Self::Text => text::fit(&text::earlier(at, from, text, style), style),
            Self::Json => encode(&Object::History { from, text, id: None, at, cached: true }),
        }
    }
}

/// The wall-clock time of the line in an event.
pub(super) fn said_at(event: &Event) -> Option<WallTime> {
    match event {
        Event::Message { at, .. } | Event::History { at, .. } => Some(*at),
        _ => None,
    }
}

/// The name of a mode, as on the command line.
pub(super) fn delivery_name(delivery: Delivery) -> &'static str {
    delivery.name()
}

pub(super) fn transport_name(transport: Transport) -> &'static str {
    transport.name()
}

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum Object<'a> {
    Welcome {
        nickname: &'a str,
        peers: u16,
        session: String,
        room: &'a str,
        epoch: String,
        server: SocketAddr,
    },
    Message {
        from: &'a str,
        text: &'a str,
        private: bool,
        /// Position in the log of the epoch; a whisper has none.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<u64>,
        at: WallTime,
        #[serde(skip_serializing_if = "Option::is_none")]
        to: Option<&'a str>,
        held_ms: f64,
        transit_ms: Option<f64>,
    },
    History {
        from: &'a str,
        text: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<u64>,
        at: WallTime,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        cached: bool,
    },
    Joined {
        nickname: &'a str,
        peers: u16,
    },
    Left {
        nickname: &'a str,
        peers: u16,
        reason: LeaveReason,
    },
    Renamed {
        from: &'a str,
        to: &'a str,
        /// Whether it is this client.
        own: bool,
    },
    Topic {
        /// Empty if there is none any more.
        text: &'a str,
    },
    Gap {
        from: &'a str,
        missing: u64,
    },
    Who {
        peers: Vec<PeerObject<'a>>,
        server: Option<ServerCounters>,
    },
    Pong {
        from: &'a str,
        rtt_ms: f64,
    },
    Stats(Box<StatsObject>),
    Error {
        message: String,
    },
    Status {
        text: String,
    },
    Closed {
        reason: &'a str,
    },
}

#[derive(Serialize)]
struct PeerObject<'a> {
    nickname: &'a str,
    peer: u16,
    transport: &'static str,
    delivery: &'static str,
    rtt_ms: Option<f64>,
    silent_ms: Option<u64>,
    sent: Option<u64>,
    lost: Option<u64>,
    received: Option<u64>,
    missing: Option<u64>,
}

impl<'a> From<&'a PeerReport> for PeerObject<'a> {
    fn from(report: &'a PeerReport) -> Self {
        Self {
            nickname: &report.nickname,
            peer: report.peer,
            transport: transport_name(report.transport),
            delivery: delivery_name(report.delivery),
            rtt_ms: report.rtt.map(|rtt| rtt.as_micros() as f64 / 1e3),
            silent_ms: report.silence.map(|silence| silence.as_millis() as u64),
            sent: report.sent,
            lost: report.lost,
            received: report.received,
            missing: report.missing,
        }
    }
}

/// One object a line. Several arrivals or departures are one object each, with the number of peers
/// after each.
fn json_lines(event: &Event) -> Option<String> {
    let behind = |nicknames: &[String]| (0..nicknames.len() as u16).rev();
    let objects: Vec<_> = match event {
        Event::Joined { nicknames, peers } => {
            let each = nicknames.iter().zip(behind(nicknames));
            each.map(|(nickname, more)| Object::Joined {
                nickname,
                peers: peers.saturating_sub(more),
            })
            .collect()
        }
        Event::Left { nicknames, peers, reason } => {
            let each = nicknames.iter().zip(behind(nicknames));
            each.map(|(nickname, more)| Object::Left {
                nickname,
                peers: peers.saturating_add(more),
                reason: *reason,
            })
            .collect()
        }
        event => json(event).into_iter().collect(),
    };
    let lines: Vec<_> = objects.iter().map(encode).collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

fn json(event: &Event) -> Option<Object<'_>> {
    Some(match event {
        Event::Welcome { nickname, room, peers, session, latest, server, .. } => Object::Welcome {
            nickname,
            room,
            peers: *peers,
            // Many JSON readers lose precision with 64-bit numbers.
            session: format!("{session:016x}"),
            epoch: latest.epoch_name(),
            server: *server,
        },
        Event::Message { mark, at, from, to, text, private, held, transit } => Object::Message {
            from,
            text,
            private: *private,
            id: mark.map(|mark| mark.position),
            at: *at,
            to: to.as_deref(),
            held_ms: held.as_micros() as f64 / 1e3,
            transit_ms: transit.map(|transit| transit as f64 / 1e3),
        },
        Event::History { mark, at, from, text } => {
            Object::History { from, text, id: Some(mark.position), at: *at, cached: false }
        }
        Event::Renamed { from, to, own } => Object::Renamed { from, to, own: *own },
        Event::Topic { text } => Object::Topic { text },
        Event::Gap { from, missing } => Object::Gap { from, missing: *missing },
        Event::Error { notice } => Object::Error { message: english(notice) },
        Event::Who { server, peers } => {
            Object::Who { peers: peers.iter().map(PeerObject::from).collect(), server: *server }
        }
        Event::Pong { from, rtt } => Object::Pong { from, rtt_ms: rtt.as_micros() as f64 / 1e3 },
        Event::Stats(report) => Object::Stats(Box::new(StatsObject::from(&**report))),
        Event::Status { notice } => Object::Status { text: english(notice) },
        Event::Closed { reason } => Object::Closed {
            reason: match reason {
                CloseReason::Quit => "quit",
                CloseReason::Shutdown => "shutdown",
                CloseReason::Unreachable | CloseReason::Lost => "lost",
                CloseReason::Refused => "refused",
                CloseReason::Kicked => "kicked",
            },
        },
        Event::Present { .. }
        | Event::Joined { .. }
        | Event::Left { .. }
        | Event::Confirmed { .. }
        | Event::Undelivered { .. }
        | Event::Resolve
        | Event::Connect(_)
        | Event::Disconnect => return None,
    })
}

/// The text of a notice for programs, whatever the language.
fn english(notice: &Notice) -> String {
    text::notice(notice, Language::En)
}

fn encode(object: &Object<'_>) -> String {
    // Strings and numbers always encode; an error here would be serde_json's.
    serde_json::to_string(object).unwrap_or_default()
}
