//! Completion of a word by Tab. No I/O.

use crate::client::app::commands::{Arguments, COMMANDS, MODERATION};
use crate::client::app::output::delivery_name;
use crate::protocol::{Delivery, clip};

/// The result of Tab.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Completion {
    /// No completion.
    Nothing,
    /// Replaces the text from this byte to the cursor.
    Replace(usize, String),
    /// Several candidates.
    Ambiguous(Vec<String>),
}

/// Completes the word before the cursor at `pos`, with the present `names`.
pub(super) fn complete<'a>(
    line: &str,
    pos: usize,
    names: impl Iterator<Item = &'a str>,
) -> Completion {
    let head = clip(line, pos);
    let space = head.char_indices().rfind(|(_, c)| c.is_whitespace());
    let start = space.map_or(0, |(at, c)| at + c.len_utf8());
    let word = &head[start..];
    let first = head.split_whitespace().next().unwrap_or("");
    let arguments = COMMANDS
        .iter()
        .chain(&MODERATION)
        .find(|entry| first.strip_prefix('/') == Some(entry.name));
    let second = start > 0 && head[..start].trim() == first;
    let (candidates, space): (Vec<String>, bool) = if start == 0 && word.starts_with('/') {
        (COMMANDS.iter().map(|entry| format!("/{}", entry.name)).collect(), true)
    } else if word.starts_with('@') {
        (names.map(|name| format!("@{name}")).collect(), true)
    } else {
        match arguments.filter(|_| second).map(|entry| entry.arguments) {
            Some(Arguments::Name) => (names.map(str::to_owned).collect(), false),
            Some(Arguments::NameAndText) => (names.map(str::to_owned).collect(), true),
            Some(Arguments::Mode) => {
                (Delivery::ALL.map(|mode| delivery_name(mode).to_owned()).to_vec(), false)
            }
            _ => return Completion::Nothing,
        }
    };
    let wanted = word.to_lowercase();
    let mut fitting: Vec<String> = candidates;
    fitting.retain(|candidate| candidate.to_lowercase().starts_with(&wanted));
    match fitting.as_slice() {
        [] => Completion::Nothing,
        [only] => Completion::Replace(start, if space { format!("{only} ") } else { only.clone() }),
        [one, others @ ..] => {
            let common = others.iter().fold(one.as_str(), |common, it| shared(common, it));
            if common.chars().count() > word.chars().count() {
                Completion::Replace(start, common.to_owned())
            } else {
                Completion::Ambiguous(fitting)
            }
        }
    }
}

/// The common prefix.
fn shared<'a>(one: &'a str, other: &str) -> &'a str {
    let same = one.char_indices().zip(other.chars()).take_while(|((_, a), b)| a == b);
    let end = same.last().map_or(0, |((at, last), _)| at + last.len_utf8());
    &one[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tab(line: &str) -> Completion {
        complete(line, line.len(), ["albert", "alice", "小明"].into_iter())
    }

    #[test]
    fn names_and_commands_are_completed_up_to_the_first_ambiguity() {
        let replace = |at, text: &str| Completion::Replace(at, text.to_owned());
        for (line, after) in [
            ("/w", replace(0, "/who ")),
            ("@ali", replace(0, "@alice ")),
            ("@ALI", replace(0, "@alice ")),
            ("@a", replace(0, "@al")),
            ("@小", replace(0, "@小明 ")),
            ("hello @ali", replace(6, "@alice ")),
            ("/msg ali", replace(5, "alice ")),
            ("/ping alb", replace(6, "albert")),
            ("/mode u", replace(6, "unreliable")),
            ("/mode r", replace(6, "reliable-")),
            ("hello\u{3000}@ali", replace(8, "@alice ")),
        ] {
            assert_eq!(tab(line), after, "{line:?}");
        }
        assert_eq!(tab("@al"), Completion::Ambiguous(vec!["@albert".into(), "@alice".into()]));
        for line in ["", "hello", "@x", "/x", "say /w", "/msg alice al", "/who al"] {
            assert_eq!(tab(line), Completion::Nothing, "{line:?}");
        }
    }
}
