//! A command as words, split as a POSIX shell does, without a shell.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A command with placeholders: `{host}`, `{port}` and `{nick}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CommandLine {
    text: String,
    words: Vec<String>,
}

/// A text that is no command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SplitError {
    /// A quotation mark has no second one.
    #[error("a quotation mark {0} has no second one: add it, or write \\{0}")]
    Unclosed(char),
    /// There is no word.
    #[error("the command is empty: name a program, such as 'python3 client.py {{host}} {{port}}'")]
    Empty,
}

impl CommandLine {
    /// The words, with each placeholder replaced.
    #[must_use]
    pub fn fill(&self, values: &[(&str, &str)]) -> Vec<String> {
        self.words.iter().map(|word| fill(word, values)).collect()
    }

    /// Returns true if a word has this placeholder.
    #[must_use]
    pub fn asks_for(&self, placeholder: &str) -> bool {
        self.words.iter().any(|word| word.contains(placeholder))
    }

    /// The command as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// Replaces each placeholder by its value, and nothing in a value.
pub(crate) fn fill(text: &str, values: &[(&str, &str)]) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('{') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let known = values.iter().find(|(placeholder, _)| rest.starts_with(placeholder));
        let (taken, value) = known.map_or(("{", "{"), |(placeholder, value)| (placeholder, value));
        out.push_str(value);
        rest = &rest[taken.len()..];
    }
    out + rest
}

impl FromStr for CommandLine {
    type Err = SplitError;

    fn from_str(text: &str) -> Result<Self, SplitError> {
        let words = split(text)?;
        if words.is_empty() {
            Err(SplitError::Empty)
        } else {
            Ok(Self { text: text.into(), words })
        }
    }
}

fn split(text: &str) -> Result<Vec<String>, SplitError> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, quote) {
            (c, Some(open)) if c == open => quote = None,
            ('\\', Some('"')) => {
                let escaped = chars.next_if(|c| ['"', '\\', '$', '`'].contains(c));
                word.get_or_insert_default().push(escaped.unwrap_or('\\'));
            }
            (c, Some(_)) => word.get_or_insert_default().push(c),
            ('\'' | '"', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            ('\\', None) => word.get_or_insert_default().extend(chars.next()),
            (c, None) if c.is_whitespace() => words.extend(word.take()),
            (c, None) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    quote.map_or(Ok(words), |open| Err(SplitError::Unclosed(open)))
}

impl TryFrom<String> for CommandLine {
    type Error = SplitError;

    fn try_from(text: String) -> Result<Self, SplitError> {
        text.parse()
    }
}

impl From<CommandLine> for String {
    fn from(command: CommandLine) -> Self {
        command.text
    }
}

impl fmt::Display for CommandLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_a_shell() {
        let words = |text: &str| text.parse::<CommandLine>().map(|it| it.words);
        for (text, wanted) in [
            ("python3  server.py {port}", &["python3", "server.py", "{port}"][..]),
            (
                r#"java -cp 'my classes' "a \"b\" \n""#,
                &["java", "-cp", "my classes", r#"a "b" \n"#],
            ),
            (r"a\ b '' c'd'e", &["a b", "", "cde"]),
        ] {
            assert_eq!(words(text).unwrap(), wanted);
        }
        assert_eq!(words("  "), Err(SplitError::Empty));
        assert_eq!(words("it's"), Err(SplitError::Unclosed('\'')));
    }

    #[test]
    fn a_value_is_never_split_or_replaced_again() {
        let command: CommandLine = "c {host}:{port} {x} {nick}{".parse().unwrap();
        let values = [("{host}", "::1"), ("{port}", "5"), ("{nick}", "a {port}")];
        assert_eq!(command.fill(&values), ["c", "::1:5", "{x}", "a {port}{"]);
        assert!(command.asks_for("{nick}") && !command.asks_for("{hosts}"));
    }
}
