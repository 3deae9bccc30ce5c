//! Asking a person at a terminal for the name to join under.

use crate::logging::announce;
use crate::protocol::Nickname;
use std::io::{self, BufRead, IsTerminal, Write};

/// Whether a person can be asked: there is a terminal on both sides.
pub fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// Asks until there is a name that can be one; Enter alone takes `offer`. `None`: the input ended.
pub fn ask_name(offer: Option<&str>) -> Option<String> {
    ask(offer, &mut io::stdin().lock(), &mut io::stdout(), announce)
}

fn ask(
    offer: Option<&str>,
    input: &mut impl BufRead,
    output: &mut impl Write,
    mut say: impl FnMut(&str),
) -> Option<String> {
    loop {
        let offered = offer.map_or(String::new(), |name| format!(" [{name}]"));
        // The answer is typed on the same line. An output that is gone shows when it is read.
        let _ = write!(output, "Your name{offered}: ").and_then(|()| output.flush());
        let mut line = Vec::new();
        match input.read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => {
                say("");
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
            Err(error) => say(&format!("! {error}")),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn it_asks_until_the_name_can_be_one() {
        let answer = |offer, mut typed: &[u8]| {
            let (mut output, mut said) = (Vec::new(), Vec::new());
            let name = ask(offer, &mut typed, &mut output, |line| said.push(line.to_owned()));
            (name, String::from_utf8(output).unwrap(), said)
        };
        let (name, output, said) = answer(Some("al"), b"\n");
        assert_eq!((name.as_deref(), &*output, said.len()), (Some("al"), "Your name [al]: ", 0));
        let (name, output, said) = answer(None, b"\na b\ncaf\xe9\n\xef\xbd\x82ob \n");
        assert_eq!((name.as_deref(), output.matches("Your name: ").count()), (Some("bob"), 4));
        assert!(said[0].contains("empty") && said[1].contains("space"), "{said:?}");
        assert_eq!(answer(Some("al"), b"").0, None);
    }
}
