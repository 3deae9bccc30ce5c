//! This client's own lines: waiting, sent, or confirmed.

use super::Event;
use crate::protocol::limits::{self, NUMBER_WINDOW};
use crate::protocol::{ClientMessage, Mark, Say, Welcome, Whisper, encode_message};
use crate::time::WallTime;
use std::collections::VecDeque;

/// Lines that a session takes before it reports [`Busy`](super::Busy). More than the message
/// window, so that the network sets the pace, not the queue.
const CAPACITY: usize = 128;

/// Numbers of lines reported as doubtful: as many as the log distinguishes.
const REPORTED: usize = NUMBER_WINDOW as usize;

/// This client's lines in the log, from `Welcome`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taken<'a> {
    /// Number of the lowest bit of the first byte.
    pub(super) newest: u16,
    /// Bits from the newest number down.
    pub(super) bits: &'a [u8],
    /// Whether a number outside the bits is missing in the log.
    pub(super) sure: bool,
}

impl<'a> From<&Welcome<'a>> for Taken<'a> {
    fn from(welcome: &Welcome<'a>) -> Self {
        Self { newest: welcome.newest, bits: welcome.taken, sure: welcome.sure }
    }
}

impl Taken<'_> {
    /// Whether the log has this line; `None` if unknown.
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

/// An unconfirmed line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unconfirmed {
    pub(super) number: u16,
    /// `None` for the room.
    pub(super) to: Option<String>,
    pub(super) text: String,
    typed: WallTime,
    /// Its cost in tokens of the server's bucket.
    tokens: usize,
    /// Whether a link took it.
    pub(super) sent: bool,
    /// The log has it, by a `Welcome` after its session ended.
    pub(super) in_log: bool,
}

/// The unconfirmed lines, in typed order.
#[derive(Debug, Default)]
pub(super) struct OwnLines {
    waiting: VecDeque<Unconfirmed>,
    next_line: u16,
    next_whisper: u16,
    /// Lines reported as doubtful, with their numbers.
    reported: VecDeque<(u16, String)>,
}

impl OwnLines {
    pub(super) fn is_full(&self) -> bool {
        self.waiting.len() >= CAPACITY
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The unsent lines.
    pub(super) fn unsent(&self) -> usize {
        self.waiting.iter().filter(|line| !line.sent).count()
    }

    /// Tokens of the next unsent line.
    pub(super) fn next_tokens(&self) -> Option<usize> {
        self.waiting.iter().find(|line| !line.sent).map(|line| line.tokens)
    }

    /// Tokens of the unsent lines.
    pub(super) fn unsent_tokens(&self) -> usize {
        self.waiting.iter().filter(|line| !line.sent).map(|line| line.tokens).sum()
    }

    /// Tokens of the sent lines without an answer.
    pub(super) fn unanswered_tokens(&self) -> usize {
        self.waiting.iter().filter(|line| line.sent).map(|line| line.tokens).sum()
    }

    /// Number of the next unsent line for the room.
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

    /// Marks the next unsent line as sent and returns it.
    pub(super) fn send_next(&mut self) -> Option<(&Unconfirmed, Vec<u8>)> {
        let line = self.waiting.iter_mut().find(|line| !line.sent)?;
        line.sent = true;
        Some((line, line.message()))
    }

    /// Takes out a confirmed or failed line for the room.
    pub(super) fn take_line(&mut self, number: u16) -> Option<Unconfirmed> {
        self.take(|line| line.number == number && line.to.is_none())
    }

    /// Takes out a confirmed or failed whisper.
    pub(super) fn take_whisper(&mut self, number: u16) -> Option<Unconfirmed> {
        self.take(|line| line.number == number && line.to.is_some())
    }

    fn take(&mut self, wanted: impl Fn(&Unconfirmed) -> bool) -> Option<Unconfirmed> {
        let index = self.waiting.iter().position(wanted)?;
        self.waiting.remove(index)
    }

    /// Starts a session with this client's lines in the log. Lines of an earlier session that the
    /// log lacks are sent again. Returns the doubtful ones.
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

    /// After the replay: the lines in the log that were not replayed.
    pub(super) fn after_replay(&mut self) -> Vec<Unconfirmed> {
        let (found, waiting) =
            std::mem::take(&mut self.waiting).into_iter().partition(|line| line.in_log);
        self.waiting = waiting;
        Vec::from(found)
    }

    /// Records a line reported as doubtful.
    pub(super) fn report(&mut self, line: &Unconfirmed) {
        if line.to.is_none() {
            self.reported.push_back((line.number, line.text.clone()));
            if self.reported.len() > REPORTED {
                self.reported.pop_front();
            }
        }
    }

    /// The text of a line that was reported lost or doubtful and is confirmed after all.
    pub(super) fn take_back(&mut self, number: u16) -> Option<String> {
        let place = self.reported.iter().position(|(reported, _)| *reported == number)?;
        self.reported.remove(place).map(|(_, text)| text)
    }

    /// The remaining lines, at the end of the session.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Unconfirmed> {
        self.waiting.drain(..)
    }
}

impl Unconfirmed {
    /// The event that confirms the line.
    pub(super) fn confirmed(self, mark: Option<Mark>) -> Event {
        Event::Confirmed { mark, at: self.typed, text: self.text }
    }

    fn message(&self) -> Vec<u8> {
        let (number, sent, text) = (self.number, self.typed.0, &self.text);
        encode_message(&match &self.to {
            None => ClientMessage::Say(Say { number, sent, text }),
            Some(to) => ClientMessage::Whisper(Whisper { number, sent, to, text }),
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Sent lines with consecutive numbers and the same text.
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
    fn lines_in_the_log_are_confirmed_and_others_sent_again() {
        let mut own = sent(65_534, 4);
        // The log has 65,535 and 1: 1 is the newest, 65,535 two below.
        let taken = Taken { newest: 1, bits: &[0b101], sure: true };
        assert!(own.after_welcome(taken).is_empty());
        assert_eq!(numbers(own.after_replay()), [65_535, 1]);
        let again: Vec<_> = std::iter::from_fn(|| Some(own.send_next()?.0.number)).collect();
        assert_eq!(again, [65_534, 0], "with their old numbers, in the order they were typed");
    }

    #[test]
    fn a_line_of_unknown_fate_is_reported_and_not_sent_again() {
        let told = |newest, bits: &[u8], sure| {
            let mut own = sent(1_000, 4);
            let doubtful = numbers(own.after_welcome(Taken { newest, bits, sure }));
            (doubtful, numbers(own.after_replay()), own.unsent())
        };
        assert_eq!(told(1_001, &[1], false), (vec![1_000, 1_002, 1_003], vec![1_001], 0));
        assert_eq!(told(0, &[], false).0.len(), 4);
        assert_eq!(told(0, &[], true), (vec![], vec![], 4));
        // A window above the oldest line tells nothing about it.
        assert_eq!(told(1_256, &[1], true), (vec![1_000], vec![], 3));
    }

    #[test]
    fn a_whisper_is_not_in_the_log() {
        let mut own = OwnLines::default();
        own.push(Some("bob"), "psst", WallTime(0));
        own.send_next();
        assert_eq!(own.after_welcome(Taken { newest: 0, bits: &[1], sure: true }).len(), 1);
    }
}
