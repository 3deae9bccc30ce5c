//! The optional scenarios: lines over TCP (§11.2), and a whisper of the client.

use super::{Room, heard, joined, open, shows};
use crate::grade::Error;
use crate::grade::case::Case;
use crate::grade::referee::Referee;
use crate::grade::trace::Trace;
use std::ffi::OsString;

/// Lines of each side.
pub(in crate::grade) const LINES: usize = 4;

/// Lines both ways over TCP.
pub(super) fn whole(command: &[OsString], case: &Case) -> Result<Trace, Error> {
    over_tcp(command, case, Vec::new())
}

/// The same, and what the server writes arrives in pieces: of one byte, within a length, of several
/// records and the beginning of the next.
pub(super) fn cut(command: &[OsString], case: &Case) -> Result<Trace, Error> {
    let first = case.number("piece", 1, 3);
    over_tcp(command, case, vec![1, first, 2, 7, 1, 64, 3])
}

fn over_tcp(command: &[OsString], case: &Case, pieces: Vec<usize>) -> Result<Trace, Error> {
    let mut referee = Referee::open(case, &Room::default(), &[case.text("before", 0)])?;
    referee.start_tcp(command, pieces)?;
    let is_in = referee.wait(|it| shows(it, &case.text("before", 0)) || it.end().is_some());
    if !is_in || referee.trace.end().is_some() {
        return Ok(referee.finish());
    }
    for n in 0..LINES {
        referee.teach(&line(case, n));
    }
    referee.wait(|it| shows(it, &case.text("heard", LINES - 1)));
    for n in 0..LINES {
        referee.type_line(&case.text("said", n));
    }
    referee.wait(|it| heard(it, &case.text("said", LINES - 1)));
    referee.leave();
    referee.wait_for_end();
    Ok(referee.finish())
}

/// A line of the teacher. The last but one is long: its length has two bytes that count.
pub(in crate::grade) fn line(case: &Case, n: usize) -> String {
    let text = case.text("heard", n);
    if n + 2 == LINES { format!("{text} {}", "x".repeat(400)) } else { text }
}

/// The client whispers: `/msg NAME TEXT`.
pub(super) fn tell(command: &[OsString], case: &Case) -> Result<Trace, Error> {
    let (mut referee, is_in) = joined(command, case, &Room::default(), open())?;
    if is_in {
        referee.type_line(&format!("/msg {} {}", case.teacher, case.text("secret", 0)));
        referee.type_line(&case.text("open", 0));
        referee.wait(|it| heard(it, &case.text("open", 0)));
    }
    Ok(referee.finish())
}
