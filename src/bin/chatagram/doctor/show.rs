//! The report, for people and for programs.

use super::{Check, Fix, State};
use chatagram::protocol::clean;
use std::fmt::Write;
use unicode_width::UnicodeWidthStr;

/// Width of a line, and the column of its text.
const WIDTH: usize = 80;
const TEXT: usize = 20;

/// Lines of at most 80 columns, and a summary. Longer words or arguments stay whole.
pub(crate) fn text(checks: &[Check], colour: bool) -> String {
    let mut out = String::new();
    for check in checks {
        let state = format!("{:<8}", check.state.word());
        let state = if colour { painted(check.state, &state) } else { state };
        let _ = write!(out, "{state}{:<12}", check.name);
        put(&mut out, &wrap(words(&clean(&check.means)), WIDTH - TEXT), "");
        match &check.fix {
            None => {}
            Some(Fix::Say(fix)) => {
                put(&mut out, &wrap(words(&clean(&format!("try: {fix}"))), WIDTH - TEXT), MARGIN);
            }
            Some(Fix::Run(fix)) => {
                let mut lines = wrap(arguments(&clean(fix)), WIDTH - TEXT - 7);
                let last = lines.len().saturating_sub(1);
                for (number, line) in lines.iter_mut().enumerate() {
                    let begin = if number == 0 { "run: " } else { "     " };
                    let end = if number < last { " \\" } else { "" };
                    *line = format!("{begin}{line}{end}");
                }
                put(&mut out, &lines, MARGIN);
            }
        }
    }
    out + &sum(checks)
}

/// One object a line.
pub(crate) fn json(checks: &[Check]) -> String {
    let line = |check: &Check| {
        let fix = check.fix.as_ref().map(|fix| clean(fix.text()).into_owned());
        let command = matches!(check.fix, Some(Fix::Run(_)));
        let object = serde_json::json!({
            "check": check.name,
            "state": check.state.word(),
            "means": clean(&check.means),
            "fix": fix,
            "fix_is_command": command,
        });
        format!("{object}\n")
    };
    checks.iter().map(line).collect()
}

const MARGIN: &str = "                    ";

/// Wraps text; the first line is begun already unless `margin` says otherwise.
fn put(out: &mut String, lines: &[String], margin: &str) {
    for (number, line) in lines.iter().enumerate() {
        let margin = if number == 0 { margin } else { MARGIN };
        let _ = writeln!(out, "{margin}{line}");
    }
}

fn painted(state: State, text: &str) -> String {
    let colour = match state {
        State::Ok => 32,
        State::Limited => 33,
        State::Missing => 31,
        State::Unknown => 36,
    };
    format!("\u{1b}[{colour}m{text}\u{1b}[0m")
}

fn sum(checks: &[Check]) -> String {
    let count = |state: State| {
        let number = checks.iter().filter(|check| check.state == state).count();
        format!("{number} {}", state.word())
    };
    let all = [State::Ok, State::Limited, State::Missing, State::Unknown].map(count);
    format!("{}\n", all.join(", "))
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

/// Splits a command into arguments; a space within quotes does not split.
fn arguments(command: &str) -> Vec<String> {
    let (mut all, mut one, mut quoted) = (Vec::new(), String::new(), false);
    for ch in command.chars() {
        quoted ^= ch == '\'';
        if ch == ' ' && !quoted {
            all.push(std::mem::take(&mut one));
        } else {
            one.push(ch);
        }
    }
    all.push(one);
    all.retain(|one| !one.is_empty());
    all
}

fn wrap(words: Vec<String>, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in words {
        match lines.last_mut() {
            Some(line) if line.width() + 1 + word.width() <= width => {
                line.push(' ');
                line.push_str(&word);
            }
            _ => lines.push(word),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use chatagram::protocol::is_clean;

    fn checks() -> Vec<Check> {
        let long = "word ".repeat(40);
        vec![
            Check::new("tun", State::Ok, "it is \u{1b}[31mthere\nand more"),
            Check::new("netem", State::Missing, long.as_str())
                .with(Fix::Run(format!("sudo {long}'a b'"))),
            Check::new("clock", State::Unknown, "who knows").with(Fix::Say(long)),
        ]
    }

    #[test]
    fn lines_are_aligned_and_at_most_eighty_columns_wide() {
        let shown = text(&checks(), false);
        for line in shown.lines().filter(|line| !line.contains(" ok, ")) {
            assert!(line.width() <= WIDTH, "{line}");
            let begin = line.chars().take(TEXT).collect::<String>();
            assert!(begin.ends_with(' ') && (begin == MARGIN || !line.starts_with(' ')), "{line}");
        }
        assert!(shown.ends_with("\n1 ok, 0 limited, 1 missing, 1 unknown\n"), "{shown}");
    }

    #[test]
    fn a_long_command_can_be_pasted() {
        let shown = text(&checks(), false);
        let command = shown.split("run: ").nth(1).unwrap().split("clock").next().unwrap();
        let command = command.rsplit_once("unknown").map_or(command, |(command, _)| command.trim());
        let joined = command.replace("\\\n", " ");
        let words: Vec<_> = joined.split_whitespace().collect();
        assert_eq!(words.iter().filter(|word| **word == "word").count(), 40, "{command}");
        assert!(joined.contains("'a b'"));
    }

    #[test]
    fn findings_are_escaped_for_the_terminal() {
        let characters: Vec<char> = ('\0'..=char::MAX).collect();
        for some in characters.chunks(1_000) {
            let found: String = some.iter().collect();
            let fix = [Some(Fix::Say(found.clone())), Some(Fix::Run(found.clone())), None];
            let checks =
                fix.map(|fix| Check { name: "udp", state: State::Ok, means: found.clone(), fix });
            assert!(text(&checks, false).split('\n').all(is_clean));
            assert!(json(&checks).split('\n').all(is_clean));
        }
    }

    #[test]
    fn facts_are_escaped_for_the_terminal() {
        assert!(!text(&checks(), false).contains('\u{1b}'));
        let coloured = text(&checks(), true);
        assert_eq!(coloured.matches('\u{1b}').count(), 6);
        assert!(coloured.starts_with("\u{1b}[32mok      \u{1b}[0mtun  "), "{coloured:?}");
        for line in json(&checks()).lines() {
            assert!(!line.contains("\\u001b"), "{line}");
        }
    }
}
