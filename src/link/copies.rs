//! The setting for copies: as many as the loss asks for, or a fixed number.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// How many copies of each message a link sends ahead of a loss (`--redundancy`).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(try_from = "String", into = "String")]
pub enum Copies {
    /// As many as the measured loss asks for, none below 0.2 %.
    #[default]
    Auto,
    /// This many whatever the loss is, at most [`Copies::MOST`]. With none, only
    /// retransmission repairs a loss.
    Fixed(u8),
}

impl Copies {
    /// The largest number of copies of a message.
    pub const MOST: u8 = 3;
}

/// A text that is no number of copies.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" is no number of copies: write auto, off, or a number from 1 to {most}",
    most = Copies::MOST
)]
pub struct BadCopies(pub String);

impl fmt::Display for Copies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.pad("auto"),
            Self::Fixed(0) => f.pad("off"),
            Self::Fixed(copies) => f.pad(&copies.to_string()),
        }
    }
}

impl FromStr for Copies {
    type Err = BadCopies;

    fn from_str(text: &str) -> Result<Self, BadCopies> {
        let word = text.trim();
        match (word, word.parse()) {
            ("auto", _) => Ok(Self::Auto),
            ("off", _) => Ok(Self::Fixed(0)),
            (_, Ok(copies @ 0..=Self::MOST)) => Ok(Self::Fixed(copies)),
            _ => Err(BadCopies(text.to_owned())),
        }
    }
}

impl TryFrom<String> for Copies {
    type Error = BadCopies;

    fn try_from(text: String) -> Result<Self, BadCopies> {
        text.parse()
    }
}

impl From<Copies> for String {
    fn from(copies: Copies) -> Self {
        copies.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_written_as_they_are_read() {
        for (text, meant) in [
            ("auto", Copies::Auto),
            ("off", Copies::Fixed(0)),
            ("1", Copies::Fixed(1)),
            ("3", Copies::Fixed(3)),
        ] {
            assert_eq!(text.parse(), Ok(meant));
            assert_eq!(meant.to_string(), text);
        }
        assert_eq!(" 0 ".parse(), Ok(Copies::Fixed(0)));
        for wrong in ["", "4", "-1", "on", "1.5"] {
            let error = wrong.parse::<Copies>().unwrap_err().to_string();
            assert!(error.contains("auto, off, or a number from 1 to 3"), "{error}");
        }
    }
}
