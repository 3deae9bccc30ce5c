//! The texts of lines, and their rate.

use super::{Room, has, heard, joined, open, shows};
use crate::grade::case::Case;
use crate::grade::referee::Way;
use crate::grade::trace::Trace;
use crate::grade::{Error, edit};
use crate::hub::Limit;
use crate::protocol::{LiveLine, ServerMessage, Welcome, encode_message};
use std::ffi::OsString;
use std::time::Duration;

/// A line that a client cleans before it says it.
pub(in crate::grade) fn unclean(case: &Case) -> String {
    format!("{}\u{1b}[31m\tand\u{202e}more", case.text("unclean", 0))
}

/// A line that needs three pieces, without a space. Its characters begin at odd offsets only: of
/// two cuts at the same distance at least one is inside a character.
pub(in crate::grade) fn long(case: &Case) -> String {
    let letters = ["ж", "λ", "é", "ش"];
    let letter = |n| letters[case.number(&format!("letter{n}"), 0, letters.len() - 1)];
    std::iter::once("x").chain((0..640).map(letter)).collect()
}

/// Texts both ways that a client must not take as they are.
pub(super) fn text(command: &[OsString], case: &Case) -> Result<Trace, Error> {
    let marker = case.text("hostile", 0);
    let rule = {
        let marker = marker.clone();
        Box::new(move |way, bytes: Vec<u8>| {
            if way == Way::Up {
                return vec![bytes];
            }
            vec![edit::changed(&bytes, |message| match message {
                ServerMessage::Line(line) if line.text == marker => {
                    let text = format!("{marker}\u{1b}[2J\nforged\u{7}\u{85}\u{202e}\t.");
                    let from = format!("{}\u{1b}[7m", line.from);
                    let line = LiveLine { text: &text, from: &from, ..line };
                    Some(encode_message(&ServerMessage::Line(line)))
                }
                _ => None,
            })]
        })
    };
    let (mut referee, is_in) = joined(command, case, &Room::default(), rule)?;
    if !is_in {
        return Ok(referee.finish());
    }
    referee.teach(&marker);
    referee.wait(|it| shows(it, &marker));
    referee.teach(&case.text("tame", 0));
    referee.wait(|it| shows(it, &case.text("tame", 0)));
    let last = case.text("last", 0);
    for line in [unclean(case), long(case), "  \t ".to_owned(), last.clone()] {
        referee.type_line(&line);
    }
    referee.wait(|it| heard(it, &last));
    Ok(referee.finish())
}

/// The limit of scenario `rate`: a client that waits for each acknowledgment and knows no limit is
/// faster on a busy machine too, with round trips of 0.3 s.
pub(in crate::grade) const LIMIT: (u16, u16) = (3, 2);
/// Lines of scenario `rate`.
pub(in crate::grade) const LINES: usize = 14;
/// Time for these lines: three times what the limit takes.
const MOST: Duration = Duration::from_secs(18);

/// More lines at once than the limit allows.
pub(super) fn rate(command: &[OsString], case: &Case) -> Result<Trace, Error> {
    let room = Room { limit: Limit::new(LIMIT.0, LIMIT.1), ..Room::default() };
    let (mut referee, is_in) = joined(command, case, &room, open())?;
    if is_in {
        for n in 0..LINES {
            referee.type_line(&case.text("rate", n));
        }
        referee.wait_for(MOST, |it| heard(it, &case.text("rate", LINES - 1)));
    }
    Ok(referee.finish())
}

/// The server's limit is stricter than it announced.
pub(super) fn slow(command: &[OsString], case: &Case) -> Result<Trace, Error> {
    let rule = Box::new(|way, bytes: Vec<u8>| {
        if way == Way::Up {
            return vec![bytes];
        }
        vec![edit::changed(&bytes, |message| match message {
            ServerMessage::Welcome(welcome) => {
                let welcome = Welcome { burst: 0, rate: 0, ..welcome };
                Some(encode_message(&ServerMessage::Welcome(welcome)))
            }
            _ => None,
        })]
    });
    // Lines of two tokens: one for each round trip is too fast, on a busy machine too.
    let line = |n| format!("{} {}", case.text("fast", n), "x".repeat(400));
    let room = Room { limit: Limit::new(1, 2), ..Room::default() };
    let (mut referee, is_in) = joined(command, case, &room, rule)?;
    if !is_in {
        return Ok(referee.finish());
    }
    for n in 0..7 {
        referee.type_line(&line(n));
    }
    referee.wait(|it| heard(it, &line(6)));
    // The client has `Slow` when it acknowledges the datagram with it.
    let knows = |it: &Trace| {
        let slow = it.received().find(|seen| {
            let bytes = edit::datagram(&seen.header, &seen.frames);
            has(&bytes, |message| matches!(message, ServerMessage::Slow { .. }))
        });
        slow.is_some_and(|slow| {
            it.sent()
                .any(|sent| sent.index > slow.index && covers(&sent.header, slow.header.sequence))
        })
    };
    if referee.wait(knows) {
        referee.mark("slow");
        let last = case.text("patient", 0);
        referee.type_line(&last);
        referee.wait(|it| heard(it, &last));
    }
    Ok(referee.finish())
}

/// Whether a header acknowledges this number.
pub(in crate::grade) fn covers(header: &crate::protocol::Header, number: u32) -> bool {
    match header.acknowledgment.wrapping_sub(number) {
        0 => true,
        age @ 1..=64 => header.ack_bitmap >> (age - 1) & 1 == 1,
        _ => false,
    }
}
