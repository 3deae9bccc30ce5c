//! What the eye makes of typed or piped text: which characters it does not see, which it takes for `@`
//! and `/`. Pure.
//!
//! A file from Windows begins with a byte order mark, a copied line with a zero-width space, a line
//! from an input method with a full-width `＠`. A whisper that looks like one has to be one.

use crate::protocol::is_default_ignorable;
use unicode_normalization::UnicodeNormalization;
use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};

/// The first character of what is not simply said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sigil {
    At,
    Slash,
}

impl Sigil {
    /// The sigil that `text` begins with, and what follows it.
    pub(super) fn split(text: &str) -> Option<(Self, &str)> {
        let mut rest = text.chars();
        let sigil = match rest.next()? {
            // Compatibility forms (UAX #15) and the slashes that fonts draw alike.
            '@' | '\u{FE6B}' | '\u{FF20}' => Self::At,
            '/' | '\u{FF0F}' | '\u{2044}' | '\u{2215}' | '\u{29F8}' => Self::Slash,
            _ => return None,
        };
        Some((sigil, rest.as_str()))
    }
}

/// `line` from its first character that can be seen.
pub(super) fn visible(line: &str) -> &str {
    line.trim_start_matches(is_blank)
}

/// A word as it is compared: in NFKC, without what cannot be seen.
pub(super) fn word(raw: &str) -> String {
    let seen = raw.chars().filter(|&ch| ch.is_whitespace() || !is_blank(ch));
    seen.nfkc().collect::<String>().trim().to_owned()
}

/// Whether `ch` at the beginning of a line is drawn as nothing, or only on another character.
fn is_blank(ch: char) -> bool {
    use GeneralCategory::{Control, EnclosingMark, Format, NonspacingMark};
    const BRAILLE_BLANK: char = '\u{2800}';
    ch.is_whitespace()
        || ch == BRAILLE_BLANK
        || matches!(ch.general_category(), Control | Format | NonspacingMark | EnclosingMark)
        || is_default_ignorable(ch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_seen_is_passed_over_and_what_is_seen_is_not() {
        for blank in [
            "\u{feff}",
            "\u{200b}\u{200c}\u{200d}",
            "\u{200e}\u{200f}\u{202a}\u{202e}\u{2066}\u{2069}",
            "\u{a0}\u{1680}\u{2000}\u{200a}\u{202f}\u{205f}\u{3000}",
            "\t \u{b}\u{c}\u{85}\u{2028}\u{2029}",
            "\0\u{1b}\u{7f}\u{9f}",
            "\u{ad}\u{34f}\u{61c}\u{2060}\u{2064}\u{fff9}\u{fffb}",
            "\u{115f}\u{1160}\u{3164}\u{ffa0}\u{180e}\u{fe0f}\u{e0001}\u{e0100}\u{1d173}",
            "\u{301}\u{20dd}\u{2800}",
        ] {
            for ch in blank.chars() {
                let line = format!("{ch}@bob");
                assert_eq!(visible(&line), "@bob", "U+{:04X}", u32::from(ch));
            }
            assert_eq!(visible(&format!("{blank}{blank}x")), "x");
        }
        for seen in ["x", "é", "ा", "小", "👩", "@", "/", "\u{fffd}", "\u{e000}", "·", "\""]
        {
            assert_eq!(visible(seen), seen);
        }
    }

    #[test]
    fn a_word_is_compared_as_it_is_read() {
        for (raw, read) in [
            ("ｅｘｉｔ", "exit"),
            ("\u{feff}ex\u{200b}it\u{a0}", "exit"),
            ("e xit", "e xit"),
            ("ｂｏｂ，", "bob,"),
            ("\u{200f}выход\u{200e}", "выход"),
        ] {
            assert_eq!(word(raw), read, "{raw:?}");
        }
    }

    #[test]
    fn every_compatibility_form_of_a_sigil_is_one() {
        for ch in '\0'..=char::MAX {
            let text = ch.to_string();
            let form: String = text.nfkc().collect();
            let sigil = Sigil::split(&text).map(|(sigil, _)| sigil);
            match &*form {
                "@" => assert_eq!(sigil, Some(Sigil::At), "{ch:?}"),
                "/" => assert_eq!(sigil, Some(Sigil::Slash), "{ch:?}"),
                _ => {}
            }
        }
    }
}
