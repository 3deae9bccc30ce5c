//! What the user sees: one line of text, or one JSON object, for each event. Pure.

use super::cache::CachedLine;
use super::session::{CloseReason, Event, PeerReport, Report, Transport};
use crate::protocol::{Delivery, LeaveReason};
use crate::time::WallTime;
use serde::Serialize;
use std::time::Duration;
use unicode_width::UnicodeWidthStr;

/// How events are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs: one object a line.
    Json,
}

impl Format {
    /// The line for an event, without its line end; `None` when there is nothing to say. `colour`
    /// dims what is beside the point, for a terminal.
    pub(super) fn event(self, event: &Event, colour: bool) -> Option<String> {
        match self {
            Self::Text => text(event, colour),
            Self::Json => json(event).map(|object| encode(&object)),
        }
    }

    /// The line for a line from the cache.
    pub(super) fn cached(self, line: &CachedLine) -> String {
        let (at, from, text) = (line.at, &line.from, &line.text);
        match self {
            Self::Text => format!("{} {from}: {text} (earlier)", clock(at)),
            Self::Json => encode(&Object::History { from, text, at, cached: true }),
        }
    }
}

fn text(event: &Event, colour: bool) -> Option<String> {
    Some(match event {
        Event::Welcome { nickname, room, peers, again, .. } => {
            let back = if *again { " back" } else { "" };
            format!("* welcome{back} to {room}, {nickname}: {peers} here")
        }
        Event::Message { id, from, to, text, private, held, .. } => {
            let private = match (private, to) {
                (_, Some(to)) => format!(" (to {to} alone)"),
                (true, None) => " (to you alone)".to_owned(),
                (false, None) => String::new(),
            };
            let held = match millis(*held) {
                0 => String::new(),
                ms if colour => format!(" \u{1b}[2m(+{ms} ms held)\u{1b}[0m"),
                ms => format!(" (+{ms} ms held)"),
            };
            format!("{} {from}{private}: {text}{held}", clock(*id))
        }
        Event::History { id, from, text } => format!("{} {from}: {text} (earlier)", clock(*id)),
        Event::Joined { nickname, peers } => format!("* {nickname} joined, {peers} here"),
        Event::Left { nickname, peers, reason } => {
            let how = match reason {
                LeaveReason::Timeout => " (timed out)",
                LeaveReason::Quit | LeaveReason::Shutdown => "",
            };
            format!("* {nickname} left{how}, {peers} here")
        }
        Event::Gap { from, missing: 1 } => format!("* 1 line from {from} did not arrive"),
        Event::Gap { from, missing } => format!("* {missing} lines from {from} did not arrive"),
        Event::Error { message } => format!("! {message}"),
        Event::Who { peers } => who_text(peers),
        Event::Pong { from, rtt } => format!("* {from} answered after {}", ms(Some(*rtt))),
        Event::Stats(report) => stats_text(report),
        Event::Status { text } => format!("* {text}"),
        Event::Closed { reason } => format!("* {}", farewell(*reason)),
        Event::Confirmed { .. } | Event::Resolve | Event::Connect(_) | Event::Disconnect => {
            return None;
        }
    })
}

/// The report for people: a line for each direction, and one for the time it takes.
fn stats_text(report: &Report) -> String {
    let Report { link, corrupt, text_sent, text_received, .. } = report;
    let carrier = match report.transport {
        Transport::Udp => format!("udp, {}", delivery_name(report.delivery)),
        Transport::Tcp => "tcp (its kernel keeps losses and order to itself)".to_owned(),
    };
    format!(
        "* {carrier}\n\
         * sent: {} datagrams, {} bytes for {text_sent} of text; {} lost, {} messages retransmitted, \
         {} redundant ({} bytes; the budget is {} times the fresh ones at {} % loss)\n\
         * received: {} datagrams, {} bytes for {text_received} of text; {} missing, {} duplicated, \
         {} reordered, {corrupt} corrupt\n\
         * round trip: min {}, smoothed {}, p99 {}; jitter {}",
        link.sent,
        link.sent_bytes,
        link.sent_lost,
        link.retransmitted,
        link.redundant,
        link.redundant_bytes,
        link.redundancy,
        f64::from(link.loss_per_mille) / 10.0,
        link.received,
        link.received_bytes,
        link.received_missing,
        link.duplicated,
        link.reordered,
        ms(link.rtt_min),
        ms(link.rtt_smoothed),
        ms(link.rtt_p99),
        ms(link.jitter),
    )
}

/// A table: one line for each who is here.
fn who_text(peers: &[PeerReport]) -> String {
    let width = peers.iter().map(|peer| peer.nickname.width()).max().unwrap_or(0).max(4);
    let pad = |name: &str| format!("{name}{}", " ".repeat(width.saturating_sub(name.width())));
    let mut out = format!(
        "* {}  {:<22} {:>9} {:>10} {:>8}  silent",
        pad("name"),
        "over",
        "rtt",
        "lost: down",
        "up"
    );
    for peer in peers {
        let over = match peer.transport {
            Transport::Udp => format!("udp {}", delivery_name(peer.delivery)),
            Transport::Tcp => "tcp".to_owned(),
        };
        let lost = |lost: u64, of: u64| match (peer.transport, of) {
            (Transport::Tcp, _) | (_, 0) => "-".to_owned(),
            _ => format!("{:.1} %", 100.0 * lost as f64 / of as f64),
        };
        out.push_str(&format!(
            "\n* {}  {over:<22} {:>9} {:>10} {:>8}  {}",
            pad(&peer.nickname),
            ms(peer.rtt),
            lost(peer.lost, peer.sent),
            lost(peer.missing, peer.received + peer.missing),
            if peer.silence.as_secs() > 0 {
                format!("{} s", peer.silence.as_secs())
            } else {
                "-".into()
            }
        ));
    }
    out
}

pub(super) fn ms(duration: Option<Duration>) -> String {
    duration.map_or_else(|| "-".to_owned(), |it| format!("{:.1} ms", it.as_secs_f64() * 1e3))
}

/// A mode as it is written on the command line.
pub(super) fn delivery_name(delivery: Delivery) -> &'static str {
    match delivery {
        Delivery::Unreliable => "unreliable",
        Delivery::ReliableUnordered => "reliable-unordered",
        Delivery::ReliableOrdered => "reliable-ordered",
    }
}

fn transport_name(transport: Transport) -> &'static str {
    match transport {
        Transport::Udp => "udp",
        Transport::Tcp => "tcp",
    }
}

pub(super) fn farewell(reason: CloseReason) -> &'static str {
    match reason {
        CloseReason::Quit => "you left",
        CloseReason::Shutdown => "the server has closed",
        CloseReason::Unreachable => "the server did not answer",
        CloseReason::Lost => "the server is lost, and was given up",
        CloseReason::Refused => "the server did not let you in",
    }
}

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum Object<'a> {
    Welcome {
        nickname: &'a str,
        peers: u16,
        session: String,
        room: &'a str,
    },
    Message {
        from: &'a str,
        text: &'a str,
        private: bool,
        id: u64,
        at: WallTime,
        #[serde(skip_serializing_if = "Option::is_none")]
        to: Option<&'a str>,
        held_ms: f64,
        transit_ms: Option<f64>,
    },
    History {
        from: &'a str,
        text: &'a str,
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
    Gap {
        from: &'a str,
        missing: u64,
    },
    Who {
        peers: Vec<PeerObject<'a>>,
    },
    Pong {
        from: &'a str,
        rtt_ms: f64,
    },
    Stats(StatsObject),
    Error {
        message: &'a str,
    },
    Status {
        text: &'a str,
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
    silent_ms: u64,
    sent: u64,
    lost: u64,
    received: u64,
    missing: u64,
}

impl<'a> From<&'a PeerReport> for PeerObject<'a> {
    fn from(report: &'a PeerReport) -> Self {
        Self {
            nickname: &report.nickname,
            peer: report.peer,
            transport: transport_name(report.transport),
            delivery: delivery_name(report.delivery),
            rtt_ms: report.rtt.map(|rtt| rtt.as_micros() as f64 / 1e3),
            silent_ms: report.silence.as_millis() as u64,
            sent: report.sent,
            lost: report.lost,
            received: report.received,
            missing: report.missing,
        }
    }
}

#[derive(Serialize)]
struct StatsObject {
    transport: &'static str,
    delivery: &'static str,
    sent: SentObject,
    received: ReceivedObject,
    rtt_ms: RttObject,
    jitter_ms: Option<f64>,
}

#[derive(Serialize)]
struct SentObject {
    datagrams: u64,
    bytes: u64,
    text_bytes: u64,
    lost: u64,
    retransmitted: u64,
    redundant: u64,
    redundant_bytes: u64,
    redundancy_budget: u32,
    loss_percent: f64,
}

#[derive(Serialize)]
struct ReceivedObject {
    datagrams: u64,
    bytes: u64,
    text_bytes: u64,
    lost: u64,
    duplicated: u64,
    reordered: u64,
    corrupt: u64,
}

#[derive(Serialize)]
struct RttObject {
    min: Option<f64>,
    smoothed: Option<f64>,
    p99: Option<f64>,
}

fn stats_json(report: &Report) -> StatsObject {
    let link = &report.link;
    let ms = |duration: Option<Duration>| duration.map(|d| d.as_micros() as f64 / 1e3);
    StatsObject {
        transport: transport_name(report.transport),
        delivery: delivery_name(report.delivery),
        sent: SentObject {
            datagrams: link.sent,
            bytes: link.sent_bytes,
            text_bytes: report.text_sent,
            lost: link.sent_lost,
            retransmitted: link.retransmitted,
            redundant: link.redundant,
            redundant_bytes: link.redundant_bytes,
            redundancy_budget: link.redundancy,
            loss_percent: f64::from(link.loss_per_mille) / 10.0,
        },
        received: ReceivedObject {
            datagrams: link.received,
            bytes: link.received_bytes,
            text_bytes: report.text_received,
            lost: link.received_missing,
            duplicated: link.duplicated,
            reordered: link.reordered,
            corrupt: report.corrupt,
        },
        rtt_ms: RttObject {
            min: ms(link.rtt_min),
            smoothed: ms(link.rtt_smoothed),
            p99: ms(link.rtt_p99),
        },
        jitter_ms: ms(link.jitter),
    }
}

fn json(event: &Event) -> Option<Object<'_>> {
    Some(match event {
        Event::Welcome { nickname, room, peers, session, .. } => {
            // 64 bits do not fit the numbers of many JSON readers.
            Object::Welcome { nickname, room, peers: *peers, session: format!("{session:016x}") }
        }
        Event::Message { id, from, to, text, private, held, transit } => Object::Message {
            from,
            text,
            private: *private,
            id: id.0,
            at: *id,
            to: to.as_deref(),
            held_ms: held.as_micros() as f64 / 1e3,
            transit_ms: transit.map(|transit| transit as f64 / 1e3),
        },
        Event::History { id, from, text } => Object::History { from, text, at: *id, cached: false },
        Event::Joined { nickname, peers } => Object::Joined { nickname, peers: *peers },
        Event::Left { nickname, peers, reason } => {
            Object::Left { nickname, peers: *peers, reason: *reason }
        }
        Event::Gap { from, missing } => Object::Gap { from, missing: *missing },
        Event::Error { message } => Object::Error { message },
        Event::Who { peers } => Object::Who { peers: peers.iter().map(PeerObject::from).collect() },
        Event::Pong { from, rtt } => Object::Pong { from, rtt_ms: rtt.as_micros() as f64 / 1e3 },
        Event::Stats(report) => Object::Stats(stats_json(report)),
        Event::Status { text } => Object::Status { text },
        Event::Closed { reason } => Object::Closed {
            reason: match reason {
                CloseReason::Quit => "quit",
                CloseReason::Shutdown => "shutdown",
                CloseReason::Unreachable | CloseReason::Lost => "lost",
                CloseReason::Refused => "refused",
            },
        },
        Event::Confirmed { .. } | Event::Resolve | Event::Connect(_) | Event::Disconnect => {
            return None;
        }
    })
}

fn encode(object: &Object<'_>) -> String {
    // Strings and numbers always encode; an error here would be serde_json's.
    serde_json::to_string(object).unwrap_or_default()
}

fn millis(duration: Duration) -> u128 {
    (duration + Duration::from_micros(500)).as_millis()
}

/// The time of day, here.
fn clock(at: WallTime) -> String {
    let moment = i64::try_from(at.0).ok().and_then(|us| jiff::Timestamp::from_microsecond(us).ok());
    let moment = moment.unwrap_or(jiff::Timestamp::MAX).to_zoned(jiff::tz::TimeZone::system());
    moment.strftime("%H:%M:%S").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_waited_says_how_long() {
        let message = |held| Event::Message {
            id: WallTime(0),
            from: "bob".to_owned(),
            to: None,
            text: "hi".to_owned(),
            private: false,
            held: Duration::from_micros(held),
            transit: None,
        };
        let shown = |held, colour| text(&message(held), colour).unwrap();
        assert!(shown(400, false).ends_with(" bob: hi"));
        assert!(shown(179_600, false).ends_with(" bob: hi (+180 ms held)"));
        assert!(shown(179_600, true).ends_with("hi \u{1b}[2m(+180 ms held)\u{1b}[0m"));
        let json: serde_json::Value =
            serde_json::from_str(&Format::Json.event(&message(179_600), true).unwrap()).unwrap();
        assert_eq!(json["held_ms"], 179.6);
        assert!(json["transit_ms"].is_null());
    }
}
