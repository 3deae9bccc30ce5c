//! Errors in the text of an impairment.

use super::PRESETS;
use super::parse::{ITEMS, NONE};
use crate::impair::queue::MAX_HELD;
use crate::quantity;

/// An error in the text of an impairment: the item, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{item}: {problem}")]
#[non_exhaustive]
pub struct SpecError {
    /// The item, at most 48 characters of it, without control characters.
    pub item: String,
    /// The fault of the item.
    pub problem: Box<SpecProblem>,
}

impl SpecError {
    pub(in crate::impair) fn new(item: &str, problem: SpecProblem) -> Self {
        const LONGEST: usize = 48;
        let printable = |c: char| if c.is_control() { '\u{fffd}' } else { c };
        let mut quoted: String = item.chars().take(LONGEST).map(printable).collect();
        if item.chars().nth(LONGEST).is_some() {
            quoted.push('…');
        }
        Self { item: quoted, problem: Box::new(problem) }
    }
}

/// The fault of an item. The message says how to write the item.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpecProblem {
    /// Items for both directions follow those of one direction.
    #[error("move the items for both directions before up: and down:")]
    BothAfterOne,
    /// A label other than `up` and `down`.
    #[error("a direction is up: (from the client) or down:")]
    UnknownDirection,
    /// A direction where only items can be.
    #[error("only items can be here: leave out up:, down: and ;")]
    OnlyItems,
    /// A direction has two sections.
    #[error("is given twice; join both with a comma")]
    DirectionTwice,
    /// A preset after another item, or with arguments.
    #[error("a preset comes first and takes no arguments; items after it override it")]
    PresetNotFirst,
    /// An unknown name that resembles a known one.
    #[error("unknown impairment; did you mean {0}?")]
    Misspelt(&'static str),
    /// Another unknown name.
    #[error("unknown impairment; choose from {}", names().collect::<Vec<_>>().join(", "))]
    UnknownItem,
    /// Two items set the same.
    #[error("the {0} is already set; keep one of the two")]
    SetTwice(&'static str),
    /// The item has another form than this one.
    #[error("has the wrong form; write {0}")]
    Form(&'static str),
    /// Nothing stands between two commas.
    #[error("an item is missing; write for example loss 5%, delay 25ms, or none")]
    MissingItem,
    /// A number stands where an item begins.
    #[error(
        "a number needs a name before it, as in delay 25ms, and a decimal point instead of a \
         comma, as in 2.5%"
    )]
    NumberWithoutName,
    /// `limit` without `rate`.
    #[error("a limit needs a rate; add one, such as rate 2mbit")]
    LimitWithoutRate,
    /// `limit` outside its bounds.
    #[error("a queue holds 1 to {MAX_HELD} packets")]
    Limit,
    /// `every` without a positive whole number.
    #[error("write a whole number from 1, as in every 10")]
    Every,
    /// Bursts of this mean length cannot reach the loss.
    #[error(
        "at least one packet gets through between two bursts; lower the loss or lengthen the bursts"
    )]
    BurstTooShort,
    /// A blackhole with one time.
    #[error("{0} has no end; write for example 2s-5s")]
    NoEnd(String),
    /// A blackhole that is empty or negative.
    #[error("{0} ends before it begins")]
    EndsBeforeStart(String),
    /// A range of packets that is empty or negative.
    #[error("ends before it begins; write {last}-{first}")]
    RangeReversed {
        /// The first index.
        first: u64,
        /// The last index, which is smaller.
        last: u64,
    },
    /// Neither a packet index nor a range of them.
    #[error("write a packet index, from 0, or a range such as 17-19")]
    NotAnIndex,
    /// A list of drops that was too long to record.
    #[error("the list is truncated here, so the rest is unknown")]
    Truncated,
    /// An error in one of the item's ranges of packets.
    #[error("{0}")]
    Drop(SpecError),
    /// A quantity of the item has the wrong form or is out of range.
    #[error("{0}")]
    Quantity(#[from] quantity::Error),
}

/// All names with which an item may begin.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    let items = ITEMS.iter().map(|(item, _)| *item);
    items.chain(PRESETS.iter().map(|(preset, _)| *preset)).chain([NONE])
}
