//! Commands from a pipe or file, or from a terminal without this program's editor.

use super::encoding;
use crate::client::app::commands::Command;
use crate::words::Mistake;
use std::io::{self, BufRead, BufReader, Read};
use unicode_segmentation::UnicodeSegmentation;

/// Longest piece of a line in memory, bytes.
const MAX_PIECE: usize = 64 * 1024;

/// Reads lines and parses each once, in bounded memory: of a line longer than 64 KiB, later pieces
/// continue the first one's command, whatever they look like.
#[derive(Debug)]
pub(in crate::client::app) struct Pipe<R> {
    input: BufReader<R>,
    /// Whether the input is a terminal, where the user can retype a line.
    interactive: bool,
    /// Number of the current line, from 1.
    number: u64,
    /// Unparsed bytes of the line.
    piece: Vec<u8>,
    /// The command that the rest of a cut line continues.
    rest: Option<Rest>,
    ended: bool,
}

/// The command that the rest of a cut line continues.
#[derive(Clone, Debug)]
enum Rest {
    Said,
    Done,
    WhisperedTo(String),
    /// The line began with a command or only invisible characters: the rest is dropped.
    Dropped,
}

/// Why the rest of the input cannot be sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unreadable {
    /// An I/O error.
    #[error("cannot read the input: {0}")]
    Failed(#[from] io::Error),
    /// It is not UTF-8 from this line on.
    #[error("{}", advice(*.line, *.guess))]
    Encoding {
        /// Number of the line, from 1.
        line: u64,
        /// Probable encoding, as a name for `iconv`.
        guess: Option<&'static str>,
    },
}

fn advice(line: u64, guess: Option<&str>) -> String {
    let looks = guess.map_or(String::new(), |guess| format!(" (it looks like {guess})"));
    let from = guess.unwrap_or("ENCODING");
    format!(
        "line {line} of the input is not UTF-8{looks}: it and later lines are not sent; convert \
         the input first: iconv -f {from} -t UTF-8 FILE | chatagram client ..."
    )
}

impl<R: Read> Pipe<R> {
    pub(in crate::client::app) fn new(input: R, interactive: bool) -> Self {
        Self {
            input: BufReader::new(input),
            interactive,
            number: 1,
            piece: Vec::new(),
            rest: None,
            ended: false,
        }
    }

    /// Reads up to the end of the line, of the input or of the piece. True if the line is complete.
    fn fill(&mut self) -> io::Result<bool> {
        let room = MAX_PIECE - self.piece.len();
        let read = (&mut self.input).take(room as u64).read_until(b'\n', &mut self.piece)?;
        self.ended = read == 0;
        Ok(read < room || self.piece.ends_with(b"\n"))
    }

    /// The encoding of the piece, if it is not UTF-8. A cut piece may end within a character.
    fn foreign(&self, whole: bool) -> Option<Unreadable> {
        let wide = (self.number == 1 && self.rest.is_none())
            .then(|| encoding::wide(&self.piece, self.input.buffer().first().copied()))
            .flatten();
        let valid = match std::str::from_utf8(&self.piece) {
            Ok(_) => true,
            Err(error) => !whole && error.error_len().is_none(),
        };
        if valid && wide.is_none() {
            return None;
        }
        let guess = wide.or_else(|| encoding::narrow(&self.piece));
        Some(Unreadable::Encoding { line: self.number, guess })
    }

    /// Takes the text of the piece: all of it, or of a cut line all but the last grapheme cluster,
    /// which may continue.
    fn take_text(&mut self, whole: bool) -> String {
        let valid = match std::str::from_utf8(&self.piece) {
            Ok(text) => text,
            Err(error) => {
                std::str::from_utf8(&self.piece[..error.valid_up_to()]).unwrap_or_default()
            }
        };
        let last = valid.grapheme_indices(true).next_back().map_or(0, |(at, _)| at);
        let cut = if whole || last == 0 { valid.len() } else { last };
        let text = valid[..cut].to_owned();
        self.piece.drain(..cut);
        text
    }

    /// Parses a piece; `None` if it is dropped.
    fn interpret(&mut self, text: &str, whole: bool) -> Option<Command> {
        let text = if whole { text.trim_end_matches(['\r', '\n']) } else { text };
        let Some(rest) = self.rest.take() else {
            let command = Command::parse(text);
            if whole {
                return Some(command);
            }
            let rest = match &command {
                Command::Say(_) => Rest::Said,
                Command::Act(_) => Rest::Done,
                Command::Whisper { to, .. } => Rest::WhisperedTo(to.clone()),
                _ => Rest::Dropped,
            };
            let dropped = matches!(rest, Rest::Dropped);
            self.rest = Some(rest);
            return Some(if dropped { self.too_long() } else { command });
        };
        let command = match &rest {
            _ if text.is_empty() => None,
            Rest::Said => Some(Command::Say(text.to_owned())),
            Rest::Done => Some(Command::Act(text.to_owned())),
            Rest::WhisperedTo(to) => {
                Some(Command::Whisper { to: to.clone(), text: text.to_owned() })
            }
            Rest::Dropped => None,
        };
        self.rest = Some(rest).filter(|_| !whole);
        command
    }

    fn too_long(&self) -> Command {
        let (line, kib) = (self.number, MAX_PIECE / 1024);
        Command::Wrong(Mistake::TooLong { line, kib })
    }
}

impl<R: Read> Iterator for Pipe<R> {
    type Item = Result<Command, Unreadable>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.ended {
            let whole = match self.fill() {
                Ok(whole) => whole,
                Err(error) => {
                    self.ended = true;
                    return Some(Err(error.into()));
                }
            };
            if self.piece.is_empty() {
                continue;
            }
            if let Some(foreign) = self.foreign(whole) {
                if !self.interactive {
                    self.ended = true;
                    return Some(Err(foreign));
                }
                self.piece.clear();
                self.rest = (!whole).then_some(Rest::Dropped);
                self.number += u64::from(whole);
                return Some(Ok(Command::Wrong(Mistake::NotUtf8)));
            }
            let text = self.take_text(whole);
            let command = self.interpret(&text, whole);
            self.number += u64::from(whole);
            if let Some(command) = command {
                return Some(Ok(command));
            }
        }
        None
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;

    fn commands(bytes: &[u8]) -> Vec<Command> {
        Pipe::new(bytes, false).map(|command| command.unwrap()).collect()
    }

    /// The commands before the end, and the reason of the end.
    fn refused(bytes: &[u8]) -> (Vec<Command>, String) {
        let mut pipe = Pipe::new(bytes, false);
        let read: Vec<_> = pipe.by_ref().map_while(Result::ok).collect();
        assert!(pipe.next().is_none(), "nothing follows what is not UTF-8");
        let error = Pipe::new(bytes, false).find_map(Result::err).unwrap();
        (read, error.to_string())
    }

    fn said(text: &str) -> Command {
        Command::Say(text.to_owned())
    }

    #[test]
    fn lines_end_with_a_line_feed_or_with_the_input() {
        assert_eq!(commands(b""), []);
        assert_eq!(commands(b"one\r\n\ntwo"), [said("one"), Command::Nothing, said("two")]);
    }

    #[test]
    fn a_long_line_is_cut_between_clusters_and_its_rest_is_no_command() {
        // 👩‍👩‍👧 has 18 bytes, so none of its ends falls on the cut.
        let text = "👩\u{200d}👩\u{200d}👧".repeat(10_000) + "/quit @eve secret exit";
        let pieces = commands(format!("{text}\nnext\n").as_bytes());
        let (next, pieces) = pieces.split_last().unwrap();
        assert_eq!(next, &said("next"));
        let mut whole = String::new();
        for piece in pieces {
            let Command::Say(piece) = piece else { panic!("{piece:?}") };
            assert!(
                piece.len() <= MAX_PIECE && piece.starts_with(['👩', '/']),
                "torn: {piece:.20}"
            );
            whole += piece;
        }
        assert_eq!(whole, text);
        for rest in ["/quit", "@eve secret", "exit", "/msg eve secret", "//x"] {
            let text = "x".repeat(MAX_PIECE - 1);
            let pieces = commands(format!("{text} {rest}\n").as_bytes());
            assert!(pieces.iter().all(|piece| matches!(piece, Command::Say(_))), "{rest}");
            assert_eq!(pieces.len(), 2);
        }
    }

    #[test]
    fn the_rest_of_a_long_whisper_goes_to_the_same_peer() {
        for start in ["@bob ", "/msg bob ", "\u{feff}＠bob "] {
            let text = "secret ".repeat(30_000);
            let pieces = commands(format!("{start}{text}\n").as_bytes());
            assert!(pieces.len() > 2);
            let whispered =
                |piece: &Command| matches!(piece, Command::Whisper { to, .. } if to == "bob");
            assert!(pieces.iter().all(whispered), "{start}");
        }
    }

    #[test]
    fn a_long_line_that_begins_as_a_command_or_invisibly_is_dropped() {
        let long = "secret ".repeat(30_000);
        let blank = " ".repeat(2 * MAX_PIECE);
        for line in [
            format!("@bob{}", long.replace(' ', "")),
            format!("/mgs bob {long}"),
            format!("/who {long}"),
            format!("exit{blank}exit"),
            format!("{blank}@bob secret"),
            format!("{blank}exit"),
            format!("@{blank}bob secret"),
        ] {
            let pieces = commands(format!("{line}\nnext\n").as_bytes());
            assert!(
                matches!(&pieces[0], Command::Wrong(Mistake::TooLong { kib: 64, .. })),
                "{line:.20}"
            );
            assert_eq!(pieces[1..], [said("next")], "{line:.20}");
        }
    }

    #[test]
    fn invalid_utf_8_ends_the_input_and_names_the_likely_encoding() {
        let wide = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>();
        for (bytes, read, words) in [
            (wide("\u{feff}@bob secret\nexit\n"), 0, "iconv -f UTF-16 "),
            (wide("@bob secret\n"), 0, "iconv -f UTF-16LE "),
            (b"ascii\n\xef\xf0\xe8\xe2\xe5\xf2\nmore\n".to_vec(), 1, "line 2 of the input"),
            (b"@bob caf\xe9\n".to_vec(), 0, "iconv -f ISO-8859-1 "),
            (b"cut \xd0".to_vec(), 0, "line 1 of the input"),
            ([b"x".repeat(MAX_PIECE), b"\xff\n".to_vec()].concat(), 1, "line 1 of the input"),
        ] {
            let (commands, why) = refused(&bytes);
            assert_eq!(commands.len(), read, "{commands:?}");
            assert!(why.contains(words), "{why}");
        }
    }

    #[test]
    fn a_line_at_a_terminal_can_be_retyped() {
        let lines: Vec<_> = Pipe::new(&b"caf\xe9\nhello\n"[..], true).map(Result::unwrap).collect();
        assert!(matches!(&lines[0], Command::Wrong(Mistake::NotUtf8)));
        assert_eq!(lines[1], said("hello"));
    }
}
