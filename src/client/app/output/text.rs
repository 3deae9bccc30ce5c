//! Events as text for people. A chat line begins with time and author, a notice with `*` and an
//! error with `!`, so no chat line can pass for a notice.

use super::wrap::wrap;
use super::{delivery_name, stats, transport_name};
use crate::client::app::style::Style;
use crate::client::session::{CloseReason, Event, PeerReport, ServerCounters, Transport};
use crate::protocol::LeaveReason;
use crate::time::WallTime;
use std::time::Duration;
use unicode_width::UnicodeWidthStr;

/// Width of a chat line's time and a space: continuation rows begin below the author.
const TIME: usize = 9;
/// Width of the mark of a notice.
const MARK: usize = 2;

/// Largest number of names in one notice.
const NAMED: usize = 3;

/// Wraps `lines` to the terminal, if there is one.
pub(super) fn fit(lines: &str, style: Style) -> String {
    let Some(columns) = style.width else { return lines.to_owned() };
    let indent = |line: &str| if is_notice(line) { MARK } else { TIME };
    let rows = lines.split('\n').map(|line| wrap(line, indent(line), columns));
    rows.collect::<Vec<_>>().join("\n")
}

/// Whether the first visible character marks a notice or an error.
fn is_notice(line: &str) -> bool {
    let seen = match line.strip_prefix('\u{1b}') {
        Some(colour) => colour.split_once('m').map_or("", |(_, seen)| seen),
        None => line,
    };
    seen.starts_with(['*', '!'])
}

/// The lines for an event.
pub(super) fn text(event: &Event, style: Style) -> Option<String> {
    let notice = |text: String| style.dim(&text);
    Some(match event {
        Event::Welcome { nickname, room, peers, again, server, moved, .. } => {
            let back = if *again { " back" } else { "" };
            let server = if *moved { format!(" at {server}") } else { String::new() };
            notice(format!("* welcome{back} to {room}{server}, {nickname}: {peers} here"))
        }
        Event::Message { at, from, to, text, private, held, .. } => {
            let private = match (private, to) {
                (_, Some(to)) => format!(" (to {to} alone)"),
                (true, None) => " (to you alone)".to_owned(),
                (false, None) => String::new(),
            };
            let held = match millis(*held) {
                0 => String::new(),
                ms => format!(" {}", style.dim(&format!("(+{ms} ms held)"))),
            };
            let from = match to {
                Some(_) => style.own(from),
                None if style.addressed => style.addressing(from),
                None => style.name(from),
            };
            let text = match private.as_str() {
                "" => format!("{from}: {text}"),
                private => format!("{from}{}", style.whisper(&format!("{private}: {text}"))),
            };
            format!("{} {text}{held}", time(*at, style))
        }
        Event::History { at, from, text, .. } => earlier(*at, from, text, style),
        Event::Joined { nicknames, peers } => {
            notice(format!("* {} joined, {peers} here", names(nicknames)))
        }
        Event::Left { nicknames, peers, reason } => {
            let how = match reason {
                LeaveReason::Timeout => " (timed out)",
                LeaveReason::Flood => " (flooded the room)",
                LeaveReason::Restart => " (restarting)",
                LeaveReason::Kicked => " (removed by the moderator)",
                LeaveReason::Quit | LeaveReason::Shutdown => "",
            };
            notice(format!("* {} left{how}, {peers} here", names(nicknames)))
        }
        Event::Renamed { to, own: true, .. } => notice(format!("* you are now known as {to}")),
        Event::Renamed { from, to, .. } => notice(format!("* {from} is now known as {to}")),
        Event::Topic { text } if text.is_empty() => notice("* no topic any more".to_owned()),
        Event::Topic { text } => notice(format!("* topic: {text}")),
        Event::Gap { from, missing: 1 } => notice(format!("* 1 line from {from} did not arrive")),
        Event::Gap { from, missing } => {
            notice(format!("* {missing} lines from {from} did not arrive"))
        }
        Event::Error { message } => style.error(&format!("! {message}")),
        Event::Who { server, peers } => {
            let server = server.map(|it| format!("\n* server: {}", server_text(&it)));
            notice(who_text(peers, style) + &server.unwrap_or_default())
        }
        Event::Pong { from, rtt } => notice(format!("* {from} answered after {}", ms(Some(*rtt)))),
        Event::Stats(report) => notice(stats::table(report)),
        Event::Status { text } => notice(format!("* {text}")),
        Event::Closed { reason } => notice(format!("* {}", farewell(*reason))),
        Event::Present { .. }
        | Event::Confirmed { .. }
        | Event::Undelivered { .. }
        | Event::Resolve
        | Event::Connect(_)
        | Event::Disconnect => return None,
    })
}

/// A list of names, "ann, bob and eve"; of a crowd the first few, "ann, bob and 38 others".
fn names(nicknames: &[String]) -> String {
    match nicknames {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] if nicknames.len() <= NAMED => {
            format!("{} and {last}", first.join(", "))
        }
        crowd => {
            let (named, others) = crowd.split_at(NAMED - 1);
            format!("{} and {} others", named.join(", "), others.len())
        }
    }
}

/// The counters of a server's dropped datagrams, without zeros.
pub(in crate::client::app) fn server_text(server: &ServerCounters) -> String {
    let counts = [
        (server.alien, "not of this protocol"),
        (server.other_version, "of another version"),
        (server.corrupt, "damaged"),
        (server.malformed, "malformed"),
        (server.unknown_session, "of unknown sessions"),
        (server.unread, "dropped unread: its receive buffer was full"),
        (server.refused, "joins refused"),
        (server.left_out, "lines left out: a peer does not keep up"),
    ];
    let said = counts.iter().filter(|(count, _)| *count > 0);
    let said = said.map(|(count, what)| format!("; {count} {what}"));
    format!("{} datagrams received{}", server.received, said.collect::<String>())
}

/// A table with one line per peer, with fewer columns on a narrow terminal.
fn who_text(peers: &[PeerReport], style: Style) -> String {
    let width = peers.iter().map(|peer| peer.nickname.width()).max().unwrap_or(0).max(4);
    let pad = |name: &str| format!("{name}{}", " ".repeat(width.saturating_sub(name.width())));
    if style.is_narrow() {
        let lines = peers.iter().map(|peer| format!("* {}  {}", pad(&peer.nickname), ms(peer.rtt)));
        return lines.collect::<Vec<_>>().join("\n");
    }
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
            _ if peer.silence.is_none() => "another server".to_owned(),
            Transport::Udp => format!("udp {}", delivery_name(peer.delivery)),
            it @ (Transport::Tcp | Transport::Web) => transport_name(it).to_owned(),
            Transport::Quic => format!("quic {}", delivery_name(peer.delivery)),
        };
        let seconds = peer.silence.map_or(0, |silence| silence.as_secs());
        out.push_str(&format!(
            "\n* {}  {over:<22} {:>9} {:>10} {:>8}  {}",
            pad(&peer.nickname),
            ms(peer.rtt),
            share(peer.lost, peer.sent),
            share(peer.missing, peer.received.zip(peer.missing).map(|(a, b)| a.saturating_add(b))),
            if seconds > 0 { format!("{seconds} s") } else { "-".into() }
        ));
    }
    out
}

/// A part of a whole, in percent.
fn share(part: Option<u64>, whole: Option<u64>) -> String {
    match part.zip(whole) {
        Some((part, whole)) if whole > 0 => format!("{:.1} %", 100.0 * part as f64 / whole as f64),
        _ => "-".to_owned(),
    }
}

pub(in crate::client::app) fn ms(duration: Option<Duration>) -> String {
    duration.map_or_else(|| "-".to_owned(), |it| format!("{:.1} ms", it.as_secs_f64() * 1e3))
}

/// A line of this client. The mark after the name shows that without colours too.
pub(in crate::client::app) fn own(at: WallTime, name: &str, text: &str, style: Style) -> String {
    let line = format!("{} {} {text}", time(at, style), style.own(&format!("{name}>")));
    fit(&line, style)
}

/// A row for a line of this client that the server has not confirmed yet.
pub(in crate::client::app) fn unconfirmed(at: WallTime, name: &str, text: &str) -> String {
    format!("{} {name}> {text}", clock(at))
}

/// A line from the past.
pub(super) fn earlier(at: WallTime, from: &str, text: &str, style: Style) -> String {
    format!("{} {}: {text} {}", time(at, style), style.name(from), style.dim("(earlier)"))
}

fn time(at: WallTime, style: Style) -> String {
    style.dim(&clock(at))
}

pub(in crate::client::app) fn farewell(reason: CloseReason) -> &'static str {
    match reason {
        CloseReason::Quit => "you left",
        CloseReason::Shutdown => "the server has closed",
        CloseReason::Unreachable => "the server was not reached",
        CloseReason::Lost => "the server is lost, and was given up",
        CloseReason::Refused => "the server did not let you in",
        CloseReason::Kicked => "you were removed from the room",
    }
}

fn millis(duration: Duration) -> u128 {
    (duration + Duration::from_micros(500)).as_millis()
}

/// Local time of day.
fn clock(at: WallTime) -> String {
    local(at).strftime("%H:%M:%S").to_string()
}

/// Local date and time.
pub(super) fn local(at: WallTime) -> jiff::Zoned {
    let moment = i64::try_from(at.0).ok().and_then(|us| jiff::Timestamp::from_microsecond(us).ok());
    moment.unwrap_or(jiff::Timestamp::MAX).to_zoned(jiff::tz::TimeZone::system())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::app::cache::CachedLine;
    use crate::client::app::output::Format;
    use crate::protocol::{Delivery, is_clean};

    #[test]
    fn head_of_line_blocking_is_shown() {
        let message = |held| Event::Message {
            mark: None,
            at: WallTime(0),
            from: "bob".to_owned(),
            to: None,
            text: "hi".to_owned(),
            private: false,
            held: Duration::from_micros(held),
            transit: None,
        };
        let shown =
            |held, colour| text(&message(held), Style { colour, ..Style::default() }).unwrap();
        assert!(shown(400, false).ends_with(" bob: hi"));
        assert!(shown(179_600, false).ends_with(" bob: hi (+180 ms held)"));
        assert!(shown(179_600, true).ends_with("hi \u{1b}[2m(+180 ms held)\u{1b}[0m"));
        let json: serde_json::Value =
            serde_json::from_str(&Format::Json.event(&message(179_600), Style::default()).unwrap())
                .unwrap();
        assert_eq!(json["held_ms"], 179.6);
        assert!(json["transit_ms"].is_null());
    }
    fn shown(format: Format, names: &[&str], peers: u16) -> [String; 2] {
        let nicknames: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let joined = Event::Joined { nicknames: nicknames.clone(), peers };
        let left = Event::Left { nicknames, peers, reason: LeaveReason::Timeout };
        [joined, left].map(|event| format.plain(&event).unwrap())
    }

    #[test]
    fn a_crowd_is_one_notice_in_text_and_one_object_each_in_json() {
        let text = |names: &[&str]| shown(Format::Text, names, 9);
        assert_eq!(text(&["ann"]), ["* ann joined, 9 here", "* ann left (timed out), 9 here"]);
        assert_eq!(text(&["ann", "bob"])[0], "* ann and bob joined, 9 here");
        assert_eq!(text(&["ann", "bob", "eve"])[0], "* ann, bob and eve joined, 9 here");
        let crowd = ["ann", "bob", "eve", "dora"];
        assert_eq!(text(&crowd)[1], "* ann, bob and 2 others left (timed out), 9 here");
        let [joined, left] = shown(Format::Json, &["ann", "bob", "eve"], 9);
        let objects = |lines: &str| -> Vec<(String, u64)> {
            let objects = lines.lines().map(|line| serde_json::from_str(line).unwrap());
            objects
                .map(|it: serde_json::Value| {
                    (it["nickname"].as_str().unwrap().to_owned(), it["peers"].as_u64().unwrap())
                })
                .collect()
        };
        let each = |peers: [u64; 3]| {
            ["ann", "bob", "eve"].iter().zip(peers).map(|(it, n)| ((*it).to_owned(), n)).collect()
        };
        let expected: [Vec<_>; 2] = [each([7, 8, 9]), each([11, 10, 9])];
        assert_eq!([objects(&joined), objects(&left)], expected);
    }

    #[test]
    fn text_from_files_and_input_is_escaped() {
        let characters: Vec<char> = ('\0'..=char::MAX).collect();
        for some in characters.chunks(250) {
            let text: String = some.iter().collect();
            let line = CachedLine {
                epoch: None,
                id: None,
                at: WallTime(0),
                from: text.clone(),
                text: text.clone(),
            };
            for format in [Format::Text, Format::Json] {
                let error = Event::Error { message: text.clone() };
                let status = Event::Status { text: text.clone() };
                let shown = [error, status].map(|event| format.plain(&event).unwrap());
                assert!(shown.iter().all(|shown| is_clean(shown)), "{shown:?}");
                assert!(is_clean(&format.cached(&line, Style::default())), "{text:?}");
            }
        }
    }

    #[test]
    fn counters_of_a_hostile_server_do_not_overflow() {
        let peer = PeerReport {
            peer: 1,
            nickname: "eve".to_owned(),
            transport: Transport::Udp,
            delivery: Delivery::Unreliable,
            rtt: None,
            silence: Some(Duration::ZERO),
            sent: Some(u64::MAX),
            lost: Some(u64::MAX),
            received: Some(u64::MAX),
            missing: Some(u64::MAX),
        };
        assert!(
            text(&Event::Who { server: None, peers: vec![peer] }, Style::default())
                .unwrap()
                .contains("100.0 %")
        );
    }
}
