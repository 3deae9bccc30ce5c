//! A script of changes to an emulated network, and its text form.
//!
//! A line is a change: the direction, the index of the first datagram that it affects, who it is
//! for, and the items of an impairment in the words of a [`Spec`]. `*` stands for everybody; behind
//! a name, `*` ends what was set for that peer alone. `#` begins a comment.
//!
//! ```text
//! seed 7
//! up 0 * loss 5%
//! down 240 * loss 10% burst 3, delay 25ms
//! up 512 bob delay 100ms
//! up 900 bob *
//! up 1200 * none
//! ```
//!
//! Indices count the datagrams of one direction from 0, whoever they belong to, and each line of
//! one direction is at the index of the line before it or later. So the same datagrams meet the
//! same conditions, and with the same seed the same ones are lost.

use super::{Direction, Profile, Spec, SpecError, SpecProblem};
use std::fmt;
use std::str::FromStr;

/// Changes in a script.
pub const MAX_CHANGES: usize = 10_000;
/// Peers with conditions of their own at once.
pub(super) const MAX_APART: usize = 64;

/// Whose datagrams a change is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All but those with conditions of their own.
    Everybody,
    /// The peer with this nickname.
    Peer(String),
}

/// A change of conditions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The direction of the datagrams.
    pub direction: Direction,
    /// The index of the first datagram under the new conditions.
    pub index: u64,
    /// Whose datagrams.
    pub scope: Scope,
    /// The conditions; `None`: a peer has those of everybody again.
    pub profile: Option<Profile>,
}

/// A seed and changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Script {
    /// The seed of all random choices.
    pub seed: u64,
    /// The changes, in ascending order of their indices in each direction.
    pub changes: Vec<Change>,
}

/// A text that is no script: the number of the line, and its fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct ScriptError {
    /// The number of the line, from 1.
    pub line: usize,
    /// The fault.
    pub problem: ScriptProblem,
}

/// The fault of a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScriptProblem {
    /// The first line has no seed.
    #[error("a script begins with its seed: write seed 7")]
    NoSeed,
    /// A change has another form.
    #[error("write DIRECTION INDEX WHO ITEMS, such as: up 0 * loss 5%")]
    Form,
    /// Everybody has no conditions but those that are set.
    #[error("for everybody write items or none: * ends what was set for one peer")]
    EverybodyFollows,
    /// The items have a fault.
    #[error(transparent)]
    Items(#[from] SpecError),
    /// An index is smaller than the one before it.
    #[error("the datagram {0} comes before that of an earlier line in this direction")]
    Backwards(u64),
    /// There are too many lines.
    #[error("a script has at most {MAX_CHANGES} changes")]
    TooLong,
}

impl Profile {
    /// The conditions of one direction, from the items of a [`Spec`].
    ///
    /// # Errors
    /// [`SpecError`]: an item is wrong, or names a direction.
    pub fn parse(items: &str, direction: Direction) -> Result<Self, SpecError> {
        if items.contains([':', ';']) {
            return Err(SpecError::new(items, SpecProblem::OnlyItems));
        }
        let spec: Spec = format!("{direction}: {items}").parse()?;
        Ok(match direction {
            Direction::Up => spec.up,
            Direction::Down => spec.down,
        })
    }
}

/// # Errors
/// [`ScriptError`].
impl FromStr for Script {
    type Err = ScriptError;

    fn from_str(text: &str) -> Result<Self, ScriptError> {
        let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
        let mut lines = (1..).zip(lines).filter(|(_, text)| !text.is_empty());
        let (line, first) = lines.next().unwrap_or((1, ""));
        let seed = first.strip_prefix("seed ").and_then(|seed| seed.trim().parse().ok());
        let seed = seed.ok_or(ScriptError { line, problem: ScriptProblem::NoSeed })?;
        let mut changes: Vec<Change> = Vec::new();
        for (line, text) in lines {
            let fail = |problem| ScriptError { line, problem };
            if changes.len() >= MAX_CHANGES {
                return Err(fail(ScriptProblem::TooLong));
            }
            let change = change(text).map_err(fail)?;
            let same = changes.iter().rev().find(|it| it.direction == change.direction);
            if same.is_some_and(|before| before.index > change.index) {
                return Err(fail(ScriptProblem::Backwards(change.index)));
            }
            changes.push(change);
        }
        Ok(Self { seed, changes })
    }
}

fn change(text: &str) -> Result<Change, ScriptProblem> {
    let mut words = text.splitn(4, char::is_whitespace).map(str::trim);
    let (Some(direction), Some(index), Some(who), Some(items)) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(ScriptProblem::Form);
    };
    let direction = match direction {
        "up" => Direction::Up,
        "down" => Direction::Down,
        _ => return Err(ScriptProblem::Form),
    };
    let index = index.parse().map_err(|_| ScriptProblem::Form)?;
    let scope = match who {
        "*" => Scope::Everybody,
        name => Scope::Peer(name.to_owned()),
    };
    let profile = match (items, &scope) {
        ("*", Scope::Everybody) => return Err(ScriptProblem::EverybodyFollows),
        ("*", Scope::Peer(_)) => None,
        (items, _) => Some(Profile::parse(items, direction)?),
    };
    Ok(Change { direction, index, scope, profile })
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}", self.seed)?;
        self.changes.iter().try_for_each(|change| writeln!(f, "{change}"))
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { direction, index, scope, profile } = self;
        write!(f, "{direction} {index} {scope} ")?;
        match profile {
            Some(profile) => profile.fmt(f),
            None => f.write_str("*"),
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Everybody => "*",
            Self::Peer(name) => name,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "seed 7\nup 0 * loss 5%\ndown 240 * loss 10% burst 3, delay 25ms\n\
                        up 512 bob delay 100ms\nup 900 bob *\nup 1200 * none\n";

    #[test]
    fn a_script_is_written_as_it_is_read() {
        let script: Script = TEXT.parse().unwrap();
        assert_eq!((script.seed, script.changes.len()), (7, 5));
        assert_eq!(script.changes[2].scope, Scope::Peer("bob".to_owned()));
        assert_eq!(script.changes[3].profile, None);
        assert_eq!(script.to_string(), TEXT);
        let spaced = "\n# by hand\n  seed 7 # any\nup 0 * loss 5\n";
        assert_eq!(spaced.parse::<Script>().unwrap().to_string(), "seed 7\nup 0 * loss 5%\n");
    }

    #[test]
    fn errors_name_the_line_and_the_remedy() {
        for (text, line, words) in [
            ("", 1, "seed 7"),
            ("# x\nup 0 * loss 5%", 2, "seed 7"),
            ("seed x", 1, "seed 7"),
            ("seed 1\n\nup 0 *", 3, "DIRECTION INDEX WHO ITEMS"),
            ("seed 1\nsideways 0 * none", 2, "DIRECTION INDEX WHO ITEMS"),
            ("seed 1\nup -1 * none", 2, "DIRECTION INDEX WHO ITEMS"),
            ("seed 1\nup 0 * *", 2, "for everybody"),
            ("seed 1\nup 0 * lose 5%", 2, "did you mean loss"),
            ("seed 1\nup 0 * loss 5%; down: loss 1%", 2, "only items"),
            ("seed 1\nup 5 * none\ndown 1 * none\nup 4 * none", 4, "datagram 4"),
        ] {
            let error = text.parse::<Script>().unwrap_err();
            assert!(error.line == line && error.to_string().contains(words), "{text}: {error}");
        }
        let long = format!("seed 1\n{}", "up 0 * none\n".repeat(MAX_CHANGES + 1));
        assert_eq!(long.parse::<Script>().unwrap_err().problem, ScriptProblem::TooLong);
    }
}
