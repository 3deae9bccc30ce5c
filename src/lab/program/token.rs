//! The text of a message for a program, and finding it in what a client prints.
//!
//! A message is `~` nonce `.s` sender `.` number `~` padding `!`, such as `~k3f.s1.17~xxxxx!`: its
//! beginning, its number and its end can be told apart from whatever a program prints around them.
//! The nonce tells this run's messages from those of an earlier run in a server's history.

use crate::protocol::clean;

/// Limit on the line that is being collected, bytes. A longer line continues in another row.
const MAX_LINE: usize = 8_192;
/// Limits on a quoted example, characters before and after its fault.
const BEFORE: usize = 60;
const AFTER: usize = 60;

const ESCAPE: u8 = 0x1b;

/// The mark by which the texts of a run are recognized.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    nonce: String,
    size: usize,
}

/// A text that a client has printed whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// A message of the load.
    Message {
        /// The sender's index.
        sender: usize,
        /// The message's number.
        id: u64,
    },
    /// A line that was said before the load, to see who hears whom.
    Probe {
        /// The sender's index.
        sender: usize,
    },
}

/// A line of output, or a part of a long one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// Its text, without characters that steer a terminal.
    pub(crate) text: String,
    /// True if the line ends here.
    pub(crate) ended: bool,
}

impl Token {
    /// A token for messages of `size` bytes, or more where the number needs more.
    pub(crate) fn new(random: u32, size: u32) -> Self {
        let digit = |n: u32| char::from_digit(random / 36_u32.pow(n) % 36, 36).unwrap_or('0');
        Self { nonce: [0, 1, 2].map(digit).into_iter().collect(), size: size as usize }
    }

    /// The nonce, for who reads the output again.
    pub(crate) fn nonce(&self) -> &str {
        &self.nonce
    }

    /// A message's text.
    pub(crate) fn text(&self, sender: usize, id: u64) -> String {
        let mut text = format!("~{}.s{}.{id}~", self.nonce, sender + 1);
        text.extend(std::iter::repeat_n('x', self.padding(&text)));
        text + "!"
    }

    fn padding(&self, beginning: &str) -> usize {
        self.size.saturating_sub(beginning.len() + 1)
    }

    /// The text of a probe.
    pub(crate) fn probe(&self, sender: usize, number: u32) -> String {
        format!("~{}.s{}.p{number}~!", self.nonce, sender + 1)
    }
}

/// The end of an attempt to read a token.
enum Read {
    Whole(Seen, usize),
    /// The output has ended within it so far.
    Unfinished,
    /// It breaks off after this many bytes; true for a message, not a probe.
    Broken(usize, bool),
}

/// Finds tokens in the output of one client, in whatever pieces it arrives.
#[derive(Clone, Debug)]
pub(crate) struct Scanner {
    token: Token,
    mark: Vec<u8>,
    line: Vec<u8>,
    /// The part of the line in which no token begins any more, bytes.
    scanned: usize,
    /// Whole tokens in this line.
    tokens: u32,
    lines: Vec<Line>,
    /// Messages on one line with a text before them.
    pub(crate) fused: u64,
    /// Messages without their end.
    pub(crate) cut: u64,
    /// The first line with a fused message.
    pub(crate) fused_sample: Option<String>,
    /// The first line with a cut message.
    pub(crate) cut_sample: Option<String>,
    /// The first fused and the first cut message, in this line.
    samples_due: [Option<usize>; 2],
    state: State,
}

/// The state after the last byte of output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Text,
    /// A carriage return: a line feed ends the line, and another character overwrites it.
    Return,
    Escape,
    /// The parameters of a control sequence (ECMA-48 §5.4).
    Sequence,
}

impl Scanner {
    pub(crate) fn new(token: &Token) -> Self {
        Self {
            token: token.clone(),
            mark: format!("~{}.", token.nonce).into_bytes(),
            line: Vec::new(),
            scanned: 0,
            tokens: 0,
            lines: Vec::new(),
            fused: 0,
            cut: 0,
            fused_sample: None,
            cut_sample: None,
            samples_due: [None; 2],
            state: State::Text,
        }
    }

    /// Takes output. Returns what it completes; a message needs no line break after it. A line also
    /// ends where the cursor goes elsewhere, as on a screen that a program draws.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Vec<Seen> {
        let mut seen = Vec::new();
        for &byte in bytes {
            let before = std::mem::replace(&mut self.state, State::Text);
            if before == State::Return && !matches!(byte, b'\r' | b'\n') {
                self.leave_line(&mut seen);
            }
            match (before, byte) {
                (_, b'\n') => {
                    self.scan(&mut seen, true);
                    self.end_line();
                    continue;
                }
                (_, b'\r') => {
                    self.state = State::Return;
                    continue;
                }
                (_, ESCAPE) => self.state = State::Escape,
                (State::Escape, b'[') | (State::Sequence, b' '..=b'?') => {
                    self.state = State::Sequence;
                }
                (State::Sequence, b'A' | b'B' | b'E' | b'F' | b'H' | b'd' | b'f') => {
                    let start = self.line.iter().rposition(|byte| *byte == ESCAPE);
                    self.line.truncate(start.unwrap_or_default());
                    self.scanned = self.scanned.min(self.line.len());
                    self.leave_line(&mut seen);
                    continue;
                }
                _ => {}
            }
            self.line.push(byte);
        }
        self.scan(&mut seen, false);
        if self.line.len() > MAX_LINE {
            self.split_line();
        }
        seen
    }

    /// The cursor leaves the line, which ends if it has text.
    fn leave_line(&mut self, seen: &mut Vec<Seen>) {
        self.scan(seen, true);
        if !self.line.is_empty() {
            self.end_line();
        }
    }

    /// The output has ended, and with it the last line.
    pub(crate) fn finish(&mut self) {
        self.scan(&mut Vec::new(), true);
        if !self.line.is_empty() {
            self.end_line();
        }
    }

    /// The lines that have ended since the last call.
    pub(crate) fn take_lines(&mut self) -> Vec<Line> {
        std::mem::take(&mut self.lines)
    }

    fn scan(&mut self, seen: &mut Vec<Seen>, line_ends: bool) {
        while let Some(at) = find(&self.line[self.scanned..], &self.mark) {
            let start = self.scanned + at;
            match self.read(&self.line[start + self.mark.len()..]) {
                Read::Unfinished if !line_ends => {
                    self.scanned = start;
                    return;
                }
                Read::Whole(what, length) => {
                    self.scanned = start + self.mark.len() + length;
                    self.tokens += 1;
                    if self.tokens > 1 && matches!(what, Seen::Message { .. }) {
                        self.fused += 1;
                        self.samples_due[0].get_or_insert(start);
                    }
                    seen.push(what);
                }
                Read::Unfinished => {
                    let probe = is_probe(&self.line[start + self.mark.len()..]);
                    self.note_cut(self.line.len() - start, !probe, start);
                }
                Read::Broken(length, is_message) => {
                    self.note_cut(self.mark.len() + length, is_message, start);
                }
            }
        }
        // A mark may have begun.
        self.scanned = self.scanned.max(self.line.len().saturating_sub(self.mark.len() - 1));
    }

    fn note_cut(&mut self, length: usize, is_message: bool, start: usize) {
        self.scanned = start + length;
        if is_message {
            self.cut += 1;
            self.samples_due[1].get_or_insert(self.scanned);
        }
    }

    /// Reads a token after its mark.
    fn read(&self, bytes: &[u8]) -> Read {
        let mut at = 0;
        let take = |at: &mut usize, wanted: u8| {
            let found = bytes.get(*at).map(|byte| *byte == wanted);
            *at += usize::from(found == Some(true));
            found
        };
        let number = |at: &mut usize| {
            let digits = bytes[*at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
            let text = std::str::from_utf8(&bytes[*at..*at + digits]).unwrap_or_default();
            *at += digits;
            text.parse::<u64>().ok()
        };
        let mut is_message = true;
        let mut read = || -> Option<Read> {
            let broken = |at: usize, is_message| Some(Read::Broken(at, is_message));
            if !take(&mut at, b's')? {
                return broken(at, is_message);
            }
            let sender = number(&mut at).and_then(|it| usize::try_from(it).ok()?.checked_sub(1));
            if !take(&mut at, b'.')? {
                return broken(at, is_message);
            }
            is_message = !take(&mut at, b'p')?;
            let id = number(&mut at);
            if !take(&mut at, b'~')? {
                return broken(at, is_message);
            }
            let (Some(sender), Some(id)) = (sender, id) else { return broken(at, is_message) };
            let mark = self.mark.len();
            let padding =
                if is_message { self.token.size.saturating_sub(mark + at + 1) } else { 0 };
            for _ in 0..padding {
                if !take(&mut at, b'x')? {
                    return broken(at, is_message);
                }
            }
            if !take(&mut at, b'!')? {
                return broken(at, is_message);
            }
            let seen =
                if is_message { Seen::Message { sender, id } } else { Seen::Probe { sender } };
            Some(Read::Whole(seen, at))
        };
        read().unwrap_or(Read::Unfinished)
    }

    fn end_line(&mut self) {
        self.emit(self.line.len(), true);
        self.tokens = 0;
    }

    /// Emits the part of a long line in which no token is unfinished.
    fn split_line(&mut self) {
        self.emit(self.scanned, false);
    }

    fn emit(&mut self, length: usize, ended: bool) {
        let bytes: Vec<u8> = self.line.drain(..length).collect();
        let samples = [&mut self.fused_sample, &mut self.cut_sample];
        for (due, sample) in self.samples_due.iter_mut().zip(samples) {
            if let Some(at) = due.take() {
                sample.get_or_insert_with(|| quote(&bytes, at.min(bytes.len())));
            }
        }
        let text = clean(&String::from_utf8_lossy(&bytes)).into_owned();
        self.lines.push(Line { text, ended });
        self.scanned -= length.min(self.scanned);
    }
}

/// The text around a place in a line, for people.
fn quote(line: &[u8], at: usize) -> String {
    let (before, after) = (shortened(&line[..at]), shortened(&line[at..]));
    let skipped = before.chars().count().saturating_sub(BEFORE);
    let mut quoted = String::from(if skipped > 0 { "…" } else { "" });
    quoted.extend(before.chars().skip(skipped).chain(after.chars().take(AFTER)));
    quoted + if after.chars().count() > AFTER { "…" } else { "" }
}

/// Clean text with shorter runs of padding.
fn shortened(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut short = String::new();
    let mut run = 0;
    for c in clean(&text).chars() {
        run = if c == 'x' { run + 1 } else { 0 };
        match run {
            0..=3 => short.push(c),
            4 => short.push('…'),
            _ => {}
        }
    }
    short
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

/// Returns true for the rest of a probe, as far as it goes.
fn is_probe(rest: &[u8]) -> bool {
    let after = rest.iter().position(|byte| *byte == b'.').map_or(&[][..], |at| &rest[at + 1..]);
    after.first() == Some(&b'p')
}

#[cfg(test)]
mod tests;
