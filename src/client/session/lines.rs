//! This client's own lines: waiting to be sent, sent, and known to be in the room.

use super::Event;
use crate::protocol::limits::{self, NUMBER_WINDOW};
use crate::protocol::{ClientMessage, Mark, encode_message};
use crate::time::WallTime;
use std::collections::VecDeque;

/// Lines a session takes before it asks to wait. More than the message window, so that the network
/// and not the queue sets the pace.
const CAPACITY: usize = 128;

/// Numbers of lines that the user was told may not have arrived: as many as the log tells apart.
const REPORTED: usize = NUMBER_WINDOW as usize;

/// Which of this client's lines the log has, as `Welcome` says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taken<'a> {
    /// The number that the lowest bit of the first byte stands for.
    pub(super) newest: u16,
    /// A bit for each number, from the newest down.
    pub(super) bits: &'a [u8],
    /// Whether a number that is not among them is not in the log.
    pub(super) sure: bool,
}

impl Taken<'_> {
    /// Whether the log has this line; `None` where nobody can know.
    fn has(&self, number: u16) -> Option<bool> {
        let back = self.newest.wrapping_sub(number);
        if self.bits.is_empty() || (back as i16) < 0 {
            return self.sure.then_some(false);
        }
        let byte = self.bits.get(usize::from(back / 8)).copied().unwrap_or(0);
        if byte & (1 << (back % 8)) != 0 {
            return Some(true);
        }
        (self.sure && back < NUMBER_WINDOW).then_some(false)
    }
}

/// A line nobody has confirmed yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unconfirmed {
    pub(super) number: u16,
    /// `None` for the room.
    pub(super) to: Option<String>,
    pub(super) text: String,
    typed: WallTime,
    /// What it takes of the server's bucket.
    tokens: usize,
    /// Was handed to some session's link.
    pub(super) sent: bool,
    /// The log has it: the server said so after the session it was sent in had ended.
    pub(super) in_log: bool,
}

/// Lines in the order they were typed.
#[derive(Debug, Default)]
pub(super) struct OwnLines {
    waiting: VecDeque<Unconfirmed>,
    next_line: u16,
    next_whisper: u16,
    /// Lines that the user was told may not have arrived, and their numbers.
    reported: VecDeque<(u16, String)>,
}

impl OwnLines {
    pub(super) fn is_full(&self) -> bool {
        self.waiting.len() >= CAPACITY
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Lines no session was given yet.
    pub(super) fn unsent(&self) -> usize {
        self.waiting.iter().filter(|line| !line.sent).count()
    }

    /// Tokens that the next line takes which no session was given yet.
    pub(super) fn next_tokens(&self) -> Option<usize> {
        self.waiting.iter().find(|line| !line.sent).map(|line| line.tokens)
    }

    /// Tokens of the lines that no session was given yet.
    pub(super) fn unsent_tokens(&self) -> usize {
        self.waiting.iter().filter(|line| !line.sent).map(|line| line.tokens).sum()
    }

    /// Tokens of the lines sent that nothing is known of.
    pub(super) fn unanswered_tokens(&self) -> usize {
        self.waiting.iter().filter(|line| line.sent).map(|line| line.tokens).sum()
    }

    /// The number the next line for the room will have that no session was given yet.
    pub(super) fn next_unsent(&self) -> u16 {
        let mut unsent = self.waiting.iter().filter(|line| line.to.is_none() && !line.sent);
        unsent.next().map_or(self.next_line, |line| line.number)
    }

    pub(super) fn push(&mut self, to: Option<&str>, text: &str, typed: WallTime) {
        let counter = if to.is_some() { &mut self.next_whisper } else { &mut self.next_line };
        let number = *counter;
        *counter = counter.wrapping_add(1);
        let (to, text) = (to.map(str::to_owned), text.to_owned());
        let (tokens, sent, in_log) = (0, false, false);
        let mut line = Unconfirmed { number, to, text, typed, tokens, sent, in_log };
        line.tokens = limits::tokens(line.message().len());
        self.waiting.push_back(line);
    }

    /// The next line no session was given yet; from now on one was.
    pub(super) fn send_next(&mut self) -> Option<(&Unconfirmed, Vec<u8>)> {
        let line = self.waiting.iter_mut().find(|line| !line.sent)?;
        line.sent = true;
        Some((line, line.message()))
    }

    /// The line or whisper with this number is in the room, or went nowhere for good.
    pub(super) fn remove(&mut self, number: u16, whisper: bool) -> Option<Unconfirmed> {
        let mine = |line: &Unconfirmed| line.number == number && line.to.is_some() == whisper;
        let index = self.waiting.iter().position(mine)?;
        self.waiting.remove(index)
    }

    /// A session begins, and the log has these of this client's lines. Of those sent in an earlier
    /// session, the ones that it does not have go out again. What remains doubtful is returned.
    pub(super) fn after_welcome(&mut self, taken: Taken<'_>) -> Vec<Unconfirmed> {
        let mut doubtful = Vec::new();
        for mut line in std::mem::take(&mut self.waiting) {
            if line.sent && !line.in_log {
                match taken.has(line.number).filter(|_| line.to.is_none()) {
                    Some(in_log) => (line.in_log, line.sent) = (in_log, in_log),
                    None => {
                        doubtful.push(line);
                        continue;
                    }
                }
            }
            self.waiting.push_back(line);
        }
        doubtful
    }

    /// The replay is over: the lines that are in the log, and were not in what was replayed.
    pub(super) fn after_replay(&mut self) -> Vec<Unconfirmed> {
        let (found, waiting) =
            std::mem::take(&mut self.waiting).into_iter().partition(|line| line.in_log);
        self.waiting = waiting;
        Vec::from(found)
    }

    /// The user is told that this line may not have arrived.
    pub(super) fn report(&mut self, line: &Unconfirmed) {
        if line.to.is_none() {
            self.reported.push_back((line.number, line.text.clone()));
            if self.reported.len() > REPORTED {
                self.reported.pop_front();
            }
        }
    }

    /// The text of a line that was said to be lost or doubtful, and is in the room after all.
    pub(super) fn take_back(&mut self, number: u16) -> Option<String> {
        let place = self.reported.iter().position(|(reported, _)| *reported == number)?;
        self.reported.remove(place).map(|(_, text)| text)
    }

    /// All that is left, when nothing can be done any more.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Unconfirmed> {
        self.waiting.drain(..)
    }
}

impl Unconfirmed {
    /// It is in the room.
    pub(super) fn confirmed(self, mark: Option<Mark>) -> Event {
        Event::Confirmed { mark, at: self.typed, text: self.text }
    }

    fn message(&self) -> Vec<u8> {
        let (number, sent, text) = (self.number, self.typed.0, &self.text);
        encode_message(&match &self.to {
            None => ClientMessage::Say { number, sent, text },
            Some(to) => ClientMessage::Whisper { number, sent, to, text },
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Lines with numbers in a row, all of them sent and all with the same text.
    fn sent(first: u16, count: usize) -> OwnLines {
        let mut own = OwnLines { next_line: first, ..OwnLines::default() };
        for _ in 0..count {
            own.push(None, "ok", WallTime(0));
        }
        while own.send_next().is_some() {}
        own
    }

    fn numbers(lines: impl IntoIterator<Item = Unconfirmed>) -> Vec<u16> {
        lines.into_iter().map(|line| line.number).collect()
    }

    #[test]
    fn what_the_log_has_is_confirmed_and_what_it_has_not_goes_out_again() {
        let mut own = sent(65_534, 4);
        // 65,535 and 1 are in it: 1 is the newest, and 65,535 stands two below.
        let taken = Taken { newest: 1, bits: &[0b101], sure: true };
        assert!(own.after_welcome(taken).is_empty());
        assert_eq!(numbers(own.after_replay()), [65_535, 1]);
        let again: Vec<_> = std::iter::from_fn(|| Some(own.send_next()?.0.number)).collect();
        assert_eq!(again, [65_534, 0], "with their old numbers, in the order they were typed");
    }

    #[test]
    fn where_nobody_can_know_a_line_is_reported_and_not_sent() {
        let told = |newest, bits: &[u8], sure| {
            let mut own = sent(1_000, 4);
            let doubtful = numbers(own.after_welcome(Taken { newest, bits, sure }));
            (doubtful, numbers(own.after_replay()), own.unsent())
        };
        assert_eq!(told(1_001, &[1], false), (vec![1_000, 1_002, 1_003], vec![1_001], 0));
        assert_eq!(told(0, &[], false).0.len(), 4);
        assert_eq!(told(0, &[], true), (vec![], vec![], 4));
        // A window that begins behind the oldest says nothing about it.
        assert_eq!(told(1_256, &[1], true), (vec![1_000], vec![], 3));
    }

    #[test]
    fn a_whisper_is_in_no_log() {
        let mut own = OwnLines::default();
        own.push(Some("bob"), "psst", WallTime(0));
        own.send_next();
        assert_eq!(own.after_welcome(Taken { newest: 0, bits: &[1], sure: true }).len(), 1);
    }
}
