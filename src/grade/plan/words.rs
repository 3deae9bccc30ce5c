//! The values of a plan, each checked where it stands, so that an error names its line.

use crate::grade::case::Case;
use crate::grade::criteria::CRITERIA;
use crate::lab::plan::nearest;
use crate::protocol::{Nickname, is_clean};
use serde::Deserialize;

/// A whole number from `LOW` to `HIGH`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "i64")]
pub(in crate::grade) struct Bounded<const LOW: usize, const HIGH: usize>(
    pub(in crate::grade) usize,
);

impl<const LOW: usize, const HIGH: usize> TryFrom<i64> for Bounded<LOW, HIGH> {
    type Error = String;

    fn try_from(value: i64) -> Result<Self, String> {
        let number = usize::try_from(value).ok().filter(|it| (LOW..=HIGH).contains(it));
        number.map(Self).ok_or_else(|| format!("{value} is not one of {LOW} to {HIGH}"))
    }
}

/// At most `MOST` values.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Vec<T>", bound = "T: Deserialize<'de>")]
pub(super) struct List<T, const MOST: usize>(pub(super) Vec<T>);

impl<T, const MOST: usize> TryFrom<Vec<T>> for List<T, MOST> {
    type Error = String;

    fn try_from(values: Vec<T>) -> Result<Self, String> {
        match values.len() {
            many if many > MOST => Err(format!("{many} are too many: give at most {MOST}")),
            _ => Ok(Self(values)),
        }
    }
}

impl<T, const MOST: usize> Default for List<T, MOST> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

/// Defines a text that is checked where it stands. The check returns what is wrong.
macro_rules! checked {
    ($(#[$doc:meta])+ $name:ident, $check:expr) => {
        $(#[$doc])+
        #[derive(Clone, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
        #[serde(try_from = "String")]
        pub(in crate::grade) struct $name(pub(in crate::grade) String);

        impl TryFrom<String> for $name {
            type Error = String;

            fn try_from(text: String) -> Result<Self, String> {
                let check: fn(&str) -> Result<(), String> = $check;
                check(&text).map(|()| Self(text))
            }
        }
    };
}

/// An error with this message, unless `holds`.
fn require(holds: bool, message: impl Into<String>) -> Result<(), String> {
    if holds { Ok(()) } else { Err(message.into()) }
}

fn is_criterion(text: &str) -> Result<(), String> {
    let ids: Vec<_> = CRITERIA.iter().map(|it| it.id).collect();
    let near = nearest(text, &ids).map(|it| format!("; did you mean `{it}`?"));
    let near = near.unwrap_or_default();
    require(ids.contains(&text), format!("no criterion is called `{text}`{near}"))
}

checked!(
    /// The id of a criterion.
    CriterionId,
    is_criterion
);

checked!(
    /// The id of a criterion, or a part of proto.md.
    Group,
    |text| match text {
        "part1" | "part2" | "part3" => Ok(()),
        _ => is_criterion(text),
    }
);

checked!(
    /// The name of a scenario and of its criterion.
    Id,
    |text| {
        let is_usual = |it: u8| matches!(it, b'a'..=b'z' | b'0'..=b'9' | b'-');
        let holds = (1..=24).contains(&text.len()) && text.bytes().all(is_usual);
        require(holds, "a name has 1 to 24 small letters, digits and -")
    }
);

checked!(
    /// A nickname that the server does not change.
    Name,
    |text| match Nickname::parse(text) {
        Ok(_) if text.starts_with('-') => Err("a client takes it for an option".to_owned()),
        Ok(name) if name.as_str() == text => Ok(()),
        Ok(name) => Err(format!("the server makes `{name}` of this name: write that")),
        Err(error) => Err(format!("the server refuses this name: {error}")),
    }
);

/// Shortest word, bytes: a line of 26 texts needs several parts.
const MIN_WORD: usize = 4;
/// Longest word, bytes: that line is still one message.
const MAX_WORD: usize = 10;

checked!(
    /// A word of the texts.
    Word,
    |text| {
        let is_short = (MIN_WORD..=MAX_WORD).contains(&text.len());
        require(
            is_short && is_clean(text) && !text.contains(char::is_whitespace),
            format!("a word has {MIN_WORD} to {MAX_WORD} bytes, no space, no control character"),
        )
    }
);

checked!(
    /// The title of a criterion.
    Title,
    |text| require(
        !text.trim().is_empty() && text.len() <= 80 && is_clean(text),
        "a title has 1 to 80 bytes, and no control character",
    )
);

checked!(
    /// A section of proto.md.
    Section,
    |text| {
        let number = text.strip_prefix('§').unwrap_or_default();
        let is_digits = |it: &str| it.bytes().all(|byte| byte.is_ascii_digit());
        let is_part = |it: &str| it == "I" || (1..=2).contains(&it.len()) && is_digits(it);
        let holds = number.len() <= 8 && number.split('.').all(is_part);
        require(holds, "give a section of proto.md, such as §I.8 or §7.9")
    }
);

checked!(
    /// A line. `{1}` to `{99}` in it are texts of the seed.
    Text,
    |text| {
        let most = text.len() + MAX_CASE_TEXT * text.matches('{').count();
        require(
            !text.trim().is_empty() && most <= MAX_LINE && is_clean(text) && text != "exit",
            format!(
                "a line has 1 to {MAX_LINE} bytes, {MAX_CASE_TEXT} for each {{1}}, and no control \
                 character; it is not `exit`"
            ),
        )
    }
);

/// Longest line with its texts, bytes: §I.8 cuts longer ones.
const MAX_LINE: usize = 480;
/// The kind of a line's texts.
const KIND: &str = "own";
/// Longest text of that kind, bytes: `own99`, two words, four digits, and spaces.
const MAX_CASE_TEXT: usize = KIND.len() + 2 + 2 * (1 + MAX_WORD) + 5;

impl Text {
    /// The line of this case.
    pub(in crate::grade) fn of(&self, case: &Case) -> String {
        let mut pieces = self.0.split('{');
        let mut line = pieces.next().unwrap_or_default().to_owned();
        for piece in pieces {
            let number = piece.split_once('}').and_then(|(it, end)| Some((it.parse().ok()?, end)));
            match number {
                Some((number @ 1..=99, end)) => line += &(case.text(KIND, number) + end),
                _ => line += &format!("{{{piece}"),
            }
        }
        line
    }
}
