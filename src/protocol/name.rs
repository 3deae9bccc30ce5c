//! The rules for nicknames, and when two of them are confusable.
//!
//! Users know each other by name only, so names are strict: letters, marks and digits of one
//! writing system, and `_ - .`, in the manner of PRECIS (RFC 8264 §9.1, RFC 8265, RFC 8266).
//! [`NameKey`] decides whether a name is taken.

mod key;
mod rules;
#[cfg(test)]
mod tests;

use std::fmt;

use super::limits::{MAX_NAME, MAX_NAME_CHARS, MAX_RAW_CHARS};
use thiserror::Error;
use unicode_normalization::UnicodeNormalization;

pub use key::NameKey;
#[cfg(feature = "cli")]
pub(crate) use rules::is_default_ignorable;

/// A nickname in its displayed form: trimmed, in NFKC, with its case.
///
/// RFC 8266 requires NFKC for nicknames; it includes the width mapping of RFC 8265. Parsing the
/// displayed form gives the same name. Equality is that of the displayed form: to ask whether a
/// name is taken, compare [`Nickname::key`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Nickname(Box<str>);

impl Nickname {
    /// Parses a name as typed or received.
    ///
    /// # Errors
    ///
    /// [`NameError`]: the rule that `raw` breaks.
    pub fn parse(raw: &str) -> Result<Self, NameError> {
        let raw = raw.trim();
        if raw.is_empty() {
            return Err(NameError::Empty);
        }
        check_length(raw, MAX_RAW_CHARS)?;
        if let Some(ch) = raw.chars().find(|&ch| !rules::is_allowed(ch)) {
            return Err(NameError::Forbidden { ch });
        }
        let name: String = raw.nfkc().collect();
        check_length(&name, MAX_NAME_CHARS)?;
        if name.len() > MAX_NAME {
            return Err(NameError::TooManyBytes { bytes: name.len() });
        }
        if !rules::has_letter_or_digit(&name) {
            return Err(NameError::NoLetter);
        }
        if let Some(mark) = rules::stray_mark(&name) {
            return Err(NameError::StrayMark { mark });
        }
        if !rules::is_of_one_writing_system(&name) {
            return Err(NameError::MixedScripts);
        }
        Ok(Self(name.into()))
    }

    /// The displayed form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The key for comparison. Computed at each call: store it where it is used often.
    #[must_use]
    pub fn key(&self) -> NameKey {
        NameKey::new(&self.0)
    }
}

impl fmt::Display for Nickname {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Why a name was refused, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NameError {
    /// Only white space.
    #[error("the name is empty: give 1 to {MAX_NAME_CHARS} letters or digits")]
    Empty,
    /// More than [`MAX_NAME_CHARS`] characters.
    #[error("the name has {chars} characters: shorten it to {MAX_NAME_CHARS}")]
    TooLong {
        /// How many there are.
        chars: usize,
    },
    /// More than [`MAX_NAME`] bytes, with many characters of four bytes.
    #[error("the name has {bytes} bytes: shorten it to {MAX_NAME}")]
    TooManyBytes {
        /// How many there are.
        bytes: usize,
    },
    /// A character is no letter, mark, digit, `_`, `-` or `.`.
    #[error("{} cannot be in a name: use letters, digits and _ - . only", shown(*.ch))]
    Forbidden {
        /// The first such character.
        ch: char,
    },
    /// Only `_`, `-`, `.` and marks.
    #[error("the name has no letter or digit: add one")]
    NoLetter,
    /// A mark follows no letter, repeats the one before it, or is one too many.
    #[error(
        "{} is a mark with no letter of its own, or one too many: remove it",
        shown(*.mark)
    )]
    StrayMark {
        /// The first such mark.
        mark: char,
    },
    /// Letters of alphabets that could imitate each other.
    #[error("the name mixes alphabets, such as Latin and Cyrillic: write all of it in one")]
    MixedScripts,
}

fn check_length(name: &str, max: usize) -> Result<(), NameError> {
    match name.chars().count() {
        chars if chars > max => Err(NameError::TooLong { chars }),
        _ => Ok(()),
    }
}

/// Describes a character in an error message. Only ASCII is shown as it is: any other refused
/// character may be invisible, reorder the text or control the terminal.
fn shown(ch: char) -> String {
    match ch {
        ' ' => "a space".to_owned(),
        ch if ch.is_ascii_graphic() => format!("‘{ch}’"),
        ch => format!("the character U+{:04X}", u32::from(ch)),
    }
}
