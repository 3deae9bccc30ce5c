//! Asks for a nickname at a terminal.

use crate::protocol::{Nickname, clean};
use crate::words::Language;
use std::io::{self, BufRead, IsTerminal, Write};

/// Whether the user can be asked: standard input and output are terminals.
#[must_use]
pub fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// Asks until a name is valid; Enter alone takes `offer`. `None`: the input ended.
#[must_use]
pub fn ask_name(language: Language, offer: Option<&str>) -> Option<String> {
    ask(language, offer, &mut io::stdin().lock(), &mut io::stdout())
}

fn ask(
    language: Language,
    offer: Option<&str>,
    input: &mut impl BufRead,
    output: &mut impl Write,
) -> Option<String> {
    let question = language.your_name(offer);
    loop {
        // The answer is on the same line. A closed output shows at the read.
        let _ = write!(output, "{question}").and_then(|()| output.flush());
        let mut line = Vec::new();
        match input.read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => {
                let _ = writeln!(output);
                return None;
            }
            Ok(_) => {}
        }
        let typed = String::from_utf8_lossy(&line);
        let typed = match (typed.trim(), offer) {
            ("", Some(offer)) => offer,
            (typed, _) => typed,
        };
        match Nickname::parse(typed) {
            Ok(name) => return Some(name.to_string()),
            Err(error) => {
                let _ = writeln!(output, "! {}", clean(&language.name_error(&error)));
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn asks_until_the_name_is_valid() {
        let answer = |offer, mut typed: &[u8]| {
            let mut output = Vec::new();
            let name = ask(Language::En, offer, &mut typed, &mut output);
            (name, String::from_utf8(output).unwrap())
        };
        let (name, output) = answer(Some("al"), b"\n");
        assert_eq!((name.as_deref(), &*output), (Some("al"), "Your name [al]: "));
        let (name, output) = answer(None, b"\na b\ncaf\xe9\n\xef\xbd\x82ob \n");
        assert_eq!((name.as_deref(), output.matches("Your name: ").count()), (Some("bob"), 4));
        assert!(output.contains("empty") && output.contains("space"), "{output:?}");
        assert_eq!(answer(Some("al"), b"").0, None);
    }
}
