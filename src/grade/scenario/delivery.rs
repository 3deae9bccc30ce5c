//! Loss, duplicates, reordering, the window, parts.

use super::{Room, heard, joined, open, say_of, shows};
use crate::grade::case::Case;
use crate::grade::referee::{Referee, Way};
use crate::grade::trace::{Event, Trace};
use crate::grade::{Error, edit};
use crate::protocol::limits::{MAX_DATAGRAM, MESSAGE_WINDOW};
use crate::protocol::{Datagram, Frame, ServerMessage};
use std::ffi::OsString;
use std::time::{Duration, Instant};

/// How long the first line does not get through.
pub(in crate::grade) const OUTAGE: Duration = Duration::from_millis(2_600);

/// A line does not get through for a while, although everything else does.
pub(super) fn loss(command: &[OsString], case: &Case) -> Result<Trace, Error> {
    let mut first = None;
    let rule = Box::new(move |way, bytes: Vec<u8>| {
        let lost = way == Way::Up
            && say_of(&bytes).is_some()
            && first.get_or_insert_with(Instant::now).elapsed() < OUTAGE;
        if lost { Vec::new() } else { vec![bytes] }
    });
    let (mut referee, is_in) = joined(command, case, &Room::default(), rule)?;
    if !is_in {
        return Ok(referee.finish());
    }
    let [lost, next] = [0, 1].map(|n| case.text("lost", n));
    referee.type_line(&lost);
    referee.wait(|it| it.ups().any(|up| say_of(up.bytes).is_some()));
    // Its acknowledgment is in datagrams with larger numbers than the lost one, and so are the
    // server's about them.
    for n in 0..3 {
        referee.teach(&case.text("meanwhile", n));
        let text = case.text("meanwhile", n);
        referee.wait(|it| shows(it, &text));
        let printed = referee.trace.entries.len();
        referee.wait_for(Duration::from_secs(1), |it| {
            it.sent().any(|sent| sent.index + 4 > printed && sent.frames.is_empty())
        });
    }
    referee.type_line(&next);
    if referee.wait(|it| heard(it, &lost)) {
        referee.mark("through");
        referee.wait(|it| heard(it, &next));
        // Long enough that a client which goes on sending the first line sends it again.
        referee.wait_for(Duration::from_millis(1_300), |_| false);
    }
    Ok(referee.finish())
}

/// Datagrams with lines overtake each other, and some arrive twice.
pub(super) fn order(command: &[OsString], case: &Case) -> Result<Trace, Error> {
    let held = case.chosen("overtaken", |plan| plan.overtaken);
    let doubled = case.chosen("doubled", |plan| plan.doubled);
    let (mut lines, mut kept) = (0, None::<Vec<u8>>);
    let rule = Box::new(move |way, mut bytes: Vec<u8>| {
        let is_line = |bytes: &[u8]| super::has(bytes, |it| matches!(it, ServerMessage::Line(_)));
        if way == Way::Up {
            return vec![bytes];
        }
        // A line that the server sends again, on a busy machine, is still overtaken.
        if let Some(kept) = &kept {
            let late = ids(kept);
            bytes = edit::filtered(&bytes, |frame| match frame {
                Frame::Ordered { id, .. } => !late.contains(id),
                _ => true,
            });
        }
        if !is_line(&bytes) {
            return vec![bytes];
        }
        lines += 1;
        match lines {
            n if n == held => {
                kept = Some(bytes);
                Vec::new()
            }
            n if n == held + 1 => [bytes].into_iter().chain(kept.take()).collect(),
            n if n == doubled => vec![bytes.clone(), bytes],
            _ => vec![bytes],
        }
    });
    let (mut referee, is_in) = joined(command, case, &Room::default(), rule)?;
    if !is_in {
        return Ok(referee.finish());
    }
    for n in 0..9 {
        let lines = |it: &Trace| {
            it.received()
                .filter(|seen| {
                    seen.frames.iter().any(|frame| {
                matches!(frame, Frame::Ordered { payload, .. } if payload.first() == Some(&5))
            })
                })
                .count()
        };
        let before = lines(&referee.trace);
        referee.teach(&case.text("order", n));
        // One line in each datagram.
        if n + 1 != held {
            referee.wait(|it| lines(it) > before);
        }
    }
    referee.wait(|it| shows(it, &case.text("order", 8)));
    Ok(referee.finish())
}

/// The ids of the ordered messages in a datagram.
fn ids(bytes: &[u8]) -> Vec<u16> {
    let datagram = Datagram::decode(bytes).ok();
    let frames = datagram.iter().flat_map(|it| it.frames());
    let id = |frame| if let Frame::Ordered { id, .. } = frame { Some(id) } else { None };
    frames.filter_map(id).collect()
}

/// A datagram that the client has acknowledged arrives once more.
pub(super) fn twice(command: &[OsString], case: &Case) -> Result<Trace, Error> {
    let (mut referee, is_in) = joined(command, case, &Room::default(), open())?;
    if !is_in {
        return Ok(referee.finish());
    }
    let text = case.text("twice", 0);
    referee.teach(&text);
    let line = |it: &Trace| {
        it.entries.iter().enumerate().find_map(|(index, entry)| match &entry.event {
            Event::Down { bytes } if carries(bytes, &text) => Some((index, bytes.clone())),
            _ => None,
        })
    };
    let is_answered =
        |it: &Trace| line(it).is_some_and(|(index, _)| it.sent().any(|seen| seen.index > index));
    if !referee.wait(|it| shows(it, &text)) || !referee.wait(is_answered) {
        return Ok(referee.finish());
    }
    // Until nothing is under way any more: the path probe and its answer, for example.
    for _ in 0..20 {
        let before = referee.trace.entries.len();
        if !referee.wait_for(Duration::from_millis(700), |it| it.entries.len() > before) {
            break;
        }
    }
    if let Some((_, bytes)) = line(&referee.trace) {
        referee.mark("repeat");
        referee.forge(bytes);
        referee.wait_for(Duration::from_secs(4), |it| {
            let mark = it.mark("repeat").map_or(usize::MAX, |(index, _)| index);
            it.sent().any(|seen| seen.index > mark)
        });
    }
    Ok(referee.finish())
}

fn carries(bytes: &[u8], wanted: &str) -> bool {
    super::has(bytes, |it| matches!(it, ServerMessage::Line(line) if line.text == wanted))
}

/// Bytes of an `Ordered` frame before its payload, at most.
const HEAD: usize = 7;

/// Messages that are one less than a window, behind one that is missing.
pub(super) fn window(command: &[OsString], case: &Case) -> Result<Trace, Error> {
    let lines: Vec<_> = (0..300).map(|n| case.text("replay", n)).collect();
    let missing = case.chosen("missing", |plan| plan.missing) as u16;
    let mut late = None;
    let mut furthest = 0;
    let is_missing = move |frame: &Frame<'_>| match *frame {
        Frame::Ordered { id, .. } => id == missing,
        _ => false,
    };
    let rule = Box::new(move |way, bytes: Vec<u8>| {
        if way == Way::Up {
            return vec![bytes];
        }
        let Ok(datagram) = Datagram::decode(&bytes) else { return vec![bytes] };
        for frame in datagram.frames() {
            if let Frame::Ordered { id, payload } = frame {
                furthest = furthest.max(id);
                if id == missing && late.is_none() {
                    late = Some(payload.to_vec());
                }
            }
        }
        if u64::from(furthest) < u64::from(missing) + MESSAGE_WINDOW - 1 {
            return vec![edit::filtered(&bytes, |frame| !is_missing(frame))];
        }
        // The window is full. Now the message arrives, in a datagram of the hub that has room.
        let mut frames: Vec<_> = datagram.frames().collect();
        let payload = late.clone().unwrap_or_default();
        let fits = bytes.len() + payload.len() + HEAD <= MAX_DATAGRAM;
        if fits && !frames.iter().any(is_missing) {
            frames.insert(0, Frame::Ordered { id: missing, payload: &payload });
        }
        vec![edit::datagram(&datagram.header, &frames)]
    });
    // The hub answers heartbeats with small datagrams, also while its window is closed.
    let heartbeat = Duration::from_secs(1);
    let room = Room { replay: lines.len(), heartbeat, ..Room::default() };
    let mut referee = Referee::open(case, &room, &lines)?;
    referee.start(command, rule)?;
    let last = &lines[lines.len() - 1];
    referee.wait(|it| shows(it, last));
    Ok(referee.finish())
}

/// The path does not carry large datagrams, and a line is too long for a small one.
pub(super) fn parts(command: &[OsString], case: &Case) -> Result<Trace, Error> {
    let rule = Box::new(|way, bytes: Vec<u8>| {
        if way == Way::Down && edit::is_path_probe(&bytes) { Vec::new() } else { vec![bytes] }
    });
    let (mut referee, is_in) = joined(command, case, &Room::default(), rule)?;
    if is_in {
        referee.teach(&long(case));
        referee.wait(|it| shows(it, &case.text("end", 0)));
        referee.teach(&case.text("after", 0));
        referee.wait(|it| shows(it, &case.text("after", 0)));
    }
    Ok(referee.finish())
}

/// A line of two or three parts, which ends in the text `end`.
pub(in crate::grade) fn long(case: &Case) -> String {
    let words: Vec<_> = (0..26).map(|n| case.text("part", n)).collect();
    format!("{} {}", words.join(" "), case.text("end", 0))
}
