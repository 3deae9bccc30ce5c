//! Visual properties of input text: characters that are invisible, and those that look like `@` and
//! `/`. No I/O.
//!
//! A file from Windows begins with a byte order mark, a copied line with a zero-width space, a line
//! from an input method with a full-width `＠`. Text that looks like a whisper must be one.

use crate::protocol::is_default_ignorable;
use unicode_normalization::UnicodeNormalization;
use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};

/// The first character of a whisper or a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sigil {
    At,
    Slash,
}

impl Sigil {
    /// Splits the sigil off the beginning of `text`.
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

/// `line` from its first visible character.
pub(super) fn visible(line: &str) -> &str {
    line.trim_start_matches(is_blank)
}

/// The comparison form of a word: NFKC, without invisible characters. Marks stay: in many
/// scripts they are vowels.
pub(super) fn word(raw: &str) -> String {
    let seen = visible(raw).chars().filter(|&ch| ch.is_whitespace() || !is_invisible(ch));
    seen.nfkc().collect::<String>().trim().to_owned()
}

/// Whether `ch` at the beginning of a line is invisible or combines with another character.
fn is_blank(ch: char) -> bool {
    use GeneralCategory::{EnclosingMark, NonspacingMark};
    is_invisible(ch) || matches!(ch.general_category(), NonspacingMark | EnclosingMark)
}

/// Whether `ch` is invisible everywhere.
fn is_invisible(ch: char) -> bool {
    use GeneralCategory::{Control, Format};
    const BRAILLE_BLANK: char = '\u{2800}';
    ch.is_whitespace()
        || ch == BRAILLE_BLANK
        || matches!(ch.general_category(), Control | Format)
        || is_default_ignorable(ch)
}

#[cfg(test)]
mod tests {
    use super::*;
    use unicode_properties::GeneralCategoryGroup;

    #[test]
    fn invisible_characters_are_skipped_and_visible_ones_are_not() {
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
    fn words_are_compared_in_their_visible_form() {
        for (raw, read) in [
            ("ｅｘｉｔ", "exit"),
            ("\u{feff}ex\u{200b}it\u{a0}", "exit"),
            ("e xit", "e xit"),
            ("ｂｏｂ，", "bob,"),
            ("\u{200f}выход\u{200e}", "выход"),
            ("वीरेन्द्र", "वीरेन्द्र"),
            ("สมชาย์", "สมชาย์"),
            ("Jose\u{301}", "José"),
            ("\u{301}bob", "bob"),
        ] {
            assert_eq!(word(raw), read, "{raw:?}");
        }
    }

    #[test]
    fn a_typed_name_is_the_same_name() {
        use crate::protocol::Nickname;
        let mut marks = 0;
        for (mark, letter) in ('\0'..=char::MAX)
            .filter(|ch| ch.general_category_group() == GeneralCategoryGroup::Mark)
            .flat_map(|mark| ["a", "ب", "ש", "क", "ก", "か"].map(|letter| (mark, letter)))
        {
            let typed = format!("{letter}{mark}{letter}");
            let Ok(name) = Nickname::parse(&typed) else { continue };
            let read = Nickname::parse(&word(&typed)).map(|it| it.key());
            assert_eq!(read.ok(), Some(name.key()), "{typed}");
            marks += 1;
        }
        assert!(marks > 500, "{marks}");
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
