//! Events as text for people. A chat line begins with time and author, a notice with `*` and an
//! error with `!`, so no chat line can pass for a notice.

use super::wrap::{left, right, wrap};
use super::{delivery_name, stats, transport_name};
use crate::client::app::style::Style;
use crate::client::session::{Event, Notice, PeerReport, Transport};
use crate::protocol::clean;
use crate::time::WallTime;
use crate::words::Language;
use std::time::Duration;
use unicode_width::UnicodeWidthStr;

/// Width of a chat line's time and a space: continuation rows begin below the author.
const TIME: usize = 9;
/// Width of the mark of a notice.
const MARK: usize = 2;

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
    let say = style.language;
    let notice = |text: String| style.dim(&format!("* {text}"));
    Some(match event {
        Event::Welcome { nickname, room, peers, again, server, moved, .. } => {
            let moved_to = Some(*server).filter(|_| *moved);
            notice(say.welcome(room, nickname, *peers, *again, moved_to))
        }
        Event::Message { at, from, to, text, private, held, .. } => {
            let private = match (private, to) {
                (_, Some(to)) => say.whispered_to(to),
                (true, None) => say.whispered(),
                (false, None) => String::new(),
            };
            let held = match millis(*held) {
                0 => String::new(),
                ms => format!(" {}", style.dim(&say.held(ms))),
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
        Event::Joined { nicknames, peers } => notice(say.joined(nicknames, *peers)),
        Event::Left { nicknames, peers, reason } => notice(say.left(nicknames, *peers, *reason)),
        Event::Renamed { to, own: true, .. } => notice(say.own_renamed(to)),
        Event::Renamed { from, to, .. } => notice(say.renamed(from, to)),
        Event::Topic { text } if text.is_empty() => notice(say.no_topic_any_more()),
        Event::Topic { text } => notice(say.topic(text)),
        Event::Gap { from, missing } => notice(say.gap(from, *missing)),
        Event::Error { notice } => style.error(&format!("! {}", self::notice(notice, say))),
        Event::Who { server, peers } => {
            let server = server.map(|it| format!("\n* {}", say.server_counters(&it)));
            style.dim(&(who_text(peers, style) + &server.unwrap_or_default()))
        }
        Event::Pong { from, rtt } => notice(say.pong(from, *rtt)),
        Event::Stats(report) => style.dim(&stats::table(report, say)),
        Event::Status { notice: told } => notice(self::notice(told, say)),
        Event::Closed { reason } => notice(say.farewell(*reason)),
        Event::Present { .. }
        | Event::Confirmed { .. }
        | Event::Undelivered { .. }
        | Event::Resolve
        | Event::Connect(_)
        | Event::Disconnect => return None,
    })
}

/// The text of a notice. It may quote files and input, so it is cleaned.
pub(super) fn notice(notice: &Notice, language: Language) -> String {
    clean(&language.notice(notice)).into_owned()
}

/// A table with one line per peer, with fewer columns on a narrow terminal.
fn who_text(peers: &[PeerReport], style: Style) -> String {
    let say = style.language;
    let [name, over, rtt, down, up, silent] = say.who_titles();
    let widths = peers.iter().map(|peer| peer.nickname.width());
    let width = widths.max().unwrap_or(0).max(name.width());
    if style.is_narrow() {
        let line =
            |peer: &PeerReport| format!("* {}  {}", left(&peer.nickname, width), say.ms(peer.rtt));
        return peers.iter().map(line).collect::<Vec<_>>().join("\n");
    }
    let row = |name: &str, over: &str, figures: [&str; 3], silent: &str| {
        let [rtt, down, up] = figures;
        format!(
            "* {}  {} {} {} {}  {silent}",
            left(name, width),
            left(over, 22),
            right(rtt, 9),
            right(down, 10),
            right(up, 8)
        )
    };
    let mut rows = vec![row(&name, &over, [&rtt, &down, &up], &silent)];
    for peer in peers {
        let over = match peer.transport {
            _ if peer.silence.is_none() => say.another_server(),
            Transport::Udp => format!("udp {}", delivery_name(peer.delivery)),
            it @ (Transport::Tcp | Transport::Web) => transport_name(it).to_owned(),
            Transport::Quic => format!("quic {}", delivery_name(peer.delivery)),
        };
        let whole = peer.received.zip(peer.missing).map(|(a, b)| a.saturating_add(b));
        let [down, up] = [(peer.lost, peer.sent), (peer.missing, whole)]
            .map(|(part, whole)| share(part, whole, say));
        let silent = match peer.silence.map_or(0, |silence| silence.as_secs()) {
            0 => "-".to_owned(),
            seconds => say.seconds(seconds),
        };
        rows.push(row(&peer.nickname, &over, [&say.ms(peer.rtt), &down, &up], &silent));
    }
    rows.join("\n")
}

/// A part of a whole, in percent.
fn share(part: Option<u64>, whole: Option<u64>, language: Language) -> String {
    match part.zip(whole) {
        Some((part, whole)) if whole > 0 => language.percent(part as f64 / whole as f64, 1),
        _ => "-".to_owned(),
    }
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
    format!(
        "{} {}: {text} {}",
        time(at, style),
        style.name(from),
        style.dim(&style.language.earlier())
    )
}

fn time(at: WallTime, style: Style) -> String {
    style.dim(&clock(at))
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
    use crate::protocol::{Delivery, LeaveReason, is_clean};

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
        let languages = Language::ALL.into_iter().cycle();
        for (some, language) in characters.chunks(250).zip(languages) {
            let text: String = some.iter().collect();
            let line = CachedLine {
                epoch: None,
                id: None,
                at: WallTime(0),
                from: text.clone(),
                text: text.clone(),
            };
            let notice = Notice::Worded(text.clone());
            let error = Event::Error { notice: notice.clone() };
            let events = [error, Event::Status { notice }];
            let style = Style { language, ..Style::default() };
            for format in [Format::Text, Format::Json] {
                for event in &events {
                    let shown = format.event(event, style).unwrap();
                    assert!(is_clean(&shown), "{shown:?}");
                }
                assert!(is_clean(&format.cached(&line, style)), "{text:?}");
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
