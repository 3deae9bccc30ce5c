//! The programs that the scripts and the course use.

use super::remedy::{Fix, Remedy};
use super::{Check, State};

/// The checks. `is_there` finds a program by its name.
pub(super) fn judge(is_there: impl Fn(&str) -> bool, remedy: &Remedy) -> Vec<Check> {
    let check = |name, there: bool, good: &str, bad: &str, fix: Fix| {
        if there {
            Check::new(name, State::Ok, good)
        } else {
            Check::new(name, State::Missing, bad).with(fix)
        }
    };
    let tshark = [("dnf", "wireshark-cli"), ("pacman", "wireshark-cli"), ("brew", "wireshark")];
    let python = [("pacman", "python"), ("brew", "python")];
    vec![
        check(
            "tshark",
            is_there("tshark") || is_there("wireshark"),
            "scripts/chatagram.lua shows every packet of a chat in it",
            "neither tshark nor Wireshark: `chatagram decode` shows single datagrams",
            remedy.install("tshark", &tshark),
        ),
        check(
            "python3",
            is_there("python3"),
            "it runs the scripts in Python",
            "no Python for scripts/minimal_client.py and the other scripts",
            remedy.install("python3", &python),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_tool_comes_with_its_package() {
        let remedy = Remedy { manager: Some("dnf"), ..Remedy::default() };
        let [tshark, python] = judge(|name| name == "wireshark", &remedy).try_into().unwrap();
        assert_eq!((tshark.state, python.state), (State::Ok, State::Missing));
        assert_eq!(python.fix.unwrap().text(), "sudo dnf install python3");
    }
}
