//! This client's own lines: waiting to be sent, sent, and known to be in the room.

use crate::protocol::limits;
use crate::protocol::{ClientMessage, encode_message};
use crate::time::WallTime;
use std::collections::VecDeque;

/// Lines a session takes before it asks to wait. More than the message window, so that the network
/// and not the queue sets the pace.
const CAPACITY: usize = 128;

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
    /// Came back in a replay after the session it was sent in had ended.
    pub(super) in_log: bool,
}

/// Lines in the order they were typed.
#[derive(Debug, Default)]
pub(super) struct OwnLines {
    waiting: VecDeque<Unconfirmed>,
    next_line: u16,
    next_whisper: u16,
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
    pub(super) fn settle(&mut self, number: u16, whisper: bool) -> Option<Unconfirmed> {
        let mine = |line: &Unconfirmed| line.number == number && line.to.is_some() == whisper;
        let index = self.waiting.iter().position(mine)?;
        self.waiting.remove(index)
    }

    /// A line under this client's name came in a replay. True when it is one of those waiting.
    pub(super) fn found_in_log(&mut self, text: &str) -> bool {
        let mut candidates = self
            .waiting
            .iter_mut()
            .filter(|line| line.sent && !line.in_log && line.to.is_none() && line.text == text);
        candidates.next().map(|line| line.in_log = true).is_some()
    }

    /// The replay is over. Lines found in it are confirmed. Of the others sent in an earlier
    /// session, those for the room go out again if the replay was complete, for then they are
    /// not in the log; what remains doubtful is returned.
    pub(super) fn after_replay(&mut self, complete: bool) -> (Vec<Unconfirmed>, Vec<Unconfirmed>) {
        let (found, rest) = self.waiting.drain(..).partition::<Vec<_>, _>(|line| line.in_log);
        let (doubtful, waiting): (Vec<_>, Vec<_>) =
            rest.into_iter().partition(|line| line.sent && !(complete && line.to.is_none()));
        self.waiting =
            waiting.into_iter().map(|line| Unconfirmed { sent: false, ..line }).collect();
        (found, doubtful)
    }

    /// All that is left, when nothing can be done any more.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Unconfirmed> {
        self.waiting.drain(..)
    }
}

impl Unconfirmed {
    fn message(&self) -> Vec<u8> {
        let (number, sent, text) = (self.number, self.typed.0, &self.text);
        encode_message(&match &self.to {
            None => ClientMessage::Say { number, sent, text },
            Some(to) => ClientMessage::Whisper { number, sent, to, text },
        })
    }
}
