//! Lines that address this user: whispers, and lines with the user's name. No I/O.

use super::session::Event;
use crate::protocol::{NameKey, Nickname};
use std::time::{Duration, Instant};
use unicode_width::UnicodeWidthChar;

/// Pause between two rings of the bell, so that no peer can make it ring on and on.
const BELL_PAUSE: Duration = Duration::from_secs(2);

/// Recognises lines that address this user.
#[derive(Debug, Default)]
pub(super) struct Addressed {
    me: Option<(String, NameKey)>,
}

impl Addressed {
    /// Learns this user's name from an event, and tells whether the event is a line that addresses
    /// the user.
    pub(super) fn reads(&mut self, event: &Event) -> bool {
        match event {
            Event::Welcome { nickname, .. } | Event::Renamed { to: nickname, own: true, .. } => {
                let key = Nickname::parse(nickname).ok().map(|name| name.key());
                self.me = key.map(|key| (nickname.clone(), key));
                false
            }
            Event::Message { to: None, private, text, .. } => *private || self.is_named(text),
            _ => false,
        }
    }

    /// Whether `text` has the user's name as a word. Names that the server takes for the same one
    /// count, such as `ALICE` for `alice`.
    fn is_named(&self, text: &str) -> bool {
        let Some((name, key)) = &self.me else { return false };
        // Chinese and Japanese have no spaces between words.
        let has_spaces = !name.chars().any(|ch| ch.width() == Some(2));
        if !has_spaces {
            return text.contains(name.as_str());
        }
        let is_part =
            |ch: char| ch.is_alphanumeric() || "._-".contains(ch) || ch.width() == Some(0);
        let words = text.split(|ch| !is_part(ch)).filter(|word| !word.is_empty());
        // The end of a sentence may be no part of the name.
        words
            .flat_map(|word| [word, word.trim_matches(['.', '-', '_'])])
            .any(|word| Nickname::parse(word).is_ok_and(|word| word.key() == *key))
    }
}

/// The terminal's bell.
#[derive(Debug)]
pub(super) struct Bell {
    wanted: bool,
    rang: Option<Instant>,
}

impl Bell {
    pub(super) fn new(wanted: bool) -> Self {
        Self { wanted, rang: None }
    }

    /// The text that rings the bell; empty if no ring is due.
    pub(super) fn ring(&mut self, now: Instant) -> &'static str {
        if !self.wanted || self.rang.is_some_and(|rang| now < rang + BELL_PAUSE) {
            return "";
        }
        self.rang = Some(now);
        "\u{7}"
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn is_named(name: &str, text: &str) -> bool {
        let key = Nickname::parse(name).unwrap().key();
        Addressed { me: Some((name.to_owned(), key)) }.is_named(text)
    }

    #[test]
    fn a_name_is_found_as_a_word_and_not_inside_others() {
        for text in [
            "alice",
            "ALICE: hi",
            "hi @alice, all well?",
            "thanks, alice.",
            "(Alice)",
            "a\u{200d}lice and alice\u{fe0f}x and alice!",
            "«a1ice»",
        ] {
            assert!(is_named("alice", text), "{text}");
        }
        for text in ["", "malice", "alices", "alice2", "al ice", "alice.b", "bob"] {
            assert!(!is_named("alice", text), "{text}");
        }
        assert!(is_named("J.R.", "ask J.R. now") && is_named("a-b", "a-b-"));
        assert!(is_named("Боря", "привет, БОРЯ!") && !is_named("Боря", "привет, Боре!"));
        assert!(is_named("小明", "你好小明你在吗"));
    }

    #[test]
    fn the_bell_rings_at_most_once_in_a_while() {
        let now = Instant::now();
        let mut bell = Bell::new(true);
        assert_eq!(bell.ring(now), "\u{7}");
        assert_eq!(bell.ring(now + BELL_PAUSE / 2), "");
        assert_eq!(bell.ring(now + BELL_PAUSE), "\u{7}");
        assert_eq!(Bell::new(false).ring(now), "");
    }
}
